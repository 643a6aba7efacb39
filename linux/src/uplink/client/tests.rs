//! The uplink against peers on loopback that do as the test says.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{Arc, mpsc},
    task::Poll,
    thread,
};

use heartbeat_core::{Outcome, Uplink, Verdict, time::Duration as CoreDuration};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

use super::*;
use crate::{config::ClientCertificate, uplink::HttpUplink, waker};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// Longer than anything that must happen takes on a slow machine.
const LONG: Duration = Duration::from_secs(20);
/// What a hostile server may cost at most in one heartbeat.
const WIRE_MAX: u64 = 1024 * 1024;

/// An uplink of which the test is the agent.
struct Device {
    uplink: HttpUplink,
    wake_ups: WakeUps,
    traffic: Traffic,
}

impl Device {
    fn new(url: &str, trust: Option<Trust>, timeout: Duration) -> Self {
        let traffic = Traffic::default();
        let client = Client {
            endpoint: Endpoint::parse(url).expect("a URL"),
            method: Method::Post,
            timeout,
            limits: Limits { connect: LONG, idle: LONG, interval: Duration::from_secs(1) },
            headers: HeaderMap::new(),
            trust,
            traffic: traffic.clone(),
        };
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let uplink = HttpUplink::start(client, waker).expect("a thread");
        Self { uplink, wake_ups, traffic }
    }

    /// Sends one heartbeat for which there is this much time.
    fn beat_within(&mut self, timeout: Duration) -> Outcome {
        self.send(timeout);
        self.outcome()
    }

    fn send(&mut self, timeout: Duration) {
        self.uplink.send(b"{\"a\":1}", CoreDuration::from(timeout));
    }

    fn outcome(&mut self) -> Outcome {
        loop {
            match self.uplink.poll() {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => self.wake_ups.wait(),
            }
        }
    }

    fn beat(&mut self) -> Outcome {
        self.beat_within(LONG)
    }

    fn status(&mut self) -> u16 {
        let outcome = self.beat();
        let digits: String = outcome.detail.as_str().chars().filter(char::is_ascii_digit).collect();
        match outcome.verdict {
            Verdict::Accepted | Verdict::Refused { .. } => digits.parse().expect("a status"),
            Verdict::Failed { .. } => panic!("{}", outcome.detail),
        }
    }
}

/// What happened, without the address and the details.
fn message(outcome: &Outcome) -> &str {
    let detail = outcome.detail.as_str();
    detail.split(['[', ':']).next().unwrap_or_default().trim_end()
}

/// Treats each connection, numbered from 0, as told.
fn server(handle: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let handle = Arc::clone(&handle);
            // An error is the peer's leaving.
            thread::spawn(move || stream.and_then(|stream| handle(number, stream)));
        }
    });
    address
}

/// The same with TLS.
fn secured(
    config: ServerConfig,
    handle: impl Fn(usize, &mut StreamOwned<ServerConnection, TcpStream>) -> io::Result<()>
    + Send
    + Sync
    + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    server(move |number, stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        handle(number, &mut StreamOwned::new(connection, stream))
    })
}

/// Reads a request with the document of [`Device::beat`].
fn request(stream: &mut impl Read) -> io::Result<()> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n{\"a\":1}") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    Ok(())
}

/// Reads requests and answers each with this.
fn answer(stream: &mut (impl Read + Write), reply: &[u8]) -> io::Result<()> {
    loop {
        request(stream)?;
        stream.write_all(reply)?;
        stream.flush()?;
    }
}

fn for_ever(stream: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    let piece = piece.repeat(40);
    loop {
        stream.write_all(&piece)?;
    }
}

