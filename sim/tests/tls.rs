//! The daemon against a real TLS server whose authority the test has made.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
};

use heartbeat_sim::{
    receiver::{self, Event},
    schema::Schema,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{Daemon, PATIENCE, command, server};

/// An authority with a file that holds it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { issuer, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A server for `name`, with a certificate that is valid in these years.
    fn server_config(&self, name: &str, years: [i32; 2]) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years[0], 1, 1);
        params.not_after = date_time_ymd(years[1], 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate with its key");
        Arc::new(config)
    }
}

/// A receiver behind TLS.
fn receiver(config: Arc<ServerConfig>) -> (SocketAddr, Receiver<Event>) {
    let (events, received) = mpsc::channel();
    let schema = Schema::new();
    let address = server(move |number, stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        receiver::serve(StreamOwned::new(connection, stream), number as u64 + 1, &schema, &events)
    });
    (address, received)
}

fn sending_to(address: SocketAddr, ca_file: &std::path::Path) -> Daemon {
    let url = format!("https://localhost:{}/heartbeat.php", address.port());
    let ca_file = ca_file.to_str().expect("UTF-8");
    let args =
        ["run", "--url", &url, "--interval", "0.3", "--pidfile", "", "--ca-file", ca_file, "--verbose"];
    Daemon::start(command(&args))
}

fn fails(config: Arc<ServerConfig>, ca: &Authority, reason: &str) {
    let (address, received) = receiver(config);
    let mut daemon = sending_to(address, &ca.file());
    assert_eq!(daemon.logs("not delivered"), format!("warning: heartbeat not delivered: {reason}"));
    daemon.stop();
    assert!(received.try_recv().is_err(), "something was sent to a server that was not verified");
}

#[test]
fn beats_arrive_over_one_verified_connection() {
    let ca = Authority::new();
    let (address, received) = receiver(ca.server_config("localhost", [2020, 2100]));
    let mut daemon = sending_to(address, &ca.file());
    for _ in 0..5 {
        match received.recv_timeout(PATIENCE).expect("a beat") {
            Event::Beat(beat) => assert_eq!(beat.connection, 1),
            Event::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    daemon.stop();
}

#[test]
fn a_server_of_another_authority_gets_nothing() {
    let (ca, other) = (Authority::new(), Authority::new());
    let reason = "the server's certificate was not accepted";
    fails(other.server_config("localhost", [2020, 2100]), &ca, reason);
    fails(ca.server_config("elsewhere.example", [2020, 2100]), &ca, reason);
}

#[test]
fn a_wrong_clock_is_named() {
    let ca = Authority::new();
    let reason = "certificate not valid at this time: is this device's clock right?";
    fails(ca.server_config("localhost", [2020, 2021]), &ca, reason);
    fails(ca.server_config("localhost", [2099, 2100]), &ca, reason);
}

#[test]
fn a_server_that_does_not_speak_tls() {
    let ca = Authority::new();
    let address = server(|_, mut stream| {
        stream.read_exact(&mut [0; 16])?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    });
    let mut daemon = sending_to(address, &ca.file());
    let line = daemon.logs("not delivered");
    assert_eq!(line, "warning: heartbeat not delivered: the TLS session failed");
}

/// The connection stood, so the failure is the server's: this decides the back-off.
#[test]
fn a_handshake_that_hangs_is_no_failure_to_connect() {
    let ca = Authority::new();
    let address = server(|_, mut stream| io::copy(&mut stream, &mut io::sink()).map(drop));
    let mut daemon = sending_to(address, &ca.file());
    let line = daemon.logs("not delivered");
    assert_eq!(line, "warning: heartbeat not delivered: no end of the TLS handshake in time");
    println!("SIGTERM during a hanging handshake: {} ms", daemon.stop().as_millis());
}

#[test]
fn a_bad_authority_file_is_refused_at_start() {
    let output = command(&["run", "--url", "https://localhost:1/", "--ca-file", "/dev/null"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors, "error: /dev/null: expected certificates in PEM form, found none\n");
}
