//! Failure is an event, not a state: it is logged when it starts, rarely while it lasts, and when it ends.

use super::log_budget::LogBudget;
use crate::{limits::OUTAGE_REMINDER, time::Instant, uplink::Outcome};

#[derive(Debug, Clone, Copy)]
struct Outage {
    since: Instant,
    beats: u64,
    /// When it was last mentioned; `None` while the log's budget has not let it.
    logged: Option<Instant>,
}

/// Logs outages, and remembers no more than the one in progress.
#[derive(Debug, Default)]
pub(super) struct OutageLog(Option<Outage>);

impl OutageLog {
    /// Takes note of the outcome of one beat.
    pub(super) fn record(&mut self, now: Instant, outcome: &Outcome, budget: &mut LogBudget) {
        match (&mut self.0, outcome.verdict.is_accepted()) {
            (None, true) => {}
            (None, false) => {
                let logged = budget.allow(now).then_some(now);
                if logged.is_some() {
                    log_warn!("heartbeat not delivered: {}", outcome.detail);
                }
                self.0 = Some(Outage { since: now, beats: 1, logged });
            }
            (Some(outage), false) => {
                outage.beats = outage.beats.saturating_add(1);
                let due = outage.logged.is_none_or(|logged| now.since(logged) >= OUTAGE_REMINDER);
                if due && budget.allow(now) {
                    outage.logged = Some(now);
                    let secs = now.since(outage.since).as_secs();
                    log_warn!(
                        "no heartbeat delivered for {} s, {} failed: {}",
                        secs,
                        outage.beats,
                        outcome.detail
                    );
                }
            }
            (Some(outage), true) => {
                // The end of what was never mentioned is not mentioned either; of the rest it always is.
                if outage.logged.is_some() {
                    let secs = now.since(outage.since).as_secs();
                    log_info!("heartbeats are delivered again after {} s, {} failed", secs, outage.beats);
                }
                self.0 = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::LOG_TROUBLES_BURST,
        time::Duration,
        uplink::{Fault, Verdict},
    };

    fn refused() -> Outcome {
        Outcome::new(Verdict::Failed { fault: Fault::Network, may_have_arrived: false }, "connection refused")
    }

    fn accepted() -> Outcome {
        Outcome::new(Verdict::Accepted, "")
    }

    /// How many lines may still be written.
    fn left(budget: &mut LogBudget, now: Instant) -> usize {
        (0..).take_while(|_| budget.allow(now)).count()
    }

    #[test]
    fn an_outage_is_mentioned_when_it_begins_and_rarely_while_it_lasts() {
        let (mut log, mut budget) = (OutageLog::default(), LogBudget::default());
        let begin = Instant::from_millis(5_000);
        let almost = begin + (OUTAGE_REMINDER - Duration::from_micros(1));
        for now in [begin, begin, almost] {
            log.record(now, &refused(), &mut budget);
        }
        let outage = log.0.expect("an outage");
        assert_eq!((outage.since, outage.beats, outage.logged), (begin, 3, Some(begin)));
        log.record(begin + OUTAGE_REMINDER, &refused(), &mut budget);
        assert_eq!(log.0.expect("an outage").logged, Some(begin + OUTAGE_REMINDER));
        log.record(begin + OUTAGE_REMINDER, &accepted(), &mut budget);
        assert!(log.0.is_none());
    }

    #[test]
    fn what_the_budget_withholds_is_mentioned_as_soon_as_it_lets() {
        let (mut log, mut budget) = (OutageLog::default(), LogBudget::default());
        assert_eq!(left(&mut budget, Instant::ZERO), LOG_TROUBLES_BURST as usize);
        for _ in 0..2 {
            log.record(Instant::ZERO, &refused(), &mut budget);
            assert_eq!(log.0.expect("an outage").logged, None);
        }
        let later = Instant::ZERO + crate::limits::LOG_TROUBLE_EVERY;
        log.record(later, &refused(), &mut budget);
        assert_eq!(log.0.expect("an outage").logged, Some(later));
        assert_eq!(left(&mut budget, later), 0, "what was earned is spent");
    }

    #[test]
    fn a_beat_that_arrives_costs_no_line() {
        let (mut log, mut budget) = (OutageLog::default(), LogBudget::default());
        log.record(Instant::ZERO, &accepted(), &mut budget);
        assert!(log.0.is_none());
        assert_eq!(left(&mut budget, Instant::ZERO), LOG_TROUBLES_BURST as usize);
    }
}
