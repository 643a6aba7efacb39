//! The grid of slots: one beat per slot, one slot per interval.

use crate::time::{Duration, Instant};

/// The slots that have come due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The slot whose beat begins now; `None` when it is too late.
    pub(super) slot: Option<Instant>,
    /// Slots that were skipped.
    pub(super) skipped: u64,
}

/// The grid. The first slot is the time of the first call; the gap after it sets the grid's phase.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    first_gap: Duration,
    /// `None` before the first slot.
    next: Option<Instant>,
}

impl Schedule {
    /// `interval` must not be zero, which [`Config`](super::Config) guarantees.
    pub(super) const fn new(interval: Duration, first_gap: Duration) -> Self {
        Self { interval, first_gap, next: None }
    }

    /// Takes the slots that have come due at `now`. Only the latest can have its beat, and only within the grace period
    /// `grace` after its time, because a later beat would cause a burst with the next one.
    pub(super) fn take_due(&mut self, now: Instant, grace: Duration) -> Option<Due> {
        let Some(next) = self.next else {
            self.next = Some(now + self.first_gap);
            return Some(Due { slot: Some(now), skipped: 0 });
        };
        let after_end_of_time = next == Instant::from_micros(u64::MAX);
        if now < next || after_end_of_time {
            return None;
        }
        let passed = now.since(next).as_micros() / self.interval.as_micros().max(1);
        let slot = next + Duration::from_micros(passed.saturating_mul(self.interval.as_micros()));
        self.next = Some(slot + self.interval);
        if now.since(slot) <= grace {
            Some(Due { slot: Some(slot), skipped: passed })
        } else {
            Some(Due { slot: None, skipped: passed.saturating_add(1) })
        }
    }

    /// The next slot; `now` before the first.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.next.unwrap_or(now)
    }

    /// The next slot; the clock's start before the first.
    pub(super) fn upcoming(&self) -> Instant {
        self.next(Instant::ZERO)
    }

    /// The first future slot that does not begin before this time.
    pub(super) fn first_not_before(&self, time: Instant) -> Instant {
        let upcoming = self.upcoming();
        let wait = time.since(upcoming).as_micros();
        let slots = wait.div_ceil(self.interval.as_micros().max(1));
        upcoming + Duration::from_micros(slots.saturating_mul(self.interval.as_micros()))
    }

    /// Uses another interval from the next slot on.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(5);
    const GRACE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn started() -> Schedule {
        let mut schedule = Schedule::new(INTERVAL, Duration::from_secs(3));
        assert_eq!(schedule.take_due(at(0), GRACE), Some(Due { slot: Some(at(0)), skipped: 0 }));
        schedule
    }

    #[test]
    fn slots_follow_the_first_gap() {
        let mut schedule = started();
        assert_eq!(schedule.take_due(at(2_999), GRACE), None);
        assert_eq!(schedule.take_due(at(3_000), GRACE), Some(Due { slot: Some(at(3_000)), skipped: 0 }));
        assert_eq!(schedule.take_due(at(3_000), GRACE), None, "a slot is taken once");
        assert_eq!(schedule.take_due(at(8_900), GRACE), Some(Due { slot: Some(at(8_000)), skipped: 0 }));
        assert_eq!(schedule.upcoming(), at(13_000), "a late beat does not shift the grid");
    }

    #[test]
    fn a_stall_skips_slots_without_a_burst() {
        let mut schedule = started();
        assert_eq!(schedule.take_due(at(23_500), GRACE), Some(Due { slot: Some(at(23_000)), skipped: 4 }));
        assert_eq!(schedule.take_due(at(29_001), GRACE), Some(Due { slot: None, skipped: 1 }));
        assert_eq!(schedule.upcoming(), at(33_000));
    }

    #[test]
    fn first_slot_not_before_a_time_is_on_the_grid() {
        let schedule = started();
        for (time, slot) in [(0, 3_000), (3_000, 3_000), (3_001, 8_000), (8_000, 8_000), (23_500, 28_000)] {
            assert_eq!(schedule.first_not_before(at(time)), at(slot), "{time}");
        }
    }

    #[test]
    fn no_slot_after_the_end_of_time() {
        let mut schedule = started();
        let end = Instant::from_micros(u64::MAX);
        assert!(schedule.take_due(end, GRACE).is_some());
        assert_eq!(schedule.take_due(end, GRACE), None);
    }

    proptest! {
        #[test]
        fn every_slot_is_on_the_grid_and_counted_once(steps in prop::collection::vec(0u64..20_000_000, 1..60)) {
            let mut schedule = started();
            let (mut now, mut beats, mut skipped) = (0, 0, 0);
            for step in steps {
                now += step;
                if let Some(due) = schedule.take_due(Instant::from_micros(now), GRACE) {
                    skipped += due.skipped;
                    if let Some(slot) = due.slot {
                        beats += 1;
                        prop_assert_eq!((slot.as_micros() - 3_000_000) % 5_000_000, 0);
                        prop_assert!(now - slot.as_micros() <= GRACE.as_micros());
                    }
                }
            }
            let passed = if now < 3_000_000 { 0 } else { (now - 3_000_000) / 5_000_000 + 1 };
            prop_assert_eq!(beats + skipped, passed);
        }
    }
}
