//! Decides when a frontend writes its backlog to a file that survives a restart, and what may be sent meanwhile.
//!
//! Two rules. What has been sent must not be found again by the next start: a heartbeat that may stand in the file is not
//! sent before another file without it has taken its place. And storage wears: files are [`STORE_EVERY`] apart at least,
//! so that each leaves out at once what will be sent until the next. That much a crash may lose; nothing makes it send
//! anything twice.

use super::Agent;
use crate::{limits::STORE_EVERY, time::Instant};

/// What the file holds, as far as that is known. The frontend does the writing.
#[derive(Debug)]
pub struct Persistence {
    /// The oldest heartbeat that may stand in the file; `None` when none does.
    stored_from: Option<u64>,
    /// The first heartbeat after those that stand in the file for certain.
    stored_to: u64,
    /// The file that is being written: from one heartbeat up to another.
    writing: Option<(u64, u64)>,
    /// When the latest file was begun.
    begun: Instant,
    /// Since when there is something that the file does not hold.
    unstored_since: Option<Instant>,
}

impl Persistence {
    /// Begins with what [`Agent::restore`] was given, all of which stands in the file. Call it once, before the first poll.
    pub fn new(now: Instant, agent: &mut Agent<'_>) -> Self {
        let kept = agent.backlog().counts().kept;
        let begun = Self {
            stored_from: (kept > 0).then_some(0),
            stored_to: kept,
            writing: None,
            // As if it had just written: a program that crashes and starts all the time must not wear the storage.
            begun: now,
            unstored_since: None,
        };
        agent.release(begun.unstored());
        begun
    }

    /// To be called after each [`Agent::poll`]. `Some(number)`: replace the file by one with the heartbeats from this
    /// number on ([`Backlog::since`](super::Backlog::since)), now, and tell [`Persistence::written`] how that went.
    pub fn turn(&mut self, now: Instant, agent: &mut Agent<'_>) -> Option<u64> {
        let (oldest, next) = (agent.backlog().oldest(), agent.backlog().counts().kept);
        if next > self.stored_to {
            self.unstored_since.get_or_insert(now);
        }
        if self.writing.is_some() || now.since(self.begun) < STORE_EVERY {
            return None;
        }
        let healthy = agent.stats().delivered > 0 && agent.stats().consecutive_failures == 0;
        let waits = healthy && !agent.backlog().is_empty() && oldest >= self.unstored();
        let unstored = self.unstored_since.is_some_and(|since| now.since(since) >= STORE_EVERY);
        if !waits && !unstored {
            return None;
        }
        let until_next_file = if healthy { late_until_next_file(agent) } else { 0 };
        Some(self.begin(now, oldest.saturating_add(until_next_file).min(next), agent))
    }

    /// To be called when the agent has stopped: as [`Persistence::turn`], but the file is the last one and leaves nothing
    /// out. `None` when the file holds what waits, or when one is being written.
    pub fn last(&mut self, now: Instant, agent: &mut Agent<'_>) -> Option<u64> {
        let (oldest, next) = (agent.backlog().oldest(), agent.backlog().counts().kept);
        let stored = if oldest == next {
            self.stored_from.is_none()
        } else {
            self.stored_to == next && self.stored_from.is_some_and(|from| from == oldest)
        };
        (!stored && self.writing.is_none()).then(|| self.begin(now, oldest, agent))
    }

    /// Takes note of how writing went. After a failure the file may be the old or the new one.
    pub fn written(&mut self, success: bool, agent: &mut Agent<'_>) {
        let Some((from, to)) = self.writing.take() else { return };
        if success {
            self.stored_from = (from < to).then_some(from);
            self.stored_to = to;
            self.unstored_since = None;
        } else {
            self.stored_from = Some(self.unstored().min(from));
            self.stored_to = 0;
        }
        agent.release(self.released());
    }

    /// Heartbeats with lower numbers may be sent.
    pub fn released(&self) -> u64 {
        let unstored = self.unstored();
        self.writing.map_or(unstored, |(from, _)| unstored.min(from))
    }

    fn begin(&mut self, now: Instant, from: u64, agent: &mut Agent<'_>) -> u64 {
        self.begun = now;
        self.writing = Some((from, agent.backlog().counts().kept));
        agent.release(self.released());
        from
    }

    /// No heartbeat with a lower number stands in the file.
    fn unstored(&self) -> u64 {
        self.stored_from.unwrap_or(u64::MAX)
    }
}

