//! What belongs to one heartbeat on its way, and what its sender may ask of it from another thread.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    connection::NoAnswer,
    failure::{Cause, Failure, Stage},
};

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// For making a connection, from the lookup of the name to the end of the handshake.
    pub(super) connect: Duration,
    /// For an idle connection. Longer idle times cost more in probes than a new connection.
    pub(super) idle: Duration,
    /// From one heartbeat to the next. Without a chance to use it a connection is not kept.
    pub(super) interval: Duration,
}

/// The heartbeat that is being sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    /// When it began.
    pub(super) began: Instant,
    /// Its deadline: after it the outcome is no longer needed.
    pub(super) until: Instant,
    /// For the request on a connection that stands, from its first byte to the status.
    pub(super) timeout: Duration,
    /// Its number; see [`Cancelled`].
    pub(super) generation: u64,
}

/// The newest cancelled heartbeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancelled(Arc<AtomicU64>);

impl Cancelled {
    /// Cancels this heartbeat and older ones.
    pub(super) fn set(&self, generation: u64) {
        self.0.fetch_max(generation, Ordering::Release);
    }

    pub(super) fn includes(&self, beat: &Beat) -> bool {
        self.0.load(Ordering::Acquire) >= beat.generation
    }
}

/// What the heartbeat under way would fail with if it were given up now.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Expected>>);

#[derive(Debug, Clone, Default)]
enum Expected {
    /// Nothing is known.
    #[default]
    Timeout,
    Failure(Failure),
    /// Put into words only if it comes to that: nearly every heartbeat is answered. The flag: the way leads through a proxy.
    NoAnswer(NoAnswer, bool),
}

impl Waiting {
    /// Nothing is known.
    pub(super) fn clear(&self) {
        *self.lock() = Expected::Timeout;
    }

    pub(super) fn set(&self, failure: Failure) {
        *self.lock() = Expected::Failure(failure);
    }

    /// The request has been sent, perhaps through a proxy.
    pub(super) fn set_no_answer(&self, no_answer: NoAnswer, via_proxy: bool) {
        *self.lock() = Expected::NoAnswer(no_answer, via_proxy);
    }

    /// A timeout if nothing is known.
    pub(super) fn get(&self) -> Failure {
        match self.lock().clone() {
            Expected::Timeout => Failure::new(Stage::Exchange, Cause::Timeout),
            Expected::Failure(failure) => failure,
            Expected::NoAnswer(no_answer, via_proxy) => {
                no_answer.failure().after_sending(true).through_proxy(via_proxy)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Expected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a connection was used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// The server's address; `None` before the first use.
    pub(super) address: Option<SocketAddr>,
    /// It stood before the heartbeat began.
    pub(super) was_kept: bool,
    /// For how long it had been idle since a reply; `None` if it was not used before.
    pub(super) idle_for: Option<Duration>,
    /// When the request began.
    pub(super) began: Option<Instant>,
    /// Something of a reply came.
    pub(super) was_answered: bool,
    /// How long the status took.
    pub(super) took: Option<Duration>,
    /// The server said that it understands deltas.
    pub(super) understands_deltas: bool,
}
