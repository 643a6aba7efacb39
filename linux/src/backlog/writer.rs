//! The thread that writes the file. It may be stuck in the kernel for as long as the storage likes; nobody waits for it.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Instant,
};

use super::file;
use crate::waker::Waker;

/// Writes one file at a time.
#[derive(Debug)]
pub(super) struct Writer {
    files: Sender<Vec<u8>>,
    results: Receiver<bool>,
    /// A file is being written.
    busy: bool,
}

impl Writer {
    pub(super) fn start(path: PathBuf, waker: Waker) -> io::Result<Self> {
        let (files, to_write) = mpsc::channel::<Vec<u8>>();
        let (written, results) = mpsc::channel();
        thread::Builder::new().name("backlog".to_owned()).spawn(move || {
            let mut failing = false;
            while let Ok(bytes) = to_write.recv() {
                let result = file::write(&path, &bytes);
                match &result {
                    Ok(()) if failing => log::info!("backlog: writing again"),
                    Err(error) if !failing => log::warn!("backlog: {}: {error}", path.display()),
                    _ => {}
                }
                failing = result.is_err();
                if written.send(result.is_ok()).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { files, results, busy: false })
    }

    /// Begins to write. The previous file has been written.
    pub(super) fn write(&mut self, bytes: Vec<u8>) {
        // A thread that is gone writes nothing, and its result never comes.
        self.busy = self.files.send(bytes).is_ok();
    }

    /// Whether the file was written, once it was or was not.
    pub(super) fn take_result(&mut self) -> Option<bool> {
        let result = self.results.try_recv().ok()?;
        self.busy = false;
        Some(result)
    }

    /// As [`Writer::take_result`], waiting until then at most.
    pub(super) fn wait(&mut self, deadline: Instant) -> Option<bool> {
        if !self.busy {
            return None;
        }
        let result = self.results.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.busy = false;
        Some(result)
    }
}
