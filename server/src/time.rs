//! Points in time: as the database keeps them, milliseconds since 1970, UTC; and on the clock of the process.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::Serialize;

/// A day in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// An hour in milliseconds.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// A minute in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub(crate) struct UnixMs(pub(crate) i64);

impl UnixMs {
    /// The clock of this machine, for a store that it does not share, and where there is no store. Everything else asks
    /// [`Clock`](crate::clock::Clock). A clock before 1970 reads 0.
    pub(crate) fn of_this_machine() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds from `earlier` to this; negative if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This, `ms` later.
    pub(crate) fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The beginning of the span of `ms` milliseconds that this falls into.
    pub(crate) fn floor(self, ms: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(ms)))
    }

    /// `2026-11-26T05:40:12Z`.
    pub(crate) fn rfc3339(self) -> String {
        Timestamp::from_second(self.0.div_euclid(1000)).unwrap_or_default().to_string()
    }

    /// `2026-11-26T05:40:12.345Z`.
    pub(crate) fn rfc3339_ms(self) -> String {
        self.rfc3339().replace('Z', &format!(".{:03}Z", self.0.rem_euclid(1000)))
    }

    /// `2026-11-26 05:40:12`, UTC.
    pub(crate) fn readable(self) -> String {
        self.rfc3339().replace('T', " ").trim_end_matches('Z').to_owned()
    }
}

/// Milliseconds on the clock of this process, which runs evenly and is never set. Those before its start are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Uptime(pub(crate) i64);

impl Uptime {
    /// Milliseconds from `earlier` to this; negative if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This, `ms` later.
    pub(crate) fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// One moment: on the calendar, for what is stored and shown, and on the clock of the process, for what is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) at: UnixMs,
    pub(crate) up: Uptime,
}

impl Now {
    /// When something was that has the time `at` on the calendar. What seems to be in the future is now.
    pub(crate) fn then(self, at: UnixMs) -> Uptime {
        self.up.plus(-self.at.since(at).max(0))
    }
}

#[cfg(test)]
impl From<UnixMs> for Now {
    /// A process that began in 1970, and whose calendar was always right.
    fn from(at: UnixMs) -> Self {
        Self { at, up: Uptime(at.0) }
    }
}

/// A span of milliseconds as people say it: `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_the_two_largest_units() {
        let said: Vec<_> = [0, 59_999, 60_000, 3_599_999, 7_500_000, 90_000_000].map(span).into();
        assert_eq!(said, ["0 s", "59 s", "1 min", "59 min", "2 h 5 min", "1 d 1 h"]);
    }

    #[test]
    fn floor_goes_down_before_1970_too() {
        assert_eq!(UnixMs(-1).floor(MINUTE_MS), UnixMs(-60_000));
        assert_eq!(UnixMs(61_500).floor(MINUTE_MS), UnixMs(60_000));
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(UnixMs(1_700_000_000_999).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(UnixMs(1_700_000_000_999).readable(), "2023-11-14 22:13:20");
    }
}
