//! What no device can mean is not a value, whichever frontend claims it: the ranges of [`units`](crate::units) are
//! applied here, in one place, to every answer of a sensor.

use crate::{
    readings::{Activity, Cellular, DiskSpace, Ethernet, Memory, Position, Throttled, Ups, Uptime, Wifi},
    text::Text,
    units::{Celsius, Degrees, Heading, Metres, MetresPerSecond, Percent, Rpm, SignalPercent, Volts, Watts},
};

/// Values that can be checked against what is physically possible.
pub(super) trait Plausible: Sized {
    /// The value without the parts that cannot be true; `None` when nothing is left of it.
    fn plausible(self) -> Option<Self>;
}

macro_rules! within {
    ($($unit:ty: $range:expr,)*) => {
        $(impl Plausible for $unit {
            fn plausible(self) -> Option<Self> {
                $range.contains(&self).then_some(self)
            }
        })*
    };
}

within! {
    Celsius: Self::SOC_RANGE,
    Watts: Self::RANGE,
    Rpm: Self::RANGE,
    Metres: Self::RANGE,
    MetresPerSecond: Self::RANGE,
    SignalPercent: Self::RANGE,
    crate::units::Dbm: Self::RANGE,
    Volts: Self::RANGE,
    Percent: Self::ZERO..=Self::FULL,
}

macro_rules! always {
    ($($value:ty,)*) => {
        $(impl Plausible for $value {
            fn plausible(self) -> Option<Self> {
                Some(self)
            }
        })*
    };
}

always! { Activity, Throttled, Uptime, }

impl Plausible for Heading {
    /// A full turn, which can come from rounding, is none.
    fn plausible(self) -> Option<Self> {
        if self == Self::FULL_TURN { Some(Self::NORTH) } else { Self::RANGE.contains(&self).then_some(self) }
    }
}

impl<const N: usize> Plausible for Text<N> {
    fn plausible(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }
}

impl Plausible for Memory {
    fn plausible(self) -> Option<Self> {
        (self.total > 0 && self.available <= self.total).then_some(self)
    }
}

impl Plausible for DiskSpace {
    fn plausible(self) -> Option<Self> {
        (self.total > 0 && self.used <= self.total).then_some(self)
    }
}

impl Plausible for Ethernet {
    fn plausible(self) -> Option<Self> {
        (!self.interface.is_empty()).then_some(self)
    }
}

impl Plausible for Wifi {
    fn plausible(mut self) -> Option<Self> {
        self.signal_dbm = self.signal_dbm.and_then(Plausible::plausible);
        self.signal_percent = self.signal_percent.and_then(Plausible::plausible);
        (!self.interface.is_empty()).then_some(self)
    }
}

impl Plausible for Ups {
    fn plausible(mut self) -> Option<Self> {
        self.voltage = self.voltage.and_then(Plausible::plausible);
        self.percent = self.percent.and_then(Plausible::plausible);
        (self.voltage.is_some() || self.percent.is_some()).then_some(self)
    }
}

impl Plausible for Cellular {
    fn plausible(mut self) -> Option<Self> {
        self.interface = self.interface.and_then(Plausible::plausible);
        self.signal_percent = self.signal_percent.and_then(Plausible::plausible);
        Some(self)
    }
}

impl Plausible for Position {
    fn plausible(mut self) -> Option<Self> {
        let latitude = self.latitude.filter(|latitude| Degrees::LATITUDE.contains(latitude));
        let longitude = self.longitude.filter(|longitude| Degrees::LONGITUDE.contains(longitude));
        // Half a position is none.
        (self.latitude, self.longitude) = latitude.zip(longitude).unzip();
        self.altitude_m = self.altitude_m.and_then(Plausible::plausible);
        self.speed_mps = self.speed_mps.and_then(Plausible::plausible);
        self.heading = self.heading.and_then(Plausible::plausible);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::Fix;

    #[test]
    fn the_ends_of_the_ranges_are_values_and_what_lies_beyond_is_not() {
        let celsius = |raw| Celsius::from_raw(raw).plausible().is_some();
        assert!(celsius(-400) && celsius(1_250) && !celsius(-401) && !celsius(1_251));
        assert_eq!(SignalPercent(101).plausible(), None);
        assert_eq!(Memory { total: 1, available: 2 }.plausible(), None);
        assert_eq!(Memory { total: 0, available: 0 }.plausible(), None);
        assert_eq!(DiskSpace { total: 1, used: 2, available: 0 }.plausible(), None);
        assert_eq!(DiskSpace { total: 0, used: 0, available: 0 }.plausible(), None);
        let full = DiskSpace { total: 1, used: 1, available: 0 };
        assert_eq!(full.plausible(), Some(full), "a full disk is one");
        assert_eq!(Text::<8>::new("").plausible(), None);
    }

    #[test]
    fn a_full_turn_is_none() {
        let heading = |raw| Heading::from_raw(raw).plausible().map(Heading::raw);
        assert_eq!([0, 3_599, 3_600, 3_601, -1].map(heading), [Some(0), Some(3_599), Some(0), None, None]);
    }

    #[test]
    fn half_a_position_is_none() {
        let position = Position {
            fix: Fix::TwoD,
            latitude: Some(Degrees::from_raw(900_000_001)),
            longitude: Some(Degrees::from_raw(0)),
            altitude_m: Some(Metres::from_raw(342)),
            speed_mps: Some(MetresPerSecond::from_raw(-1)),
            heading: Some(Heading::from_raw(3_601)),
            satellites: Some(9),
        };
        let expected =
            Position { latitude: None, longitude: None, speed_mps: None, heading: None, ..position.clone() };
        assert_eq!(position.plausible(), Some(expected));
    }
}
