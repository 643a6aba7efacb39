//! What a silent connection is blamed on, and when a handshake is complete.

use std::net::TcpListener;

use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, ServerConfig, ServerConnection, pki_types::PrivateKeyDer, version::TLS12};

use super::*;
use crate::uplink::outcome;

/// In TLS 1.2 the server has the last word, after which nothing happens that would wake this side.
#[test]
fn handshake_is_complete_with_the_last_read_of_a_turn() {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS12])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("usable");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let ours = TcpStream::connect(address).expect("connected");
    ours.set_nonblocking(true).expect("set");
    let (mut theirs, _) = listener.accept().expect("accepted");
    let mut tls = ServerConnection::new(Arc::new(server)).expect("a server");
    let facts = Facts {
        address,
        connect_time: Duration::ZERO,
        handshake_round_trip: Duration::ZERO,
        since: Instant::now(),
    };
    let name = ServerName::try_from("a.example").expect("a name");
    let mut connection =
        Connection::secured(ours, facts, &Traffic::default(), &Arc::new(client), &name).expect("begun");
    for _ in 0..2 {
        assert!(!connection.handshake().expect("it goes on"));
        while !tls.wants_write() {
            tls.read_tls(&mut theirs).expect("read");
            tls.process_new_packets().expect("understood");
        }
        while tls.wants_write() {
            tls.write_tls(&mut theirs).expect("sent");
        }
        tcp::wait(&mut [nix::poll::PollFd::new(connection.as_fd(), PollFlags::POLLIN)], None)
            .expect("waited");
    }
    assert!(!tls.is_handshaking(), "the server's last word is on its way");
    assert!(connection.handshake_within(1).expect("complete"));
}

#[test]
fn silence_on_a_slow_link_is_not_blamed_on_the_server() {
    let (limit, address) = (Duration::from_secs(2), SocketAddr::from(([192, 0, 2, 1], 443)));
    let silent_after = |had_ms, connect_ms, handshake_ms| {
        let connect_time = Duration::from_millis(connect_ms);
        let handshake_round_trip = Duration::from_millis(handshake_ms);
        let since = Instant::now();
        let facts = Facts { address, connect_time, handshake_round_trip, since };
        facts.no_answer_within(Duration::from_millis(had_ms), limit)
    };
    let silent = |connect_ms, handshake_ms| silent_after(1_950, connect_ms, handshake_ms);
    assert!(outcome::verdict(&silent(100, 200)).backs_off());
    assert!(!outcome::verdict(&silent(1_200, 0)).backs_off());
    assert!(!outcome::verdict(&silent(1, 1_200)).backs_off(), "somebody on the way answers for the server");
    assert_eq!(
        silent(100, 0).to_string(),
        "no complete answer in time [IPv4 192.0.2.1:443]: the link's round trip was 100 ms, the timeout is 2000 ms"
    );
    let cut_short = silent_after(1_200, 100, 0);
    assert!(!outcome::verdict(&cut_short).backs_off(), "most of its time went into the connection");
    assert_eq!(
        cut_short.detail.as_deref(),
        Some("the link's round trip was 100 ms, the timeout is 2000 ms, 1200 ms of it were left")
    );
}
