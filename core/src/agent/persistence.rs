//! Decides when a frontend writes its backlog to a file that survives a restart, and what may be sent meanwhile.
//!
//! Nothing is sent twice: a heartbeat that may be in the file is not sent before a file without it has replaced the old one.
//! Storage wears: files are written at least [`STORE_EVERY`] apart, so that each leaves out what will be sent until the
//! next. A crash may lose that much.

use super::Agent;
use crate::{limits::STORE_EVERY, time::Instant};

/// What is known of the file. The frontend writes it.
#[derive(Debug)]
pub struct Persistence {
    /// Number of the oldest heartbeat that may be in the file; `None` when none is.
    stored_from: Option<u64>,
    /// Number of the first heartbeat after those that are in the file for certain.
    stored_to: u64,
    /// The file that is being written: number of its first heartbeat, and of the first after its last.
    writing: Option<(u64, u64)>,
    /// When writing of the latest file began.
    begun: Instant,
    /// Since when a queued heartbeat is missing in the file.
    unstored_since: Option<Instant>,
}

impl Persistence {
    /// Begins after [`Agent::restore`] was given all heartbeats of the file. Call it once, before the first poll.
    pub fn new(now: Instant, agent: &mut Agent<'_>) -> Self {
        let kept = agent.backlog().counts().queued;
        let begun = Self {
            stored_from: (kept > 0).then_some(0),
            stored_to: kept,
            writing: None,
            // As if it had just been written: a program that crashes and restarts in a loop must not wear the storage.
            begun: now,
            unstored_since: None,
        };
        agent.release(begun.unstored());
        begun
    }

    /// To be called after each [`Agent::poll`]. `Some(number)`: replace the file now by one with the heartbeats from this number
    /// on ([`Backlog::since`](super::Backlog::since)), and report the result to [`Persistence::written`].
    pub fn turn(&mut self, now: Instant, agent: &mut Agent<'_>) -> Option<u64> {
        let (oldest, next) = (agent.backlog().oldest(), agent.backlog().counts().queued);
        if next > self.stored_to {
            self.unstored_since.get_or_insert(now);
        }
        if self.writing.is_some() || now.since(self.begun) < STORE_EVERY {
            return None;
        }
        let healthy = agent.stats().delivered > 0 && agent.stats().consecutive_failures == 0;
        let is_queued = healthy && !agent.backlog().is_empty() && oldest >= self.unstored();
        let unstored = self.unstored_since.is_some_and(|since| now.since(since) >= STORE_EVERY);
        if !is_queued && !unstored {
            return None;
        }
        let until_next_file = if healthy { late_until_next_file(agent) } else { 0 };
        Some(self.begin(now, oldest.saturating_add(until_next_file).min(next), agent))
    }

    /// To be called when the agent has stopped: as [`Persistence::turn`], for a last file with all queued heartbeats. `None`
    /// when the file has them already, or when one is being written.
    pub fn last(&mut self, now: Instant, agent: &mut Agent<'_>) -> Option<u64> {
        let (oldest, next) = (agent.backlog().oldest(), agent.backlog().counts().queued);
        let stored = if oldest == next {
            self.stored_from.is_none()
        } else {
            self.stored_to == next && self.stored_from.is_some_and(|from| from == oldest)
        };
        (!stored && self.writing.is_none()).then(|| self.begin(now, oldest, agent))
    }

    /// Records the result of writing. After a failure the file may be the old or the new one.
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
        self.writing = Some((from, agent.backlog().counts().queued));
        agent.release(self.released());
        from
    }

    /// No heartbeat with a lower number is in the file.
    fn unstored(&self) -> u64 {
        self.stored_from.unwrap_or(u64::MAX)
    }
}

