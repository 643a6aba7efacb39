//! What a server that refuses may cost: a refusal of ordinary size is bounded by back-off alone, and one that is larger is
//! followed by a pause in proportion to its bytes.
//!
//! A handshake may bring 64 KiB and a reply 128 KiB before they are cut off. Once a minute, which is as rare as the agent
//! tries, that would be 100 to 200 MB a day.

use std::time::{Duration, Instant};

/// Bytes of a refusal that cost no pause: a handshake with a common chain of certificates, a request and a reply.
const ORDINARY: u64 = 8 * 1024;
/// Bytes that are paid off in each second. With an ordinary refusal a minute, and with what was on its way when a
/// connection was reset, this comes to less than 30 MB a day.
const BYTES_PER_SECOND: u64 = 80;
/// Large refusals since the latest delivery that cost no pause: they may be chance.
const FREE: u32 = 3;
/// Bytes that are owed at most, which is a pause of 14 minutes.
const OWED_MAX: u64 = 64 * 1024;

/// Bytes that refusals have cost and that are not paid off by time.
#[derive(Debug, Default)]
pub(super) struct ByteBudget {
    /// Large refusals since the latest delivery.
    large: u32,
    owed: u64,
    /// When that was calculated; `None` if nothing is owed.
    at: Option<Instant>,
}

impl ByteBudget {
    /// A refusal has cost so many bytes of the wire.
    pub(super) fn charge(&mut self, bytes: u64, now: Instant) {
        let excess = bytes.saturating_sub(ORDINARY);
        if excess == 0 {
            return;
        }
        self.large = self.large.saturating_add(1);
        if self.large > FREE {
            let owed = self.owed(now).saturating_add(excess);
            (self.owed, self.at) = (owed.min(OWED_MAX), Some(now));
        }
    }

    /// Nothing is owed any more: the server has taken a heartbeat, or trust or settings have changed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How long the server is not asked.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        Duration::from_secs(self.owed(now).div_ceil(BYTES_PER_SECOND))
    }

    fn owed(&self, now: Instant) -> u64 {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.owed.saturating_sub(passed.as_secs().saturating_mul(BYTES_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a day if refusals of this size come as often as back-off and the budget allow.
    fn a_day(bytes: u64) -> u64 {
        let (mut budget, begin) = (ByteBudget::default(), Instant::now());
        let mut spent = 0;
        for minute in 0..1_440 {
            let now = begin + Duration::from_secs(minute * 60);
            if budget.pause(now).is_zero() {
                budget.charge(bytes, now);
                spent += bytes;
            }
        }
        spent
    }

    #[test]
    fn refusals_of_every_size_cost_less_than_21_mb_a_day() {
        for kib in 1..=192 {
            assert!(a_day(kib * 1024) < 21_000_000, "{kib} KiB: {}", a_day(kib * 1024));
        }
    }

    #[test]
    fn ordinary_refusals_cause_no_pause() {
        assert_eq!(a_day(8 * 1024), 1_440 * 8 * 1024);
        assert_eq!(a_day(12 * 1024), 1_440 * 12 * 1024, "they are paid off within a minute");
    }

    #[test]
    fn pause_is_bounded_and_ends() {
        let (mut budget, now) = (ByteBudget::default(), Instant::now());
        for _ in 0..100 {
            budget.charge(u64::MAX, now);
        }
        let pause = budget.pause(now);
        assert_eq!(pause, Duration::from_secs(64 * 1024 / BYTES_PER_SECOND + 1));
        assert!(!budget.pause(now + pause - Duration::from_secs(1)).is_zero());
        assert!(budget.pause(now + pause).is_zero());
        budget.clear();
        assert!(budget.pause(now).is_zero());
    }
}
