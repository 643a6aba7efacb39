//! The sending part: at most one request, which ends by its deadline whatever the uplink does.

use core::task::Poll;

use crate::{
    time::Instant,
    uplink::{Reply, SendError, Uplink},
};

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cargo {
    /// The heartbeat of the slot that began at this time.
    Live(Instant),
    /// The oldest heartbeat of the backlog, in the time that the live one has left over.
    Late,
}

/// The request in flight.
#[derive(Debug, Clone, Copy)]
struct Request {
    cargo: Cargo,
    started: Instant,
    deadline: Instant,
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) cargo: Cargo,
    pub(super) started: Instant,
    pub(super) result: Result<Reply, SendError>,
}

/// The request in flight, if there is one.
#[derive(Debug, Default)]
pub(super) struct Sender(Option<Request>);

impl Sender {
    /// Starts a request. The caller has seen to it that the previous one has ended.
    pub(super) fn send(
        &mut self,
        now: Instant,
        cargo: Cargo,
        deadline: Instant,
        document: &[u8],
        uplink: &mut impl Uplink,
    ) {
        uplink.send(document, deadline.since(now));
        self.0 = Some(Request { cargo, started: now, deadline });
    }

    /// Takes the outcome of the request if there is one, or cancels the request when its time is up.
    pub(super) fn receive(&mut self, now: Instant, uplink: &mut impl Uplink) -> Option<Ended> {
        let Request { cargo, started, deadline } = self.0?;
        let result = match uplink.poll() {
            Poll::Ready(result) => result,
            Poll::Pending if now >= deadline => Err(uplink.cancel()),
            Poll::Pending => return None,
        };
        self.0 = None;
        Some(Ended { cargo, started, result })
    }

    /// Cancels the request in flight, if there is one.
    pub(super) fn cancel(&mut self, uplink: &mut impl Uplink) -> Option<Ended> {
        let Request { cargo, started, .. } = self.0.take()?;
        let _ = uplink.cancel();
        Some(Ended { cargo, started, result: Err(SendError::Stopped) })
    }

    /// When the request in flight will be cancelled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.map(|request| request.deadline)
    }
}
