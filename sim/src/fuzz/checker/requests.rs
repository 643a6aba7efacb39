//! Requests: one at a time, each within its deadline, as often as the server permits, counted by how they ended.

use heartbeat_core::{
    Config, Outcome, Stats, Verdict,
    agent::LastRequest,
    time::{Duration, Instant},
    uplink::Fault,
};

use super::{Broken, broken};
use crate::fake::{End, Sent};

#[derive(Debug)]
struct Flight {
    /// The slot whose heartbeat it carries; `None` for a late one.
    slot: Option<Instant>,
    started: Instant,
    deadline: Instant,
}

/// What a request carried that a stop has cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Live,
    Late,
}

/// The request in flight, what became of the others, and what the server may expect.
#[derive(Debug, Default)]
pub(super) struct Requests {
    flight: Option<Flight>,
    /// Of the recorder's list, how many were looked at.
    seen: usize,
    counts: Stats,
    /// Failures of the server itself since its last success.
    failures: u32,
    /// Until when the agent must back off, and until when it may.
    patience: (Instant, Instant),
}

impl Requests {
    pub(super) fn in_flight(&self) -> bool {
        self.flight.is_some()
    }

    pub(super) fn is_live(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.slot.is_some())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flight.as_ref().map(|flight| flight.deadline)
    }

    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    pub(super) fn counts(&self) -> Stats {
        self.counts.clone()
    }

    /// Until when the agent must back off, and until when it may.
    pub(super) fn patience(&self) -> (Instant, Instant) {
        self.patience
    }

    /// It may be another server.
    pub(super) fn forgive(&mut self) {
        self.failures = 0;
        self.patience = (Instant::ZERO, Instant::ZERO);
    }

    pub(super) fn begin(
        &mut self,
        now: Instant,
        request: &Sent,
        config: &Config,
        slot: Option<Instant>,
        next_slot: Instant,
    ) -> Result<(), Broken> {
        self.counts.attempted += u64::from(slot.is_some());
        let deadline = (now + config.timeout()).min(next_slot);
        if request.at != now || request.timeout != deadline.since(now) {
            broken!("S5 deadline", "a request at {:?} was given {:?}", request.at, request.timeout);
        }
        self.seen += 1;
        self.flight = Some(Flight { slot, started: now, deadline });
        Ok(())
    }

    /// The end of the request in flight: what counts of its outcome.
    pub(super) fn end(
        &mut self,
        at: Instant,
        end: &End,
        config: &Config,
        stalled: bool,
    ) -> Result<Verdict, Broken> {
        let Some(Flight { slot, started, deadline }) = self.flight.take() else {
            broken!("S5 deadline", "a request ended that was not in flight");
        };
        let outcome = match end {
            End::Outcome(outcome) => outcome,
            End::Cancelled(_) if at < deadline => {
                broken!("S5 deadline", "a request was cancelled {:?} early", deadline.since(at))
            }
            End::Cancelled(outcome) => outcome,
        };
        // A delivery may be polled later than it was; for all else S20 applies.
        let ended = outcome.ended.unwrap_or(at);
        if ended > deadline && !stalled {
            broken!("S5 deadline", "a request ended {:?} after its deadline", ended.since(deadline));
        }
        let verdict = outcome.verdict;
        if let Some(slot) = slot {
            self.count(outcome, ended.since(started));
            self.learn(slot, verdict, config);
        }
        self.obey(at, verdict);
        Ok(verdict)
    }

    /// A stop has cancelled the request in flight, if there was one.
    pub(super) fn stop(&mut self, now: Instant) -> Option<Stopped> {
        let flight = self.flight.take()?;
        if flight.slot.is_none() {
            return Some(Stopped::Late);
        }
        let verdict = Verdict::Failed { fault: Fault::Device, may_have_arrived: true };
        self.count(&Outcome::new(verdict, "stopped while sending"), now.since(flight.started));
        Some(Stopped::Live)
    }

    /// Forgets the requests that have ended.
    pub(super) fn compact(&mut self, sent: &mut Vec<Sent>) {
        let keep = usize::from(self.in_flight());
        sent.drain(..sent.len().saturating_sub(keep));
        self.seen = sent.len();
    }

    fn count(&mut self, outcome: &Outcome, round_trip: Duration) {
        self.counts.last = Some(LastRequest { outcome: outcome.clone(), round_trip });
        if outcome.verdict == Verdict::Accepted {
            self.counts.delivered += 1;
            self.counts.consecutive_failures = 0;
        } else {
            self.counts.failed += 1;
            self.counts.consecutive_failures += 1;
        }
    }

    /// The contract: two failures or refusals are free, then 10, 20, 40, 60 s, each +-25 %, on the grid. A
    /// connect timeout counts as a failure of the server only while the agent is already backing off.
    fn learn(&mut self, slot: Instant, verdict: Verdict, config: &Config) {
        match verdict {
            Verdict::Accepted => self.forgive(),
            Verdict::Failed { fault: Fault::Unanswered, .. } if self.failures <= 2 => {}
            Verdict::Refused { .. } | Verdict::Failed { fault: Fault::Unanswered | Fault::Server, .. } => {
                self.failures += 1;
                let interval = config.interval().as_micros();
                let (mut least, mut most) = (0, 0);
                if self.failures > 2 {
                    let doubled = interval.saturating_mul(1 << (self.failures - 2).min(40));
                    let gap = doubled.min(config.backoff_cap().as_micros());
                    // The nearest slot: half an interval either way.
                    least = (gap / 4 * 3).saturating_sub(interval / 2);
                    most = (gap / 4 * 5).saturating_sub(interval / 2);
                }
                let after = |micros| slot + Duration::from_micros(micros);
                self.patience = (after(least), after(most));
            }
            Verdict::Failed { fault: Fault::Device | Fault::Network, .. } => {}
        }
    }

    fn obey(&mut self, at: Instant, verdict: Verdict) {
        if let Verdict::Refused { retry_after: Some(asked) } = verdict {
            let until = at + asked.clamp(Duration::from_secs(5), Duration::from_secs(600));
            self.patience = (self.patience.0.max(until), self.patience.1.max(until));
        }
    }
}
