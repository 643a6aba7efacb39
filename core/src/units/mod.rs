//! Units as types: fixed-point integers inside, plain JSON numbers outside.
//!
//! Every platform computes and prints the same bytes, and no floating-point formatter (14 KiB on a Cortex-M0)
//! is linked. Not-a-number and infinity cannot be represented.
//!
//! **They serialize through `serde-json-core` only.** The exact text of a number is handed over with `serialize_bytes`,
//! which `serde-json-core` writes as it is; other serializers would write an array.

mod decimal;

use core::{fmt, ops::RangeInclusive};

use serde::{Serialize, Serializer};

use self::decimal::{DECIMAL_MAX, decimal};
pub(crate) use self::decimal::{serialize_optional_whole, serialize_whole};
use crate::{
    json_max::{JsonMax, longest},
    plausible::{Plausible, within},
};

/// What a unit stores of a number of steps. Most have 32 bits, because each byte counts twice on a board: in the readings and in
/// the largest document.
macro_rules! stored {
    (i32, $steps:expr) => {
        saturated($steps)
    };
    (i64, $steps:expr) => {
        $steps
    };
    (@longest i32) => {
        "-214748364.8".len()
    };
    (@longest i64) => {
        DECIMAL_MAX
    };
}

/// The nearest number of 32 bits.
// Within the range after the comparisons.
#[allow(clippy::cast_possible_truncation)]
const fn saturated(steps: i64) -> i32 {
    if steps > i32::MAX as i64 {
        i32::MAX
    } else if steps < i32::MIN as i64 {
        i32::MIN
    } else {
        steps as i32
    }
}

/// `numerator / denominator`, rounded half away from zero. The denominator is a constant of this file, not zero.
const fn div_round(numerator: i64, denominator: i64) -> i64 {
    let half = denominator / 2;
    if numerator < 0 {
        numerator.saturating_sub(half) / denominator
    } else {
        numerator.saturating_add(half) / denominator
    }
}

/// A number of fixed point, in JSON as the exact decimal.
macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident($inner:tt), places: $places:literal, $one:literal $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name($inner);

        impl $name {
            #[doc = concat!("A value in steps of ", $one, " ", $unit, "; the nearest that the type holds (`", stringify!($inner), "`).")]
            pub const fn from_raw(raw: i64) -> Self {
                Self(stored!($inner, raw))
            }

            #[doc = concat!("The value in steps of ", $one, " ", $unit, ".")]
            // Of an `i64` it is none; `From` cannot be used in a constant.
            #[allow(clippy::unnecessary_cast)]
            pub const fn raw(self) -> i64 {
                self.0 as i64
            }
        }

        longest! { $name: stored!(@longest $inner); }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; DECIMAL_MAX];
                // Digits, sign and point: always UTF-8.
                let text = decimal(self.0 < 0, self.raw().unsigned_abs(), $places, &mut buffer);
                f.write_str(str::from_utf8(text).unwrap_or_default())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let (negative, raw) = (self.0 < 0, self.raw().unsigned_abs());
                serializer.serialize_bytes(decimal(negative, raw, $places, &mut [0; DECIMAL_MAX]))
            }
        }
    };
}

fixed_point! {
    /// Temperature in degrees Celsius, in tenths.
    Celsius(i32), places: 1, "0.1" "°C"
}
fixed_point! {
    /// Power in watts, in hundredths.
    Watts(i32), places: 2, "0.01" "W"
}
fixed_point! {
    /// Load average: tasks that run, or wait for a processor or a device, in hundredths.
    Load(i32), places: 2, "0.01" "tasks"
}
fixed_point! {
    /// Voltage in volts, in hundredths.
    Volts(i32), places: 2, "0.01" "V"
}
fixed_point! {
    /// A share from 0 to 100 %, in tenths.
    Percent(i32), places: 1, "0.1" "%"
}
fixed_point! {
    /// An amount of storage in GiB (2^30 bytes), in tenths.
    Gibibytes(i64), places: 1, "0.1" "GiB"
}
fixed_point! {
    /// A file size in MiB (2^20 bytes), in hundredths.
    Mebibytes(i64), places: 2, "0.01" "MiB"
}
fixed_point! {
    /// Latitude or longitude in degrees, in 1e-7 (about a centimetre).
    Degrees(i32), places: 7, "1e-7" "degrees"
}
fixed_point! {
    /// Height in metres, in tenths.
    Metres(i32), places: 1, "0.1" "m"
}
fixed_point! {
    /// Speed in metres per second, in hundredths.
    MetresPerSecond(i32), places: 2, "0.01" "m/s"
}
fixed_point! {
    /// Course over ground in degrees clockwise from north, 0 to below 360, in tenths.
    Heading(i32), places: 1, "0.1" "degrees"
}
fixed_point! {
    /// Wall time in seconds since 1970-01-01T00:00:00Z, in milliseconds.
    UnixTime(i64), places: 3, "0.001" "s"
}

impl Celsius {
    /// Plausible temperatures of a system-on-chip (BCM2711 and BCM2712 operate from -40 to 125 °C).
    pub const SOC_RANGE: RangeInclusive<Self> = Self(-400)..=Self(1250);

