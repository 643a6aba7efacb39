//! One attempt to reach the server at one address: TCP, then a tunnel if the address is a proxy's, then TLS if it is to
//! be secured.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::PollFlags;
use rustls::{ClientConfig, pki_types::ServerName};

use super::{
    connection::{Connection, Facts},
    failure::{Cause, Failure, Stage},
    steps::{self, Steps},
    tcp,
    traffic::Traffic,
    tunnel::{Tunnel, TunnelTarget},
};

/// How long a handshake is waited for before another address is tried as well; three round trips if those are longer.
const HANDSHAKE_GRACE: Duration = Duration::from_secs(2);

/// How long an attempt may take in its phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptLimits {
    /// For TCP to connect.
    pub(super) connect: Duration,
    /// For the tunnel, and after it for the TLS handshake. Proxies try longer than one round trip to reach a server.
    pub(super) handshake: Duration,
}

impl AttemptLimits {
    /// Shares of the time of a dial: 4 s and 10 s of the default 15 s, and not less where that time is shorter, because then
    /// the dial ends the attempt. Where one answer may take longer, the operator knows that the link is slow, and the
    /// connection may take as long.
    pub(super) fn new(dial: Duration, answer: Duration) -> Self {
        Self {
            connect: (dial * 4 / 15).max(Duration::from_secs(4)).max(answer),
            handshake: (dial * 2 / 3).max(Duration::from_secs(10)).max(answer),
        }
    }
}

/// What an attempt needs from outside.
#[derive(Debug)]
pub(super) struct AttemptContext<'d> {
    /// Settings and name for TLS; `None` for a plain connection.
    pub(super) tls: Option<(&'d Arc<ClientConfig>, &'d ServerName<'static>)>,
    /// What the proxy is asked for; `None` without one.
    pub(super) tunnel: Option<&'d TunnelTarget>,
    /// Takes note of what happens.
    pub(super) steps: &'d Steps,
    /// Counts the bytes.
    pub(super) traffic: &'d Traffic,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    address: SocketAddr,
    timing: Timing,
    phase: Phase,
}

/// When an attempt began, and how long it may take.
#[derive(Debug, Clone, Copy)]
struct Timing {
    began: Instant,
    limits: AttemptLimits,
}

#[derive(Debug)]
enum Phase {
    /// TCP is connecting.
    Connecting(TcpStream),
    /// TCP stands, and the handshake has not begun, because another attempt is in its own.
    Connected(TcpStream, Facts),
    /// The proxy is being asked.
    Tunnelling(TcpStream, Facts, Tunnel),
    /// The TLS handshake is under way.
    Handshaking(Connection),
}

/// How an attempt goes on.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing has changed.
    Waiting(Attempt),
    /// TCP stands, after this time.
    Connected(Attempt, Duration),
    /// A connection that can be used.
    Ready(Connection),
    /// It has failed.
    Failed(Failure),
}

impl Attempt {
    /// Begins to connect to `address`.
    ///
    /// # Errors
    ///
    /// What fails at once, such as a missing route.
    pub(super) fn begin(address: SocketAddr, limits: AttemptLimits, steps: &Steps) -> Result<Self, Failure> {
        let began = Instant::now();
        steps.note(steps::Step::Connecting(address));
        match tcp::begin(address) {
            Ok(stream) => {
                Ok(Self { address, timing: Timing { began, limits }, phase: Phase::Connecting(stream) })
            }
            Err(error) => Err(Failure::io(Stage::Connect, &error).at(address)),
        }
    }

    /// Goes on as far as it can without waiting. `happened`: the kernel reports something about its descriptor.
    pub(super) fn go_on(mut self, happened: bool, may_handshake: bool, context: &AttemptContext<'_>) -> Step {
        let address = self.address;
        match self.phase {
            Phase::Connecting(stream) if happened => match stream.take_error() {
                Ok(None) => {
                    let took = self.timing.began.elapsed();
                    context.steps.note(steps::Step::Connected(address, took));
                    let facts = Facts {
                        address,
                        connect_time: took,
                        handshake_round_trip: Duration::ZERO,
                        since: Instant::now(),
                    };
                    self.phase = Phase::Connected(stream, facts);
                    Step::Connected(self, took)
                }
                Ok(Some(error)) | Err(error) => Step::Failed(Failure::io(Stage::Connect, &error).at(address)),
            },
            Phase::Connected(stream, facts) if may_handshake => {
                let facts = Facts { since: Instant::now(), ..facts };
                match context.tunnel {
                    Some(target) => tunnel(self.timing, stream, facts, Tunnel::new(target), context),
                    None => secure(self.timing, stream, facts, context),
                }
            }
            Phase::Tunnelling(stream, facts, negotiation) if happened => {
                tunnel(self.timing, stream, facts, negotiation, context)
            }
            Phase::Handshaking(connection) if happened => {
                handshake(address, self.timing, connection, context.steps)
            }
            phase => Step::Waiting(Self { phase, ..self }),
        }
    }

    /// Whether its time is over.
    pub(super) fn overdue(&self, now: Instant) -> Option<Failure> {
        (now >= self.until()?).then(|| self.waiting(now))
    }

