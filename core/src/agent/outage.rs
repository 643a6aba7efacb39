//! Logs outages: when one begins, when its cause changes, rarely while it lasts, and when it ends.

use super::log_limit::LogLimit;
use crate::{
    limits::{CAUSE_LOG_INTERVAL, OUTAGE_LOG_INTERVAL, OUTAGE_REMINDER},
    time::Instant,
    uplink::{CauseId, Outcome},
};

#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Instant,
    beats: u64,
    /// When it was last logged; `None` if it has not been because it followed too closely on another.
    logged: Option<Instant>,
    /// The cause that was logged last.
    cause: CauseId,
}

/// The log of outages, with the one in progress.
#[derive(Debug, Default)]
pub(super) struct OutageLog {
    current: Option<Outage>,
    limit: LogLimit,
    causes: LogLimit,
    /// Outages that ended without having been logged, since one was.
    unlogged: u64,
}

impl OutageLog {
    /// Records the outcome of one beat.
    pub(super) fn record(&mut self, now: Instant, outcome: &Outcome) {
        if outcome.verdict.is_accepted() {
            self.end(now);
        } else {
            self.go_on(now, outcome);
        }
    }

    fn go_on(&mut self, now: Instant, outcome: &Outcome) {
        let cause = outcome.cause;
        let outage = self.current.get_or_insert(Outage { since: now, beats: 0, logged: None, cause });
        outage.beats = outage.beats.saturating_add(1);
        let is_other = cause != outage.cause;
        match outage.logged {
            Some(logged) if now.since(logged) >= OUTAGE_REMINDER => {}
            Some(_) if is_other && self.causes.allow(now, CAUSE_LOG_INTERVAL) => {}
            None if self.limit.allow(now, OUTAGE_LOG_INTERVAL) => {}
            Some(_) | None => return,
        }
        let is_other = is_other && outage.logged.is_some();
        (outage.logged, outage.cause) = (Some(now), cause);
        let secs = now.since(outage.since).as_secs();
        if outage.beats == 1 {
            log_warn!("heartbeat not delivered: {}", outcome.detail);
        } else {
            let change = if is_other { ", now for another reason" } else { "" };
            log_warn!(
                "no heartbeat delivered for {} s, {} failed{}: {}",
                secs,
                outage.beats,
                change,
                outcome.detail
            );
        }
        if self.unlogged > 0 {
            log_warn!("{} outages before this one were not logged", self.unlogged);
            self.unlogged = 0;
        }
    }

    /// If the beginning was logged, the end always is.
    fn end(&mut self, now: Instant) {
        let Some(outage) = self.current.take() else { return };
        if outage.logged.is_some() {
            let secs = now.since(outage.since).as_secs();
            log_info!("heartbeats are delivered again after {} s, {} failed", secs, outage.beats);
        } else {
            self.unlogged = self.unlogged.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        time::Duration,
        uplink::{Fault, Verdict},
    };

    fn failed() -> Outcome {
        let verdict = Verdict::Failed { fault: Fault::Network, may_have_arrived: false };
        Outcome::new(verdict, "connection refused")
    }

    fn accepted() -> Outcome {
        Outcome::new(Verdict::Accepted, "status 200")
    }

    fn lost(detail: &str) -> Outcome {
        let verdict = Verdict::Failed { fault: Fault::Network, may_have_arrived: false };
        Outcome::new(verdict, detail).caused_by("lost")
    }

    fn logged(log: &OutageLog) -> Option<Instant> {
        log.current.expect("an outage").logged
    }

    #[test]
    fn an_outage_is_logged_when_it_begins_and_rarely_while_it_lasts() {
        let mut log = OutageLog::default();
        let begin = Instant::from_millis(5_000);
        let almost = begin + (OUTAGE_REMINDER - Duration::from_micros(1));
        for now in [begin, begin, almost] {
            log.record(now, &failed());
        }
        let outage = log.current.expect("an outage");
        assert_eq!((outage.since, outage.beats, outage.logged), (begin, 3, Some(begin)));
        log.record(begin + OUTAGE_REMINDER, &failed());
        assert_eq!(logged(&log), Some(begin + OUTAGE_REMINDER));
        log.record(begin + OUTAGE_REMINDER, &accepted());
        assert!(log.current.is_none());
    }

    #[test]
    fn change_of_cause_is_logged_once_and_rarely() {
        let mut log = OutageLog::default();
        let at = |secs| Instant::ZERO + Duration::from_secs(secs);
        for (secs, outcome, expected) in [
            (0, failed(), 0),
            (5, lost("1 ms"), 5),
            (10, lost("2 ms"), 5),
            (15, failed(), 5),
            (604, failed(), 5),
            (605, failed(), 605),
            (1_300, failed(), 605),
            (1_305, lost("3 ms"), 1_305),
        ] {
            log.record(at(secs), &outcome);
            assert_eq!(logged(&log), Some(at(expected)), "at {secs} s");
        }
    }

    #[test]
    fn an_outage_soon_after_another_is_logged_once_it_lasts() {
        let mut log = OutageLog::default();
        log.record(Instant::ZERO, &failed());
        log.record(Instant::ZERO, &accepted());
        let almost = Instant::ZERO + (OUTAGE_LOG_INTERVAL - Duration::from_micros(1));
        for now in [Instant::ZERO, almost] {
            log.record(now, &failed());
            assert_eq!(logged(&log), None);
        }
        let later = Instant::ZERO + OUTAGE_LOG_INTERVAL;
        log.record(later, &failed());
        assert_eq!(logged(&log), Some(later));
    }

    #[test]
    fn outages_that_were_not_logged_are_counted_until_one_is() {
        let mut log = OutageLog::default();
        for _ in 0..3 {
            log.record(Instant::ZERO, &failed());
            log.record(Instant::ZERO, &accepted());
        }
        assert_eq!(log.unlogged, 2);
        log.record(Instant::ZERO + OUTAGE_LOG_INTERVAL, &failed());
        assert_eq!(log.unlogged, 0);
    }

    #[test]
    fn a_delivery_uses_up_no_line() {
        let mut log = OutageLog::default();
        log.record(Instant::ZERO, &accepted());
        log.record(Instant::ZERO, &failed());
        assert_eq!(logged(&log), Some(Instant::ZERO));
    }
}
