//! What was not taken, and why: counted for `/metrics`, and said in the log once a minute.

use std::{
    array,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a heartbeat, or a connection, was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no place for another connection.
    Connections,
    /// A page in a browser sent it.
    Page,
    TokenMissing,
    TokenUnknown,
    TokenExpired,
    TokenWrong,
    /// The request did not arrive as a whole.
    Body,
    /// It is no document of version 1.
    Malformed,
    /// A delta whose full document is not known: the agent sends that at once.
    UnknownBase,
    /// The device was removed.
    Removed,
    /// The device is new, and `receive.new_devices` is not set.
    NewDevice,
    /// The device is new, and there are `receive.devices` already.
    DevicesMax,
    /// Too many wait for their commit.
    Queue,
    /// The database is not available.
    Database,
    /// The database has not answered in time.
    DatabaseSlow,
}

impl Reason {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 15] = [
        Self::Connections,
        Self::Page,
        Self::TokenMissing,
        Self::TokenUnknown,
        Self::TokenExpired,
        Self::TokenWrong,
        Self::Body,
        Self::Malformed,
        Self::UnknownBase,
        Self::Removed,
        Self::NewDevice,
        Self::DevicesMax,
        Self::Queue,
        Self::Database,
        Self::DatabaseSlow,
    ];

    /// The word in metrics and in the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Page => "page",
            Self::TokenMissing => "token_missing",
            Self::TokenUnknown => "token_unknown",
            Self::TokenExpired => "token_expired",
            Self::TokenWrong => "token_wrong",
            Self::Body => "body",
            Self::Malformed => "malformed",
            Self::UnknownBase => "unknown_base",
            Self::Removed => "removed",
            Self::NewDevice => "new_device",
            Self::DevicesMax => "devices_max",
            Self::Queue => "queue",
            Self::Database => "database",
            Self::DatabaseSlow => "database_slow",
        }
    }
}

/// How often each reason was given since the start.
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; Reason::ALL.len()]);

/// The counts at one time.
pub(crate) type Counts = [u64; Reason::ALL.len()];

impl Refused {
    /// Counts one more.
    pub(crate) fn count(&self, reason: Reason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> Counts {
        array::from_fn(|n| self.0.get(n).map_or(0, |count| count.load(Ordering::Relaxed)))
    }

    /// What has been refused since `told`, which becomes what is told now; `None`: nothing that is worth a line.
    pub(crate) fn news(&self, told: &mut Counts) -> Option<String> {
        let counts = self.counts();
        let mut news = String::new();
        for (reason, (count, told)) in Reason::ALL.into_iter().zip(counts.iter().zip(&*told)) {
            let new = count.saturating_sub(*told);
            // The first delta of each start of an agent is no fault.
            if new > 0 && reason != Reason::UnknownBase {
                let comma = if news.is_empty() { "" } else { ", " };
                let _ = write!(news, "{comma}{new} {}", reason.word());
            }
        }
        *told = counts;
        Some(news).filter(|news| !news.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_for_itself() {
        let refused = Refused::default();
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n);
            for _ in 0..=n {
                refused.count(reason);
            }
        }
        let counts: Vec<u64> = (1..=Reason::ALL.len() as u64).collect();
        assert_eq!(refused.counts().to_vec(), counts);
    }

    #[test]
    fn says_what_is_new_and_nothing_otherwise() {
        let refused = Refused::default();
        let mut told = Counts::default();
        refused.count(Reason::UnknownBase);
        assert_eq!(refused.news(&mut told), None);
        for reason in [Reason::Queue, Reason::TokenUnknown, Reason::Queue] {
            refused.count(reason);
        }
        assert_eq!(refused.news(&mut told).as_deref(), Some("1 token_unknown, 2 queue"));
        assert_eq!(refused.news(&mut told), None);
    }
}