/// Certificates of a test.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { authority: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// Trusts its authority.
    fn trust(&self) -> Option<Trust> {
        Some(self.trust_with(None).expect("loaded"))
    }

    /// Trusts its authority, and shows the certificate and the key in these texts; others may do this with the key.
    fn trust_with(&self, client: Option<(&str, &str, u32)>) -> Result<Trust, TrustError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name| dir.path().join(name);
        fs::write(path("ca.pem"), self.authority.pem()).expect("written");
        let client = client.map(|(certificate, key, mode)| {
            fs::write(path("device.pem"), certificate).expect("written");
            fs::write(path("device.key"), key).expect("written");
            fs::set_permissions(path("device.key"), fs::Permissions::from_mode(mode)).expect("set");
            ClientCertificate { certificate: path("device.pem"), key: path("device.key") }
        });
        Trust::load(TrustFiles { ca_file: Some(path("ca.pem")), client })
    }

    /// A certificate of a device and its key.
    fn device(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["device-7".to_owned()]).expect("a name");
        (params.signed_by(&key, &self.authority).expect("signed").pem(), key.serialize_pem())
    }

    /// A certificate of it for `localhost`.
    fn server(&self) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        Self::config(certificate.der(), &key)
    }

    /// Its own certificate, as a server with a certificate of `openssl req -x509` has it.
    fn itself(&self) -> ServerConfig {
        Self::config(self.authority.der(), self.authority.key())
    }

    fn config(certificate: &CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate")
    }

    /// A server that wants a certificate of each client.
    fn demanding(&self) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("usable");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let key = PrivateKeyDer::Pkcs8(self.authority.key().serialize_der().into());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![self.authority.der().clone()], key)
            .expect("a certificate")
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

fn https(address: SocketAddr) -> String {
    format!("https://localhost:{}/", address.port())
}

