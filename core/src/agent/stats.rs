//! Counters of the agent.

use crate::{time::Duration, uplink::Outcome};

/// Counters since the agent was made. They saturate.
///
/// At all times `slots = attempted + skipped + withheld` plus the beat that is being sampled, and
/// `attempted = delivered + failed` plus the request in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Slots of the grid that came due.
    pub slots: u64,
    /// Slots without a request: the device stalled past them, or the agent was stopped first.
    pub skipped: u64,
    /// Slots without a request because the agent was backing off.
    pub withheld: u64,
    /// Requests started.
    pub attempted: u64,
    /// Requests that the server accepted.
    pub delivered: u64,
    /// Requests that ended otherwise, refused ones included.
    pub failed: u64,
    /// Failures since the last delivery.
    pub consecutive_failures: u64,
    /// The latest request that has ended.
    pub last: Option<LastRequest>,
}

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LastRequest {
    /// How it ended.
    pub outcome: Outcome,
    /// Time from its start to its end.
    pub round_trip: Duration,
}

impl Stats {
    pub(super) fn record(&mut self, request: LastRequest) {
        if request.outcome.verdict.is_accepted() {
            self.delivered = self.delivered.saturating_add(1);
            self.consecutive_failures = 0;
        } else {
            self.failed = self.failed.saturating_add(1);
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
        self.last = Some(request);
    }
}
