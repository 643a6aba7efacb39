//! What time it is: the calendar of the store, carried on by a clock that is never set.
//!
//! With a file the calendar is that of this machine, with PostgreSQL that of the database, so that several processes
//! agree although one of their machines is wrong. It is asked once a second; in between, and while the database is away,
//! a clock goes on that counts from the start of the machine, and counts while it is suspended: eight hours under a closed
//! lid are no step of the calendar.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use nix::time::ClockId;

use crate::{
    limits::{CLOCK_SLACK_MS, CLOCK_STEP_MS},
    time::{Now, UnixMs, Uptime},
};

/// Time since the start of this machine, suspended or not. `Instant` stands still while it is suspended.
pub(crate) fn since_boot() -> Duration {
    // The second one is for kernels and sandboxes that do not have the first.
    let clocks = [ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_MONOTONIC];
    clocks.into_iter().find_map(|clock| clock.now().ok()).map(Duration::from).unwrap_or_default()
}

/// The clock of this process.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Duration,
    /// The calendar at the start of the process.
    began_at: AtomicI64,
}

/// The calendar was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Correction {
    /// Forward by so many milliseconds.
    pub(crate) ms: i64,
    /// Start of the process and moment of the step, on the old calendar.
    pub(crate) began: UnixMs,
    pub(crate) set: UnixMs,
}

impl Correction {
    /// A time that may have been noted by this process on the old calendar, on the new one. A time of before is left as it is.
    pub(crate) fn mend(self, at: UnixMs) -> UnixMs {
        if (self.began..=self.set).contains(&at) { at.plus(self.ms) } else { at }
    }
}

impl Clock {
    /// A clock that begins at `at`.
    pub(crate) fn new(at: UnixMs) -> Self {
        Self { began: since_boot(), began_at: AtomicI64::new(at.0) }
    }

    /// Now.
    pub(crate) fn now(&self) -> Now {
        let elapsed = since_boot().saturating_sub(self.began);
        let up = Uptime(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        Now { at: UnixMs(self.began_at.load(Ordering::Relaxed)).plus(up.0), up }
    }

    /// Takes the calendar `at` of the store, which was asked at `asked` and has answered just now.
    pub(crate) fn set(&self, at: UnixMs, asked: Uptime) -> Option<Correction> {
        self.set_at(at, asked, self.now())
    }

    fn set_at(&self, at: UnixMs, asked: Uptime, now: Now) -> Option<Correction> {
        // It was read somewhere between question and answer.
        let way = now.up.since(asked).max(0);
        let read = asked.plus(way / 2);
        let off = at.since(now.at.plus(-now.up.since(read)));
        if off.abs() <= CLOCK_SLACK_MS.max(way) {
            return None;
        }
        let began = UnixMs(self.began_at.load(Ordering::Relaxed));
        self.began_at.store(began.plus(off).0, Ordering::Relaxed);
        (off.abs() > CLOCK_STEP_MS).then_some(Correction { ms: off, began, set: now.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(clock: &Clock, up: i64) -> Now {
        Now { at: UnixMs(clock.began_at.load(Ordering::Relaxed) + up), up: Uptime(up) }
    }

    #[test]
    fn the_calendar_is_set_and_the_clock_goes_on() {
        let clock = Clock::new(UnixMs(0));
        let step = clock.set_at(UnixMs(1_700_000_000_000), Uptime(60_000), at(&clock, 60_000)).unwrap();
        assert_eq!((step.began, step.set, step.ms), (UnixMs(0), UnixMs(60_000), 1_699_999_940_000));
        assert_eq!(at(&clock, 61_000).at, UnixMs(1_700_000_001_000));
        assert_eq!(step.mend(UnixMs(59_000)), UnixMs(1_699_999_999_000), "noted by this process");
        assert_eq!(step.mend(UnixMs(1_690_000_000_000)), UnixMs(1_690_000_000_000), "read from the database");
        let back =
            clock.set_at(at(&clock, 70_000).at.plus(-HOUR), Uptime(70_000), at(&clock, 70_000)).unwrap();
        assert_eq!(back.ms, -HOUR);
    }

    #[test]
    fn an_answer_that_took_long_does_not_set_the_calendar() {
        let clock = Clock::new(UnixMs(0));
        // Read at 1 s, right; it came at 13 s.
        assert_eq!(clock.set_at(UnixMs(1000), Uptime(1000), at(&clock, 13_000)), None);
        assert_eq!(at(&clock, 13_000).at, UnixMs(13_000));
        // Small differences are taken silently.
        assert_eq!(clock.set_at(UnixMs(20_300), Uptime(20_000), at(&clock, 20_000)), None);
        assert_eq!(at(&clock, 21_000).at, UnixMs(21_300));
    }
}
