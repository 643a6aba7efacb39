//! Back-off from a server that fails or refuses.
//!
//! A failure on this side of the server does not cause back-off: every beat is tried, because that costs the server nothing
//! and delivery resumes as soon as it can. After [`BACKOFF_FREE`] failures or refusals of the server the gap between beats
//! doubles from two intervals up to a cap, each drawn +-25 % and rounded to the grid. One success ends the back-off. The
//! server's `Retry-After` applies from the first failure on.

use super::config::Config;
use crate::{
    limits::{BACKOFF_FREE, RETRY_AFTER_MAX, RETRY_AFTER_MIN},
    time::{Duration, Instant},
    uplink::{Fault, Verdict},
};

/// The back-off in progress.
#[derive(Debug)]
pub(super) struct Backoff {
    random: Random,
    /// Failures and refusals of the server since its last success.
    failures: u32,
    /// Beats of slots before this time are withheld.
    until: Instant,
}

impl Backoff {
    /// `seed` must differ between the devices of a fleet, or their jitter would be the same.
    pub(super) const fn new(seed: u32) -> Self {
        Self { random: Random(seed), failures: 0, until: Instant::ZERO }
    }

    /// Whether the beat of `slot` is withheld.
    pub(super) fn withholds(&self, slot: Instant) -> bool {
        slot < self.until
    }

    /// Beats of slots before this time are withheld.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Records how the request of `slot`'s beat ended. True if that counts against the server; if it does not, the beats
    /// that follow are tried as usual, unless the server asked for time.
    pub(super) fn record(&mut self, now: Instant, slot: Instant, verdict: Verdict, config: &Config) -> bool {
        if verdict.is_accepted() {
            self.reset();
            return false;
        }
        // A connect timeout does not trigger back-off, unless the agent is already backing off: an overloaded server leaves
        // some connects unanswered.
        let is_unanswered = matches!(verdict, Verdict::Failed { fault: Fault::Unanswered, .. });
        let is_backing_off = self.failures > BACKOFF_FREE;
        let counts = verdict.backs_off() || is_backing_off && is_unanswered;
        if counts {
            self.failures = self.failures.saturating_add(1);
            self.until = slot + self.gap(config);
        }
        self.apply_retry_after(now, verdict);
        counts
    }

    /// Backs off for as long as the server asked for, within bounds.
    pub(super) fn apply_retry_after(&mut self, now: Instant, verdict: Verdict) {
        if let Some(asked) = verdict.retry_after() {
            self.until = self.until.max(now + asked.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX));
        }
    }

    /// Ends the back-off.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.until = Instant::ZERO;
    }

    /// Time after the slot of the latest failure in which beats are withheld.
    fn gap(&mut self, config: &Config) -> Duration {
        let interval = config.interval();
        let Some(doublings) = self.failures.checked_sub(BACKOFF_FREE).filter(|doublings| *doublings > 0)
        else {
            return Duration::ZERO;
        };
        // 2^20 of the shortest intervals are more than half a day, beyond any sensible cap.
        let gap = (interval * (1 << doublings.min(20))).min(config.backoff_cap());
        // From three to five quarters, in 2^16 steps: a day in microseconds times 2^16 is below 2^53.
        let quarters = u64::from(self.random.next() >> 16);
        let jittered = gap.as_micros() / 4 * 3 + ((gap.as_micros() / 2 * quarters) >> 16);
        // Half an interval less, so that the first slot not before it is the nearest.
        Duration::from_micros(jittered) - Duration::from_micros(interval.as_micros() / 2)
    }
}

