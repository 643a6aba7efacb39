//! A rate limit for log lines, because journals wear SD cards.
//!
//! Each sensor, the outages and the backlog have their own, so that none can use up the lines of another.

use crate::time::{Duration, Instant};

/// When the next line may be logged.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    /// In seconds on the clock; 32 bits, because there is one for each sensor.
    quiet_until: u32,
}

impl LogLimit {
    /// Whether a line may be logged now; if so, no other for `interval`, to the second.
    pub(super) fn allow(&mut self, now: Instant, interval: Duration) -> bool {
        if secs(now) < self.quiet_until {
            return false;
        }
        self.quiet_until = secs(now + interval);
        true
    }
}

/// After 136 years there is no limit any more.
fn secs(time: Instant) -> u32 {
    u32::try_from(time.since(Instant::ZERO).as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_least_an_interval_apart() {
        let mut limit = LogLimit::default();
        let allowed: std::vec::Vec<_> = (0..100)
            .filter(|secs| limit.allow(Instant::from_millis(secs * 1_000), Duration::from_secs(30)))
            .collect();
        assert_eq!(allowed, [0, 30, 60, 90]);
    }
}
