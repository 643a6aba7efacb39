//! A device's way to the server: a connection that belongs to no heartbeat, as the daemon's does.

use std::task::Poll;

use heartbeat_core::{
    Outcome, Uplink,
    time::{Duration, Instant},
};
use heartbeat_daemon::uplink::{Cause, Failure, Reply, Stage, outcome};

use super::server::{Connection, Load, Welcome};

/// Time on the way, each way.
const LATENCY: Duration = Duration::from_millis(40);
/// How long the daemon waits for TCP to connect, and for the TLS handshake.
const CONNECT_MAX: Duration = Duration::from_secs(4);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A connection that is older than this is given up after a refusal; after 421 any is.
const REFUSED_AGE: Duration = Duration::from_secs(30);

/// The connection, and what is in flight.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// When the connection was made; `None` without one.
    kept: Option<Instant>,
    dial: Option<Dial>,
    /// The latest dial failed at the server.
    is_server_failing: bool,
    heartbeat: Heartbeat,
}

/// A connection that is being made.
#[derive(Debug)]
struct Dial {
    began: Instant,
    ends: Instant,
    /// Why it fails then; `None` if the connection stands.
    failure: Option<Failure>,
    /// What it waits for.
    stage: Stage,
}

/// Where a heartbeat is.
#[derive(Debug, Default)]
enum Heartbeat {
    /// There is none.
    #[default]
    None,
    /// It waits for a connection since then.
    Waiting(Instant),
    /// It was sent over a connection of that time. When the reply comes, with its status; `None` if none does.
    Sent(Instant, Option<(Instant, u16)>),
}

/// The line at one time, with the server at its end.
pub(super) struct Way<'d> {
    pub(super) line: &'d mut Line,
    pub(super) load: &'d mut Load,
    pub(super) now: Instant,
    /// Connections that were begun.
    pub(super) dials: u32,
}

impl Line {
    /// When something happens without an event of the agent's.
    pub(super) fn next(&self) -> Option<Instant> {
        let reply = match &self.heartbeat {
            Heartbeat::Sent(_, Some((at, _))) => Some(*at),
            _ => None,
        };
        [self.dial.as_ref().map(|dial| dial.ends), reply].into_iter().flatten().min()
    }
}

impl Way<'_> {
    /// Sees to the connection between heartbeats.
    pub(super) fn watch(&mut self) {
        if matches!(self.line.heartbeat, Heartbeat::None) {
            // What fails now costs no heartbeat: the next begins anew.
            let _ = self.go_on();
        }
    }

    fn begin_dial(&mut self) {
        self.dials += 1;
        // TCP there and back, then the first message of TLS.
        let arrives = self.now + LATENCY * 3;
        let server_failure = |cause| Failure::new(Stage::Handshake, cause).excused(false);
        let (ends, failure, stage) = match self.load.connect(arrives, HANDSHAKE_MAX) {
            Welcome::Unanswered => {
                (self.now + CONNECT_MAX, Some(Failure::new(Stage::Connect, Cause::Timeout)), Stage::Connect)
            }
            Welcome::TooLate => (
                self.now + LATENCY * 2 + HANDSHAKE_MAX,
                Some(server_failure(Cause::Timeout)),
                Stage::Handshake,
            ),
            Welcome::Closed => (arrives + LATENCY, Some(server_failure(Cause::Lost)), Stage::Handshake),
            Welcome::Done(at) => (at + LATENCY, None, Stage::Handshake),
        };
        self.line.dial = Some(Dial { began: self.now, ends, failure, stage });
    }

    /// Lets the dial go on. Returns when it began and why it failed, if it has.
    fn go_on(&mut self) -> Option<(Instant, Failure)> {
        let dial = self.line.dial.take_if(|dial| dial.ends <= self.now)?;
        match dial.failure {
            None => {
                self.line.is_server_failing = false;
                self.line.kept = Some(dial.ends);
                None
            }
            Some(failure) => {
                self.line.is_server_failing = outcome(&Err(failure.clone())).verdict.backs_off();
                Some((dial.began, failure))
            }
        }
    }

    /// Sends the heartbeat over the connection, if that can be used; else waits for one.
    fn use_connection(&mut self) {
        let Some(since) = self.line.kept else {
            self.line.heartbeat = Heartbeat::Waiting(self.now);
            if self.line.dial.is_none() {
                self.begin_dial();
            }
            return;
        };
        let reply = match self.load.server.outage.connection(since, self.now) {
            Connection::Closed => {
                self.line.kept = None;
                return self.use_connection();
            }
            Connection::Good => {
                let (at, status) = self.load.request(self.now + LATENCY);
                Some((at + LATENCY, status))
            }
            Connection::Refused(status) => Some((self.now + LATENCY * 2, status)),
            Connection::Silent => None,
        };
        self.line.heartbeat = Heartbeat::Sent(since, reply);
    }
}

impl Uplink for Way<'_> {
    fn send(&mut self, _: &[u8], _: Duration) {
        self.watch();
        self.use_connection();
    }

    fn poll(&mut self) -> Poll<Outcome> {
        let failure = self.go_on();
        match self.line.heartbeat {
            Heartbeat::None => Poll::Pending,
            Heartbeat::Waiting(since) => match failure {
                // What an earlier heartbeat began does not cost this one its own attempt.
                Some((began, _)) if began < since => {
                    self.begin_dial();
                    Poll::Pending
                }
                Some((_, failure)) => {
                    self.line.heartbeat = Heartbeat::None;
                    Poll::Ready(outcome(&Err(failure)))
                }
                None => {
                    if self.line.kept.is_some() {
                        self.use_connection();
                    }
                    Poll::Pending
                }
            },
            Heartbeat::Sent(since, Some((at, status))) if at <= self.now => {
                self.line.heartbeat = Heartbeat::None;
                let is_refusal = !(200..300).contains(&status);
                if status == 421 || is_refusal && self.now.since(since) > REFUSED_AGE {
                    self.line.kept = None;
                }
                Poll::Ready(outcome(&Ok(Reply::new(status))))
            }
            Heartbeat::Sent(..) => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        let failure = match std::mem::take(&mut self.line.heartbeat) {
            // The dial goes on.
            Heartbeat::None | Heartbeat::Waiting(_) => {
                let stage = self.line.dial.as_ref().map_or(Stage::Connect, |dial| dial.stage);
                Failure::new(stage, Cause::Timeout).excused(!self.line.is_server_failing)
            }
            // The connection is reset.
            Heartbeat::Sent(..) => {
                self.line.kept = None;
                Failure::new(Stage::Exchange, Cause::Timeout).after_sending(true)
            }
        };
        outcome(&Err(failure))
    }
}
