//! The backlog over a restart: in a file, which is replaced as a whole, on a thread of its own, because storage may hang.
//!
//! The core decides when it is written, and what may be sent meanwhile:
//! [`persistence`](heartbeat_core::agent::persistence).

mod file;

use std::{
    io,
    path::{Path, PathBuf},
    task::Poll,
    time::{Duration, Instant},
};

use heartbeat_core::{
    Agent,
    agent::{
        backlog::{Ring, Storage},
        persistence::Persistence,
    },
    time,
};

use crate::{side_thread::SideThread, waker::Waker};

/// Memory for the most heartbeats that can be configured, of a typical size; of the longest it holds half as many.
const MEMORY: usize = 1024 * 1024;
/// How long the end of the program waits for the last file.
const LAST_FILE_MAX: Duration = Duration::from_millis(500);

/// Memory for an agent's backlog, for as long as the program lives.
pub fn memory() -> &'static mut Ring {
    Box::leak(Box::new(Storage::<MEMORY>::new()))
}

/// Keeps a backlog in a file.
#[derive(Debug)]
pub struct Keeper {
    persistence: Persistence,
    /// Takes contents of the file, and says whether they were written.
    writer: SideThread<Vec<u8>, bool>,
}

impl Keeper {
    /// Gives the agent what an earlier start has left in the file, and begins to keep its backlog there. Call it before the
    /// first poll. `waker` is woken whenever a file has been written.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn start(file: &Path, now: time::Instant, agent: &mut Agent<'_>, waker: Waker) -> io::Result<Self> {
        match file::read(file) {
            Ok(documents) => {
                for document in &documents {
                    agent.restore(document);
                }
                if !documents.is_empty() {
                    log::info!("{} heartbeats of an earlier start will be sent late", documents.len());
                }
            }
            Err(error) => log::warn!("backlog: {}: {error}", file.display()),
        }
        let writer = SideThread::start("backlog", Some(waker), writing(file.to_owned()))?;
        Ok(Self { persistence: Persistence::new(now, agent), writer })
    }

    /// Writes when that is due. To be called after each poll.
    pub fn turn(&mut self, now: time::Instant, agent: &mut Agent<'_>) {
        if let Poll::Ready(Some(success)) = self.writer.take() {
            self.persistence.written(success, agent);
        }
        if let Some(from) = self.persistence.turn(now, agent) {
            self.writer.begin(contents(agent, from));
        }
    }

    /// Writes what is pending when the agent has stopped, and waits a short time for it.
    pub fn finish(mut self, now: time::Instant, agent: &mut Agent<'_>) {
        let deadline = Instant::now() + LAST_FILE_MAX;
        if let Poll::Ready(Some(success)) = self.writer.wait(deadline) {
            self.persistence.written(success, agent);
        }
        if let Some(from) = self.persistence.last(now, agent) {
            self.writer.begin(contents(agent, from));
            let _ = self.writer.wait(deadline);
        }
    }
}

/// The backlog's file for `cargo fuzz`: any bytes are survived, and what is taken for a file is one.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(documents) = file::decode(bytes) {
        let again = file::encode(documents.iter().map(|document| [*document, &[]]));
        assert_eq!(again, bytes);
    }
}

/// Writes the file and logs when that begins to fail and when it works again.
fn writing(path: PathBuf) -> impl FnMut(Vec<u8>) -> bool {
    let mut failing = false;
    move |bytes| {
        let result = file::write(&path, &bytes);
        match &result {
            Ok(()) if failing => log::info!("backlog: writing again"),
            Err(error) if !failing => log::warn!("backlog: {}: {error}", path.display()),
            _ => {}
        }
        failing = result.is_err();
        !failing
    }
}

fn contents(agent: &Agent<'_>, from: u64) -> Vec<u8> {
    file::encode(agent.backlog().since(from))
}

/// Removes what an earlier start has left: its heartbeats are not wanted any more.
pub fn discard(path: &Path) {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && file::is_one(path) => std::fs::remove_file(path),
        Ok(metadata) if metadata.is_file() => {
            Err(io::Error::other("holds something else than heartbeats and stays"))
        }
        Ok(_) => Err(io::Error::other("is not a regular file and stays")),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => log::info!("backlog: {} removed, as heartbeats are not kept any more", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => log::warn!("backlog: {}: {error}", path.display()),
    }
}
