//! From what the HTTP library reports to what an operator, and later the back-off, can act on.

use std::io::{self, ErrorKind};

use nix::errno::Errno;
use rustls::CertificateError;

use super::{outcome::SendError, progress::Stage};

/// Why a request failed at `stage`.
pub(super) fn classify(error: &ureq::Error, stage: Stage) -> SendError {
    match error {
        ureq::Error::Io(error) => io_error(error, stage),
        ureq::Error::Timeout(ureq::Timeout::Resolve) | ureq::Error::HostNotFound => SendError::Name,
        ureq::Error::Timeout(_) => stage.waiting_for(),
        ureq::Error::ConnectionFailed => SendError::Unreachable,
        ureq::Error::Rustls(error) => tls_error(error),
        ureq::Error::Tls(_) | ureq::Error::Pem(_) => SendError::Tls,
        ureq::Error::BadUri(_) => SendError::Local,
        _ => SendError::Protocol,
    }
}

fn io_error(error: &io::Error, stage: Stage) -> SendError {
    if stage == Stage::Resolving {
        // There is no thread to look names up. What name servers say has errors of its own.
        return SendError::Local;
    }
    if stage == Stage::Handshaking {
        return match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => tls_error(error),
            None if error.kind() == ErrorKind::TimedOut => SendError::HandshakeTimeout,
            None => SendError::Tls,
        };
    }
    if let Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) =
        error.raw_os_error().map(Errno::from_raw)
    {
        return match stage {
            Stage::Resolving | Stage::Dialling | Stage::Handshaking => SendError::Local,
            Stage::Kept | Stage::Exchanging => SendError::Aborted,
        };
    }
    match error.kind() {
        ErrorKind::ConnectionRefused if stage == Stage::Dialling => SendError::Refused,
        ErrorKind::TimedOut => stage.waiting_for(),
        // A firewall of this device answers EPERM or EACCES.
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied
            if stage == Stage::Dialling =>
        {
            SendError::Unreachable
        }
        _ => SendError::ConnectionLost,
    }
}

fn tls_error(error: &rustls::Error) -> SendError {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => SendError::CertificateTime,
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            SendError::Certificate
        }
        _ => SendError::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_decides_who_failed() {
        let timeout = || ureq::Error::Timeout(ureq::Timeout::Global);
        assert_eq!(classify(&timeout(), Stage::Dialling), SendError::ConnectTimeout);
        assert_eq!(classify(&timeout(), Stage::Handshaking), SendError::HandshakeTimeout);
        assert_eq!(classify(&timeout(), Stage::Exchanging), SendError::Timeout);
        assert_eq!(classify(&timeout(), Stage::Kept), SendError::Timeout);
        let io = |kind| ureq::Error::Io(io::Error::from(kind));
        assert_eq!(classify(&io(ErrorKind::ConnectionRefused), Stage::Dialling), SendError::Refused);
        assert_eq!(classify(&io(ErrorKind::UnexpectedEof), Stage::Kept), SendError::ConnectionLost);
        assert_eq!(classify(&io(ErrorKind::UnexpectedEof), Stage::Handshaking), SendError::Tls);
        assert_eq!(classify(&io(ErrorKind::HostUnreachable), Stage::Exchanging), SendError::ConnectionLost);
        let os = |errno: Errno| ureq::Error::Io(errno.into());
        assert_eq!(classify(&os(Errno::ENETUNREACH), Stage::Dialling), SendError::Unreachable);
        assert_eq!(classify(&os(Errno::EMFILE), Stage::Dialling), SendError::Local);
        assert_eq!(classify(&os(Errno::EAGAIN), Stage::Resolving), SendError::Local);
        for stage in [Stage::Kept, Stage::Exchanging] {
            let aborted = classify(&os(Errno::ENOBUFS), stage);
            assert_eq!(aborted, SendError::Aborted, "the request may be on its way");
        }
    }

    #[test]
    fn a_certificate_that_is_only_early_is_the_clocks_matter() {
        let wrapped = |error| ureq::Error::Io(io::Error::new(ErrorKind::InvalidData, error));
        let early = rustls::Error::InvalidCertificate(CertificateError::NotValidYet);
        assert_eq!(classify(&wrapped(early), Stage::Handshaking), SendError::CertificateTime);
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(classify(&wrapped(unknown), Stage::Handshaking), SendError::Certificate);
        assert_eq!(classify(&wrapped(rustls::Error::DecryptError), Stage::Handshaking), SendError::Tls);
    }
}
