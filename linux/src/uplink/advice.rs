//! What to do first about a heartbeat that was not delivered.

use super::{
    failure::{Cause, Failure, Stage},
    outcome::Reply,
};

/// What to do first; `None` if it was delivered.
pub fn first_thing_to_do(ended: &Result<Reply, Failure>) -> Option<&'static str> {
    match ended {
        Ok(reply) => about_status(reply.status),
        Err(failure) => Some(about_failure(failure)),
    }
}

fn about_status(status: u16) -> Option<&'static str> {
    Some(match status {
        200..=299 => return None,
        300..=399 => "set url to where the server sends you; on a foreign network this is often a login page",
        401 | 403 => "the server wants a proof of identity: check token_file, headers or client_cert",
        404 | 405 | 410 => "check the path of url: the server has nothing for heartbeats there",
        407 => "the server behaves as a proxy: check url, and set proxy if this network has one",
        413 | 414 => "the server takes no documents of this size: ask its operator",
        429 | 503 => "wait: the server has too much to do",
        511 => "log in to this network: it wants that before it lets anything through",
        400..=499 => "check url, and look into the server's log for the reason",
        _ => "look into the server's log: it failed by itself",
    })
}

fn about_failure(failure: &Failure) -> &'static str {
    match (failure.cause, failure.stage) {
        (Cause::Local, _) => "look for what uses up memory, descriptors or threads: free, lsof",
        (Cause::NoSuchName, _) if failure.via_proxy => "check the host in proxy",
        (Cause::NoSuchName, _) => "check the host in url; a name in .local needs another resolver than DNS",
        (Cause::NameServer, _) | (Cause::Timeout, Stage::Name) => {
            "check that the name servers in /etc/resolv.conf answer, and that the device is online"
        }
        (Cause::NoRoute, _) => "check that the device has an address and a default route: ip route",
        (Cause::Refused, _) if failure.via_proxy => "check host and port in proxy: nothing listens there",
        (Cause::Refused, _) => "check host and port in url: nothing listens there",
        (Cause::ProxyRefused, _) => {
            "check user and password in proxy, and ask its operator to allow the server"
        }
        (Cause::ProxyUnreached, _) => "check host and port in url; the proxy is reached, the server is not",
        (Cause::Timeout, Stage::Connect) => "look for a firewall on the way, or a dead address in the DNS",
        (_, Stage::Tunnel) => {
            "check that proxy has the right port, and http or socks5 as the proxy speaks it"
        }
        (Cause::Timeout, Stage::Handshake) => "look for a firewall or a proxy that lets no TLS through",
        (Cause::Timeout | Cause::Late, _) => {
            "compare timeout with the round trip above, and look whether the server is slow"
        }
        (Cause::CertificateNotYetValid, _) => "set this device's clock: timedatectl",
        (Cause::CertificateExpired, _) => {
            "renew the server's certificate; if it is valid, set this device's clock"
        }
        (Cause::Certificate, _) => {
            "set ca_file to the server's authority; on a foreign network, log in to it first"
        }
        (Cause::ClientCertificate, _) => {
            "set client_cert and client_key to a certificate that the server knows"
        }
        (Cause::Tls | Cause::Protocol, _) => {
            "check scheme and port in url: http and https have different ones"
        }
        (Cause::Lost, _) => "try again; if it stays, look into the server's log",
        (Cause::TooMuch, _) => "check url: what answers there does not behave as a server for heartbeats",
        (Cause::Cancelled, _) => "try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_follows_from_stage_and_cause() {
        for (stage, cause, word) in [
            (Stage::Exchange, Cause::Local, "memory"),
            (Stage::Name, Cause::NoSuchName, "the host in url"),
            (Stage::Name, Cause::NameServer, "/etc/resolv.conf"),
            (Stage::Name, Cause::Timeout, "/etc/resolv.conf"),
            (Stage::Connect, Cause::NoRoute, "ip route"),
            (Stage::Connect, Cause::Refused, "port in url"),
            (Stage::Connect, Cause::Timeout, "firewall on the way"),
            (Stage::Tunnel, Cause::ProxyRefused, "password in proxy"),
            (Stage::Tunnel, Cause::ProxyUnreached, "the server is not"),
            (Stage::Tunnel, Cause::Timeout, "socks5"),
            (Stage::Tunnel, Cause::Lost, "socks5"),
            (Stage::Handshake, Cause::Timeout, "no TLS"),
            (Stage::Handshake, Cause::Late, "round trip"),
            (Stage::Exchange, Cause::Timeout, "round trip"),
            (Stage::Handshake, Cause::CertificateNotYetValid, "timedatectl"),
            (Stage::Handshake, Cause::CertificateExpired, "renew"),
            (Stage::Handshake, Cause::Certificate, "ca_file"),
            (Stage::Exchange, Cause::ClientCertificate, "client_key"),
            (Stage::Handshake, Cause::Tls, "scheme"),
            (Stage::Exchange, Cause::Protocol, "scheme"),
            (Stage::Exchange, Cause::Lost, "if it stays"),
            (Stage::Exchange, Cause::TooMuch, "does not behave"),
            (Stage::Exchange, Cause::Cancelled, "try again"),
        ] {
            let advice = about_failure(&Failure::new(stage, cause));
            assert!(advice.contains(word), "{stage:?}, {cause:?}: {advice}");
        }
        for cause in [Cause::NoSuchName, Cause::Refused] {
            let failure = Failure::new(Stage::Connect, cause).through_proxy(true);
            assert!(first_thing_to_do(&Err(failure)).is_some_and(|advice| advice.contains("in proxy")));
        }
    }

    #[test]
    fn what_to_do_follows_from_the_status() {
        let answered = |status| first_thing_to_do(&Ok(Reply::new(status)));
        assert_eq!([200, 299].map(answered), [None; 2]);
        for (status, word) in [
            (302, "login page"),
            (401, "token_file"),
            (403, "token_file"),
            (404, "path"),
            (405, "path"),
            (407, "as a proxy"),
            (413, "this size"),
            (429, "wait"),
            (503, "wait"),
            (511, "log in"),
            (422, "the server's log"),
            (500, "by itself"),
        ] {
            assert!(answered(status).is_some_and(|advice| advice.contains(word)), "{status}");
        }
    }
}
