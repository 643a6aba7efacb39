//! How a request over HTTP ended, and what that means for the agent: the one place where the two meet.

use std::fmt;

use heartbeat_core::{Outcome, Verdict, time::Duration, uplink::Fault};

/// What a server answered, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// How long the server asks its clients to wait (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// Why a heartbeat was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// This device could not even try: out of threads, descriptors or memory. Nothing has left it.
    Local,
    /// This device failed when the request may have been on its way.
    Aborted,
}

impl SendError {
    /// What it means for the agent.
    pub const fn verdict(self) -> Verdict {
        let (fault, may_have_arrived) = match self {
            Self::Local | Self::CertificateTime => (Fault::Device, false),
            Self::Aborted => (Fault::Device, true),
            Self::Unreachable | Self::Name | Self::Refused | Self::Certificate => (Fault::Network, false),
            Self::ConnectTimeout => (Fault::Unanswered, false),
            Self::Tls | Self::HandshakeTimeout => (Fault::Server, false),
            Self::ConnectionLost | Self::Protocol | Self::Timeout => (Fault::Server, true),
            Self::Redirect(_) => return Verdict::Refused { lasting: true, retry_after: None },
            Self::Rejected(status) => {
                return Verdict::Refused { lasting: status != 429, retry_after: None };
            }
            Self::ServerError(_) => return Verdict::Refused { lasting: false, retry_after: None },
        };
        Verdict::Failed { fault, may_have_arrived }
    }
}

/// What the end of a request means for the agent.
pub fn outcome(ended: Result<Reply, SendError>) -> Outcome {
    match ended.and_then(Reply::accepted) {
        Ok(status) => Outcome::new(Verdict::Accepted, &format!("status {status}")),
        Err(error) => {
            let mut verdict = error.verdict();
            if let (
                Verdict::Refused { retry_after, .. },
                Ok(Reply { status: 429 | 503, retry_after: asked }),
            ) = (&mut verdict, ended)
            {
                *retry_after = asked;
            }
            Outcome::new(verdict, &error.to_string())
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
            Self::Aborted => f.write_str("this device failed while sending"),
        }
    }
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

    fn failed(fault: Fault, may_have_arrived: bool) -> Verdict {
        Verdict::Failed { fault, may_have_arrived }
    }

    fn refused(lasting: bool) -> Verdict {
        Verdict::Refused { lasting, retry_after: None }
    }

    #[test]
    fn errors_have_a_message_and_a_verdict() {
        for (error, verdict, message) in [
            (SendError::Unreachable, failed(Fault::Network, false), "no route to the server"),
            (SendError::Name, failed(Fault::Network, false), "the server's name could not be resolved"),
            (SendError::Refused, failed(Fault::Network, false), "connection refused"),
            (
                SendError::ConnectTimeout,
                failed(Fault::Unanswered, false),
                "no answer to the attempt to connect",
            ),
            (
                SendError::CertificateTime,
                failed(Fault::Device, false),
                "certificate not valid at this time: is this device's clock right?",
            ),
            (
                SendError::Certificate,
                failed(Fault::Network, false),
                "the server's certificate was not accepted",
            ),
            (SendError::Tls, failed(Fault::Server, false), "the TLS session failed"),
            (
                SendError::HandshakeTimeout,
                failed(Fault::Server, false),
                "no end of the TLS handshake in time",
            ),
            (SendError::ConnectionLost, failed(Fault::Server, true), "the connection broke"),
            (SendError::Protocol, failed(Fault::Server, true), "the answer was not acceptable HTTP"),
            (SendError::Timeout, failed(Fault::Server, true), "no complete answer in time"),
            (SendError::Local, failed(Fault::Device, false), "out of local resources"),
            (SendError::Aborted, failed(Fault::Device, true), "this device failed while sending"),
            (
                SendError::Redirect(302),
                refused(true),
                "the server sent a redirect (302), which is not followed",
            ),
            (SendError::Rejected(404), refused(true), "the server refused the heartbeat (404)"),
            (SendError::Rejected(429), refused(false), "the server refused the heartbeat (429)"),
            (SendError::ServerError(503), refused(false), "the server failed (503)"),
        ] {
            assert_eq!(outcome(Err(error)), Outcome::new(verdict, message));
            assert_eq!(outcome(Err(error)).detail.as_str(), message, "cut");
        }
    }

    #[test]
    fn only_a_2xx_is_accepted() {
        let verdict = |status| outcome(Ok(Reply::new(status))).verdict;
        assert_eq!(outcome(Ok(Reply::new(204))), Outcome::new(Verdict::Accepted, "status 204"));
        assert_eq!([200, 299].map(verdict), [Verdict::Accepted; 2]);
        assert_eq!([300, 302, 399, 400, 404, 428, 430, 499].map(verdict), [refused(true); 8]);
        assert_eq!([99, 199, 429, 500, 503, 599, 999].map(verdict), [refused(false); 7]);
    }

    #[test]
    fn only_429_and_503_ask_for_time() {
        let asked = Some(Duration::from_secs(7));
        for (status, retry_after) in [(429, asked), (503, asked), (500, None), (404, None), (302, None)] {
            let verdict = outcome(Ok(Reply { status, retry_after: asked })).verdict;
            assert_eq!(verdict.retry_after(), retry_after, "{status}");
        }
    }
}
