//! Which place of a chain answered last: for `status`, which may not ask them itself.

use std::sync::{Arc, Mutex, PoisonError};

/// The place that answered last, if any did. Clones show the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Answering(Arc<Mutex<Option<String>>>);

impl Answering {
    pub(super) fn set(&self, place: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
