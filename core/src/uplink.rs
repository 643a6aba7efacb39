//! The way to the server: one heartbeat at a time.

use core::{fmt, task::Poll};

use crate::time::Duration;

/// What the server answered, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// How long the server asks to be left alone (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// Why a heartbeat was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SendError {
    /// This device has no way to the server: no interface, no route.
    Unreachable,
    /// The server's name could not be resolved.
    Name,
    /// The server's host answered that nobody listens.
    Refused,
    /// Nobody answered the attempt to connect.
    ConnectTimeout,
    /// The certificate is not valid *now*: expired, or not valid yet. On a device without a battery-backed clock
    /// the wrong party is more often the clock than the certificate.
    CertificateTime,
    /// The server could not prove that it is the one that was configured.
    Certificate,
    /// The TLS session could not be agreed upon for any other reason.
    Tls,
    /// The connection stood, and the TLS handshake had no end in time.
    HandshakeTimeout,
    /// The connection stood and broke before the status was read.
    ConnectionLost,
    /// The answer was not HTTP, or larger than allowed.
    Protocol,
    /// The request was on its way or could not be told apart from one that is, and no complete answer came in time.
    Timeout,
    /// The server answered with a redirect, which is never followed: the configured address is the only one
    /// that may see a heartbeat.
    Redirect(u16),
    /// The server understood and refused (4xx).
    Rejected(u16),
    /// The server failed (5xx), or sent a status that means nothing here.
    ServerError(u16),
    /// The frontend could not even try: out of threads, descriptors or memory.
    Local,
    /// The agent was stopped while the request was on its way.
    Stopped,
}

impl SendError {
    /// Whether the server itself was reached and failed, so that it is better left alone for a while. Otherwise the
    /// failure is on this side of it, or costs it next to nothing, and the next beat may be tried as usual.
    pub const fn is_the_servers(self) -> bool {
        matches!(
            self,
            Self::Tls
                | Self::HandshakeTimeout
                | Self::ConnectionLost
                | Self::Protocol
                | Self::Timeout
                | Self::Rejected(429)
                | Self::ServerError(_)
        )
    }

    /// Whether the server may have taken the heartbeat all the same: it was on its way, and nobody has said that it
    /// was refused. Sending such a one again could deliver it twice.
    pub const fn may_have_arrived(self) -> bool {
        match self {
            Self::Unreachable
            | Self::Name
            | Self::Refused
            | Self::ConnectTimeout
            | Self::CertificateTime
            | Self::Certificate
            | Self::Tls
            | Self::HandshakeTimeout
            | Self::Redirect(_)
            | Self::Rejected(_)
            | Self::ServerError(_) => false,
            Self::ConnectionLost | Self::Protocol | Self::Timeout | Self::Local | Self::Stopped => true,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no route to the server"),
            Self::Name => f.write_str("the server's name could not be resolved"),
            Self::Refused => f.write_str("connection refused"),
            Self::ConnectTimeout => f.write_str("no answer to the attempt to connect"),
            Self::CertificateTime => {
                f.write_str("certificate not valid at this time: is this device's clock right?")
            }
            Self::Certificate => f.write_str("the server's certificate was not accepted"),
            Self::Tls => f.write_str("the TLS session failed"),
            Self::HandshakeTimeout => f.write_str("no end of the TLS handshake in time"),
            Self::ConnectionLost => f.write_str("the connection broke"),
            Self::Protocol => f.write_str("the answer was not acceptable HTTP"),
            Self::Timeout => f.write_str("no complete answer in time"),
            Self::Redirect(status) => {
                write!(f, "the server sent a redirect ({status}), which is not followed")
            }
            Self::Rejected(status) => write!(f, "the server refused the heartbeat ({status})"),
            Self::ServerError(status) => write!(f, "the server failed ({status})"),
            Self::Local => f.write_str("out of local resources"),
            Self::Stopped => f.write_str("stopped while sending"),
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

    /// The outcome of the request, once. `Pending` while it is under way and when there is none.
    fn poll(&mut self) -> Poll<Result<Reply, SendError>>;

    /// Forgets the request: its outcome must never be returned by a later `poll`. Says what the request was waiting
    /// for, as far as that is known; [`SendError::Timeout`] if not.
    fn cancel(&mut self) -> SendError;
}

impl Reply {
    /// A reply with this status that asks for nothing.
    pub const fn new(status: u16) -> Self {
        Self { status, retry_after: None }
    }

    /// Whether the status means that the heartbeat arrived.
    ///
    /// # Errors
    ///
    /// [`SendError::Redirect`], [`SendError::Rejected`] or [`SendError::ServerError`] with the status.
    pub const fn accepted(self) -> Result<u16, SendError> {
        match self.status {
            200..=299 => Ok(self.status),
            300..=399 => Err(SendError::Redirect(self.status)),
            400..=499 => Err(SendError::Rejected(self.status)),
            _ => Err(SendError::ServerError(self.status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_failure_is_said_in_words_and_judged() {
        // Whose fault it may be, and whether the heartbeat may be there all the same.
        let known = [
            (SendError::Unreachable, false, false, "no route to the server"),
            (SendError::Name, false, false, "the server's name could not be resolved"),
            (SendError::Refused, false, false, "connection refused"),
            (SendError::ConnectTimeout, false, false, "no answer to the attempt to connect"),
            (
                SendError::CertificateTime,
                false,
                false,
                "certificate not valid at this time: is this device's clock right?",
            ),
            (SendError::Certificate, false, false, "the server's certificate was not accepted"),
            (SendError::Tls, true, false, "the TLS session failed"),
            (SendError::HandshakeTimeout, true, false, "no end of the TLS handshake in time"),
            (SendError::ConnectionLost, true, true, "the connection broke"),
            (SendError::Protocol, true, true, "the answer was not acceptable HTTP"),
            (SendError::Timeout, true, true, "no complete answer in time"),
            (
                SendError::Redirect(302),
                false,
                false,
                "the server sent a redirect (302), which is not followed",
            ),
            (SendError::Rejected(404), false, false, "the server refused the heartbeat (404)"),
            (SendError::Rejected(429), true, false, "the server refused the heartbeat (429)"),
            (SendError::ServerError(503), true, false, "the server failed (503)"),
            (SendError::Local, false, true, "out of local resources"),
            (SendError::Stopped, false, true, "stopped while sending"),
        ];
        for (error, is_the_servers, may_have_arrived, said) in known {
            assert_eq!(error.to_string(), said);
            assert_eq!(error.is_the_servers(), is_the_servers, "{error}");
            assert_eq!(error.may_have_arrived(), may_have_arrived, "{error}");
        }
    }
}
