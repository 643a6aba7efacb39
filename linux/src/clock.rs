//! The clocks: one that counts for the grid, one that people read.

use std::time::{Duration, SystemTime};

use heartbeat_core::{time::Instant, units::UnixTime};
use nix::time::{ClockId, clock_gettime};

/// 2026-01-01T00:00:00Z in Unix seconds: earlier than any build of this program. A Pi without a battery-backed clock
/// that shows an earlier time has not been synchronised.
const NOT_SET_BEFORE_SECS: u64 = 1_767_225_600;

/// Now on `CLOCK_BOOTTIME`: monotonic, untouched by steps of the wall clock, and counting suspend.
pub fn now() -> Instant {
    // Cannot fail: the clock exists since Linux 2.6.39 and the pointer is ours. If it failed, a clock that stands still
    // would do the least harm to the agent.
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Instant::from_micros(u64::try_from(since_boot.as_micros()).unwrap_or(u64::MAX))
}

/// Wall time, or `None` while it cannot be right.
pub fn unix_time() -> Option<UnixTime> {
    checked(SystemTime::now())
}

fn checked(time: SystemTime) -> Option<UnixTime> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let millis = i64::try_from(since_epoch.as_millis()).ok()?;
    (since_epoch.as_secs() >= NOT_SET_BEFORE_SECS).then(|| UnixTime::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_no_clock() {
        let at = |secs| checked(SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), None);
        assert_eq!(at(NOT_SET_BEFORE_SECS - 1), None);
        assert_eq!(at(1_795_464_000), Some(UnixTime::from_millis(1_795_464_000_000)));
        assert_eq!(checked(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn time_does_not_go_back() {
        let earlier = now();
        assert!(now() >= earlier);
    }
}