    /// From millidegrees, as Linux thermal zones and hwmon give them.
    pub const fn from_millidegrees(millidegrees: i64) -> Self {
        Self::from_raw(div_round(millidegrees, 100))
    }
}

within! { Celsius: SOC_RANGE; }

impl Watts {
    /// Plausible power of a small computer and its battery: a kilowatt in either direction.
    pub const RANGE: RangeInclusive<Self> = Self(-100_000)..=Self(100_000);

    /// From microwatts, as hwmon `power1_input` and `power_supply/power_now` give them.
    pub const fn from_microwatts(microwatts: i64) -> Self {
        Self::from_raw(div_round(microwatts, 10_000))
    }
}

within! { Watts: RANGE; }

impl Load {
    /// Plausible load averages: up to 100,000 tasks.
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(10_000_000);
}

within! { Load: RANGE; }

impl Degrees {
    /// Valid latitudes.
    pub const LATITUDE: RangeInclusive<Self> = Self(-900_000_000)..=Self(900_000_000);
    /// Valid longitudes.
    pub const LONGITUDE: RangeInclusive<Self> = Self(-1_800_000_000)..=Self(1_800_000_000);
}

impl Metres {
    /// Plausible heights: from below the lowest shore to the limit of satellite receivers (18 km by export rules, some 80 km).
    pub const RANGE: RangeInclusive<Self> = Self(-10_000)..=Self(1_000_000);
}

within! { Metres: RANGE; }

impl MetresPerSecond {
    /// Plausible speeds: to the limit of satellite receivers (515 m/s by export rules, some more).
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(100_000);
}

within! { MetresPerSecond: RANGE; }

impl Heading {
    /// North.
    pub const NORTH: Self = Self(0);
    /// A full turn, which rounding can give; the same as north.
    pub const FULL_TURN: Self = Self(3_600);
    /// Valid headings.
    pub const RANGE: RangeInclusive<Self> = Self::NORTH..=Self(3_599);
}

impl Plausible for Heading {
    /// Rounding can give a full turn, which is north.
    fn plausible(self) -> Option<Self> {
        if self == Self::FULL_TURN { Some(Self::NORTH) } else { Self::RANGE.contains(&self).then_some(self) }
    }
}

impl Volts {
    /// Plausible voltages of a battery or an input of a small computer.
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(10_000);

    /// From microvolts, as fuel gauges and `power_supply` give them.
    pub const fn from_microvolts(microvolts: i64) -> Self {
        Self::from_raw(div_round(microvolts, 10_000))
    }
}

within! { Volts: RANGE; }

impl Percent {
    /// 0 %.
    pub const ZERO: Self = Self(0);
    /// 100 %.
    pub const FULL: Self = Self(1000);
    /// All shares.
    pub const RANGE: RangeInclusive<Self> = Self::ZERO..=Self::FULL;

    /// `part` of `whole`, rounded to a tenth, at most 100 %. `None` when `whole` is 0.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let part = u128::from(part.min(whole));
        let whole = u128::from(whole);
        // At most 1000 because part <= whole.
        let tenths = (part * 1000 + whole / 2) / whole;
        i32::try_from(tenths).ok().map(Self)
    }
}

within! { Percent: RANGE; }

impl Gibibytes {
    /// From bytes, rounded to a tenth of a GiB.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(round_bytes(bytes, 10, 1 << 30))
    }
}

impl Mebibytes {
    /// 0 MiB.
    pub const ZERO: Self = Self(0);

    /// From bytes, rounded to a hundredth of a MiB.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(round_bytes(bytes, 100, 1 << 20))
    }
}

/// `bytes * scale / unit`, rounded half up; `unit` is a constant, not zero.
fn round_bytes(bytes: u64, scale: u64, unit: u64) -> i64 {
    let rounded = (u128::from(bytes) * u128::from(scale) + u128::from(unit / 2)) / u128::from(unit);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

impl UnixTime {
    /// Valid times: from 1970 to the end of the year 9999.
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(253_402_300_799_999);

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }
}

within! { UnixTime: RANGE; }

/// A whole number with a unit.
macro_rules! whole_number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(pub $inner);

        longest! { $name: <$inner as JsonMax>::JSON_MAX; }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let (negative, number) = (i64::from(self.0) < 0, i64::from(self.0).unsigned_abs());
                serializer.serialize_bytes(decimal(negative, number, 0, &mut [0; DECIMAL_MAX]))
            }
        }
    };
}

whole_number! {
    /// Revolutions per minute; 0 for a fan that stands still.
    Rpm(u32)
}
whole_number! {
    /// Frequency in MHz.
    Megahertz(u16)
}
whole_number! {
    /// Strength of a radio signal in dBm.
    Dbm(i16)
}
whole_number! {
    /// Strength of a radio signal from 0 (unusable) to 100 (full).
    SignalPercent(u8)
}

impl Rpm {
    /// Plausible speeds.
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(100_000);
}

within! { Rpm: RANGE; }

impl Megahertz {
    /// Plausible clocks of a processor.
    pub const RANGE: RangeInclusive<Self> = Self(1)..=Self(10_000);

