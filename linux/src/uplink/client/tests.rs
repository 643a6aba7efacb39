//! The uplink against peers on loopback that do as the test says.

mod connections;
mod deltas;
mod proxy;
mod replies;
mod tls;

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
};

use heartbeat_core::{Outcome, Uplink, Verdict, time::Duration as CoreDuration, uplink::Delta};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
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
        Self::through(None, url, trust, timeout)
    }

    /// Reaches the server through a proxy.
    fn through(proxy: Option<&str>, url: &str, trust: Option<Trust>, timeout: Duration) -> Self {
        let traffic = Traffic::default();
        let client = Client {
            endpoint: Endpoint::parse(url).expect("a URL"),
            method: Method::Post,
            timeout,
            limits: Limits { connect: LONG, idle: LONG, interval: Duration::from_secs(1) },
            proxy: proxy.map(|url| Proxy::parse(url).expect("a proxy")),
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
        let digits: String = message(&outcome).chars().filter(char::is_ascii_digit).collect();
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
