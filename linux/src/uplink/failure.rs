//! Why a heartbeat got no status: where the attempt ended, what the cause was, and with which address.
//!
//! This type knows nothing of the core. [`outcome`](super::outcome()) translates it.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use nix::errno::Errno;
use rustls::{AlertDescription, CertificateError};

use super::certificate;

/// Where an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The server's name was being looked up.
    Name,
    /// A connection was being made.
    Connect,
    /// A proxy was being asked for a tunnel to the server.
    Tunnel,
    /// The TLS handshake was under way.
    Handshake,
    /// The connection stood, and the request was on its way.
    Exchange,
}

/// What the cause was, as far as it decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// This device is out of descriptors, memory or threads, or a library panicked.
    Local,
    /// The name servers answered that there is no such name, or no address for it.
    NoSuchName,
    /// The name servers failed or were not reached.
    NameServer,
    /// This device has no route to the address, its own firewall refuses, or a router on the way does.
    NoRoute,
    /// The host answered that no process listens on the port.
    Refused,
    /// The proxy does not let this device through, or wants another password.
    ProxyRefused,
    /// The proxy does not reach the server.
    ProxyUnreached,
    /// No answer in time; the [`Stage`] says to what.
    Timeout,
    /// The connection was made too late for this heartbeat. It stands, and the next heartbeat uses it.
    Late,
    /// The server's certificate is not valid yet: most likely this device's clock has not been set.
    CertificateNotYetValid,
    /// The server's certificate has expired.
    CertificateExpired,
    /// The server's certificate was refused for another reason.
    Certificate,
    /// The server wants a certificate of this device, or another one.
    ClientCertificate,
    /// The TLS session failed for another reason.
    Tls,
    /// The connection broke.
    Lost,
    /// The answer was not HTTP.
    Protocol,
    /// The peer sent more bytes than this program takes.
    TooMuch,
    /// The request was cancelled, because its outcome is no longer needed.
    Cancelled,
}

/// Why there is no status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where the attempt ended.
    pub stage: Stage,
    /// What the cause was.
    pub cause: Cause,
    /// The address that was tried last; `None` before there was one.
    pub address: Option<SocketAddr>,
    /// Bytes of the request have left this device, and no answer says that they were refused.
    pub may_have_arrived: bool,
    /// The link is slow, or what was begun goes on and may still succeed: no sign of a fault of the server.
    pub is_only_slow: bool,
    /// The address is that of a proxy on the way to the server.
    pub via_proxy: bool,
    /// More about the cause, in words.
    pub detail: Option<String>,
}

impl Failure {
    /// A failure without an address and without details, of which nothing arrived.
    pub const fn new(stage: Stage, cause: Cause) -> Self {
        Self {
            stage,
            cause,
            address: None,
            may_have_arrived: false,
            is_only_slow: false,
            via_proxy: false,
            detail: None,
        }
    }

    /// The same failure at this address.
    #[must_use]
    pub(super) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same failure on a way that leads through a proxy.
    #[must_use]
    pub(super) const fn through_proxy(mut self, via_proxy: bool) -> Self {
        self.via_proxy = via_proxy;
        self
    }

    /// The same failure, explained.
    #[must_use]
    pub(super) fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same failure after bytes of the request left.
    #[must_use]
    pub const fn after_sending(mut self, sent: bool) -> Self {
        self.may_have_arrived = sent;
        self
    }

    /// The same failure, which says nothing about the server if the link `is_only_slow`.
    #[must_use]
    pub const fn excused(mut self, is_only_slow: bool) -> Self {
        self.is_only_slow = is_only_slow;
        self
    }

