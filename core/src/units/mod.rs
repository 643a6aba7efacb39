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

#[cfg(feature = "delta")]
pub(crate) use self::decimal::Whole;
use self::decimal::{DECIMAL_MAX, decimal};
pub(crate) use self::decimal::{serialize_optional_whole, serialize_whole};
#[cfg(feature = "delta")]
use crate::noise::Noise;
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

/// A number of fixed point, in JSON as the exact decimal. Differences of up to `noise` steps say nothing.
macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident($inner:tt), places: $places:literal, $one:literal $unit:literal, noise: $noise:literal) => {
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

        #[cfg(feature = "delta")]
        impl Noise for $name {
            fn is_near(&self, other: &Self) -> bool {
                self.raw().abs_diff(other.raw()) <= $noise
            }
        }

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
    Celsius(i32), places: 1, "0.1" "°C", noise: 10
}
fixed_point! {
    /// Power in watts, in hundredths.
    Watts(i32), places: 2, "0.01" "W", noise: 20
}
fixed_point! {
    /// Load average: tasks that run, or wait for a processor or a device, in hundredths.
    Load(i32), places: 2, "0.01" "tasks", noise: 25
}
fixed_point! {
    /// Voltage in volts, in hundredths.
    Volts(i32), places: 2, "0.01" "V", noise: 5
}
fixed_point! {
    /// A share from 0 to 100 %, in tenths.
    Percent(i32), places: 1, "0.1" "%", noise: 10
}
fixed_point! {
    /// An amount of storage in GiB (2^30 bytes), in tenths.
    Gibibytes(i64), places: 1, "0.1" "GiB", noise: 1
}
fixed_point! {
    /// A file size in MiB (2^20 bytes), in hundredths.
    Mebibytes(i64), places: 2, "0.01" "MiB", noise: 100
}
fixed_point! {
    /// Latitude or longitude in degrees, in 1e-7 (about a centimetre).
    Degrees(i32), places: 7, "1e-7" "degrees", noise: 300
}
fixed_point! {
    /// Height in metres, in tenths.
    Metres(i32), places: 1, "0.1" "m", noise: 50
}
fixed_point! {
    /// Speed in metres per second, in hundredths.
    MetresPerSecond(i32), places: 2, "0.01" "m/s", noise: 50
}
fixed_point! {
    /// Course over ground in degrees clockwise from north, 0 to below 360, in tenths.
    Heading(i32), places: 1, "0.1" "degrees", noise: 50
}
fixed_point! {
    /// Wall time in seconds since 1970-01-01T00:00:00Z, in milliseconds.
    UnixTime(i64), places: 3, "0.001" "s", noise: 0
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

/// A whole number with a unit. Differences of up to `noise` say nothing.
macro_rules! whole_number {
    ($(#[$doc:meta])* $name:ident($inner:ty), noise: $noise:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(pub $inner);

        longest! { $name: <$inner as JsonMax>::JSON_MAX; }

        #[cfg(feature = "delta")]
        impl Noise for $name {
            fn is_near(&self, other: &Self) -> bool {
                self.0.abs_diff(other.0) <= $noise
            }
        }

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
    Rpm(u32), noise: 100
}
whole_number! {
    /// Frequency in MHz.
    Megahertz(u16), noise: 50
}
whole_number! {
    /// Strength of a radio signal in dBm.
    Dbm(i16), noise: 5
}
whole_number! {
    /// Strength of a radio signal from 0 (unusable) to 100 (full).
    SignalPercent(u8), noise: 5
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
mod tests;
