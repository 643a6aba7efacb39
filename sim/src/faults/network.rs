//! What can go wrong between an agent and its server.

use std::{fmt, task::Poll};

use heartbeat_core::{
    Outcome, Uplink,
    time::{Duration, Instant},
    uplink::Delta,
};
use heartbeat_daemon::uplink::{self, Cause, Failure, Reply, Stage};
use serde_json::Value;

use crate::fake::{Path, Timed};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    /// No interface, no route.
    NoRoute,
    /// The name cannot be resolved.
    NameFails,
    /// The name server does not answer.
    NameSilent,
    /// No process listens on the port.
    Refused,
    /// The attempt to connect is not answered.
    ConnectSilent,
    /// The handshake breaks off.
    HandshakeFails,
    /// The handshake has no end.
    HandshakeSilent,
    /// A certificate that is not valid yet by this device's clock.
    CertificateNotYetValid,
    /// A certificate of another host: a captive portal, a hijacked name.
    WrongCertificate,
    /// The connection breaks before the server has the heartbeat.
    BreaksBefore,
    /// The connection breaks after the server has taken the heartbeat.
    BreaksAfter,
    /// The request is lost without an error.
    RequestLost,
    /// The reply is lost without an error.
    ReplyLost,
    /// The answer is no HTTP.
    NotHttp,
    /// The server answers with this status and does not take the heartbeat, unless it is a 2xx.
    Status(u16),
    /// The server answers with this status and a `Retry-After` of this time.
    Busy(u16, Duration),
    /// This device has no descriptors or memory left.
    NoResources,
}

/// How a fault shows.
struct Symptom {
    /// Whether the server takes the heartbeat.
    taken: bool,
    end: End,
}

enum End {
    Ended(Result<Reply, Failure>),
    /// None by itself; a cancellation returns what it was waiting for.
    Never(Failure),
}

impl NetworkFault {
    fn symptom(self) -> Symptom {
        let ended = |end| Symptom { taken: false, end: End::Ended(end) };
        let failed = |stage, cause| ended(Err(Failure::new(stage, cause)));
        // The client cannot tell whether the request has arrived.
        let broke = |cause| ended(Err(Failure::new(Stage::Exchange, cause).after_sending(true)));
        let never = |stage| {
            let waiting_for = Failure::new(stage, Cause::Timeout).after_sending(stage == Stage::Exchange);
            Symptom { taken: false, end: End::Never(waiting_for) }
        };
        match self {
            Self::NoRoute => failed(Stage::Connect, Cause::NoRoute),
            Self::NameFails => failed(Stage::Name, Cause::NameServer),
            Self::NameSilent => never(Stage::Name),
            Self::Refused => failed(Stage::Connect, Cause::Refused),
            Self::ConnectSilent => never(Stage::Connect),
            Self::HandshakeFails => failed(Stage::Handshake, Cause::Tls),
            Self::HandshakeSilent => never(Stage::Handshake),
            Self::CertificateNotYetValid => failed(Stage::Handshake, Cause::CertificateNotYetValid),
            Self::WrongCertificate => failed(Stage::Handshake, Cause::Certificate),
            Self::BreaksBefore => broke(Cause::Lost),
            Self::BreaksAfter => Symptom { taken: true, ..broke(Cause::Lost) },
            Self::RequestLost => never(Stage::Exchange),
            Self::ReplyLost => Symptom { taken: true, ..never(Stage::Exchange) },
            Self::NotHttp => broke(Cause::Protocol),
            Self::Status(status) => {
                Symptom { taken: (200..300).contains(&status), ..ended(Ok(Reply::new(status))) }
            }
            Self::Busy(status, time) => ended(Ok(Reply { retry_after: Some(time), ..Reply::new(status) })),
            Self::NoResources => failed(Stage::Connect, Cause::Local),
        }
    }
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    fault: Option<NetworkFault>,
    /// Its end does not show before this time.
    not_before: Instant,
}

/// An uplink with faults.
#[derive(Debug, Clone)]
pub struct FaultyUplink<U> {
    /// The uplink.
    pub inner: U,
    /// What goes wrong with the requests that begin from now on.
    pub fault: Option<NetworkFault>,
    /// How long it takes, at least, until a request's end shows.
    pub delay: Duration,
    now: Instant,
    flight: Option<Flight>,
}

