//! Failure is an event, not a state: it is logged when it starts, rarely while it lasts, and when it ends.

use super::log_budget::LogBudget;
use crate::{limits::OUTAGE_REMINDER, time::Instant, uplink::SendError};

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
    pub(super) fn record(&mut self, now: Instant, error: Option<SendError>, budget: &mut LogBudget) {
        match (&mut self.0, error) {
            (None, None) => {}
            (None, Some(error)) => {
                let logged = budget.allow(now).then_some(now);
                if logged.is_some() {
                    log_warn!("heartbeat not delivered: {}", error);
                }
                self.0 = Some(Outage { since: now, beats: 1, logged });
            }
            (Some(outage), Some(error)) => {
                outage.beats = outage.beats.saturating_add(1);
                let due = outage.logged.is_none_or(|logged| now.since(logged) >= OUTAGE_REMINDER);
                if due && budget.allow(now) {
                    outage.logged = Some(now);
                    let secs = now.since(outage.since).as_secs();
                    log_warn!("no heartbeat delivered for {} s, {} failed: {}", secs, outage.beats, error);
                }
            }
            (Some(outage), None) => {
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
