//! The engine's thread.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Command, Engine, Incoming};
use crate::{
    limits::{BATCH_MAX, CLOCK_STEP_MS, RETENTION_EVERY_MS},
    time::UnixMs,
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
) -> std::io::Result<JoinHandle<()>> {
    let turn = Turn { engine, commands, linger, batch: Vec::new(), stopping: false };
    thread::Builder::new().name("engine".to_owned()).spawn(move || turn.run())
}

struct Turn {
    engine: Engine,
    commands: Receiver<Command>,
    linger: Duration,
    batch: Vec<Incoming>,
    stopping: bool,
}

impl Turn {
    fn run(mut self) {
        let mut next_tick = Instant::now();
        let mut clock = (Instant::now(), UnixMs::now());
        let mut next_retention = UnixMs::now();
        while !self.stopping {
            self.gather(next_tick);
            if !self.batch.is_empty() {
                let batch = std::mem::take(&mut self.batch);
                self.engine.commit(UnixMs::now(), batch);
            }
            if Instant::now() < next_tick && !self.stopping {
                continue;
            }
            let now = UnixMs::now();
            let elapsed = i64::try_from(clock.0.elapsed().as_millis()).unwrap_or(i64::MAX);
            if (now.since(clock.1) - elapsed).abs() > CLOCK_STEP_MS {
                log::warn!("the clock of this machine was set; devices count as heard until now");
                self.engine.restart_watch(now);
            }
            clock = (Instant::now(), now);
            // What failed is logged, shown on pages, and done in the next turn.
            let _ = self.engine.tick(now);
            if now >= next_retention {
                match self.engine.retain(now) {
                    Ok(true) => {}
                    Ok(false) => next_retention = now.plus(RETENTION_EVERY_MS),
                    Err(error) => {
                        log::warn!("old rows stay for now: {error}");
                        next_retention = now.plus(RETENTION_EVERY_MS);
                    }
                }
            }
            next_tick = Instant::now() + TICK;
        }
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