impl<U> FaultyUplink<U> {
    /// Around an uplink, without a fault yet.
    pub const fn new(inner: U) -> Self {
        Self { inner, fault: None, delay: Duration::ZERO, now: Instant::ZERO, flight: None }
    }

    /// Whether the request in flight, if there is one, will end with a 2xx.
    pub fn will_accept(&self) -> bool {
        match self.flight.map(|flight| flight.fault.map(|fault| fault.symptom().end)) {
            Some(None) => true,
            Some(Some(End::Ended(ended))) => uplink::outcome(&ended).verdict.is_accepted(),
            _ => false,
        }
    }

    /// Sets what goes wrong with the requests that begin from now on, and how long that takes to show.
    pub const fn set(&mut self, fault: Option<NetworkFault>, delay: Duration) {
        self.fault = fault;
        self.delay = delay;
    }
}

impl<U: Timed> Timed for FaultyUplink<U> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        let flight = self.flight?;
        match flight.fault.map(|fault| fault.symptom().end) {
            None => Some(self.inner.due()?.max(flight.not_before)),
            Some(End::Ended(_)) => Some(flight.not_before),
            Some(End::Never(_)) => None,
        }
    }
}

impl<U: Path> Path for FaultyUplink<U> {
    fn taken(&self) -> u64 {
        self.inner.taken()
    }

    fn view(&self) -> Option<&Value> {
        self.inner.view()
    }

    fn disconnect(&mut self) {
        self.inner.disconnect();
    }
}

impl<U: Path> FaultyUplink<U> {
    /// A request begins; true if it reaches the server.
    fn begin(&mut self) -> bool {
        self.flight = Some(Flight { fault: self.fault, not_before: self.now + self.delay });
        self.fault.is_none_or(|fault| fault.symptom().taken)
    }

    /// What has gone wrong costs the connection, unless it was an answer.
    fn disconnect_after(&mut self, fault: NetworkFault) {
        if !matches!(fault, NetworkFault::Status(_) | NetworkFault::Busy(..)) {
            self.inner.disconnect();
        }
    }
}

impl<U: Path> Uplink for FaultyUplink<U> {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        if self.begin() {
            self.inner.send(body, timeout);
        }
    }

    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        if self.begin() {
            self.inner.send_either(body, delta, timeout);
        }
    }

    fn poll(&mut self) -> Poll<Outcome> {
        let Some(flight) = self.flight.filter(|flight| flight.not_before <= self.now) else {
            return Poll::Pending;
        };
        let due = self.due();
        let outcome = match flight.fault.map(|fault| fault.symptom().end) {
            None => self.inner.poll(),
            Some(End::Ended(ended)) => {
                self.inner.cancel();
                flight.fault.into_iter().for_each(|fault| self.disconnect_after(fault));
                Poll::Ready(uplink::outcome(&ended))
            }
            Some(End::Never(_)) => Poll::Pending,
        };
        if outcome.is_ready() {
            self.flight = None;
        }
        outcome.map(|outcome| Outcome { ended: due, ..outcome })
    }

    fn cancel(&mut self) -> Outcome {
        let outcome = self.inner.cancel();
        // A request that is given up is reset.
        self.inner.disconnect();
        match self.flight.take().and_then(|flight| flight.fault).map(|fault| fault.symptom().end) {
            Some(End::Never(waiting_for)) => uplink::outcome(&Err(waiting_for)),
            _ => outcome,
        }
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => f.write_str("no route"),
            Self::NameFails => f.write_str("the name cannot be resolved"),
            Self::NameSilent => f.write_str("the name server is silent"),
            Self::Refused => f.write_str("connections are refused"),
            Self::ConnectSilent => f.write_str("connections are not answered"),
            Self::HandshakeFails => f.write_str("handshakes break off"),
            Self::HandshakeSilent => f.write_str("handshakes have no end"),
            Self::CertificateNotYetValid => f.write_str("a certificate that is not valid yet"),
            Self::WrongCertificate => f.write_str("a certificate of somebody else"),
            Self::BreaksBefore => f.write_str("connections break before the request"),
            Self::BreaksAfter => f.write_str("connections break after the request"),
            Self::RequestLost => f.write_str("requests get lost"),
            Self::ReplyLost => f.write_str("replies get lost"),
            Self::NotHttp => f.write_str("answers that are no HTTP"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Busy(status, time) => write!(f, "status {status}, come back in {} s", time.as_secs()),
            Self::NoResources => f.write_str("no descriptors left"),
        }
    }
}
