//! Tests of which failure is told.

use super::*;

fn os(stage: Stage, errno: Errno) -> Cause {
    Failure::io(stage, &errno.into()).cause
}

#[test]
fn system_errors_are_judged_by_stage() {
    assert_eq!(os(Stage::Connect, Errno::ENETUNREACH), Cause::NoRoute);
    assert_eq!(os(Stage::Connect, Errno::EHOSTUNREACH), Cause::NoRoute);
    assert_eq!(os(Stage::Connect, Errno::EPERM), Cause::NoRoute, "a firewall of this device");
    assert_eq!(os(Stage::Connect, Errno::ECONNREFUSED), Cause::Refused);
    assert_eq!(os(Stage::Connect, Errno::ETIMEDOUT), Cause::Timeout);
    assert_eq!(os(Stage::Connect, Errno::EMFILE), Cause::Local);
    assert_eq!(os(Stage::Exchange, Errno::EHOSTUNREACH), Cause::Lost);
    assert_eq!(os(Stage::Exchange, Errno::ECONNRESET), Cause::Lost);
}

#[test]
fn system_errors_are_said_once() {
    let words = |errno: Errno| Failure::io(Stage::Connect, &errno.into()).to_string();
    assert_eq!(words(Errno::ECONNREFUSED), "connection refused");
    assert_eq!(words(Errno::ETIMEDOUT), "no answer to the attempt to connect");
    assert_eq!(words(Errno::EPERM), "no route to the server: Operation not permitted");
}

#[test]
fn certificate_errors_are_told_apart_from_other_tls_errors() {
    let tls = |error| Failure::tls(Stage::Handshake, &error).cause;
    let invalid = rustls::Error::InvalidCertificate;
    assert_eq!(tls(invalid(CertificateError::NotValidYet)), Cause::CertificateNotYetValid);
    assert_eq!(tls(invalid(CertificateError::Expired)), Cause::CertificateExpired);
    assert_eq!(tls(invalid(CertificateError::UnknownIssuer)), Cause::Certificate);
    assert_eq!(tls(rustls::Error::DecryptError), Cause::Tls);
    let alert = |alert| tls(rustls::Error::AlertReceived(alert));
    assert_eq!(alert(AlertDescription::CertificateRequired), Cause::ClientCertificate);
    assert_eq!(alert(AlertDescription::HandshakeFailure), Cause::Tls);
}

#[test]
fn failure_names_cause_family_address_and_detail() {
    let failure = Failure::new(Stage::Connect, Cause::Timeout)
        .at("[2001:db8::1]:443".parse().expect("an address"))
        .because("4.0 s");
    assert_eq!(failure.to_string(), "no answer to the attempt to connect [IPv6 [2001:db8::1]:443]: 4.0 s");
    assert_eq!(Failure::new(Stage::Name, Cause::NoSuchName).to_string(), "the server's name has no address");
}

#[test]
fn failure_through_a_proxy_says_so() {
    let failure = Failure::new(Stage::Tunnel, Cause::ProxyRefused)
        .at("192.0.2.1:3128".parse().expect("an address"))
        .because("status 403")
        .through_proxy(true);
    assert_eq!(
        failure.to_string(),
        "the proxy refused the way to the server [proxy IPv4 192.0.2.1:3128]: status 403"
    );
    let nameless = Failure::new(Stage::Name, Cause::NoSuchName).through_proxy(true);
    assert_eq!(nameless.to_string(), "the proxy's name has no address");
}

#[test]
fn failure_that_came_further_tells_more() {
    let unreachable = Failure::new(Stage::Connect, Cause::NoRoute);
    let refused = Failure::new(Stage::Connect, Cause::Refused);
    let expired = Failure::new(Stage::Handshake, Cause::CertificateExpired);
    assert_eq!(unreachable.clone().or_more_telling(refused.clone()), refused);
    assert_eq!(refused.clone().or_more_telling(unreachable), refused);
    assert_eq!(expired.clone().or_more_telling(refused), expired);
}

/// Other addresses of the proxy may time out or break; only this one says what to mend.
#[test]
fn refusal_of_a_proxy_tells_more_than_vague_failures_of_other_addresses() {
    let refused = Failure::new(Stage::Tunnel, Cause::ProxyRefused);
    for (stage, cause) in [
        (Stage::Connect, Cause::Timeout),
        (Stage::Tunnel, Cause::Lost),
        (Stage::Tunnel, Cause::Protocol),
        (Stage::Tunnel, Cause::ProxyUnreached),
        (Stage::Handshake, Cause::Timeout),
        (Stage::Handshake, Cause::Lost),
    ] {
        let vague = Failure::new(stage, cause);
        assert_eq!(vague.clone().or_more_telling(refused.clone()), refused, "{vague}");
        assert_eq!(refused.clone().or_more_telling(vague), refused);
    }
    let expired = Failure::new(Stage::Handshake, Cause::CertificateExpired);
    assert_eq!(refused.or_more_telling(expired.clone()), expired, "the proxy let this one through");
}

/// A route that leads nowhere (EINVAL), a message of a router on the way, a firewall: each beat is tried.
#[test]
fn no_error_of_an_attempt_to_connect_is_the_fault_of_the_server() {
    for code in [Errno::EINVAL, Errno::EHOSTDOWN, Errno::ENOPROTOOPT, Errno::EPERM, Errno::ENETUNREACH] {
        let error = io::Error::from(code);
        let failure = Failure::io(Stage::Connect, &error);
        assert_eq!((failure.cause, failure.detail.as_deref()), (Cause::NoRoute, Some(code.desc())));
        assert_eq!(Failure::io(Stage::Exchange, &error).cause, Cause::Lost, "{code}");
    }
}
