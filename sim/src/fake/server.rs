//! A server that does what it is told, seen through an uplink in virtual time.

use std::task::Poll;

use heartbeat_core::{
    Reply, SendError, Uplink,
    time::{Duration, Instant},
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// This status arrives after this time.
    Status(Duration, u16),
    /// It fails after this time.
    Fails(Duration, SendError),
    /// Nothing happens, for ever.
    Silence,
}

/// A request as the server side saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// Its document.
    pub body: Vec<u8>,
    /// The time that it was given.
    pub timeout: Duration,
    /// When it was cancelled.
    pub cancelled: Option<Instant>,
}

/// An uplink to a scripted server, which also watches how it is used.
#[derive(Debug, Clone)]
pub struct FakeServer {
    /// The time now.
    pub now: Instant,
    /// What becomes of the requests from now on.
    pub response: Response,
    /// All requests so far.
    pub sent: Vec<Sent>,
    /// Requests begun while another was in flight: a crime.
    pub overlapping: u64,
    in_flight: Option<(Instant, Response)>,
}

impl Default for FakeServer {
    /// Accepts everything after 30 ms.
    fn default() -> Self {
        Self::new(Response::Status(Duration::from_millis(30), 200))
    }
}

impl FakeServer {
    /// A server to which nothing has been sent.
    pub const fn new(response: Response) -> Self {
        Self { now: Instant::ZERO, response, sent: Vec::new(), overlapping: 0, in_flight: None }
    }

    /// Whether a request is in flight.
    pub fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When the request in flight will end.
    pub(super) fn due(&self) -> Option<Instant> {
        let (since, response) = self.in_flight?;
        match response {
            Response::Status(after, _) | Response::Fails(after, _) => Some(since + after),
            Response::Silence => None,
        }
    }
}

impl Uplink for FakeServer {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.overlapping += u64::from(self.in_flight.is_some());
        self.in_flight = Some((self.now, self.response));
        self.sent.push(Sent { at: self.now, body: body.to_vec(), timeout, cancelled: None });
    }

    fn poll(&mut self) -> Poll<Result<Reply, SendError>> {
        let Some((_, response)) = self.in_flight else { return Poll::Pending };
        if self.due().is_none_or(|due| self.now < due) {
            return Poll::Pending;
        }
        self.in_flight = None;
        match response {
            Response::Status(_, status) => Poll::Ready(Ok(Reply::new(status))),
            Response::Fails(_, error) => Poll::Ready(Err(error)),
            Response::Silence => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> SendError {
        if self.in_flight.take().is_some()
            && let Some(latest) = self.sent.last_mut()
        {
            latest.cancelled = Some(self.now);
        }
        SendError::Timeout
    }
}
