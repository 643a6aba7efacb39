//! A rate limit for log lines, because journals wear SD cards.
//!
//! Each sensor, the outages and the backlog have their own, so that none can use up the lines of another.

use core::num::NonZeroU32;

use crate::time::{Duration, Instant};

/// When the latest line was logged.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    /// Seconds on the clock modulo 2^32, because there is one for each sensor.
    logged: Option<NonZeroU32>,
}

impl LogLimit {
    /// Whether a line may be logged now, because the latest is at least `interval` old, in whole seconds. After 136 years
    /// without a line it may be withheld once.
    pub(super) fn allow(&mut self, now: Instant, interval: Duration) -> bool {
        let secs = secs(now);
        if self.logged.is_some_and(|logged| u64::from(secs.wrapping_sub(logged.get())) < interval.as_secs()) {
            return false;
        }
        self.logged = Some(NonZeroU32::new(secs).unwrap_or(NonZeroU32::MIN));
        true
    }
}

/// The lower half of the seconds since one second before the clock's start.
// The upper half is cut off on purpose.
#[allow(clippy::cast_possible_truncation)]
fn secs(time: Instant) -> u32 {
    time.since(Instant::ZERO).as_secs().wrapping_add(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_least_an_interval_apart() {
        // The second one at the end of 2^32 seconds.
        for start in [0, (1 << 32) - 50] {
            let mut limit = LogLimit::default();
            let allowed: std::vec::Vec<_> = (0..100)
                .filter(|secs| {
                    let now = Instant::ZERO + Duration::from_secs(start + secs);
                    limit.allow(now, Duration::from_secs(30))
                })
                .collect();
            assert_eq!(allowed, [0, 30, 60, 90], "from {start} s on");
        }
    }
}
