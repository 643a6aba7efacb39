//! A receiver of heartbeats over TLS, in this process.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver as Channel, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Far above the largest document.
const REQUEST_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 32;

/// A request that arrived.
#[derive(Debug)]
pub(super) struct Beat {
    /// Its body.
    pub(super) body: Vec<u8>,
    /// When.
    pub(super) arrived: Instant,
}

/// The receiver. It lives until the process ends.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    certificate: String,
    beats: Channel<Beat>,
}

impl Receiver {
    /// Listens on a free port of `address`, in the network namespace that the file `namespace` stands for.
    pub(super) fn listen(address: Ipv4Addr, namespace: Option<PathBuf>) -> io::Result<Self> {
        let own = rcgen::generate_simple_self_signed([address.to_string()]).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let settings = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key)
            })
            .map_err(io::Error::other)?;
        let (sender, beats) = mpsc::channel();
        let (listens, listening) = mpsc::channel();
        // A namespace belongs to a thread, and what the thread opens stays in it.
        thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            let bound = enter(namespace.as_deref()).and_then(|()| TcpListener::bind((address, 0)));
            match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((address, listener)) => {
                    let _ = listens.send(Ok(address));
                    accept(&listener, &Arc::new(settings), &sender);
                }
                Err(error) => {
                    let _ = listens.send(Err(error));
                }
            }
        })?;
        let address = listening.recv().map_err(io::Error::other)??;
        Ok(Self { address, certificate: own.cert.pem(), beats })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("https://{}/heartbeat", self.address)
    }

    /// Its certificate, in PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The next heartbeat within the time.
    pub(super) fn next(&self, within: Duration) -> Option<Beat> {
        self.beats.recv_timeout(within).ok()
    }

    /// Forgets what has arrived so far.
    pub(super) fn forget(&self) {
        while self.beats.try_recv().is_ok() {}
    }
}

fn enter(namespace: Option<&Path>) -> io::Result<()> {
    let Some(path) = namespace else { return Ok(()) };
    setns(std::fs::File::open(path)?, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

fn accept(listener: &TcpListener, settings: &Arc<ServerConfig>, beats: &Sender<Beat>) {
    for stream in listener.incoming().flatten() {
        let (settings, beats) = (Arc::clone(settings), beats.clone());
        thread::spawn(move || {
            // A connection that ends badly is the daemon's to make again.
            let _ = serve(stream, settings, &beats);
        });
    }
}

fn serve(stream: TcpStream, settings: Arc<ServerConfig>, beats: &Sender<Beat>) -> io::Result<()> {
    let session = ServerConnection::new(settings).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, stream);
    let mut buffer = Vec::new();
    loop {
        let Some((head, length)) = parse(&buffer)? else {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
            if buffer.len() > REQUEST_MAX {
                return Err(io::Error::other("a request that is too long"));
            }
            continue;
        };
        let mut body = buffer.split_off(head);
        buffer = body.split_off(length);
        let beat = Beat { body, arrived: Instant::now() };
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        stream.flush()?;
        if beats.send(beat).is_err() {
            return Ok(());
        }
    }
}

/// Lengths of the head and of the body of a request, once all of it is there.
fn parse(buffer: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    let length = length.filter(|length| *length <= REQUEST_MAX);
    let length = length.ok_or_else(|| io::Error::other("a request without a length"))?;
    Ok((buffer.len() >= head + length).then_some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_last_byte() {
        let request = b"POST /heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{}{}GET";
        let head = request.len() - 7;
        assert_eq!(parse(&request[..head + 3]).expect("valid"), None);
        assert_eq!(parse(&request[..head - 1]).expect("valid"), None);
        assert_eq!(parse(request).expect("valid"), Some((head, 4)));
        assert!(parse(b"POST / HTTP/1.1\r\n\r\n").is_err(), "no length");
        assert!(parse(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").is_err());
        assert!(parse(b"\x16\x03\x01\x00").is_err());
    }
}
