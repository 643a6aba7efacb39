//! The way to the server: one heartbeat at a time, over any transport.
//!
//! The agent knows no protocol. A frontend translates the result of its own (a status, a lost connection) into a
//! [`Verdict`], which decides what the agent does, and a [`Detail`], which people read.

use core::task::Poll;

use crate::{
    limits::DETAIL_MAX,
    text::Text,
    time::{Duration, Instant},
};

/// How a request ended, for the log and for displays of [`Stats`](crate::Stats): `status 204`, `connection refused`.
/// Longer text is cut.
pub type Detail = Text<DETAIL_MAX>;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outcome {
    /// What the agent does about it.
    pub verdict: Verdict,
    /// What people read about it.
    pub detail: Detail,
    /// The same for outcomes of the same cause, although details such as times differ.
    pub cause: CauseId,
    /// When the request ended, if the agent is polled later than that; `None`: now. See
    /// [`Agent::wake_unless_failed`](crate::Agent::wake_unless_failed).
    pub ended: Option<Instant>,
    /// What it says of deltas.
    #[cfg(feature = "delta")]
    pub wire: Wire,
}

/// How an accepted heartbeat went over the wire, as far as later deltas depend on it.
#[cfg(feature = "delta")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Wire {
    /// The number of the connection over which the server has answered that it understands deltas; `None` if it has not
    /// said so. No other connection has had this number.
    pub understands_deltas: Option<u64>,
    /// What the server has taken was the delta.
    pub was_delta: bool,
}

/// A shorter form of a heartbeat, for a server that knows the full document that it refers to.
#[cfg(feature = "delta")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta<'d> {
    /// What has changed, as JSON.
    pub document: &'d [u8],
    /// The connection over which the server has confirmed the full document; see [`Wire::understands_deltas`].
    pub connection: u64,
}

/// Tells causes apart: a checksum of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CauseId(u32);

impl CauseId {
    /// Of this name (FNV-1a).
    fn of(name: &str) -> Self {
        let mixed = name
            .bytes()
            .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(mixed)
    }
}

/// What the agent needs to know of the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The server has taken the heartbeat.
    Accepted,
    /// The server answered and did not take it.
    Refused {
        /// How long the server asks its clients to wait.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    Failed {
        /// Where it failed.
        fault: Fault,
        /// It was on its way, so that the server may have taken it. Sending it again could deliver it twice.
        may_have_arrived: bool,
    },
}

/// Where a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// In this device: no memory, a wrong clock.
    Device,
    /// Between this device and the server: no route, no name, another host at the other end.
    Network,
    /// The connect timed out: the network, or an overloaded server.
    Unanswered,
    /// In the server, or after it was reached: it failed, or one of the two does not trust the other.
    Server,
}

impl Outcome {
    /// An outcome with this detail, cut to what fits, which is also the name of its cause.
    pub fn new(verdict: Verdict, detail: &str) -> Self {
        Self {
            verdict,
            detail: Detail::new(detail),
            cause: CauseId::of(detail),
            ended: None,
            #[cfg(feature = "delta")]
            wire: Wire::default(),
        }
    }

    /// The same outcome with another name of its cause: without what differs from one time to the next.
    #[must_use]
    pub fn caused_by(self, name: &str) -> Self {
        Self { cause: CauseId::of(name), ..self }
    }

    /// The same outcome of a request that ended at this time.
    #[must_use]
    pub const fn at(mut self, ended: Instant) -> Self {
        self.ended = Some(ended);
        self
    }

    /// The same outcome of a heartbeat that went over the wire in this way.
    #[cfg(feature = "delta")]
    #[must_use]
    pub const fn over(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }
}

impl Verdict {
    /// Whether the server has taken the heartbeat.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Whether the agent backs off after several of these: the server was reached and failed or refused, so that each try
    /// costs it something, and costs this device bytes. Every other failure costs next to nothing, and the next beat is
    /// tried as usual.
    pub const fn backs_off(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Failed { fault: Fault::Server, .. })
    }

    /// Whether the server may have taken a heartbeat that it has not confirmed.
    pub const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Failed { may_have_arrived: true, .. })
    }

    /// How long the server asks its clients to wait.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after } => retry_after,
            Self::Accepted | Self::Failed { .. } => None,
        }
    }
}

/// The way to the server.
///
/// The agent calls `send`, then `poll` until it is ready or `cancel`; never `send` again before that.
pub trait Uplink {
    /// Starts to send `body`, a complete JSON document. The frontend gives up by itself after `timeout`; the
    /// agent cancels what takes longer.
    fn send(&mut self, body: &[u8], timeout: Duration);

    /// As [`Uplink::send`], in the shorter form if that can be understood: sends `delta` over the connection that it names, and
    /// `body` over any other. A server that does not know what the delta refers to is sent `body` at once, within the same
    /// timeout. An uplink that knows no connections always sends `body`.
    #[cfg(feature = "delta")]
    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        let _ = delta;
        self.send(body, timeout);
    }

    /// The outcome of the request, once. `Pending` while it is under way and when there is none.
    fn poll(&mut self) -> Poll<Outcome>;

    /// Forgets the request: its outcome must never be returned by a later `poll`. Returns what the request failed with, by
    /// what it was waiting for.
    fn cancel(&mut self) -> Outcome;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_tell_what_backs_off_and_what_may_have_arrived() {
        let failed = |fault, may_have_arrived| Verdict::Failed { fault, may_have_arrived };
        let refused = Verdict::Refused { retry_after: None };
        for (verdict, backs_off, may_have_arrived) in [
            (Verdict::Accepted, false, false),
            (refused, true, false),
            (failed(Fault::Device, false), false, false),
            (failed(Fault::Network, true), false, true),
            (failed(Fault::Unanswered, false), false, false),
            (failed(Fault::Server, false), true, false),
            (failed(Fault::Server, true), true, true),
        ] {
            assert_eq!(verdict.backs_off(), backs_off, "{verdict:?}");
            assert_eq!(verdict.may_have_arrived(), may_have_arrived, "{verdict:?}");
            assert_eq!(verdict.is_accepted(), verdict == Verdict::Accepted);
            assert_eq!(verdict.retry_after(), None);
        }
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(Verdict::Refused { retry_after }.retry_after(), retry_after);
    }

    #[test]
    fn causes_are_told_apart_by_their_names() {
        let outcome = |detail| Outcome::new(Verdict::Accepted, detail);
        assert_ne!(outcome("refused").cause, outcome("lost").cause);
        assert_ne!(outcome("lost: 1 ms").cause, outcome("lost: 2 ms").cause);
        assert_eq!(outcome("lost: 1 ms").caused_by("lost"), outcome("lost: 1 ms").caused_by("lost"));
        assert_eq!(outcome("lost: 1 ms").caused_by("lost").cause, outcome("lost").cause);
        assert_eq!(CauseId::of("foobar"), CauseId(0xbf9c_f968));
    }

    #[test]
    fn details_are_cut_to_what_fits() {
        let long = Outcome::new(Verdict::Accepted, &"x".repeat(DETAIL_MAX + 1));
        assert_eq!(long.detail.as_str().len(), DETAIL_MAX);
    }
}
