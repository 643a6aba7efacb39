//! Sending: at most one request, which ends by its deadline in any case.

use core::task::Poll;

#[cfg(feature = "delta")]
use crate::uplink::Delta;
use crate::{
    time::Instant,
    uplink::{Fault, Outcome, Uplink, Verdict},
};

/// What kind of heartbeat a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The live heartbeat of the slot that began at this time.
    Live(Instant),
    /// The oldest of the backlog, in the rest of a slot.
    Late,
}

/// The request in flight.
#[derive(Debug, Clone, Copy)]
struct Request {
    kind: Kind,
    started: Instant,
    deadline: Instant,
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) kind: Kind,
    pub(super) started: Instant,
    pub(super) outcome: Outcome,
}

/// The request in flight, if there is one.
#[derive(Debug, Default)]
pub(super) struct Sender(Option<Request>);

impl Sender {
    /// Starts a request. The previous one must have ended.
    pub(super) fn send(
        &mut self,
        now: Instant,
        kind: Kind,
        deadline: Instant,
        document: &[u8],
        uplink: &mut impl Uplink,
    ) {
        uplink.send(document, deadline.since(now));
        self.0 = Some(Request { kind, started: now, deadline });
    }

    /// As [`Self::send`], in one of two forms.
    #[cfg(feature = "delta")]
    pub(super) fn send_either(
        &mut self,
        now: Instant,
        kind: Kind,
        deadline: Instant,
        document: &[u8],
        delta: Delta<'_>,
        uplink: &mut impl Uplink,
    ) {
        uplink.send_either(document, delta, deadline.since(now));
        self.0 = Some(Request { kind, started: now, deadline });
    }

    /// Takes the outcome of the request if there is one, or cancels the request at its deadline.
    pub(super) fn receive(&mut self, now: Instant, uplink: &mut impl Uplink) -> Option<Ended> {
        let Request { kind, started, deadline } = self.0?;
        let outcome = match uplink.poll() {
            Poll::Ready(outcome) => outcome,
            Poll::Pending if now >= deadline => uplink.cancel(),
            Poll::Pending => return None,
        };
        self.0 = None;
        Some(Ended { kind, started, outcome })
    }

    /// Cancels the request in flight, if there is one, because the agent stops.
    pub(super) fn cancel(&mut self, uplink: &mut impl Uplink) -> Option<Ended> {
        let Request { kind, started, .. } = self.0.take()?;
        let _ = uplink.cancel();
        let verdict = Verdict::Failed { fault: Fault::Device, may_have_arrived: true };
        Some(Ended { kind, started, outcome: Outcome::new(verdict, "stopped while sending") })
    }

    /// Whether the live heartbeat of a slot is in flight.
    pub(super) fn is_live(&self) -> bool {
        self.0.is_some_and(|request| matches!(request.kind, Kind::Live(_)))
    }

    /// When the request in flight will be cancelled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.map(|request| request.deadline)
    }
}
