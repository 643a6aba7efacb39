//! What the end of a request over HTTP means for the agent: the one place where HTTP and the core meet.

use heartbeat_core::{
    Outcome, Verdict,
    time::Duration,
    uplink::{Fault, Wire},
};

use std::net::SocketAddr;

use super::failure::{Cause, Failure, Place, Stage};

/// What a server answered, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// How long the server asks its clients to wait (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// The address that answered, if it is known.
    pub address: Option<SocketAddr>,
    /// How the heartbeat went over the wire.
    pub wire: Wire,
}

impl Reply {
    /// A reply with this status that asks for nothing.
    pub const fn new(status: u16) -> Self {
        Self {
            status,
            retry_after: None,
            address: None,
            wire: Wire { understands_deltas: None, was_delta: false },
        }
    }
}

/// What the end of a request means for the agent, and in words.
pub fn outcome(ended: &Result<Reply, Failure>) -> Outcome {
    match ended {
        Ok(reply) => of_reply(*reply),
        Err(failure) => Outcome::new(verdict(failure), &failure.to_string()).caused_by(&failure.name()),
    }
}

fn of_reply(Reply { status, retry_after, address, wire }: Reply) -> Outcome {
    // The two statuses that mean "later" (RFC 9110 section 15.6.4, RFC 6585 section 4). With others it is not listened to.
    let retry_after = retry_after.filter(|_| matches!(status, 429 | 503));
    let name = match status {
        // What nearly every heartbeat ends with.
        200 => return Outcome::new(Verdict::Accepted, "status 200").over(wire),
        201..=299 => return Outcome::new(Verdict::Accepted, &format!("status {status}")).over(wire),
        300..=399 => format!("the server sent a redirect ({status}), which is not followed"),
        400..=499 => format!("the server refused the heartbeat ({status})"),
        _ => format!("the server failed ({status})"),
    };
    let place = address.map(|address| format!(" {}", Place(address))).unwrap_or_default();
    let asked = retry_after.map(|time| format!(": it asked for {} s", time.as_secs())).unwrap_or_default();
    Outcome::new(Verdict::Refused { retry_after }, &format!("{name}{place}{asked}")).caused_by(&name)
}

/// Whether an answer to a delta is about its form, so that the full document may be taken. The others are about the device or the
/// time.
pub(super) const fn asks_for_full(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 403 | 408 | 410 | 421 | 429)
}

