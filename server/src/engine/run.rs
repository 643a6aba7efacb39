//! The engine's thread.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Command, Engine, Incoming};
use crate::{
    clock::Clock,
    limits::{BATCH_MAX, RETENTION_AFTER, RETENTION_EVERY, RETENTION_REST},
};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Starts the thread. It ends at [`Command::Stop`], after it has committed what came before.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(
    engine: Engine,
    commands: Receiver<Command>,
    linger: Duration,
    clock: Arc<Clock>,
) -> std::io::Result<JoinHandle<()>> {
    let retention = Rounds::new();
    let turn = Turn { engine, commands, linger, clock, retention, batch: Vec::new(), stopping: false };
    thread::Builder::new().name("engine".to_owned()).spawn(move || turn.run())
}

struct Turn {
    engine: Engine,
    commands: Receiver<Command>,
    linger: Duration,
    clock: Arc<Clock>,
    retention: Rounds,
    batch: Vec<Incoming>,
    stopping: bool,
}

impl Turn {
    fn run(mut self) {
        let mut next_tick = Instant::now();
        while !self.stopping {
            self.gather(next_tick.min(self.retention.next));
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
            self.retention.wait();
        }
    }

    fn retain(&mut self) {
        if Instant::now() < self.retention.next || self.stopping {
            return;
        }
        let began = Instant::now();
        let more = self.engine.retain(self.clock.now().at);
        if let Err(error) = &more {
            log::warn!("old rows stay for now: {error}");
        }
        self.retention.done(began, more.unwrap_or(false));
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
    next: Instant,
}

impl Rounds {
    fn new() -> Self {
        let mut this = Self { next: Instant::now() };
        this.wait();
        this
    }

    /// What is old is not known before the calendar is right: machines without a battery learn it after their start.
    fn wait(&mut self) {
        self.next = Instant::now() + RETENTION_AFTER;
    }

    /// A step is over. `more`: not the last one of this round.
    fn done(&mut self, began: Instant, more: bool) {
        let now = Instant::now();
        let pause =
            if more { now.saturating_duration_since(began) * RETENTION_REST } else { RETENTION_EVERY };
        self.next = now + pause;
    }
}
