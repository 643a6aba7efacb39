//! Storage that survives the program: one file, replaced as a whole.

use heartbeat_core::time::{Duration, Instant};

use super::{checker::Kept, event::StorageFault};

/// What a file takes on good storage.
const WRITING: Duration = Duration::from_millis(20);

/// The file, and the one that is to replace it.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) fault: StorageFault,
    file: Vec<Kept>,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    done: Instant,
    file: Vec<Kept>,
    replaces: bool,
    reports: bool,
}

impl Storage {
    pub(super) const fn new() -> Self {
        Self { fault: StorageFault::None, file: Vec::new(), writing: None }
    }

    /// Begins to write a file of these documents.
    pub(super) fn write(&mut self, now: Instant, file: Vec<Kept>) {
        let time = match self.fault {
            StorageFault::Slow(time) => time,
            _ => WRITING,
        };
        let replaces = self.fault != StorageFault::Fails;
        let reports = !matches!(self.fault, StorageFault::Fails | StorageFault::Lies);
        self.writing = Some(Writing { done: now + time, file, replaces, reports });
    }

    /// Whether nothing is wrong with it.
    pub(super) fn is_well(&self) -> bool {
        self.fault == StorageFault::None
    }

    /// When the file that is being written will be done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.writing.as_ref().map(|writing| writing.done)
    }

    /// Whether writing is said to have succeeded, once it is done.
    pub(super) fn poll(&mut self, now: Instant) -> Option<bool> {
        let done = self.writing.take_if(|writing| writing.done <= now)?;
        if done.replaces {
            self.file = done.file;
        }
        Some(done.reports)
    }

    /// The program dies. What was being written is there or is not, as chance has it, but never in part.
    pub(super) fn crash(&mut self, lucky: bool) {
        if let Some(writing) = self.writing.take().filter(|writing| writing.replaces && lucky) {
            self.file = writing.file;
        }
    }

    /// Removes the file.
    pub(super) fn remove(&mut self) {
        self.file.clear();
    }

    /// What the next start finds.
    pub(super) fn read(&self) -> &[Kept] {
        &self.file
    }
}
