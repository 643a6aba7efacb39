//! A condition that is raised when it has lasted, and over when it has been gone for a while.

use crate::time::{Now, UnixMs, Uptime};

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Bad,
    Good,
    /// Between the thresholds: what is raised stays raised, and nothing that was about to change changes.
    Neither,
    /// Not known. Nothing changes before something is known again.
    Unknown,
}

impl Seen {
    /// Bad from `high` on, good below `low`.
    pub(crate) fn between(value: Option<i32>, low: i32, high: i32) -> Self {
        match value {
            Some(value) if value >= high => Self::Bad,
            Some(value) if value < low => Self::Good,
            Some(_) => Self::Neither,
            None => Self::Unknown,
        }
    }
}

/// How long something must last, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delays {
    pub(crate) raise: i64,
    pub(crate) clear: i64,
}

/// What an observation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Bad since then.
    Raised(UnixMs),
    /// Over; it had been bad since then.
    Cleared(UnixMs),
}

/// The state of one condition. Times since which something lasts are on the calendar; how long it has lasted is told by the
/// clock of the process, which is never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Condition {
    #[default]
    Clear,
    /// Bad since then, not long enough.
    Rising(UnixMs, Uptime),
    /// Bad since then.
    Raised(UnixMs),
    /// Bad since the first, good since the second, not long enough.
    Falling(UnixMs, Uptime),
}

impl Condition {
    /// Takes an observation. `since`: when it began, should it be bad. `may_raise`: otherwise a condition that has lasted
    /// waits; see `ALERT_GRACE_MS`. Only what is bad raises, and only what is good clears: one good observation before a
    /// silence is not the end of anything.
    pub(crate) fn observe(
        &mut self,
        now: Now,
        since: UnixMs,
        seen: Seen,
        delays: Delays,
        may_raise: bool,
    ) -> Option<Change> {
        *self = match (*self, seen) {
            (Self::Clear, Seen::Bad) => Self::Rising(since, now.up),
            (Self::Rising(..), Seen::Good | Seen::Neither) => Self::Clear,
            (Self::Raised(since), Seen::Good) => Self::Falling(since, now.up),
            (Self::Falling(since, _), Seen::Bad | Seen::Neither) => Self::Raised(since),
            (unchanged, _) => unchanged,
        };
        match (*self, seen) {
            (Self::Rising(since, bad), Seen::Bad) if may_raise && now.up.since(bad) >= delays.raise => {
                *self = Self::Raised(since);
                Some(Change::Raised(since))
            }
            (Self::Falling(since, good), Seen::Good) if now.up.since(good) >= delays.clear => {
                *self = Self::Clear;
                Some(Change::Cleared(since))
            }
            _ => None,
        }
    }

    /// The calendar was set: `mend` says what a time is on the new one.
    pub(crate) fn mend(&mut self, mend: impl Fn(UnixMs) -> UnixMs) {
        match self {
            Self::Clear => {}
            Self::Rising(since, _) | Self::Raised(since) | Self::Falling(since, _) => *since = mend(*since),
        }
    }