/// What a failure means for the agent.
pub(super) fn verdict(failure: &Failure) -> Verdict {
    let fault = match (failure.cause, failure.stage) {
        (Cause::Timeout, _) if failure.is_only_slow => Fault::Network,
        (Cause::Local | Cause::CertificateNotYetValid, _) => Fault::Device,
        (Cause::NoSuchName | Cause::NameServer | Cause::NoRoute | Cause::Refused | Cause::Late, _)
        | (Cause::Timeout, Stage::Name) => Fault::Network,
        // Behind a proxy an overloaded server cannot be told from a network that fails.
        (Cause::Timeout, Stage::Connect | Stage::Tunnel) | (Cause::ProxyUnreached, _) => Fault::Unanswered,
        (Cause::Timeout, Stage::Handshake | Stage::Exchange)
        | (
            Cause::CertificateExpired
            | Cause::Certificate
            | Cause::ClientCertificate
            | Cause::ProxyRefused
            | Cause::Tls
            | Cause::Lost
            | Cause::Protocol
            | Cause::TooMuch
            | Cause::Cancelled,
            _,
        ) => Fault::Server,
    };
    // A server that refuses this device's certificate has not looked at the request.
    let may_have_arrived = failure.may_have_arrived && failure.cause != Cause::ClientCertificate;
    Verdict::Failed { fault, may_have_arrived }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(fault: Fault) -> Verdict {
        Verdict::Failed { fault, may_have_arrived: false }
    }

    const REFUSED: Verdict = Verdict::Refused { retry_after: None };

    #[test]
    fn failures_have_a_message_and_a_verdict() {
        for (stage, cause, verdict, message) in [
            (Stage::Connect, Cause::NoRoute, failed(Fault::Network), "no route to the server"),
            (Stage::Name, Cause::NoSuchName, failed(Fault::Network), "the server's name has no address"),
            (Stage::Name, Cause::NameServer, failed(Fault::Network), "the name servers failed"),
            (Stage::Name, Cause::Timeout, failed(Fault::Network), "no answer from the name servers"),
            (Stage::Connect, Cause::Refused, failed(Fault::Network), "connection refused"),
            (
                Stage::Connect,
                Cause::Timeout,
                failed(Fault::Unanswered),
                "no answer to the attempt to connect",
            ),
            (Stage::Handshake, Cause::Late, failed(Fault::Network), "connected too late for this heartbeat"),
            (
                Stage::Handshake,
                Cause::CertificateNotYetValid,
                failed(Fault::Device),
                "the server's certificate is not valid yet",
            ),
            (
                Stage::Handshake,
                Cause::CertificateExpired,
                failed(Fault::Server),
                "the server's certificate has expired",
            ),
            (
                Stage::Handshake,
                Cause::Certificate,
                failed(Fault::Server),
                "the server's certificate was not accepted",
            ),
            (
                Stage::Tunnel,
                Cause::ProxyRefused,
                failed(Fault::Server),
                "the proxy refused the way to the server",
            ),
            (
                Stage::Tunnel,
                Cause::ProxyUnreached,
                failed(Fault::Unanswered),
                "the proxy does not reach the server",
            ),
            (Stage::Tunnel, Cause::Timeout, failed(Fault::Unanswered), "no complete answer of the proxy"),
            (Stage::Tunnel, Cause::Lost, failed(Fault::Server), "the proxy closed the connection"),
            (Stage::Tunnel, Cause::Protocol, failed(Fault::Server), "the proxy's answer was not acceptable"),
            (Stage::Handshake, Cause::Tls, failed(Fault::Server), "the TLS session failed"),
            (Stage::Handshake, Cause::Timeout, failed(Fault::Server), "no end of the TLS handshake in time"),
            (Stage::Exchange, Cause::Lost, failed(Fault::Server), "the connection broke"),
            (Stage::Exchange, Cause::Protocol, failed(Fault::Server), "the answer was not acceptable HTTP"),
            (Stage::Exchange, Cause::TooMuch, failed(Fault::Server), "the server sent too much"),
            (Stage::Exchange, Cause::Timeout, failed(Fault::Server), "no complete answer in time"),
            (Stage::Exchange, Cause::Local, failed(Fault::Device), "out of local resources"),
            (
                Stage::Exchange,
                Cause::ClientCertificate,
                failed(Fault::Server),
                "the server does not accept this device's certificate",
            ),
        ] {
            assert_eq!(outcome(&Err(Failure::new(stage, cause))), Outcome::new(verdict, message));
        }
    }

    #[test]
    fn cause_is_the_same_for_every_address_time_and_round_trip() {
        let cause = |failure| outcome(&Err(failure)).cause;
        let failure = |cause| Failure::new(Stage::Exchange, cause);
        let address = "192.0.2.1:443".parse().expect("an address");
        assert_eq!(
            cause(failure(Cause::Timeout).at(address).because("1 ms")),
            cause(failure(Cause::Timeout))
        );
        assert_ne!(cause(failure(Cause::Timeout)), cause(failure(Cause::Lost)));
        let refused = |why| cause(failure(Cause::Certificate).because(why));
        assert_ne!(refused("unknown issuer"), refused("another name"), "the problem of a certificate counts");
    }

    #[test]
    fn refusal_names_the_address_and_the_time_that_the_server_asked_for() {
        let address = Some("192.0.2.1:443".parse().expect("an address"));
        let refused =
            outcome(&Ok(Reply { retry_after: Some(Duration::from_secs(7)), address, ..Reply::new(503) }));
        assert_eq!(refused.detail.as_str(), "the server failed (503) [IPv4 192.0.2.1:443]: it asked for 7 s");
        assert_eq!(refused.cause, outcome(&Ok(Reply::new(503))).cause);
        assert_eq!(outcome(&Ok(Reply { address, ..Reply::new(204) })).detail.as_str(), "status 204");
    }

    #[test]
    fn slow_link_is_not_blamed_on_the_server() {
        let timeout = Failure::new(Stage::Exchange, Cause::Timeout);
        assert!(outcome(&Err(timeout.clone())).verdict.backs_off());
        assert!(!outcome(&Err(timeout.excused(true))).verdict.backs_off());
    }

    /// Else the backlog would lose heartbeats that the server has refused to see.
    #[test]
    fn refused_client_certificate_means_that_nothing_arrived() {
        let refused = Failure::new(Stage::Exchange, Cause::ClientCertificate).after_sending(true);
        assert!(!outcome(&Err(refused)).verdict.may_have_arrived());
    }

    /// Else the backlog would lose what the server has not seen, or deliver twice what it has seen.
    #[test]
    fn only_what_left_the_device_may_have_arrived() {
        let lost = Failure::new(Stage::Exchange, Cause::Lost);
        assert!(!outcome(&Err(lost.clone())).verdict.may_have_arrived());
        assert!(outcome(&Err(lost.after_sending(true))).verdict.may_have_arrived());
    }

    #[test]
    fn only_a_2xx_is_accepted() {
        let of = |status| outcome(&Ok(Reply::new(status)));
        assert_eq!(of(204), Outcome::new(Verdict::Accepted, "status 204"));
        assert_eq!(of(302), Outcome::new(REFUSED, "the server sent a redirect (302), which is not followed"));
        assert_eq!(of(404), Outcome::new(REFUSED, "the server refused the heartbeat (404)"));
        assert_eq!(of(500), Outcome::new(REFUSED, "the server failed (500)"));
        let verdict = |status| of(status).verdict;
        assert_eq!([200, 299].map(verdict), [Verdict::Accepted; 2]);
        assert_eq!([300, 302, 399, 400, 404, 428, 430, 499].map(verdict), [REFUSED; 8]);
        assert_eq!([99, 199, 429, 500, 503, 599, 999].map(verdict), [REFUSED; 7]);
    }

    #[test]
    fn full_document_is_sent_where_the_form_was_refused_only() {
        assert_eq!([400, 404, 409, 413, 415, 422, 499].map(asks_for_full), [true; 7]);
        assert_eq!([200, 302, 401, 403, 408, 410, 421, 429, 500, 503].map(asks_for_full), [false; 10]);
    }

    #[test]
    fn only_429_and_503_ask_for_time() {
        let asked = Some(Duration::from_secs(7));
        for (status, retry_after) in [(429, asked), (503, asked), (500, None), (404, None), (302, None)] {
            let verdict = outcome(&Ok(Reply { retry_after: asked, ..Reply::new(status) })).verdict;
            assert_eq!(verdict.retry_after(), retry_after, "{status}");
        }
    }
}
