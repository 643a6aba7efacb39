//! A server that takes every heartbeat, behind a network that carries all of them.

use std::task::Poll;

use heartbeat_core::{
    Outcome, Uplink,
    time::{Duration, Instant},
    uplink::{Delta, Wire},
};
use heartbeat_daemon::uplink::{Cause, Failure, Reply, Stage, outcome};
use serde_json::Value;

use super::{Path, Timed};
use crate::receiver::{View, ViewRead};

/// An uplink to a server in virtual time, both without fault.
#[derive(Debug, Clone)]
pub struct FakeServer {
    /// Time from a request to its reply.
    pub latency: Duration,
    /// What it makes of deltas; `None`: it understands none, and does not look at documents.
    pub view: Option<View>,
    /// Whether it says that it understands deltas.
    pub announces: bool,
    taken: u64,
    now: Instant,
    /// When the reply to the latest request arrives, and how that request came.
    reply_at: Option<(Instant, Wire)>,
    /// The number of the connection to it.
    connection: u64,
}

impl FakeServer {
    /// A server that answers after this time.
    pub const fn new(latency: Duration) -> Self {
        Self {
            latency,
            view: None,
            announces: false,
            taken: 0,
            now: Instant::ZERO,
            reply_at: None,
            connection: 1,
        }
    }

    /// Takes a heartbeat, which came as a delta or not.
    fn take(&mut self, was_delta: bool) {
        self.taken += 1;
        let understands_deltas = self.announces.then_some(self.connection);
        self.reply_at = Some((self.now + self.latency, Wire { understands_deltas, was_delta }));
    }
}

impl Default for FakeServer {
    /// Answers after 30 ms.
    fn default() -> Self {
        Self::new(Duration::from_millis(30))
    }
}

impl Timed for FakeServer {
    fn advance(&mut self, now: Instant) {
        self.now = now;
    }

    fn due(&self) -> Option<Instant> {
        self.reply_at.map(|(at, _)| at)
    }
}

impl Path for FakeServer {
    fn taken(&self) -> u64 {
        self.taken
    }

    fn view(&self) -> Option<&Value> {
        self.view.as_ref()?.current()
    }

    fn disconnect(&mut self) {
        self.connection += 1;
    }
}

impl Uplink for FakeServer {
    fn send(&mut self, body: &[u8], _: Duration) {
        if let Some(view) = &mut self.view {
            view.read(body);
        }
        self.take(false);
    }

    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        let view = self.view.as_mut().filter(|_| delta.connection == self.connection);
        if view.is_some_and(|view| view.read(delta.document) == Some(ViewRead::Delta)) {
            return self.take(true);
        }
        self.send(body, timeout);
    }

    fn poll(&mut self) -> Poll<Outcome> {
        match self.reply_at.take_if(|(at, _)| *at <= self.now) {
            Some((_, wire)) => Poll::Ready(outcome(&Ok(Reply { wire, ..Reply::new(200) }))),
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        self.reply_at = None;
        outcome(&Err(Failure::new(Stage::Exchange, Cause::Timeout).after_sending(true)))
    }
}