    /// What a system call on a connection failed with.
    pub(super) fn io(stage: Stage, error: &io::Error) -> Self {
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::tls(stage, error);
        }
        if error.get_ref().is_some_and(|inner| inner.is::<TooMuch>()) {
            return Self::new(stage, Cause::TooMuch).because(error.to_string());
        }
        let cause = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EAGAIN) => {
                Cause::Local
            }
            _ => match error.kind() {
                ErrorKind::ConnectionRefused if stage == Stage::Connect => Cause::Refused,
                ErrorKind::TimedOut => Cause::Timeout,
                // More than the TLS library keeps of messages that are not complete.
                ErrorKind::InvalidData => Cause::Tls,
                // No peer was reached: a firewall, a route that leads nowhere (EINVAL), a message of a router on the way.
                _ if stage == Stage::Connect => Cause::NoRoute,
                _ => Cause::Lost,
            },
        };
        let failure = Self::new(stage, cause);
        match (cause, error.raw_os_error()) {
            // The system would say the same in other words.
            (Cause::Refused | Cause::Timeout, _) => failure,
            (_, Some(code)) => failure.because(Errno::from_raw(code).desc()),
            (_, None) => failure.because(error.to_string()),
        }
    }

    /// What the TLS library complained about.
    pub(super) fn tls(stage: Stage, error: &rustls::Error) -> Self {
        let cause = match error {
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Cause::CertificateNotYetValid,
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Cause::CertificateExpired,
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Cause::Certificate
            }
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => Cause::ClientCertificate,
            _ => Cause::Tls,
        };
        Self::new(stage, cause).because(certificate::words(error))
    }

    /// Whether a certificate was refused: the server's by this device, or this device's by the server.
    pub(super) const fn is_about_certificates(&self) -> bool {
        matches!(
            self.cause,
            Cause::CertificateNotYetValid
                | Cause::CertificateExpired
                | Cause::Certificate
                | Cause::ClientCertificate
        )
    }

    /// Which of two failures is more informative: the one that a person must mend, then the one that came further, and then
    /// the one that is rarer.
    pub(super) fn or_more_telling(self, other: Self) -> Self {
        let rank = |failure: &Self| {
            let needs_a_person = failure.is_about_certificates() || failure.cause == Cause::ProxyRefused;
            let rarity = match failure.cause {
                Cause::Local | Cause::Tls => 3,
                Cause::Refused | Cause::Lost | Cause::Protocol => 2,
                Cause::NoRoute | Cause::Cancelled => 0,
                _ => 1,
            };
            (needs_a_person, failure.stage, rarity)
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

impl Failure {
    /// The same for failures of the same cause, without what differs from one time to the next.
    pub(super) fn name(&self) -> String {
        match (&self.detail, self.cause) {
            (Some(problem), Cause::Certificate) => format!("{}: {problem}", self.what()),
            _ => self.what().to_owned(),
        }
    }

    const fn what(&self) -> &'static str {
        match (self.cause, self.stage) {
            (Cause::Local, _) => "out of local resources",
            (Cause::NoSuchName, _) if self.via_proxy => "the proxy's name has no address",
            (Cause::NoSuchName, _) => "the server's name has no address",
            (Cause::NameServer, _) => "the name servers failed",
            (Cause::NoRoute, _) if self.via_proxy => "no route to the proxy",
            (Cause::NoRoute, _) => "no route to the server",
            (Cause::Refused, _) => "connection refused",
            (Cause::Timeout, Stage::Name) => "no answer from the name servers",
            (Cause::Timeout, Stage::Connect) => "no answer to the attempt to connect",
            (Cause::ProxyRefused, _) => "the proxy refused the way to the server",
            (Cause::ProxyUnreached, _) => "the proxy does not reach the server",
            (Cause::Timeout, Stage::Tunnel) => "no complete answer of the proxy",
            (Cause::Timeout, Stage::Handshake) => "no end of the TLS handshake in time",
            (Cause::Timeout, Stage::Exchange) => "no complete answer in time",
            (Cause::Late, _) => "connected too late for this heartbeat",
            (Cause::CertificateNotYetValid, _) => "the server's certificate is not valid yet",
            (Cause::CertificateExpired, _) => "the server's certificate has expired",
            (Cause::Certificate, _) => "the server's certificate was not accepted",
            (Cause::ClientCertificate, _) => "the server does not accept this device's certificate",
            (Cause::Tls, _) => "the TLS session failed",
            (Cause::Lost, Stage::Tunnel) => "the proxy closed the connection",
            (Cause::Lost, Stage::Handshake) => "the connection broke in the TLS handshake",
            (Cause::Lost, _) => "the connection broke",
            (Cause::Protocol, Stage::Tunnel) => "the proxy's answer was not acceptable",
            (Cause::Protocol, _) => "the answer was not acceptable HTTP",
            (Cause::TooMuch, _) => "the server sent too much",
            (Cause::Cancelled, _) => "cancelled",
        }
    }
}

/// An address with its family, for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(pub(super) SocketAddr);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", family_and_address(self.0))
    }
}

/// Its family, and the address.
pub(super) fn family_and_address(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    format!("{family} {address}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())?;
        if let Some(address) = self.address {
            if self.via_proxy {
                write!(f, " [proxy {}]", family_and_address(address))?;
            } else {
                write!(f, " {}", Place(address))?;
            }
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// The peer has sent more than this program takes for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more bytes than a server has reason to send")]
pub(super) struct TooMuch;

#[cfg(test)]
mod tests;
