//! One device: the real agent with nothing to measure, and its connection to the server.

use std::task::Poll;

use heartbeat_core::{
    Agent, Config, Hal, Identity, Outcome, Uplink, Wake,
    time::{Duration, Instant},
    units::UnixTime,
};
use heartbeat_daemon::uplink::{Cause, Failure, Reply, Stage, outcome};

use super::server::{Fate, Server};

/// Time on the way, each way.
const LATENCY: Duration = Duration::from_millis(40);

/// A device.
pub(super) struct Device {
    agent: Agent<'static>,
    line: Line,
    /// Of which time it was last counted as back.
    counted: Option<Instant>,
}

/// What a turn of the device's loop came to.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) began: bool,
    pub(super) connects: bool,
    pub(super) delivered: bool,
    pub(super) failed: bool,
    /// When its loop turns again.
    pub(super) next: Instant,
}

impl Device {
    pub(super) fn new(config: Config) -> Self {
        let agent = Agent::new(Identity::new("10000000a1b2c3d4"), config);
        Self { agent, line: Line::default(), counted: None }
    }

    pub(super) fn turn(&mut self, now: Instant, server: &mut Server) -> Turn {
        let counts = |agent: &Agent<'_>| {
            let stats = agent.stats();
            (stats.attempted, stats.delivered, stats.failed)
        };
        let (attempted, delivered, failed) = counts(&self.agent);
        let mut way = Way { line: &mut self.line, server, now, connects: false };
        let wake = self.agent.poll(now, &mut Nothing, &mut way);
        let connects = way.connects;
        let after = counts(&self.agent);
        let next = match wake {
            Wake::At(when) => self.line.reply.map_or(when, |(at, _)| when.min(at)),
            Wake::Stopped => Instant::from_micros(u64::MAX),
        };
        Turn {
            began: after.0 > attempted,
            connects,
            delivered: after.1 > delivered,
            failed: after.2 > failed,
            next,
        }
    }

    /// True once for each time since when devices are counted as back.
    pub(super) fn is_news_since(&mut self, since: Instant) -> bool {
        self.counted.replace(since) != Some(since)
    }
}

/// A device without sensors.
struct Nothing;

impl Hal for Nothing {
    fn unix_time(&mut self) -> Option<UnixTime> {
        None
    }
}

/// The connection and what is in flight on it.
#[derive(Debug, Default)]
struct Line {
    /// When the connection was made; `None` without one.
    since: Option<Instant>,
    /// When the reply arrives, and its status.
    reply: Option<(Instant, u16)>,
    connecting: bool,
}

struct Way<'d> {
    line: &'d mut Line,
    server: &'d mut Server,
    now: Instant,
    connects: bool,
}

impl Uplink for Way<'_> {
    fn send(&mut self, _: &[u8], _: Duration) {
        let connects = !self.line.since.is_some_and(|since| self.server.keeps(since, self.now));
        // Two more ways there and back for TCP and TLS.
        let way = if connects { LATENCY * 5 } else { LATENCY };
        self.connects = connects;
        self.line.since = None;
        self.line.connecting = connects;
        self.line.reply = match self.server.arrive(self.now, connects) {
            Fate::Unanswered => None,
            Fate::Reply(at, status) => Some((at + way + LATENCY, status)),
        };
    }

    fn poll(&mut self) -> Poll<Outcome> {
        match self.line.reply.take_if(|(at, _)| *at <= self.now) {
            Some((_, status)) => {
                self.line.since = Some(self.now);
                Poll::Ready(outcome(&Ok(Reply::new(status))))
            }
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        // If no reply was under way, the connect was not answered either.
        let stage = match (self.line.reply.take(), self.line.connecting) {
            (None, true) => Stage::Connect,
            (Some(_), true) => Stage::Handshake,
            (_, false) => Stage::Exchange,
        };
        outcome(&Err(Failure::new(stage, Cause::Timeout).after_sending(stage == Stage::Exchange)))
    }
}
