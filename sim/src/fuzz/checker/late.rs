//! Heartbeats that are kept: the newest that fit, sent after the live one, the oldest first, never twice.

use std::collections::VecDeque;

use heartbeat_core::{Agent, Config, Verdict, agent::backlog::Counts, time::Instant};

use super::{Broken, broken};
use crate::fake::Sent;

/// What a late heartbeat ends with, in place of its last brace.
const MARK: &[u8] = br#","replayed":true}"#;

/// A heartbeat that was not delivered, and which of the run's it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fuzz) struct Kept {
    pub(in crate::fuzz) id: usize,
    pub(in crate::fuzz) document: Vec<u8>,
}

/// What waits, what has become of the others, and what the server has got; over all starts of the agent.
#[derive(Debug)]
pub(in crate::fuzz) struct Late {
    /// Bytes that there are for it.
    memory: usize,
    waiting: VecDeque<Kept>,
    counts: Counts,
    refusals: u32,
    /// How many more may be sent in this interval.
    left: u8,
    /// Heartbeats with lower numbers may be sent.
    released: u64,
    /// A request has just ended well: if one more may be sent, it must be.
    turn: bool,
    /// For each live heartbeat of the run, whether the server has taken it.
    taken: Vec<bool>,
}

impl Late {
    pub(in crate::fuzz) const fn new(memory: usize) -> Self {
        Self {
            memory,
            waiting: VecDeque::new(),
            counts: Counts { queued: 0, replayed: 0, dropped: 0 },
            refusals: 0,
            left: 0,
            released: u64::MAX,
            turn: false,
            taken: Vec::new(),
        }
    }

    /// Another start, which finds these.
    pub(in crate::fuzz) fn start(&mut self, found: Vec<Kept>, config: &Config) {
        *self = Self { taken: std::mem::take(&mut self.taken), ..Self::new(self.memory) };
        for kept in found {
            self.keep(kept, config);
        }
    }

    /// What waits, from the one with this number on.
    pub(in crate::fuzz) fn since(&self, number: u64) -> Vec<Kept> {
        let gone = self.counts.replayed + self.counts.dropped;
        let skip = usize::try_from(number.saturating_sub(gone)).unwrap_or(usize::MAX);
        self.waiting.iter().skip(skip).cloned().collect()
    }

    /// Only heartbeats with lower numbers than this may be sent.
    pub(in crate::fuzz) fn release(&mut self, below: u64) {
        self.released = below;
    }

    pub(super) fn is_late(&self, document: &[u8]) -> bool {
        document.ends_with(MARK)
    }

    /// A slot has come due, and with it the end of the time for late ones.
    pub(super) fn slot_begins(&mut self, config: &Config) {
        self.left = 0;
        self.shrink(config.backlog(), 0);
    }

    /// A live heartbeat goes out.
    pub(super) fn begin_live(&mut self) {
        self.taken.push(false);
    }

    /// A late heartbeat goes out.
    pub(super) fn begin_late(
        &mut self,
        now: Instant,
        request: &Sent,
        config: &Config,
        next_slot: Instant,
    ) -> Result<(), Broken> {
        let Some(oldest) = self.waiting.front() else {
            broken!("S12 backlog", "a late heartbeat although none waits");
        };
        let unmarked = oldest.document.strip_suffix(b"}").unwrap_or_default();
        if [unmarked, MARK].concat() != request.body {
            let (sent, oldest) =
                (String::from_utf8_lossy(&request.body), String::from_utf8_lossy(&oldest.document));
            broken!("S12 backlog", "sent late: {sent}, the oldest is {oldest}");
        }
        if self.left == 0 {
            broken!("S12 backlog", "a late heartbeat more than the interval has place for");
        }
        if next_slot.since(now) < config.interval() / 2 {
            broken!("S12 backlog", "a late heartbeat {:?} before the next slot", next_slot.since(now));
        }
        self.left -= 1;
        self.turn = false;
        Ok(())
    }

    /// The server has taken the heartbeat in flight.
    pub(super) fn taken(&mut self, live: bool) -> Result<(), Broken> {
        let id =
            if live { self.taken.len().checked_sub(1) } else { self.waiting.front().map(|kept| kept.id) };
        match id.and_then(|id| self.taken.get_mut(id)) {
            Some(taken) if *taken => broken!("S12 backlog", "the server got a heartbeat twice"),
            Some(taken) => *taken = true,
            None => {}
        }
        Ok(())
    }

    /// The live heartbeat has ended so.
    pub(super) fn live_ended(&mut self, verdict: Verdict, request: &Sent, config: &Config) {
        match verdict {
            Verdict::Accepted => {
                self.left = config.late_per_interval();
                self.turn = true;
            }
            Verdict::Failed { may_have_arrived: true, .. } => {}
            Verdict::Failed { may_have_arrived: false, .. } | Verdict::Refused { .. } => {
                let id = self.taken.len().saturating_sub(1);
                self.keep(Kept { id, document: request.body.clone() }, config);
            }
        }
    }

    /// The late heartbeat has ended so.
    pub(super) fn late_ended(&mut self, verdict: Verdict) {
        self.turn = false;
        match verdict {
            Verdict::Accepted => {
                self.turn = true;
                self.waiting.pop_front();
                self.refusals = 0;
                self.counts.replayed += 1;
            }
            Verdict::Refused { retry_after: Some(_) } => self.left = 0,
            Verdict::Refused { retry_after: None } => {
                self.left = 0;
                self.refusals += 1;
                if self.refusals >= 3 {
                    self.drop_oldest();
                }
            }
            Verdict::Failed { may_have_arrived, .. } => {
                self.left = 0;
                if may_have_arrived {
                    self.drop_oldest();
                }
            }
        }
    }

    /// A stop has cancelled the late heartbeat, which may have arrived.
    pub(super) fn late_stopped(&mut self) {
        self.left = 0;
        self.turn = false;
        self.drop_oldest();
    }

    /// After everything else: the agent keeps what it must, and has sent what it may.
    pub(super) fn check(
        &mut self,
        now: Instant,
        config: &Config,
        agent: &Agent<'_>,
        next_slot: Instant,
    ) -> Result<(), Broken> {
        let (counts, len) = (agent.backlog().counts(), agent.backlog().len());
        if counts != self.counts || len != self.waiting.len() {
            broken!(
                "S12 backlog",
                "{counts:?}, expected {:?} with {} waiting",
                self.counts,
                self.waiting.len()
            );
        }
        let number = self.counts.replayed + self.counts.dropped;
        let may = self.left > 0 && number < self.released && !self.waiting.is_empty();
        if std::mem::take(&mut self.turn) && may && next_slot.since(now) >= config.interval() / 2 {
            broken!("S12 backlog", "a late heartbeat could be sent and was not");
        }
        Ok(())
    }

    fn keep(&mut self, kept: Kept, config: &Config) {
        let Some(others) = config.backlog().checked_sub(1) else { return };
        let needed = kept.document.len() + 2;
        self.counts.queued += 1;
        self.shrink(others, needed);
        if needed > self.memory {
            self.counts.dropped += 1;
        } else {
            self.waiting.push_back(kept);
        }
    }

    fn shrink(&mut self, limit: usize, room: usize) {
        let used =
            |waiting: &VecDeque<Kept>| -> usize { waiting.iter().map(|kept| kept.document.len() + 2).sum() };
        while !self.waiting.is_empty()
            && (self.waiting.len() > limit || used(&self.waiting) + room > self.memory)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.waiting.pop_front();
        self.refusals = 0;
        self.counts.dropped += 1;
    }
}
