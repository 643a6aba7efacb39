//! Times in which nothing can be stored: what pages say meanwhile, when they are over, what they mean for alerts.
//!
//! A device that is told to come again, or that the server cannot write down, has not gone: silence counts from the end of
//! an outage on, as it does from a start.

use super::{Engine, write};
use crate::{
    limits::PROBE_AFTER_MS,
    store::{Result, StoreError},
    time::Now,
};

impl Engine {
    /// A commit or a turn has failed.
    pub(super) fn not_stored(&mut self, now: Now, beats: usize, error: &StoreError) {
        self.failed_at = Some(now.up);
        self.restart_watch(now);
        let mut fleet = write(&self.fleet);
        fleet.failed += beats as u64;
        if fleet.trouble.is_none() {
            log::error!("nothing is being stored, heartbeats are refused with 503: {error}");
        }
        fleet.trouble = Some(error.to_string());
    }

    /// Something was written.
    pub(super) fn stored(&mut self, now: Now) {
        if self.failed_at.take().is_none() {
            return;
        }
        self.restart_watch(now);
        write(&self.fleet).trouble = None;
        log::info!("the database is available again");
    }

    /// After a failure, finds out whether something can be written again: perhaps no device sends anything. Not at once,
    /// because a small row may have room where heartbeats have none.
    ///
    /// # Errors
    /// Those of the store: it cannot.
    pub(super) fn probe(&mut self, now: Now) -> Result<()> {
        if self.failed_at.is_some_and(|failed_at| now.up.since(failed_at) >= PROBE_AFTER_MS) {
            self.store.probe()?;
            self.stored(now);
        }
        Ok(())
    }
}