/// Weyl sequence with the mixer of MurmurHash3: full period, evenly distributed bits, not for secrets.
#[derive(Debug)]
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
        mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        mixed ^ (mixed >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeSet, vec::Vec};

    const INTERVAL: u64 = 5_000_000;
    const REFUSED: Verdict = Verdict::Refused { retry_after: None };
    const LOST: Verdict = failed(Fault::Server);

    const fn failed(fault: Fault) -> Verdict {
        Verdict::Failed { fault, may_have_arrived: true }
    }

    /// Intervals between each failure and the next attempt, with `verdict` for every attempt.
    fn gaps(seed: u32, config: &Config, verdict: Verdict, count: usize) -> Vec<u64> {
        let mut backoff = Backoff::new(seed);
        let interval = config.interval().as_micros();
        let mut slot = Instant::from_millis(3_600_000);
        (0..count)
            .map(|_| {
                backoff.record(slot, slot, verdict, config);
                let next = (1..).find(|k| !backoff.withholds(slot + Duration::from_micros(k * interval)));
                let k = next.expect("it ends");
                slot = slot + Duration::from_micros(k * interval);
                k
            })
            .collect()
    }

    #[test]
    fn gap_doubles_from_the_third_failure_up_to_a_minute() {
        let mut seen: [BTreeSet<u64>; 7] = Default::default();
        for seed in 0..2_000 {
            let found = gaps(seed, &Config::default(), REFUSED, 7);
            for (seen, gap) in seen.iter_mut().zip(found) {
                seen.insert(gap);
            }
        }
        // 10, 20, 40, 60, 60 s, each +-25 %, in intervals of 5 s.
        let ranges = [1..=1, 1..=1, 2..=2, 3..=5, 6..=10, 9..=15, 9..=15];
        assert_eq!(seen.to_vec(), ranges.map(|range| range.collect::<BTreeSet<_>>()).to_vec());
    }

    #[test]
    fn jitter_is_the_same_on_every_platform() {
        let mut random = Random(0);
        assert_eq!([(); 4].map(|()| random.next()), [0x92ca_2f0e, 0x3cd6_e3f3, 0x1b14_7dcc, 0x4c08_1dbf]);
    }

    #[test]
    fn first_two_failures_do_not_back_off() {
        let (mut backoff, slot) = (Backoff::new(1), Instant::from_millis(60_000));
        for _ in 0..BACKOFF_FREE {
            backoff.record(slot, slot, REFUSED, &Config::default());
            assert_eq!(backoff.until(), slot);
        }
        backoff.record(slot, slot, REFUSED, &Config::default());
        assert!(backoff.until().since(slot) > Duration::from_secs(2));
    }

    #[test]
    fn only_failures_and_refusals_of_the_server_back_off() {
        for verdict in [failed(Fault::Device), failed(Fault::Network), failed(Fault::Unanswered)] {
            assert_eq!(gaps(1, &Config::default(), verdict, 8), [1; 8], "{verdict:?}");
        }
        for verdict in [LOST, REFUSED] {
            assert!(gaps(1, &Config::default(), verdict, 8)[7] >= 9, "{verdict:?}");
        }
    }

    #[test]
    fn connect_timeout_while_backing_off_counts_as_failure() {
        let config = Config::default();
        let mut backoff = Backoff::new(7);
        let slot = Instant::from_millis(3_600_000);
        for _ in 0..4 {
            backoff.record(slot, slot, LOST, &config);
        }
        let later = slot + Duration::from_secs(100);
        backoff.record(later, later, failed(Fault::Network), &config);
        assert!(!backoff.withholds(later), "other failures do not back off");
        backoff.record(later, later, failed(Fault::Unanswered), &config);
        assert!(backoff.withholds(later + Duration::from_secs(25)));
    }

    #[test]
    fn cap_of_one_interval_disables_back_off() {
        let config = Config::default().with_backoff_cap(Duration::ZERO);
        for seed in 0..100 {
            assert_eq!(gaps(seed, &config, LOST, 9), [1; 9]);
        }
    }

    #[test]
    fn retry_after_is_applied_within_bounds() {
        let asked = |secs| Verdict::Refused { retry_after: Some(Duration::from_secs(secs)) };
        let config = Config::default().with_backoff_cap(Duration::ZERO);
        assert_eq!(gaps(1, &config, asked(31), 2), [7; 2], "never earlier than asked");
        assert_eq!(gaps(1, &config, asked(30), 2), [6; 2]);
        assert_eq!(gaps(1, &config, asked(0), 2), [1; 2]);
        assert_eq!(gaps(1, &config, asked(1 << 60), 2), [120; 2], "ten minutes");
    }

    #[test]
    fn one_success_ends_back_off() {
        let config = Config::default();
        let mut backoff = Backoff::new(7);
        let slot = Instant::from_millis(0);
        for _ in 0..5 {
            backoff.record(slot, slot, LOST, &config);
        }
        assert!(backoff.withholds(slot + Duration::from_micros(INTERVAL)));
        backoff.record(slot, slot, Verdict::Accepted, &config);
        assert!(!backoff.withholds(slot));
        backoff.record(slot, slot, LOST, &config);
        assert!(
            !backoff.withholds(slot + Duration::from_micros(INTERVAL)),
            "failures are counted from 0 again"
        );
    }

    proptest! {
        #[test]
        fn gap_never_exceeds_the_cap_and_its_jitter(
            at: u64, failures in 1usize..80, seed: u32, millis in 50u64..=86_400_000, cap in 0u64..=u64::MAX,
        ) {
            let interval = Duration::from_millis(millis);
            let config = Config::new(interval, interval).expect("in range")
                .with_backoff_cap(Duration::from_micros(cap));
            let mut backoff = Backoff::new(seed);
            let slot = Instant::from_micros(at);
            for _ in 0..failures {
                backoff.record(slot, slot, LOST, &config);
            }
            let most = Duration::from_micros(config.backoff_cap().as_micros() / 4 * 5);
            prop_assert!(!backoff.withholds(slot + most));
        }
    }
}
