//! A server that does one thing after the other.

use std::collections::VecDeque;

use heartbeat_core::time::{Duration, Instant};

/// What happens to the server, or on the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Nothing.
    None,
    /// From the first to the second time connections break, and attempts to connect are not answered.
    Unreachable(Instant, Instant),
    /// From the first to the second time every request is answered with 503.
    Failing(Instant, Instant),
    /// At this time the server's name moves to another address. The old server lives on and answers with this status.
    Moved(Instant, u16),
    /// At this time a carrier's router forgets all connections. It answers what is sent over them with a reset, or not at
    /// all.
    Forgotten(Instant, Forgets),
}

/// What a router does with a packet of a connection that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgets {
    /// It answers with a reset.
    AndResets,
    /// It says nothing.
    InSilence,
}

/// What the server does with more than it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// All wait for their turn.
    Queue,
    /// As that, but requests over kept connections do not wait behind new connections.
    KeptFirst,
    /// Those who would wait for more than a second have their connection closed, or get a 503, at once.
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
    /// It also works for connections that were given up, because it does not notice.
    pub in_vain: bool,
    /// What happens to it.
    pub outage: Outage,
}

/// Longest wait in a queue of a server that sheds.
const SHED_AFTER: Duration = Duration::from_secs(1);

impl Outage {
    /// When it ends: from then on a device can deliver if the server can take it.
    pub fn end(self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Unreachable(_, end) | Self::Failing(_, end) => Some(end),
            Self::Moved(at, _) | Self::Forgotten(at, _) => Some(at),
        }
    }

    /// What a connection that was made at `since` is good for.
    pub(super) fn connection(self, since: Instant, now: Instant) -> Connection {
        let is_older = |than: Instant| now >= than && since < than;
        match self {
            Self::Unreachable(start, _) if is_older(start) => Connection::Closed,
            Self::Moved(at, status) if is_older(at) => Connection::Refused(status),
            Self::Forgotten(at, Forgets::AndResets) if is_older(at) => Connection::Closed,
            Self::Forgotten(at, Forgets::InSilence) if is_older(at) => Connection::Silent,
            _ => Connection::Good,
        }
    }
}

/// What a connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// The server takes requests over it.
    Good,
    /// It has ended, which is noticed when it is used.
    Closed,
    /// Nothing that is sent over it arrives.
    Silent,
    /// What is at its other end answers with this status.
    Refused(u16),
}

/// What becomes of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Welcome {
    /// It is not answered.
    Unanswered,
    /// It is answered, and its turn does not come before the client gives up.
    TooLate,
    /// It is closed at once.
    Closed,
    /// Its handshake is done at this time.
    Done(Instant),
}

impl Server {
    /// A server that can make so many connections a second, or answer so many requests over kept ones, and lets `backlog`
    /// new connections wait. It notices when one was given up.
    pub fn new(connections: u32, requests: u32, backlog: u32, overload: Overload, outage: Outage) -> Self {
        let each = |count: u32| Duration::from_micros(1_000_000 / u64::from(count.max(1)));
        Self {
            handshake: each(connections),
            request: each(requests),
            backlog,
            overload,
            in_vain: false,
            outage,
        }
    }
}

/// A server with what it has to do.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) server: Server,
    free_at: Instant,
    /// Until when each connection waits that will be given up before its turn: the reset costs the server nothing, but until
    /// then it takes a place.
    given_up: VecDeque<Instant>,
}

impl Load {
    pub(super) fn new(server: Server) -> Self {
        Self { server, free_at: Instant::ZERO, given_up: VecDeque::new() }
    }

    /// A client connects that waits for the handshake for so long.
    pub(super) fn connect(&mut self, now: Instant, waits_for: Duration) -> Welcome {
        let Server { handshake, backlog, overload, in_vain, outage, .. } = self.server;
        if matches!(outage, Outage::Unreachable(start, end) if start <= now && now < end) {
            return Welcome::Unanswered;
        }
        while self.given_up.pop_front_if(|until| *until <= now).is_some() {}
        let begins = self.free_at.max(now);
        let wait = begins.since(now);
        if overload == Overload::Shed && wait > SHED_AFTER {
            return Welcome::Closed;
        }
        let places = backlog.saturating_sub(u32::try_from(self.given_up.len()).unwrap_or(u32::MAX));
        if wait > handshake * places {
            return Welcome::Unanswered;
        }
        let is_too_late = wait + handshake > waits_for;
        if is_too_late && !in_vain {
            self.given_up.push_back(now + waits_for);
            return Welcome::TooLate;
        }
        self.free_at = begins + handshake;
        if is_too_late { Welcome::TooLate } else { Welcome::Done(self.free_at) }
    }