/// How many late heartbeats can be sent until the next file.
fn late_until_next_file(agent: &Agent<'_>) -> u64 {
    let interval = agent.config().interval().as_micros().max(1);
    STORE_EVERY.as_micros().div_ceil(interval).saturating_mul(u64::from(agent.config().late_per_interval()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Identity, agent::backlog::Storage};

    /// An agent that keeps up to 100 heartbeats and sends 4 of them late in each interval of 5 s.
    fn agent(memory: &mut crate::agent::backlog::Ring) -> Agent<'_> {
        Agent::new(Identity::new("x"), Config::default().with_backlog(100, 4)).with_backlog(memory)
    }

    fn keep(agent: &mut Agent<'_>, count: u32) {
        for _ in 0..count {
            agent.backlog.keep(b"{}", 100);
        }
    }

    const JUST_BEFORE: Instant = Instant::from_micros(STORE_EVERY.as_micros() - 1);
    const THEN: Instant = Instant::from_micros(STORE_EVERY.as_micros());
    const LATER: Instant = Instant::from_micros(STORE_EVERY.as_micros() * 2);

    #[test]
    fn what_is_new_is_written_a_minute_later_and_nothing_is_not() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        for now in [Instant::ZERO, THEN, LATER] {
            assert_eq!(persistence.turn(now, &mut agent), None, "there is nothing");
        }

        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        keep(&mut agent, 2);
        assert_eq!(persistence.turn(Instant::ZERO, &mut agent), None);
        assert_eq!(persistence.turn(JUST_BEFORE, &mut agent), None);
        assert_eq!(persistence.turn(THEN, &mut agent), Some(0));
        assert_eq!(persistence.turn(LATER, &mut agent), None, "one at a time");
        persistence.written(true, &mut agent);
        assert_eq!(persistence.turn(LATER, &mut agent), None, "it is stored");
    }

    #[test]
    fn what_came_just_now_waits_although_nothing_was_written_for_long() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        keep(&mut agent, 1);
        assert_eq!(persistence.turn(THEN, &mut agent), None);
        assert_eq!(persistence.turn(LATER, &mut agent), Some(0));
    }

    #[test]
    fn what_waits_in_the_file_is_taken_out_once_the_server_takes_heartbeats() {
        for (delivered, consecutive_failures, expected) in [(0, 0, None), (1, 1, None), (1, 0, Some(20))] {
            let mut memory = Storage::<1_000>::new();
            let mut agent = agent(memory.as_mut_view());
            keep(&mut agent, 20);
            let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
            assert_eq!(persistence.released(), 0, "all of it stands in the file");
            agent.stats.delivered = delivered;
            agent.stats.consecutive_failures = consecutive_failures;
            assert_eq!(persistence.turn(JUST_BEFORE, &mut agent), None);
            // As many as are sent in a minute need not be written again: 12 intervals of 4.
            assert_eq!(persistence.turn(THEN, &mut agent), expected, "{delivered}, {consecutive_failures}");
        }
    }

    #[test]
    fn the_last_file_holds_what_waits_and_no_file_is_written_twice() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        assert_eq!(persistence.last(THEN, &mut agent), None, "nothing waits, nothing is stored");
        keep(&mut agent, 2);
        assert_eq!(persistence.last(THEN, &mut agent), Some(0));
        assert_eq!(persistence.last(THEN, &mut agent), None, "it is being written");
        persistence.written(true, &mut agent);
        assert_eq!((persistence.last(THEN, &mut agent), persistence.released()), (None, 0), "as it waits");

        agent.backlog.shrink(1, 0);
        assert_eq!(persistence.last(THEN, &mut agent), Some(1));
        persistence.written(false, &mut agent);
        assert_eq!(persistence.released(), 0, "the old file may still be there");
        assert_eq!(persistence.last(THEN, &mut agent), Some(1));
        persistence.written(true, &mut agent);
        assert_eq!((persistence.last(THEN, &mut agent), persistence.released()), (None, 1));

        agent.backlog.shrink(0, 0);
        assert_eq!(persistence.last(THEN, &mut agent), Some(2), "an empty one");
        persistence.written(true, &mut agent);
        assert_eq!((persistence.last(THEN, &mut agent), persistence.released()), (None, u64::MAX));
    }

    #[test]
    fn what_may_be_sent_already_is_no_reason_to_write() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        agent.stats.delivered = 1;
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        keep(&mut agent, 3);
        assert_eq!(persistence.released(), u64::MAX, "none stands in a file");
        assert_eq!(
            persistence.turn(THEN, &mut agent),
            None,
            "they are younger than a minute, and on their way"
        );
    }
}
