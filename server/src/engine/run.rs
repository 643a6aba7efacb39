//! The engine's thread.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Command, Engine, Incoming};
use crate::{
    clock::Clock,
    limits::{BATCH_MAX, RETENTION_AFTER, RETENTION_EVERY, RETENTION_LOOK, RETENTION_REST},
    store::{Result, Retained},
};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Starts the thread. It ends at [`Command::Stop`], after it has committed what came before. Beside it what ends with it,
/// also if it ends with a panic: without it nothing can be stored.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(
    engine: Engine,
    commands: Receiver<Command>,
    linger: Duration,
    clock: Arc<Clock>,
) -> std::io::Result<(JoinHandle<()>, oneshot::Receiver<()>)> {
    let rounds = Rounds::new();
    let turn = Turn { engine, commands, linger, clock, rounds, batch: Vec::new(), stopping: false };
    watched(move || turn.run())
}

fn watched(work: impl FnOnce() + Send + 'static) -> std::io::Result<(JoinHandle<()>, oneshot::Receiver<()>)> {
    let (running, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || {
        // Dropped at the end, however that comes.
        let _running = running;
        work();
    })?;
    Ok((thread, ended))
}

struct Turn {
    engine: Engine,
    commands: Receiver<Command>,
    linger: Duration,
    clock: Arc<Clock>,
    rounds: Rounds,
    batch: Vec<Incoming>,
    stopping: bool,
}

impl Turn {
    fn run(mut self) {
        // Everything has just been read: heartbeats that waited for the start come first.
        let mut next_tick = Instant::now() + TICK;
        while !self.stopping {
            let deadline = next_tick.min(self.rounds.next(self.engine.is_purging()));
            self.gather(deadline);
            if !self.batch.is_empty() {
                let batch = std::mem::take(&mut self.batch);
                self.engine.commit(self.clock.now(), batch);
            }
            if Instant::now() >= next_tick || self.stopping {
                self.look_at_calendar();
                // What failed is logged, shown on pages, and done in the next turn.
                let _ = self.engine.tick(self.clock.now());
                next_tick = Instant::now() + TICK;
            }
            self.retain();
        }
    }

    fn look_at_calendar(&mut self) {
        let asked = self.clock.now().up;
        // While the database is away the clock of the process goes on.
        let Ok(at) = self.engine.time() else { return };
        if let Some(step) = self.clock.set(at, asked) {
            self.engine.calendar_set(self.clock.now(), step);
            self.rounds.wait();
        }
    }

    /// A step of deleting, if it is time for one.
    fn retain(&mut self) {
        let began = Instant::now();
        let purging = self.engine.is_purging();
        if self.stopping || began < self.rounds.next(purging) {
            return;
        }
        let step = if purging { self.engine.purge() } else { self.engine.retain(self.clock.now().at) };
        if let Err(error) = &step {
            log::warn!("old rows stay for now: {error}");
        }
        self.rounds.done(began, purging, &step);
    }

    /// Waits for a heartbeat, then a little for more of them, until `deadline` at most.
    fn gather(&mut self, deadline: Instant) {
        let mut until = deadline;
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            match self.commands.recv_timeout(wait) {
                Ok(Command::Beat(incoming)) => {
                    if self.batch.is_empty() {
                        until = Instant::now() + self.linger;
                    }
                    self.batch.push(*incoming);
                    if self.batch.len() >= BATCH_MAX {
                        return;
                    }
                }
                Ok(Command::Reload(done)) => {
                    if let Err(error) = self.engine.reload() {
                        log::error!("{error}");
                    }
                    let _ = done.send(());
                }
                Ok(Command::Attempted(message, attempt)) => self.engine.attempted(message, attempt),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
                Err(RecvTimeoutError::Timeout) => return,
            }
        }
    }
}

/// When old rows are deleted: in small steps, between which heartbeats are stored for several times as long.
struct Rounds {
    /// No step before.
    rest: Instant,
    /// No round through all devices before.
    round: Instant,
}

impl Rounds {
    fn new() -> Self {
        let now = Instant::now();
        Self { rest: now, round: now + RETENTION_AFTER }
    }

    /// What is old is not known before the calendar is right: machines without a battery learn it after their start.
    fn wait(&mut self) {
        self.round = Instant::now() + RETENTION_AFTER;
    }

    fn next(&self, purging: bool) -> Instant {
        if purging { self.rest } else { self.rest.max(self.round) }
    }

    /// A step is over, or the database is at it.
    fn done(&mut self, began: Instant, purging: bool, step: &Result<Retained>) {
        let now = Instant::now();
        self.rest = match step {
            Ok(Retained::Underway) => now + RETENTION_LOOK,
            Ok(Retained::More | Retained::Over) => {
                now + now.saturating_duration_since(began) * RETENTION_REST
            }
            Err(_) => now + RETENTION_AFTER,
        };
        if !purging && matches!(step, Ok(Retained::Over) | Err(_)) {
            self.round = now + RETENTION_EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_thread_is_seen_even_if_it_is_a_panic() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (thread, mut ended) = watched(move || {
            let _ = wait.recv();
            panic!("as planned");
        })
        .unwrap();
        assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(go);
        assert!(ended.blocking_recv().is_err());
        assert!(thread.join().is_err());
    }

    #[test]
    fn steps_follow_each_other_until_a_round_is_over() {
        let mut rounds = Rounds::new();
        let began = Instant::now();
        assert!(rounds.next(false) > began + RETENTION_AFTER / 2, "not at once after a start");
        assert!(rounds.next(true) <= Instant::now(), "what people want is begun at once");
        rounds.round = began;
        rounds.done(began, false, &Ok(Retained::More));
        assert!(
            rounds.next(false) < began + RETENTION_AFTER,
            "a large fleet has more to delete than a step a second"
        );
        rounds.done(began, false, &Ok(Retained::Underway));
        assert!(rounds.next(false) > Instant::now(), "what the database does is not asked for all the time");
        assert!(rounds.next(false) < began + RETENTION_AFTER);
        rounds.done(began, false, &Ok(Retained::Over));
        assert!(rounds.next(false) > began + RETENTION_EVERY / 2);
        rounds.round = began;
        rounds.done(began, true, &Err(crate::store::StoreError::Unavailable(String::new())));
        assert!(rounds.next(true) > began + RETENTION_AFTER / 2, "after an error it waits");
    }
}
