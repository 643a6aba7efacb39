//! The clock that people set.

use heartbeat_core::{time::Instant, units::UnixTime};

use super::event::Wall;

/// Goes on by itself, and is moved by events.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    /// Milliseconds that it is ahead of the run's clock; `None` while it is known not to be set.
    ahead: Option<i64>,
}

impl WallClock {
    /// Shows this many milliseconds after 1970 at `now`.
    pub(super) fn new(now: Instant, millis: i64) -> Self {
        Self { ahead: Some(millis.saturating_sub(since_start(now))) }
    }

    /// What it shows.
    pub(super) fn at(&self, now: Instant) -> Option<UnixTime> {
        Some(UnixTime::from_millis(self.ahead?.saturating_add(since_start(now))))
    }

    /// Microseconds that it is ahead of the run's clock.
    pub(super) fn ahead_micros(&self) -> i64 {
        self.ahead.unwrap_or(0).saturating_mul(1_000)
    }

    pub(super) fn change(&mut self, now: Instant, change: Wall) {
        self.ahead = match change {
            Wall::Step(millis) => self.ahead.map(|ahead| ahead.saturating_add(millis)),
            Wall::Set(millis) => Some(millis.saturating_sub(since_start(now))),
            Wall::Unset => None,
        };
    }
}

/// Milliseconds that the run's clock shows.
fn since_start(now: Instant) -> i64 {
    i64::try_from(now.as_micros() / 1_000).unwrap_or(i64::MAX)
}
