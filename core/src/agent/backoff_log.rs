//! Logs when the agent begins to back off and when that has ended, and counts what it withholds meanwhile.

use super::log_limit::LogLimit;
use crate::{
    limits::BACKOFF_LOG_INTERVAL,
    time::{Duration, Instant},
    uplink::Detail,
};

/// The log of back-off, with the one in progress.
#[derive(Debug, Default)]
pub(super) struct BackoffLog {
    current: Option<Current>,
    limit: LogLimit,
}

#[derive(Debug)]
struct Current {
    withheld: u64,
    is_logged: bool,
}

impl BackoffLog {
    /// Beats are withheld for `pause` from now on, because of `reason`.
    pub(super) fn begin(&mut self, now: Instant, pause: Duration, reason: &Detail) {
        if self.current.is_some() {
            return;
        }
        let is_logged = self.limit.allow(now, BACKOFF_LOG_INTERVAL);
        self.current = Some(Current { withheld: 0, is_logged });
        if is_logged {
            let secs = pause.as_secs_rounded_up();
            log_warn!("backing off: no heartbeat is tried for {} s, because {}", secs, reason);
        }
    }

    /// A beat was withheld.
    pub(super) fn withhold(&mut self) {
        if let Some(current) = &mut self.current {
            current.withheld = current.withheld.saturating_add(1);
        }
    }

    /// The back-off has ended. If its beginning was logged, its end always is.
    pub(super) fn end(&mut self) {
        if let Some(Current { withheld, is_logged: true }) = self.current.take() {
            log_info!("backing off has ended, {} heartbeats were withheld", withheld);
        }
    }

    /// Beats that were withheld in the back-off in progress; `None` without one.
    pub(super) fn withheld(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_logged(log: &BackoffLog) -> bool {
        log.current.as_ref().expect("it has begun").is_logged
    }

    #[test]
    fn counts_what_is_withheld_from_the_beginning_to_the_end() {
        let (mut log, pause, reason) = (BackoffLog::default(), Duration::from_secs(10), Detail::new("x"));
        log.withhold();
        assert_eq!(log.withheld(), None, "it has not begun");
        log.begin(Instant::ZERO, pause, &reason);
        log.withhold();
        log.begin(Instant::ZERO, pause, &reason);
        log.withhold();
        assert_eq!(log.withheld(), Some(2), "a longer pause is the same back-off");
        log.end();
        assert_eq!(log.withheld(), None);
    }

    #[test]
    fn beginnings_are_logged_rarely() {
        let (mut log, pause, reason) = (BackoffLog::default(), Duration::from_secs(10), Detail::new("x"));
        let almost = Instant::ZERO + (BACKOFF_LOG_INTERVAL - Duration::from_secs(1));
        for (now, expected) in
            [(Instant::ZERO, true), (almost, false), (Instant::ZERO + BACKOFF_LOG_INTERVAL, true)]
        {
            log.begin(now, pause, &reason);
            assert_eq!(is_logged(&log), expected, "{now:?}");
            log.end();
        }
    }
}