/// How many late heartbeats can be sent until the next file is written.
fn late_until_next_file(agent: &Agent<'_>) -> u64 {
    let interval = agent.config().interval().as_micros().max(1);
    STORE_EVERY.as_micros().div_ceil(interval).saturating_mul(u64::from(agent.config().late_per_interval()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Identity, agent::backlog::Storage};

    /// An agent with a backlog of 100, which sends 4 late heartbeats in each interval of 5 s.
    fn agent(memory: &mut crate::agent::backlog::Ring) -> Agent<'_> {
        Agent::new(Identity::new("x"), Config::default().with_backlog(100, 4)).with_backlog(memory)
    }

    fn enqueue(agent: &mut Agent<'_>, count: u32) {
        for _ in 0..count {
            agent.backlog.enqueue(b"{}", 100);
        }
    }

    const JUST_BEFORE: Instant = Instant::from_micros(STORE_EVERY.as_micros() - 1);
    const THEN: Instant = Instant::from_micros(STORE_EVERY.as_micros());
    const LATER: Instant = Instant::from_micros(STORE_EVERY.as_micros() * 2);

    #[test]
    fn new_heartbeats_are_written_after_a_minute() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        for now in [Instant::ZERO, THEN, LATER] {
            assert_eq!(persistence.turn(now, &mut agent), None, "the backlog is empty");
        }

        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        enqueue(&mut agent, 2);
        assert_eq!(persistence.turn(Instant::ZERO, &mut agent), None);
        assert_eq!(persistence.turn(JUST_BEFORE, &mut agent), None);
        assert_eq!(persistence.turn(THEN, &mut agent), Some(0));
        assert_eq!(persistence.turn(LATER, &mut agent), None, "one file is being written");
        persistence.written(true, &mut agent);
        assert_eq!(persistence.turn(LATER, &mut agent), None, "it is stored");
    }

    #[test]
    fn a_new_heartbeat_is_not_written_at_once_after_a_long_pause() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        enqueue(&mut agent, 1);
        assert_eq!(persistence.turn(THEN, &mut agent), None);
        assert_eq!(persistence.turn(LATER, &mut agent), Some(0));
    }

    #[test]
    fn file_is_rewritten_without_what_will_be_sent() {
        for (delivered, consecutive_failures, expected) in [(0, 0, None), (1, 1, None), (1, 0, Some(20))] {
            let mut memory = Storage::<1_000>::new();
            let mut agent = agent(memory.as_mut_view());
            enqueue(&mut agent, 20);
            let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
            assert_eq!(persistence.released(), 0, "all of them are in the file");
            agent.stats.delivered = delivered;
            agent.stats.consecutive_failures = consecutive_failures;
            assert_eq!(persistence.turn(JUST_BEFORE, &mut agent), None);
            // Those that will be sent within a minute are left out: 12 intervals of 4.
            assert_eq!(persistence.turn(THEN, &mut agent), expected, "{delivered}, {consecutive_failures}");
        }
    }

    #[test]
    fn last_file_holds_the_queue_and_is_not_written_twice() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        assert_eq!(persistence.last(THEN, &mut agent), None, "empty queue, empty file");
        enqueue(&mut agent, 2);
        assert_eq!(persistence.last(THEN, &mut agent), Some(0));
        assert_eq!(persistence.last(THEN, &mut agent), None, "it is being written");
        persistence.written(true, &mut agent);
        assert_eq!(
            (persistence.last(THEN, &mut agent), persistence.released()),
            (None, 0),
            "the file has the queue"
        );

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
    fn heartbeats_being_sent_are_not_written() {
        let mut memory = Storage::<1_000>::new();
        let mut agent = agent(memory.as_mut_view());
        agent.stats.delivered = 1;
        let mut persistence = Persistence::new(Instant::ZERO, &mut agent);
        enqueue(&mut agent, 3);
        assert_eq!(persistence.released(), u64::MAX, "no file has one");
        assert_eq!(
            persistence.turn(THEN, &mut agent),
            None,
            "they are younger than a minute, and may be sent"
        );
    }
}
