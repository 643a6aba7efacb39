//! A server that does one thing after the other.

use heartbeat_core::time::{Duration, Instant};

/// When the server is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Never.
    None,
    /// From the first to the second time connections break, and attempts to connect are not answered.
    Unreachable(Instant, Instant),
    /// From the first to the second time every request is answered with 503.
    Failing(Instant, Instant),
}

/// What the server does with more than it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// All requests wait, and it works even for clients that have given up, because it does not know that.
    Queue,
    /// As that, but requests over kept connections do not wait behind new connections.
    KeptFirst,
    /// It answers 503 at once to those who would wait for more than a second.
    Shed,
}

/// The model server.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Work of a new connection.
    pub handshake: Duration,
    /// Work of a request.
    pub request: Duration,
    /// New connections that may wait; more are not answered.
    pub backlog: u32,
    /// What it does with more than it can do.
    pub overload: Overload,
    /// When it is unavailable.
    pub outage: Outage,
    free_at: Instant,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gets no answer.
    Unanswered,
    /// The reply with this status leaves at this time.
    Reply(Instant, u16),
}

/// Longest wait in a queue of a server that sheds.
const SHED_AFTER: Duration = Duration::from_secs(1);

impl Outage {
    /// When it ends.
    pub fn end(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Unreachable(_, end) | Self::Failing(_, end) => Some(end),
        }
    }

    fn covers(self, now: Instant) -> bool {
        match self {
            Self::None => false,
            Self::Unreachable(start, end) | Self::Failing(start, end) => start <= now && now < end,
        }
    }
}

impl Server {
    /// A server that can make so many connections a second, or answer so many requests over kept ones, and lets `backlog`
    /// new connections wait.
    pub fn new(connections: u32, requests: u32, backlog: u32, overload: Overload, outage: Outage) -> Self {
        let each = |count: u32| Duration::from_micros(1_000_000 / u64::from(count.max(1)));
        Self {
            handshake: each(connections),
            request: each(requests),
            backlog,
            overload,
            outage,
            free_at: Instant::ZERO,
        }
    }

    /// Whether a connection that was made at `since` still stands.
    pub(super) fn keeps(&self, since: Instant, now: Instant) -> bool {
        match self.outage {
            Outage::Unreachable(start, _) => now < start || since >= start,
            Outage::None | Outage::Failing(..) => true,
        }
    }

    /// A request arrives.
    pub(super) fn arrive(&mut self, now: Instant, connects: bool) -> Fate {
        if self.outage.covers(now) {
            return match self.outage {
                Outage::Failing(..) => Fate::Reply(now, 503),
                Outage::None | Outage::Unreachable(..) => Fate::Unanswered,
            };
        }
        let begins = self.free_at.max(now);
        if connects && begins.since(now) > self.handshake * self.backlog {
            return Fate::Unanswered;
        }
        if self.overload == Overload::Shed && begins.since(now) > SHED_AFTER {
            return Fate::Reply(now, 503);
        }
        let work = self.request + if connects { self.handshake } else { Duration::ZERO };
        self.free_at = begins + work;
        if self.overload == Overload::KeptFirst && !connects {
            return Fate::Reply(now + work, 200);
        }
        Fate::Reply(self.free_at, 200)
    }
}