    /// When its time is over; `None` while it waits for another attempt.
    pub(super) fn until(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Connecting(_) => Some(self.timing.began + self.timing.limits.connect),
            Phase::Connected(..) => None,
            Phase::Tunnelling(_, facts, _) => Some(facts.since + self.timing.limits.handshake),
            Phase::Handshaking(connection) => Some(connection.facts().since + self.timing.limits.handshake),
        }
    }

    /// While its tunnel or handshake is under way: until when nothing else is tried.
    pub(super) fn preferred_until(&self) -> Option<Instant> {
        let facts = match &self.phase {
            Phase::Handshaking(connection) => connection.facts(),
            Phase::Tunnelling(_, facts, _) => facts,
            Phase::Connecting(_) | Phase::Connected(..) => return None,
        };
        Some(facts.since + HANDSHAKE_GRACE.max(facts.connect_time * 3))
    }

    /// Whether TCP stands and the handshake has not begun.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(..))
    }

    /// The failure that it would be if it were given up now.
    pub(super) fn waiting(&self, now: Instant) -> Failure {
        let (stage, detail) = match &self.phase {
            Phase::Connecting(_) => {
                let waited = now.saturating_duration_since(self.timing.began);
                (Stage::Connect, format!("after {:.1} s", waited.as_secs_f64()))
            }
            Phase::Connected(_, facts) => (Stage::Handshake, handshake_words(facts, now)),
            Phase::Tunnelling(_, facts, _) => (Stage::Tunnel, handshake_words(facts, now)),
            Phase::Handshaking(connection) => (Stage::Handshake, handshake_words(connection.facts(), now)),
        };
        Failure::new(stage, Cause::Timeout).at(self.address).because(detail)
    }

    /// What to wait for on its descriptor.
    pub(super) fn interest(&self) -> PollFlags {
        match &self.phase {
            Phase::Connecting(_) => PollFlags::POLLOUT,
            Phase::Connected(..) => PollFlags::empty(),
            Phase::Tunnelling(_, _, tunnel) => tunnel.interest(),
            Phase::Handshaking(connection) => connection.interest(),
        }
    }

    /// Whether the kernel's report is news; for an attempt that waits for another one, the kernel reports its end
    /// repeatedly.
    pub(super) fn listens(&self) -> bool {
        !self.is_connected()
    }
}

impl AsFd for Attempt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.phase {
            Phase::Connecting(stream) | Phase::Connected(stream, _) | Phase::Tunnelling(stream, ..) => {
                stream.as_fd()
            }
            Phase::Handshaking(connection) => connection.as_fd(),
        }
    }
}

/// How long a handshake takes, and how far away the server is.
fn handshake_words(facts: &Facts, now: Instant) -> String {
    let waited = now.saturating_duration_since(facts.since);
    format!("after {:.1} s, {}", waited.as_secs_f64(), facts.round_trip_words())
}

/// Asks the proxy as far as that needs no waiting, then goes on to the server.
fn tunnel(
    timing: Timing,
    mut stream: TcpStream,
    facts: Facts,
    mut negotiation: Tunnel,
    context: &AttemptContext<'_>,
) -> Step {
    let address = facts.address;
    match negotiation.go_on(&mut stream, context.traffic) {
        Ok(Some(took)) => {
            context.steps.note(steps::Step::Tunnel(address, took));
            // The way to the server is longer than that to the proxy.
            let connect_time = facts.connect_time.max(took);
            secure(timing, stream, Facts { connect_time, since: Instant::now(), ..facts }, context)
        }
        Ok(None) => {
            Step::Waiting(Attempt { address, timing, phase: Phase::Tunnelling(stream, facts, negotiation) })
        }
        Err(failure) => Step::Failed(failure.at(address)),
    }
}

/// Begins TLS, if that is wanted.
fn secure(timing: Timing, stream: TcpStream, facts: Facts, context: &AttemptContext<'_>) -> Step {
    let address = facts.address;
    let Some((config, name)) = context.tls else {
        return Step::Ready(Connection::plain(stream, facts, context.traffic));
    };
    match Connection::secured(stream, facts, context.traffic, config, name) {
        Ok(connection) => handshake(address, timing, connection, context.steps),
        Err(error) => Step::Failed(Failure::tls(Stage::Handshake, &error).at(address)),
    }
}

fn handshake(address: SocketAddr, timing: Timing, mut connection: Connection, steps: &Steps) -> Step {
    match connection.handshake() {
        Ok(true) => {
            let session = connection.session().unwrap_or_default();
            steps.note(steps::Step::Secured(address, session, connection.issued()));
            Step::Ready(connection)
        }
        Ok(false) => Step::Waiting(Attempt { address, timing, phase: Phase::Handshaking(connection) }),
        Err(error) => Step::Failed(Failure::io(Stage::Handshake, &error).at(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_what_the_operator_allows() {
        let secs = |dial, answer| {
            let limits = AttemptLimits::new(Duration::from_secs(dial), Duration::from_secs(answer));
            (limits.connect.as_secs(), limits.handshake.as_secs())
        };
        assert_eq!(secs(15, 2), (4, 10), "the defaults");
        assert_eq!(secs(2, 1), (4, 10), "the dial ends before");
        assert_eq!(secs(60, 2), (16, 40));
        assert_eq!(secs(15, 12), (12, 12), "an answer may take longer");
    }
}
