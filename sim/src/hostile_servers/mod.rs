//! Hostile servers, over real sockets: each does one thing wrong, at every request. For the tests of the daemon's
//! uplink, and for users who want to try a daemon against one.
//!
//! - [`tcp`](self): before anything is said, or instead of TLS.
//! - [`http`](self): after a request has been read.
//! - [`tolerance`](self): replies that are unusual, and floods.
//! - [`certificates`](self): who the server claims to be.

/// Faults of HTTP as a table.
macro_rules! http_faults {
    // `about => seconds` for replies with `Retry-After`.
    ($($name:literal, $rows:literal, $about:literal $(=> $secs:literal)?, $expected:expr, $act:expr;)*) => {
        pub(super) const FAULTS: &[Fault] = &[$(Fault {
            name: $name,
            rows: $rows,
            about: $about,
            expected: $expected,
            asks_for: $crate::hostile_servers::http_faults!(@seconds $($secs)?),
            act: Act::Http($act),
        },)*];
    };
    (@seconds) => { None };
    (@seconds $secs:literal) => { Some($secs) };
}
use http_faults;

mod certificates;
mod http;
mod tcp;
mod tolerance;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub use crate::authority::Authority;
use crate::receiver::read_request;

/// A connection on which nothing happens for this long is closed: no thread waits for ever for a peer that has gone.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// One thing that a server does wrong.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name, for command lines.
    pub name: &'static str,
    /// The rows of `doc/faults.md` that it stands for.
    pub rows: &'static str,
    /// What it does.
    pub about: &'static str,
    /// How a client's complaint must begin: as one of these. When there are none the heartbeat is delivered, because the status
    /// had arrived.
    pub expected: &'static [&'static str],
    /// The `Retry-After` that it sends, in seconds.
    pub asks_for: Option<u64>,
    act: Act,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// Instead of everything that follows on a connection.
    Tcp(fn(TcpStream) -> io::Result<()>),
    /// Instead of TLS, on a server that should speak it.
    InsteadOfTls(fn(TcpStream) -> io::Result<()>),
    /// With this certificate.
    Certificate(fn(&Authority, &str) -> Arc<ServerConfig>),
    /// After the handshake, with a certificate that is right.
    Session(fn(&Authority, &str) -> Arc<ServerConfig>),
    /// In the handshake, by way of the stream that TLS goes over.
    Handshake(fn(TcpStream) -> tcp::Drip),
    /// In place of the reply to a request.
    Http(fn(&mut dyn Wire) -> io::Result<()>),
}

/// A connection, plain or secured.
trait Wire: Read + Write {
    /// The TCP connection below it.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

impl Fault {
    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        tcp::FAULTS.iter().chain(certificates::FAULTS).chain(http::FAULTS).chain(tolerance::FAULTS)
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|fault| fault.name == name)
    }

    /// Whether it is about requests and replies, with TLS as without.
    pub const fn is_about_http(&self) -> bool {
        matches!(self.act, Act::Http(_))
    }

    /// Whether its certificate is right although the fault is in TLS, so that a heartbeat may be sent to it.
    pub const fn is_verified(&self) -> bool {
        matches!(self.act, Act::Handshake(_) | Act::Session(_))
    }

    /// Whether it needs a client that expects TLS.
    pub const fn needs_tls(&self) -> bool {
        matches!(self.act, Act::InsteadOfTls(_) | Act::Certificate(_) | Act::Session(_) | Act::Handshake(_))
    }
}

/// A hostile server. It lives until the process ends.
#[derive(Debug)]
pub struct HostileServer {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl HostileServer {
    /// Listens on `address` as `localhost`; see [`HostileServer::listen_as`].
    ///
    /// # Errors
    ///
    /// See [`HostileServer::listen_as`].
    pub fn listen(
        address: SocketAddr,
        fault: &'static Fault,
        authority: Option<&Authority>,
    ) -> io::Result<Self> {
        Self::listen_as("localhost", address, fault, authority)
    }

    /// Listens on `address`; port 0 picks a free one. `authority`: speaks TLS, with a certificate of this authority for `name`
    /// unless that is the fault.
    ///
    /// # Errors
    ///
    /// When the address cannot be used, or when the fault needs TLS and there is no authority.
    pub fn listen_as(
        name: &str,
        address: SocketAddr,
        fault: &'static Fault,
        authority: Option<&Authority>,
    ) -> io::Result<Self> {
        if fault.needs_tls() && authority.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} needs TLS", fault.name)));
        }
        let listener = TcpListener::bind(address)?;
        let served =
            Self { address: listener.local_addr()?, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&served.connections), Arc::clone(&served.requests));
        let tls = authority.map(|authority| match fault.act {
            Act::Certificate(config) | Act::Session(config) => config(authority, name),
            _ => authority.server(name),
        });
        thread::Builder::new().name("hostile server".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, requests) = (tls.clone(), Arc::clone(&requests));
                // An error means that the peer has closed the connection, which many faults aim at.
                thread::spawn(move || stream.and_then(|stream| serve(stream, fault, tls, &requests)));
            }
        })?;
        Ok(served)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests that were read so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: TcpStream,
    fault: &Fault,
    tls: Option<Arc<ServerConfig>>,
    requests: &AtomicU64,
) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_MAX))?;
    stream.set_write_timeout(Some(IDLE_MAX))?;
    stream.set_nodelay(true)?;
    let secure = |config: Arc<ServerConfig>| ServerConnection::new(config).map_err(io::Error::other);
    match (fault.act, tls) {
        (Act::Tcp(act) | Act::InsteadOfTls(act), _) => act(stream),
        (Act::Handshake(drip), Some(config)) => {
            answer(&mut StreamOwned::new(secure(config)?, drip(stream)), requests, |_| Ok(()))
        }
        (Act::Http(act), Some(config)) => {
            answer(&mut StreamOwned::new(secure(config)?, stream), requests, |wire| act(wire))
        }
        (Act::Http(act), None) => answer(&mut { stream }, requests, |wire| act(wire)),
        (Act::Certificate(_) | Act::Session(_), Some(config)) => {
            answer(&mut StreamOwned::new(secure(config)?, stream), requests, http::ok)
        }
        (Act::Certificate(_) | Act::Session(_) | Act::Handshake(_), None) => Ok(()),
    }
}

/// Reads requests and lets `act` answer each, until the peer or `act` ends the connection.
fn answer<S: Read + Write>(
    stream: &mut S,
    requests: &AtomicU64,
    act: impl Fn(&mut S) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        read_request(stream)?;
        requests.fetch_add(1, Ordering::SeqCst);
        act(stream)?;
    }
}
