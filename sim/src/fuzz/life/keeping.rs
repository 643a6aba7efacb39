//! The backlog over a restart, as a frontend keeps it.

use heartbeat_core::{
    agent::persistence::Persistence,
    time::{Duration, Instant},
};

use super::Life;
use crate::fuzz::{
    checker::{Broken, Kept, broken},
    planted_bugs::PlantedBug,
    trace::Trace,
};

/// How long a frontend that stops waits for its storage.
const LAST_FILE_MAX: Duration = Duration::from_millis(500);

impl<T: Trace> Life<'_, '_, T> {
    /// Writes the backlog to storage when that is due.
    pub(super) fn keep_backlog(&mut self, now: Instant) {
        let Some(persistence) = &mut self.persistence else { return };
        if let Some(success) = self.storage.poll(now) {
            self.trace.line(now, || format!("storage: {}", if success { "written" } else { "failed" }));
            persistence.written(success, &mut self.rig.agent);
        }
        if let Some(from) = persistence.turn(now, &mut self.rig.agent) {
            self.write_from(now, from);
        }
        let released = self.persistence.as_ref().map_or(u64::MAX, Persistence::released);
        self.checker.late.release(released);
    }

    fn write_from(&mut self, now: Instant, from: u64) {
        let backlog = self.rig.agent.backlog();
        let from = if self.bug == Some(PlantedBug::StoresWhatIsSent) { backlog.oldest() } else { from };
        let documents: Vec<_> = backlog.since(from).map(|parts| parts.concat()).collect();
        self.trace.line(now, || format!("storage: writes {} heartbeats", documents.len()));
        // Which of the run's they are, only the checker knows.
        let ids = self.checker.late.since(from).into_iter().map(|kept| kept.id);
        let file = ids.zip(documents).map(|(id, document)| Kept { id, document }).collect();
        self.storage.write(now, file);
    }

    /// Writes what waits when the agent has stopped, and sees that it is there.
    pub(super) fn store_last(&mut self) -> Result<(), Broken> {
        let now = self.rig.now();
        let Some(persistence) = &mut self.persistence else { return Ok(()) };
        if let Some(success) = self.storage.poll(now + LAST_FILE_MAX) {
            persistence.written(success, &mut self.rig.agent);
        }
        let last = persistence.last(now, &mut self.rig.agent);
        if let Some(from) = last {
            self.write_from(now, from);
        }
        let written = self.storage.poll(now + LAST_FILE_MAX * 2).unwrap_or(last.is_none());
        let waiting = self.checker.late.since(0);
        let honest = self.storage.is_well();
        if written && honest && self.storage.due().is_none() && waiting != self.storage.read() {
            broken!("S19 files", "{} wait, {} are in the file", waiting.len(), self.storage.read().len());
        }
        Ok(())
    }
}

/// What a start takes for the heartbeats that it finds.
pub(super) fn restored(found: &[Kept], bug: Option<PlantedBug>) -> Vec<Vec<u8>> {
    let mut documents: Vec<_> = found.iter().map(|kept| kept.document.clone()).collect();
    match bug {
        Some(PlantedBug::ForgetsFile) => documents.clear(),
        Some(PlantedBug::RestoresTwice) => {
            documents = documents.into_iter().flat_map(|one| [one.clone(), one]).collect()
        }
        Some(PlantedBug::RestoresBackwards) => documents.reverse(),
        Some(PlantedBug::TornFile) => {
            if let Some(last) = documents.last_mut() {
                last.truncate(last.len().saturating_sub(1));
                let end = last.iter().rposition(|byte| *byte == b'}').map_or(0, |brace| brace + 1);
                last.truncate(end);
            }
        }
        _ => {}
    }
    documents
}