#[test]
fn heartbeats_share_a_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(&mut stream, OK)
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [200; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn self_signed_certificate_in_ca_file_is_accepted() {
    let pki = Pki::new();
    let address = secured(pki.itself(), |_, stream| answer(stream, OK));
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(device.status(), 200);
}

/// The alert comes after TLS 1.3's handshake: it must not look like a connection that broke with the heartbeat on it.
#[test]
fn demand_for_a_client_certificate_means_that_nothing_arrived() {
    let pki = Pki::new();
    let address = secured(pki.demanding(), |_, stream| answer(stream, OK));
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let refused = device.beat();
    assert_eq!(message(&refused), "the server does not accept this device's certificate");
    assert!(!refused.verdict.may_have_arrived());
}

#[test]
fn client_certificate_opens_a_server_that_demands_one() {
    let pki = Pki::new();
    let address = secured(pki.demanding(), |_, stream| answer(stream, OK));
    let (certificate, key) = pki.device();
    let trust = pki.trust_with(Some((&certificate, &key, 0o600))).expect("loaded");
    assert_eq!(Device::new(&https(address), Some(trust), LONG).status(), 200);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["device-7".to_owned()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::CommonName, "another authority");
    let foreign = params.self_signed(&key).expect("signed").pem();
    let trust = pki.trust_with(Some((&foreign, &key.serialize_pem(), 0o600))).expect("loaded");
    let refused = Device::new(&https(address), Some(trust), LONG).beat();
    assert_eq!(message(&refused), "the server does not accept this device's certificate");
}

#[test]
fn rejects_unusable_client_certificate() {
    let pki = Pki::new();
    let ((certificate, key), (_, other)) = (pki.device(), pki.device());
    for (certificate, key, mode, problem) in [
        (certificate.as_str(), key.as_str(), 0o644, "device.key: others may read this file"),
        (&certificate, &other, 0o600, "device.key: does not fit client_cert"),
        (&certificate, &certificate, 0o600, "device.key: expected a private key in PEM form"),
        (&key, &key, 0o600, "device.pem: expected certificates in PEM form, found none"),
    ] {
        let error = pki.trust_with(Some((certificate, key, mode))).expect_err(problem).to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn rejects_token_that_is_no_token_or_that_others_may_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    let ended = |text: &str, mode| {
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let token = Some(TokenSource::File(path.clone()));
        let headers = headers(&Proof { token, ..Proof::default() }).map_err(|error| error.to_string())?;
        let value = headers.get(AUTHORIZATION).expect("the header");
        assert!(value.is_sensitive(), "it would be logged");
        Ok::<_, String>(value.to_str().expect("text").to_owned())
    };
    assert_eq!(ended("s3cret\n", 0o640).as_deref(), Ok("Bearer s3cret"));
    for (text, mode, problem) in [
        ("s3cret", 0o644, "others may read this file"),
        ("", 0o600, "expected one token"),
        ("s3 cret", 0o600, "expected one token"),
        ("s3\r\ncret", 0o600, "expected one token"),
        ("s3cr\u{e9}t", 0o600, "expected one token"),
    ] {
        let error = ended(text, mode).expect_err(problem);
        assert!(error.contains(problem) && !error.contains("s3"), "{error}");
    }
}

#[test]
fn refused_certificate_does_not_cost_a_handshake_each_time() {
    let (opened, connections) = mpsc::channel();
    let address = secured(Pki::new().server(), move |number, stream| {
        let _ = opened.send(number);
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), Pki::new().trust(), LONG);
    for _ in 0..20 {
        assert_eq!(message(&device.beat()), "the server's certificate was not accepted");
    }
    assert_eq!(connections.try_iter().count(), 3);
}

#[test]
fn new_connection_resumes_the_session() {
    let (opened, kinds) = mpsc::channel();
    let pki = Pki::new();
    let address = secured(pki.server(), move |_, stream| {
        request(stream)?;
        let _ = opened.send(stream.conn.handshake_kind());
        stream.write_all(OK)?;
        stream.conn.send_close_notify();
        stream.flush()
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!([device.status(), device.status()], [200; 2]);
    let kinds: Vec<_> = [(); 2].iter().map(|()| kinds.recv().expect("a connection")).collect();
    assert_eq!(kinds.last(), Some(&Some(HandshakeKind::Resumed)), "{kinds:?}");
}

/// The first heartbeat ends before the handshake does, and the second has its connection.
#[test]
fn handshake_outlives_the_heartbeat_that_began_it() {
    let pki = Pki::new();
    let (late, may_go_on) = mpsc::channel::<()>();
    let (opened, connections) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let address = secured(pki.server(), move |number, stream| {
        let _ = opened.send(number);
        let _ = may_go_on.lock().expect("no panic").recv();
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let unfinished = device.beat_within(Duration::from_millis(300));
    assert_eq!(message(&unfinished), "no end of the TLS handshake in time");
    late.send(()).expect("it waits");
    assert_eq!(device.status(), 200);
    assert_eq!(connections.try_iter().count(), 1);
}

/// At the next heartbeat it would be too late for that one.
#[test]
fn slow_link_has_its_next_connection_begun_at_once() {
    let pki = Pki::new();
    let (opened, connections) = mpsc::channel();
    let address = secured(pki.server(), move |number, stream| {
        let _ = opened.send(number);
        thread::sleep(Duration::from_millis(400));
        request(stream)?;
        stream.read(&mut [0]).map(drop)
    });
    let mut device = Device::new(&https(address), pki.trust(), Duration::from_millis(600));
    // On a slow machine the handshake may not end in time either.
    assert!(!device.beat().verdict.is_accepted());
    assert_eq!([(); 2].map(|()| connections.recv_timeout(LONG)), [Ok(0), Ok(1)]);
}

/// The failure is that of the heartbeat before, which has ended already.
#[test]
fn connection_that_fails_late_does_not_cost_the_next_heartbeat() {
    let pki = Pki::new();
    let (late, may_end) = mpsc::channel::<()>();
    let may_end = std::sync::Mutex::new(may_end);
    let address = secured(pki.server(), move |number, stream| match number {
        0 => may_end.lock().expect("no panic").recv().map_err(io::Error::other),
        _ => answer(stream, OK),
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let unfinished = device.beat_within(Duration::from_millis(300));
    assert_eq!(message(&unfinished), "no end of the TLS handshake in time");
    device.send(LONG);
    late.send(()).expect("it waits");
    assert!(device.outcome().verdict.is_accepted());
}

#[test]
fn given_up_request_is_reset() {
    let (ended, ends) = mpsc::channel();
    let address = server(move |_, mut stream| {
        let mut bytes = Vec::new();
        let _ = ended.send(stream.read_to_end(&mut bytes).map_err(|error| error.kind()));
        Ok(())
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!(message(&device.beat_within(Duration::from_millis(300))), "no complete answer in time");
    assert_eq!(ends.recv(), Ok(Err(ErrorKind::ConnectionReset)));
}

#[test]
fn cancelled_request_is_given_up_at_once() {
    let (ended, ends) = mpsc::channel();
    let address = server(move |_, mut stream| {
        request(&mut stream)?;
        let _ = ended.send(None);
        let _ = ended.send(Some(stream.read(&mut [0]).map_err(|error| error.kind())));
        Ok(())
    });
    let mut device = Device::new(&url(address), None, Duration::from_secs(3600));
    device.send(Duration::from_secs(3600));
    assert_eq!(ends.recv(), Ok(None));
    assert_eq!(message(&device.uplink.cancel()), "no complete answer in time");
    assert_eq!(ends.recv(), Ok(Some(Err(ErrorKind::ConnectionReset))));
}

#[test]
fn misdirected_request_costs_the_connection() {
    let address = server(|number, mut stream| match number {
        0 => answer(&mut stream, b"HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n"),
        _ => answer(&mut stream, OK),
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([device.status(), device.status()], [421, 200]);
}

#[test]
fn other_refusals_keep_a_young_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [404; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn page_of_a_refusal_is_not_downloaded() {
    let pki = Pki::new();
    let address = secured(pki.server(), |_, stream| {
        let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\n";
        answer(stream, &[&head[..], &[b'x'; 1_000_000]].concat())
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(device.status(), 404);
    // The next request begins when the reply has been dealt with.
    let _ = device.status();
    let received = device.traffic.received();
    // Of each the first record of 16 KiB, without which the status cannot be read.
    assert!(received < 2 * 24 * 1024, "{received} bytes for two replies");
}

/// What each of these servers sends without end must not be paid for.
#[test]
fn endless_senders_are_cut_off() {
    let pki = Pki::new();
    let reply = |beginning: &'static [u8], piece: &'static [u8]| {
        move |stream: &mut StreamOwned<ServerConnection, TcpStream>| {
            request(stream)?;
            stream.write_all(beginning)?;
            for_ever(stream, piece)
        }
    };
    let interim = reply(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let header = reply(b"HTTP/1.1 200 OK\r\n", b"X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    let line = reply(b"HTTP/1.1 200 OK\r\nX: ", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (what, expected, act) in [
        (
            "interim replies",
            "the answer was not acceptable HTTP",
            Box::new(interim) as Box<dyn Fn(&mut _) -> _ + Send + Sync>,
        ),
        ("header", "the answer was not acceptable HTTP", Box::new(header)),
        ("header line", "the answer was not acceptable HTTP", Box::new(line)),
    ] {
        let address = secured(pki.server(), move |_, stream| act(stream));
        let mut device = Device::new(&https(address), pki.trust(), LONG);
        assert_eq!(message(&device.beat()), expected, "{what}");
        let received = device.traffic.received();
        assert!(received < WIRE_MAX, "{what}: {received} bytes");
    }
}

/// The status has arrived; what follows it costs the connection and no more.
#[test]
fn endless_bodies_are_cut_off() {
    let pki = Pki::new();
    for (what, beginning, piece) in [
        ("trailers", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-Trailer: a\r\n"),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("body", "\r\n", "x"),
    ] {
        let address = secured(pki.server(), move |_, stream| {
            request(stream)?;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{beginning}").as_bytes())?;
            for_ever(stream, piece.as_bytes())
        });
        let mut device = Device::new(&https(address), pki.trust(), LONG);
        assert_eq!([device.status(), device.status()], [200; 2], "{what}");
        let received = device.traffic.received();
        assert!(received < 2 * WIRE_MAX, "{what}: {received} bytes");
    }
}

#[test]
fn session_tickets_without_end_are_cut_off() {
    let pki = Pki::new();
    let mut config = pki.server();
    config.send_tls13_tickets = 20_000;
    let address = secured(config, |_, stream| {
        stream.conn.set_buffer_limit(None);
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(message(&device.beat()), "the TLS session failed");
    let received = device.traffic.received();
    assert!(received < WIRE_MAX, "{received} bytes");
}

/// A header of 64 KiB has 1.5 MB on the wire when each byte is a record of TLS.
#[test]
fn bytes_are_counted_on_the_wire() {
    let pki = Pki::new();
    let address = secured(pki.server(), |_, stream| {
        request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            stream.write_all(b"x")?;
            stream.flush()?;
        }
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(message(&device.beat()), "the server sent too much");
    let received = device.traffic.received();
    assert!(received < WIRE_MAX, "{received} bytes");
}

/// Warnings of a script, lines without CR, interim replies with headers: the status is the answer.
#[test]
fn odd_replies_count_and_keep_their_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(
            &mut stream,
            b"HTTP/1.1 100 Continue\r\nServer: IIS\r\n\r\nHTTP/1.1 200 OK\nWarning: x in y.php\nX : z\n a\n\
              Not a header\nContent-Length: 2\n\n{}",
        )
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [200; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn request_is_one_packet() {
    let (got, pieces) = mpsc::channel();
    let address = server(move |_, mut stream| {
        let count = stream.read(&mut [0; 4096])?;
        let _ = got.send(count);
        stream.write_all(OK)
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!(device.status(), 200);
    assert_eq!(pieces.recv(), Ok(usize::try_from(device.traffic.sent()).expect("few")));
}
