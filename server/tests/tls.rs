//! HTTPS in the process: a real handshake, and a certificate that is renewed without a restart.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::Path,
    sync::Arc,
};

use common::{Server, document, eventually, read_answer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::CertificateDer};

/// Writes a new certificate for `localhost` and its key; the certificate.
fn issue(directory: &Path) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(directory.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    fs::write(directory.join("certificate.pem"), issued.cert.pem()).unwrap();
    issued.cert.der().clone()
}

/// Posts a heartbeat over TLS; `None`: this certificate is not the server's.
fn beat(server: &Server, trusted: &CertificateDer<'static>, number: u64) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, server.connect());
    let body = document("pi1", number).to_string();
    let request = format!(
        "POST /heartbeat.php HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    Some(read_answer(&mut stream)?.status)
}

#[test]
fn heartbeats_come_over_tls_and_a_renewed_certificate_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let first = issue(directory.path());
    let path = |name| directory.path().join(name);
    let config = format!("[tls]\ncertificate = {:?}\nkey = {:?}", path("certificate.pem"), path("key.pem"));
    let server = Server::with(&config);
    assert_eq!(beat(&server, &first, 1), Some(200));
    let second = issue(directory.path());
    let mut number = 1;
    eventually("the new certificate is in use", || {
        number += 1;
        beat(&server, &second, number) == Some(200)
    });
    assert_eq!(beat(&server, &first, 100), None);
    // One that cannot be read leaves the old one in place.
    fs::write(path("certificate.pem"), "no certificate").unwrap();
    assert_eq!(beat(&server, &second, 101), Some(200));
    // A client that speaks plain HTTP to it gets no answer, and disturbs no other.
    let mut plain = server.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(read_answer(&mut plain).is_none());
    assert_eq!(beat(&server, &second, 102), Some(200));
}

#[test]
fn handshakes_that_never_end_are_ended_and_no_other_client_waits() {
    let directory = tempfile::tempdir().unwrap();
    let trusted = issue(directory.path());
    let path = |name| directory.path().join(name);
    let config = format!("[tls]\ncertificate = {:?}\nkey = {:?}", path("certificate.pem"), path("key.pem"));
    let server = Server::with(&config);
    let mut held: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            // The beginning of a record, of which the rest does not come.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02]).unwrap();
            stream
        })
        .collect();
    assert_eq!(beat(&server, &trusted, 1), Some(200));
    // The server ends them, before the client gives up reading.
    for stream in &mut held {
        match stream.read(&mut [0; 16]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert_eq!(beat(&server, &trusted, 2), Some(200));
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_at_the_start() {
    let mut server = Server::start();
    server.kill();
    let config = server.directory.path().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[tls]\ncertificate = \"/nowhere.pem\"\nkey = \"/nowhere.key\""))
        .unwrap();
    // A wrong configuration for whoever asks; at a start it may be in the middle of being renewed, and systemd tries again.
    for (command, status) in [("run", 1), ("check-config", 78)] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_heartbeat-server"))
            .args(["--config", config.to_str().unwrap(), command])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("/nowhere.pem"), "{command}: {error}");
        assert_eq!(output.status.code(), Some(status), "{command}");
    }
}
