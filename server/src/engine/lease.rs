//! How long this process may send messages without asking again whether it still leads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A permission that ends by itself. A process that was frozen finds it ended when it wakes up, before the database has
/// told it that another one leads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// Valid for `time` from `asked` on: when the database was asked, not when it answered.
    pub(super) fn renew(&self, asked: Instant, time: Duration) {
        self.put(asked.checked_add(time));
    }

    /// Another process leads.
    pub(super) fn end(&self) {
        self.put(None);
    }

    fn put(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Whether a message may be sent now.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// One that lasts for this test.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        let lease = Self::default();
        lease.renew(Instant::now(), Duration::from_secs(3600));
        lease
    }
}
