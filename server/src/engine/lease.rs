//! How long this process may send messages without asking again whether it still leads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::clock::since_boot;

/// A permission that ends by itself. A process that was frozen, or whose machine was suspended, finds it ended when it
/// wakes up, before the database has told it that another one leads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease(Arc<Mutex<Option<Duration>>>);

impl Lease {
    /// Valid for `time` from `asked` on: when the database was asked, not when it answered. On [`since_boot`].
    pub(super) fn renew(&self, asked: Duration, time: Duration) {
        self.put(Some(asked.saturating_add(time)));
    }

    /// Another process leads.
    pub(super) fn end(&self) {
        self.put(None);
    }

    fn put(&self, until: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Whether a message may be sent now.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| since_boot() < until)
    }

    /// One that lasts for this test.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        let lease = Self::default();
        lease.renew(since_boot(), Duration::from_secs(3600));
        lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_ends_by_itself() {
        let lease = Lease::default();
        assert!(!lease.is_valid());
        lease.renew(since_boot(), Duration::from_secs(60));
        assert!(lease.is_valid());
        lease.renew(since_boot().saturating_sub(Duration::from_millis(61)), Duration::from_millis(60));
        assert!(!lease.is_valid());
    }
}
