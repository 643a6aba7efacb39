//! Plausibility: what is physically possible. The ranges of numbers stand beside their [`units`](crate::units).
//!
//! The agent checks every answer of a sensor with it, whichever frontend gives it. A frontend that has several sources of a
//! value uses the same check to choose between them, so that no source has ranges of its own.

use crate::{
    readings::{
        Activity, Cellular, CpuTimes, DiskSpace, Ethernet, Memory, Position, Throttled, Ups, Uptime, Wifi,
    },
    text::Text,
    units::{Dbm, Degrees, Heading},
};

/// A reading that is checked against what is physically possible.
pub trait Plausible: Sized {
    /// The reading without its implausible parts; `None` when nothing is left.
    fn plausible(self) -> Option<Self>;
}

/// `Plausible` of numbers: those of a range.
macro_rules! within {
    ($($unit:ident: $range:ident;)*) => {
        $(impl $crate::plausible::Plausible for $unit {
            fn plausible(self) -> Option<Self> {
                Self::$range.contains(&self).then_some(self)
            }
        })*
    };
}

pub(crate) use within;

macro_rules! always {
    ($($value:ty,)*) => {
        $(impl Plausible for $value {
            fn plausible(self) -> Option<Self> {
                Some(self)
            }
        })*
    };
}

// Counters of processor time mean something only as a difference, which the agent checks.
always! { Activity, CpuTimes, Throttled, Uptime, }

impl Plausible for Heading {
    /// Rounding can give a full turn, which is north.
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
        let is_refused = self.signal_dbm.is_some_and(|level| !Dbm::RANGE.contains(&level));
        if is_refused {
            // What was made of such a level is no better.
            (self.signal_dbm, self.signal_percent) = (None, None);
        }
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
        // A latitude without a longitude is no position.
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
    use crate::units::{Celsius, Metres, MetresPerSecond, SignalPercent, Watts};

    #[test]
    fn ranges_include_their_ends() {
        let celsius = |raw| Celsius::from_raw(raw).plausible().is_some();
        assert!(celsius(-400) && celsius(1_250) && !celsius(-401) && !celsius(1_251));
        let watts = |raw| Watts::from_raw(raw).plausible().is_some();
        assert!(watts(-100_000) && watts(100_000) && !watts(-100_001) && !watts(100_001));
        let metres = |raw| Metres::from_raw(raw).plausible().is_some();
        assert!(metres(-10_000) && metres(1_000_000) && !metres(-10_001) && !metres(1_000_001));
        assert_eq!(SignalPercent(101).plausible(), None);
        assert_eq!(Memory { total: 1, available: 2 }.plausible(), None);
        assert_eq!(Memory { total: 0, available: 0 }.plausible(), None);
        assert_eq!(DiskSpace { total: 1, used: 2, available: 0 }.plausible(), None);
        assert_eq!(DiskSpace { total: 0, used: 0, available: 0 }.plausible(), None);
        let full = DiskSpace { total: 1, used: 1, available: 0 };
        assert_eq!(full.plausible(), Some(full), "a full disk is plausible");
        assert_eq!(Text::<8>::new("").plausible(), None);
    }

    #[test]
    fn a_level_that_no_receiver_measures_takes_its_percentage_along() {
        for (level, expected) in
            [(-128, false), (-121, false), (-120, true), (-1, true), (0, false), (60, false)]
        {
            let wifi = Wifi {
                interface: "wlan0".into(),
                ip: None,
                mode: None,
                ssid: None,
                signal_dbm: Some(Dbm(level)),
                signal_percent: Some(SignalPercent(69)),
                clients: None,
            };
            let wifi = wifi.plausible().expect("an interface");
            assert_eq!(wifi.signal_dbm.is_some(), expected, "{level}");
            assert_eq!(wifi.signal_percent.is_some(), expected, "{level}");
        }
        let percent_alone = |percent| {
            let wifi = Wifi {
                interface: "wlan0".into(),
                ip: None,
                mode: None,
                ssid: None,
                signal_dbm: None,
                signal_percent: Some(SignalPercent(percent)),
                clients: None,
            };
            wifi.plausible().and_then(|wifi| wifi.signal_percent)
        };
        assert_eq!((percent_alone(100), percent_alone(101)), (Some(SignalPercent(100)), None));
    }

    #[test]
    fn heading_of_a_full_turn_is_north() {
        let heading = |raw| Heading::from_raw(raw).plausible().map(Heading::raw);
        assert_eq!([0, 3_599, 3_600, 3_601, -1].map(heading), [Some(0), Some(3_599), Some(0), None, None]);
    }

    #[test]
    fn positions_include_the_poles_and_the_date_line() {
        for (latitude, longitude, expected) in [
            (900_000_000, 1_800_000_000, true),
            (-900_000_000, -1_800_000_000, true),
            (-900_000_001, 0, false),
            (0, -1_800_000_001, false),
        ] {
            let position = Position {
                fix: Fix::TwoD,
                latitude: Some(Degrees::from_raw(latitude)),
                longitude: Some(Degrees::from_raw(longitude)),
                altitude_m: None,
                speed_mps: None,
                heading: None,
                satellites: None,
            };
            let plausible = position.plausible().and_then(|position| position.latitude);
            assert_eq!(plausible.is_some(), expected, "{latitude}, {longitude}");
        }
    }

    #[test]
    fn latitude_without_longitude_is_dropped() {
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
