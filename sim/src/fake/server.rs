//! A server that takes every heartbeat, behind a network that carries all of them.

use std::task::Poll;

use heartbeat_core::{
    Outcome, Uplink,
    time::{Duration, Instant},
};
use heartbeat_daemon::uplink::{Cause, Failure, Reply, Stage, outcome};

use super::{Path, Timed};

/// An uplink to a server in virtual time, both without fault.
#[derive(Debug, Clone)]
pub struct FakeServer {
    /// Time from a request to its reply.
    pub latency: Duration,
    taken: u64,
    now: Instant,
    /// When the reply to the latest request arrives.
    reply_at: Option<Instant>,
}

impl FakeServer {
    /// A server that answers after this time.
    pub const fn new(latency: Duration) -> Self {
        Self { latency, taken: 0, now: Instant::ZERO, reply_at: None }
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
        self.reply_at
    }
}

impl Path for FakeServer {
    fn taken(&self) -> u64 {
        self.taken
    }
}

impl Uplink for FakeServer {
    fn send(&mut self, _: &[u8], _: Duration) {
        self.taken += 1;
        self.reply_at = Some(self.now + self.latency);
    }

    fn poll(&mut self) -> Poll<Outcome> {
        match self.reply_at.take_if(|at| *at <= self.now) {
            Some(_) => Poll::Ready(outcome(&Ok(Reply::new(200)))),
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        self.reply_at = None;
        outcome(&Err(Failure::new(Stage::Exchange, Cause::Timeout).after_sending(true)))
    }
}