    /// From hertz, rounded. `None`: more than the type holds.
    pub fn from_hertz(hertz: u64) -> Option<Self> {
        let rounded = hertz.saturating_add(500_000) / 1_000_000;
        u16::try_from(rounded).ok().map(Self)
    }
}

within! { Megahertz: RANGE; }

impl Dbm {
    /// Levels that a receiver measures, from below thermal noise (-101 dBm in a channel of 20 MHz): drivers that know none
    /// give 0 or the smallest number of eight bits, -128; those that count otherwise give more.
    pub const RANGE: RangeInclusive<Self> = Self(-120)..=Self(-1);
}

within! { Dbm: RANGE; }

impl SignalPercent {
    /// The percentage that NetworkManager shows for a level (`nl80211_xbm_to_percent`): -20 dBm and above is
    /// full, -90 dBm and below 30 %.
    pub fn from_dbm(level: Dbm) -> Self {
        Self(u8::try_from(120 + level.0.clamp(-90, -20)).unwrap_or(0))
    }

    /// Valid percentages.
    pub const RANGE: RangeInclusive<Self> = Self(0)..=Self(100);
}

within! { SignalPercent: RANGE; }

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    fn json(value: impl Serialize) -> String {
        let mut buffer = [0; 64];
        let len = serde_json_core::to_slice(&value, &mut buffer).expect("fits");
        String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
    }

    #[test]
    fn numbers_are_exact_text() {
        assert_eq!(json(Celsius::from_millidegrees(48_774)), "48.8");
        assert_eq!(json(Celsius::from_millidegrees(-49)), "0.0");
        assert_eq!(json(Celsius::from_millidegrees(-50)), "-0.1");
        assert_eq!(json(Watts::from_microwatts(2_204_999)), "2.20");
        assert_eq!(json(Degrees::from_raw(-5_000_000)), "-0.5000000");
        assert_eq!(json(UnixTime::from_millis(1_795_464_000_005)), "1795464000.005");
        assert_eq!(json(Gibibytes::from_bytes(31_268_536_320)), "29.1");
        assert_eq!(json(Mebibytes::from_bytes(1_572_864)), "1.50");
        assert_eq!(json(Rpm(3012)), "3012");
        assert_eq!(Megahertz::from_hertz(1_500_398_464), Some(Megahertz(1_500)));
        assert_eq!(Megahertz::from_hertz(1_500_500_000), Some(Megahertz(1_501)));
        assert_eq!(Megahertz::from_hertz(u64::MAX), None);
        assert_eq!(json(Dbm(-51)), "-51");
    }

    #[test]
    fn every_number_fits_its_buffer() {
        for raw in [i64::MIN, i64::MAX, 0, -1] {
            for text in [Celsius::from_raw(raw).to_string(), Degrees::from_raw(raw).to_string()] {
                assert!(text.len() <= DECIMAL_MAX, "{text}");
                assert_eq!(json(Degrees::from_raw(raw)), Degrees::from_raw(raw).to_string());
            }
        }
        assert_eq!(Gibibytes::from_bytes(u64::MAX).to_string(), "17179869184.0");
    }

    #[test]
    fn a_number_of_steps_beyond_32_bits_is_the_nearest_that_fits() {
        let (most, least) = (i64::from(i32::MAX), i64::from(i32::MIN));
        for (steps, stored) in
            [(most, most), (most + 1, most), (least, least), (least - 1, least), (i64::MAX, most), (-5, -5)]
        {
            assert_eq!(Watts::from_raw(steps).raw(), stored);
        }
        assert_eq!(Watts::from_microwatts(i64::MIN).raw(), least);
        assert_eq!(Mebibytes::from_raw(i64::MAX).raw(), i64::MAX);
    }

    #[test]
    fn signal_percent_matches_networkmanager() {
        let percent = |dbm| SignalPercent::from_dbm(Dbm(dbm)).0;
        assert_eq!([0, -20, -51, -90, i16::MIN].map(percent), [100, 100, 69, 30, 30]);
    }

    #[test]
    fn percent_is_rounded_and_bounded() {
        assert_eq!(Percent::of(1, 3).map(|p| p.to_string()).as_deref(), Some("33.3"));
        assert_eq!(Percent::of(5, 3), Some(Percent::FULL));
        assert_eq!(Percent::of(u64::MAX, u64::MAX), Some(Percent::FULL));
        assert_eq!(Percent::of(0, 0), None);
    }

    proptest! {
        #[test]
        fn decimals_are_json_numbers_of_the_same_value(raw in -1_000_000_000_000i64..1_000_000_000_000) {
            let written = json(Gibibytes::from_raw(raw));
            let read: f64 = serde_json::from_str(&written).expect("a JSON number");
            prop_assert!((read * 10.0 - raw as f64).abs() < 1e-3);
        }

        #[test]
        fn rounding_is_within_half_a_step(millidegrees in -300_000i64..300_000) {
            let error = Celsius::from_millidegrees(millidegrees).raw() * 100 - millidegrees;
            prop_assert!(error.abs() <= 50);
        }
    }
}
