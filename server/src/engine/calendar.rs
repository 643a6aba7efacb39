//! The calendar was set, because the machine learned the time after its start, or because somebody had set it wrong.
//!
//! Nothing that is decided rests on it: silence and minimum times are counted on the clock of the process. Times that this
//! process noted before are mended, so that pages and messages show when it was.

use super::{Engine, write};
use crate::{
    clock::Correction,
    store::{Applied, Writes},
    time::{Now, UnixMs, span},
};

impl Engine {
    /// The time of the store.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn time(&mut self) -> crate::store::Result<UnixMs> {
        self.store.time()
    }

    /// Mends times that were noted on the old calendar.
    pub(crate) fn calendar_set(&mut self, now: Now, step: Correction) {
        let way = if step.ms < 0 { "back" } else { "forward" };
        log::warn!("the clock was set {way} by {}", span(step.ms.saturating_abs()));
        {
            let mut fleet = write(&self.fleet);
            for (place, tracked) in self.tracked.iter_mut().enumerate() {
                tracked.watch.mend(|at| step.mend(at));
                let Some(device) = fleet.at_mut(place) else { continue };
                device.seen_at = device.seen_at.map(|at| step.mend(at));
                for (_, since) in &mut device.alerts {
                    *since = step.mend(*since);
                }
            }
            fleet.revision += 1;
        }
        let mut writes = Writes::default();
        for row in self.alerts.values_mut() {
            let since = step.mend(row.since);
            if since != row.since {
                row.since = since;
                writes.alerts.push(row.clone());
            }
        }
        for message in self.messages.values_mut() {
            let (created_at, next_at) = (step.mend(message.created_at), step.mend(message.next_at));
            if created_at != message.created_at {
                (message.created_at, message.next_at) = (created_at, next_at.min(now.at));
                writes.messages.push(message.clone());
            }
        }
        // Rows of no ledger, so that they are not stale. If it fails, they are written when they change the next time.
        if !writes.is_empty() && !matches!(self.store.apply(&writes), Ok(Applied::Done)) {
            log::warn!("times of alerts stay as they were noted");
        }
    }
}
