//! From a failure of the connection to what the core knows. The only file that knows both.

use heartbeat_core::SendError;

use super::failure::{Cause, Failure, Stage};

/// What the core is told.
pub(super) fn send_error(failure: &Failure) -> SendError {
    match failure.cause {
        Cause::Local => SendError::Local,
        Cause::NoSuchName | Cause::NameServer => SendError::Name,
        Cause::NoRoute => SendError::Unreachable,
        Cause::Refused => SendError::Refused,
        Cause::Timeout => match failure.stage {
            Stage::Name => SendError::Name,
            Stage::Connect => SendError::ConnectTimeout,
            Stage::Handshake => SendError::HandshakeTimeout,
            Stage::Exchange => SendError::Timeout,
        },
        Cause::Late => SendError::ConnectTimeout,
        Cause::CertificateTime => SendError::CertificateTime,
        Cause::Certificate => SendError::Certificate,
        // TLS fails in the middle of a reply, too.
        Cause::Tls if failure.may_have_arrived => SendError::Protocol,
        Cause::ClientCertificate | Cause::Tls => SendError::Tls,
        Cause::Lost | Cause::Protocol | Cause::TooMuch if failure.stage == Stage::Handshake => SendError::Tls,
        Cause::Lost => SendError::ConnectionLost,
        Cause::Protocol | Cause::TooMuch => SendError::Protocol,
        Cause::Cancelled => SendError::Timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_decides_what_a_timeout_is() {
        let timeout = |stage| send_error(&Failure::new(stage, Cause::Timeout));
        assert_eq!(timeout(Stage::Name), SendError::Name);
        assert_eq!(timeout(Stage::Connect), SendError::ConnectTimeout);
        assert_eq!(timeout(Stage::Handshake), SendError::HandshakeTimeout);
        assert_eq!(timeout(Stage::Exchange), SendError::Timeout);
    }

    #[test]
    fn broken_handshake_is_a_tls_failure() {
        let lost = |stage| send_error(&Failure::new(stage, Cause::Lost));
        assert_eq!(lost(Stage::Handshake), SendError::Tls);
        assert_eq!(lost(Stage::Exchange), SendError::ConnectionLost);
    }

    /// Else the backlog would deliver heartbeats twice.
    #[test]
    fn broken_session_in_a_reply_may_mean_that_the_heartbeat_arrived() {
        let failure = Failure::new(Stage::Exchange, Cause::Tls);
        assert!(!send_error(&failure).may_have_arrived());
        assert!(send_error(&failure.after_sending(true)).may_have_arrived());
    }

    /// Else the backlog would lose heartbeats that the server has refused to see.
    #[test]
    fn refused_client_certificate_means_that_nothing_arrived() {
        let error = send_error(&Failure::new(Stage::Exchange, Cause::ClientCertificate));
        assert!(!error.may_have_arrived());
    }
}
