//! Monotonic time, given to the core from outside.
//!
//! Both types count microseconds in 64 bits (584,000 years) and saturate: a clock that runs backwards or a sum
//! that leaves the range cannot make the agent panic or wrap.

use core::ops::{Add, Div, Mul, Sub};

/// A point on the frontend's monotonic clock, in microseconds since an arbitrary start.
///
/// On Linux this is `CLOCK_BOOTTIME`, which counts suspend; see `ARCHITECTURE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

/// A span of time in microseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Instant {
    /// The clock's arbitrary start.
    pub const ZERO: Self = Self(0);

    /// A point `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A point `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `micros` microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span in whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The span in whole seconds, rounded up: for people, to whom a wait of 0.3 s is not one of 0 s.
    pub const fn as_secs_rounded_up(self) -> u64 {
        self.0.div_ceil(1_000_000)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Add for Duration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Duration {
    type Output = Self;

    /// Saturates at zero.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u32> for Duration {
    type Output = Self;

    fn mul(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(u64::from(factor)))
    }
}

impl Div<u32> for Duration {
    type Output = Self;

    /// Rounds down; nothing divided by 0 is 0.
    fn div(self, divisor: u32) -> Self {
        Self(self.0.checked_div(u64::from(divisor)).unwrap_or(0))
    }
}

impl From<core::time::Duration> for Duration {
    fn from(span: core::time::Duration) -> Self {
        Self(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Duration> for core::time::Duration {
    fn from(span: Duration) -> Self {
        Self::from_micros(span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_instead_of_wrapping() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
        assert_eq!(Duration::from_secs(u64::MAX) * 3, Duration::from_micros(u64::MAX));
        assert_eq!(Duration::from_secs(1) - Duration::from_secs(2), Duration::ZERO);
    }

    #[test]
    fn duration_converts_between_units() {
        let span = Duration::from_micros(7_654_321);
        assert_eq!((span.as_micros(), span.as_millis(), span.as_secs()), (7_654_321, 7_654, 7));
        assert_eq!((span.as_secs_rounded_up(), Duration::from_secs(7).as_secs_rounded_up()), (8, 7));
        assert_eq!(span / 2, Duration::from_micros(3_827_160));
        assert_eq!(span / 0, Duration::ZERO);
        let theirs = core::time::Duration::from_micros(7_654_321);
        assert_eq!((Duration::from(theirs), core::time::Duration::from(span)), (span, theirs));
        assert_eq!(Duration::from(core::time::Duration::MAX), Duration::from_micros(u64::MAX));
    }
}