    /// A request arrives over a connection that is good. Returns when its reply leaves, and the status.
    pub(super) fn request(&mut self, now: Instant) -> (Instant, u16) {
        let Server { request, overload, outage, .. } = self.server;
        if matches!(outage, Outage::Failing(start, end) if start <= now && now < end) {
            return (now, 503);
        }
        let begins = self.free_at.max(now);
        if overload == Overload::Shed && begins.since(now) > SHED_AFTER {
            return (now, 503);
        }
        self.free_at = begins + request;
        if overload == Overload::KeptFirst { (now + request, 200) } else { (self.free_at, 200) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(secs: u32) -> Instant {
        Instant::ZERO + SECOND * secs
    }

    /// It makes a connection a second.
    fn load(backlog: u32, overload: Overload) -> Load {
        Load::new(Server::new(1, 100, backlog, overload, Outage::None))
    }

    #[test]
    fn connections_wait_for_their_turn_and_those_that_give_up_cost_no_work() {
        let mut load = load(100, Overload::Queue);
        let done: Vec<_> = (0..4).map(|_| load.connect(at(0), SECOND * 3)).collect();
        assert_eq!(
            done,
            [Welcome::Done(at(1)), Welcome::Done(at(2)), Welcome::Done(at(3)), Welcome::TooLate]
        );
        assert_eq!(load.connect(at(3), SECOND * 3), Welcome::Done(at(4)), "it did not work for the fourth");
    }

    #[test]
    fn server_that_does_not_notice_works_for_those_that_gave_up() {
        let mut load = load(100, Overload::Queue);
        load.server.in_vain = true;
        let done: Vec<_> = (0..3).map(|_| load.connect(at(0), SECOND * 2)).collect();
        assert_eq!(done, [Welcome::Done(at(1)), Welcome::Done(at(2)), Welcome::TooLate]);
        assert_eq!(load.connect(at(2), SECOND * 2), Welcome::Done(at(4)));
    }

    #[test]
    fn those_that_will_give_up_take_places_until_they_do() {
        let mut load = load(3, Overload::Queue);
        for _ in 0..2 {
            load.connect(at(0), SECOND * 2);
        }
        assert_eq!(load.connect(at(0), SECOND * 2), Welcome::TooLate);
        assert_eq!(load.connect(at(0), SECOND * 2), Welcome::TooLate);
        assert_eq!(load.connect(at(0), SECOND * 2), Welcome::Unanswered, "no place is left");
        assert_eq!(load.connect(at(2), SECOND * 2), Welcome::Done(at(3)));
    }

    #[test]
    fn requests_over_kept_connections_wait_behind_new_ones_unless_they_come_first() {
        for (overload, expected) in [(Overload::Queue, 1_010), (Overload::KeptFirst, 10)] {
            let mut load = load(100, overload);
            load.connect(at(0), SECOND * 9);
            assert_eq!(load.request(at(0)), (Instant::from_millis(expected), 200), "{overload:?}");
        }
    }

    #[test]
    fn server_that_sheds_answers_at_once() {
        let mut load = load(100, Overload::Shed);
        load.connect(at(0), SECOND * 9);
        load.connect(at(0), SECOND * 9);
        assert_eq!(load.connect(at(0), SECOND * 9), Welcome::Closed);
        assert_eq!(load.request(at(0)), (at(0), 503));
        assert_eq!(load.request(at(1)).1, 200);
    }

    #[test]
    fn old_connections_are_bad_and_new_ones_are_good() {
        for (outage, old) in [
            (Outage::Moved(at(5), 421), Connection::Refused(421)),
            (Outage::Forgotten(at(5), Forgets::InSilence), Connection::Silent),
            (Outage::Forgotten(at(5), Forgets::AndResets), Connection::Closed),
            (Outage::Unreachable(at(5), at(9)), Connection::Closed),
        ] {
            let of = |since, now| outage.connection(at(since), at(now));
            assert_eq!([of(1, 4), of(1, 5), of(5, 6)], [Connection::Good, old, Connection::Good]);
        }
    }
}
