//! Who a server claims to be.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;

use super::{Act, Fault};
use crate::authority::{Authority, server_config};

/// Session tickets, of a few hundred bytes each.
const TICKETS: usize = 20_000;
/// Certificates, of a few hundred bytes each.
const CHAIN: usize = 2_500;
const NOT_ACCEPTED: &[&str] = &["the server's certificate was not accepted"];
const NOT_YET_VALID: &[&str] = &["the server's certificate is not valid yet"];
const EXPIRED: &[&str] = &["the server's certificate has expired"];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "ticket-flood",
        rows: "N12",
        about: "sends 20,000 session tickets after the handshake",
        // The last where its tickets do not arrive in time.
        expected: &["the server sent too much", "the TLS session failed", "no complete answer in time"],
        asks_for: None,
        act: Act::Session(|authority, name| {
            let mut config = Arc::unwrap_or_clone(authority.server(name));
            config.send_tls13_tickets = TICKETS;
            Arc::new(config)
        }),
    },
    Fault {
        name: "long-chain",
        rows: "N12",
        about: "shows a chain of certificates of 1 MB",
        expected: &["the TLS session failed", "the server sent too much"],
        asks_for: None,
        act: Act::Certificate(|authority, name| authority.server_with_chain(name, CHAIN)),
    },
    Fault {
        name: "expired",
        rows: "N12 C4",
        about: "shows a certificate that has expired",
        expected: EXPIRED,
        asks_for: None,
        act: Act::Certificate(|authority, name| authority.server_in(name, [2020, 2021])),
    },
    Fault {
        name: "not-yet-valid",
        rows: "N12 C3",
        about: "shows a certificate that is not valid yet",
        expected: NOT_YET_VALID,
        asks_for: None,
        act: Act::Certificate(|authority, name| authority.server_in(name, [2099, 2100])),
    },
    Fault {
        name: "wrong-host",
        rows: "N12 N5 N25",
        about: "shows a certificate of another host, as a captive portal does",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|authority, _| authority.server("elsewhere.example")),
    },
    Fault {
        name: "unknown-authority",
        rows: "N12 N5",
        about: "shows a certificate of an authority that is not trusted",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_, name| Authority::new().server(name)),
    },
    Fault {
        name: "self-signed",
        rows: "N12",
        about: "shows a certificate that it has signed itself",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_, name| self_signed(name)),
    },
    Fault {
        name: "authority-as-server",
        rows: "N12",
        about: "shows the certificate of an authority as its own",
        expected: NOT_ACCEPTED,
        asks_for: None,
        act: Act::Certificate(|_, _| Authority::new().as_server()),
    },
];

#[allow(clippy::expect_used)]
fn self_signed(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    server_config(vec![certificate.der().clone()], &key)
}