    /// Since when it is raised.
    pub(crate) fn raised_since(self) -> Option<UnixMs> {
        match self {
            Self::Raised(since) | Self::Falling(since, _) => Some(since),
            Self::Clear | Self::Rising(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELAYS: Delays = Delays { raise: 60, clear: 30 };

    fn observe(condition: &mut Condition, at: i64, seen: Seen, may_raise: bool) -> Option<Change> {
        condition.observe(UnixMs(at).into(), UnixMs(at), seen, DELAYS, may_raise)
    }

    fn run(condition: &mut Condition, seen: &[(i64, Seen)]) -> Vec<Change> {
        seen.iter().filter_map(|(at, seen)| observe(condition, *at, *seen, true)).collect()
    }

    #[test]
    fn is_raised_once_when_it_has_lasted_and_cleared_once_when_it_is_over() {
        let changes = run(
            &mut Condition::default(),
            &[
                (0, Seen::Bad),
                (59, Seen::Bad),
                (60, Seen::Bad),
                (90, Seen::Bad),
                (100, Seen::Good),
                (130, Seen::Good),
            ],
        );
        assert_eq!(changes, [Change::Raised(UnixMs(0)), Change::Cleared(UnixMs(0))]);
    }

    #[test]
    fn what_flaps_faster_than_its_delays_changes_nothing() {
        let mut condition = Condition::default();
        let flaps: Vec<_> =
            (0..20).map(|n| (n * 20, if n % 2 == 0 { Seen::Bad } else { Seen::Good })).collect();
        assert_eq!(run(&mut condition, &flaps), []);
        run(&mut condition, &[(1000, Seen::Bad), (1060, Seen::Bad)]);
        let flaps: Vec<_> =
            (0..20).map(|n| (1100 + n * 20, if n % 2 == 0 { Seen::Good } else { Seen::Bad })).collect();
        assert_eq!(run(&mut condition, &flaps), []);
        assert_eq!(condition.raised_since(), Some(UnixMs(1000)));
    }

    #[test]
    fn between_the_thresholds_nothing_is_raised_and_nothing_is_over() {
        assert_eq!(Seen::between(Some(799), 750, 800), Seen::Neither);
        let mut condition = Condition::default();
        assert_eq!(run(&mut condition, &[(0, Seen::Bad), (60, Seen::Neither), (500, Seen::Neither)]), []);
        // The time begins again.
        assert_eq!(run(&mut condition, &[(501, Seen::Bad), (560, Seen::Bad)]), []);
        assert_eq!(run(&mut condition, &[(561, Seen::Bad)]), [Change::Raised(UnixMs(501))]);
        assert_eq!(run(&mut condition, &[(600, Seen::Good), (610, Seen::Neither), (900, Seen::Neither)]), []);
        assert_eq!(run(&mut condition, &[(901, Seen::Good), (930, Seen::Good)]), []);
        assert_eq!(run(&mut condition, &[(931, Seen::Good)]), [Change::Cleared(UnixMs(501))]);
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        assert_eq!(Seen::between(None, 750, 800), Seen::Unknown);
        let mut condition = Condition::default();
        assert_eq!(run(&mut condition, &[(0, Seen::Bad), (60, Seen::Unknown), (500, Seen::Unknown)]), []);
        // A sensor that fails now and then hides nothing.
        assert_eq!(run(&mut condition, &[(501, Seen::Bad)]), [Change::Raised(UnixMs(0))]);
        assert_eq!(run(&mut condition, &[(600, Seen::Good), (630, Seen::Unknown)]), []);
        assert_eq!(run(&mut condition, &[(631, Seen::Good)]), [Change::Cleared(UnixMs(0))]);
    }

    #[test]
    fn in_the_grace_after_a_start_it_waits_and_is_raised_after_it() {
        let mut condition = Condition::default();
        assert_eq!(observe(&mut condition, 0, Seen::Bad, false), None);
        assert_eq!(observe(&mut condition, 100, Seen::Bad, false), None);
        assert_eq!(observe(&mut condition, 101, Seen::Bad, true), Some(Change::Raised(UnixMs(0))));
    }

    proptest! {
        /// With any observations, raised and cleared take turns.
        #[test]
        fn raised_and_cleared_take_turns(steps in proptest::collection::vec((0i64..100, 0u8..4), 1..200)) {
            let mut condition = Condition::default();
            let (mut now, mut raised) = (0, false);
            for (step, seen) in steps {
                now += step;
                let seen = [Seen::Bad, Seen::Good, Seen::Neither, Seen::Unknown][usize::from(seen)];
                match observe(&mut condition, now, seen, true) {
                    Some(Change::Raised(_)) => { prop_assert!(!raised); raised = true; }
                    Some(Change::Cleared(_)) => { prop_assert!(raised); raised = false; }
                    None => {}
                }
                prop_assert_eq!(condition.raised_since().is_some(), raised);
            }
        }
    }
}
