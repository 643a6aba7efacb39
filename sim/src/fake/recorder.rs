//! Records what an agent does with its uplink.

use std::task::Poll;

use heartbeat_core::{
    Outcome, Uplink,
    time::{Duration, Instant},
    uplink::Delta,
};
use serde_json::Value;

use super::{Path, Timed};

/// A request as it was seen on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// Its document, in full.
    pub body: Vec<u8>,
    /// What may have been sent instead, and over which connection.
    pub delta: Option<(Vec<u8>, u64)>,
    /// What the server knew of the device after it.
    pub view: Option<Value>,
    /// The time that it was given.
    pub timeout: Duration,
    /// Whether the server has taken it.
    pub taken: bool,
    /// When and how it ended; `None` while it has not.
    pub end: Option<(Instant, End)>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this outcome.
    Outcome(Outcome),
    /// It was cancelled, with what it failed with.
    Cancelled(Outcome),
}

impl Sent {
    /// When it was cancelled.
    pub fn cancelled(&self) -> Option<Instant> {
        match self.end {
            Some((at, End::Cancelled(_))) => Some(at),
            _ => None,
        }
    }
}

/// An uplink whose use is recorded.
#[derive(Debug, Clone)]
pub struct Recorder<U> {
    /// The uplink.
    pub inner: U,
    /// All requests so far, or since the list was last emptied; one in flight is the last.
    pub sent: Vec<Sent>,
    /// Requests that began while another was in flight, which must not happen.
    pub overlapping: u64,
    now: Instant,
    busy: bool,
}

impl<U> Recorder<U> {
    /// Around an uplink to which nothing has been sent.
    pub const fn new(inner: U) -> Self {
        Self { inner, sent: Vec::new(), overlapping: 0, now: Instant::ZERO, busy: false }
    }

    /// Whether a request is in flight.
    pub const fn is_busy(&self) -> bool {
        self.busy
    }

    fn end(&mut self, end: End) {
        if std::mem::take(&mut self.busy)
            && let Some(latest) = self.sent.last_mut()
        {
            latest.end = Some((self.now, end));
        }
    }
}

impl<U: Path> Recorder<U> {
    fn begin(&mut self, body: &[u8], delta: Option<Delta<'_>>, timeout: Duration) {
        self.overlapping += u64::from(self.busy);
        self.busy = true;
        let before = self.inner.taken();
        match delta {
            Some(delta) => self.inner.send_either(body, delta, timeout),
            None => self.inner.send(body, timeout),
        }
        let taken = self.inner.taken() > before;
        self.sent.push(Sent {
            at: self.now,
            body: body.to_vec(),
            delta: delta.map(|delta| (delta.document.to_vec(), delta.connection)),
            view: self.inner.view().filter(|_| taken).cloned(),
            timeout,
            taken,
            end: None,
        });
    }
}

impl<U: Timed> Timed for Recorder<U> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }
}

impl<U: Path> Uplink for Recorder<U> {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.begin(body, None, timeout);
    }

    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        self.begin(body, Some(delta), timeout);
    }

    fn poll(&mut self) -> Poll<Outcome> {
        let outcome = self.inner.poll();
        if let Poll::Ready(outcome) = &outcome {
            self.end(End::Outcome(outcome.clone()));
        }
        outcome
    }

    fn cancel(&mut self) -> Outcome {
        let outcome = self.inner.cancel();
        self.end(End::Cancelled(outcome.clone()));
        outcome
    }
}
