//! What happened so far, as plain numbers.

use crate::{time::Duration, uplink::SendError};

/// Counters since the agent was made. They saturate.
///
/// At all times `slots = attempted + skipped + held_back` plus the beat that is being sampled, and
/// `attempted = delivered + failed` plus the request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Slots of the grid that came due.
    pub slots: u64,
    /// Slots without a request: the device stalled past them, or the agent was stopped first.
    pub skipped: u64,
    /// Slots without a request because the server was left alone.
    pub held_back: u64,
    /// Requests started.
    pub attempted: u64,
    /// Requests that the server accepted.
    pub delivered: u64,
    /// Requests that ended otherwise.
    pub failed: u64,
    /// Failures since the last delivery.
    pub consecutive_failures: u64,
    /// How the latest request ended.
    pub last: Option<Outcome>,
    /// Size of the latest document in bytes.
    pub last_body_len: usize,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome {
    /// The status of the server that accepted it, or why it failed.
    pub result: Result<u16, SendError>,
    /// Time from its start to its end.
    pub round_trip: Duration,
}

impl Stats {
    pub(super) fn record(&mut self, outcome: Outcome) {
        self.last = Some(outcome);
        if outcome.result.is_ok() {
            self.delivered = self.delivered.saturating_add(1);
            self.consecutive_failures = 0;
        } else {
            self.failed = self.failed.saturating_add(1);
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
    }
}
