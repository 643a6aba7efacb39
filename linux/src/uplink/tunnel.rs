//! A tunnel through a proxy: what is said to it before the server can be spoken to, without waiting.
//!
//! Crates for this wait on a socket of their own (`socks`, and `ureq` with it), or need an async runtime (`tokio-socks`,
//! `fast-socks5`, `hyper-util`). The protocols have few bytes, so that they are here: [`connect`] and [`socks`] know no
//! socket, and what is read is bounded by their readers.

mod connect;
mod socks;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use nix::poll::PollFlags;

use self::{connect::Connect, socks::Socks};
use super::{
    failure::{Cause, Failure, Stage},
    traffic::Traffic,
};
use crate::config::{Credentials, Proxy, ProxyKind};

/// Bytes that are read at once.
const PIECE: usize = 512;
/// Reads in one turn, after which the caller looks at the time again.
const READS_PER_TURN: u32 = 16;

/// Where a tunnel leads, and who asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TunnelTarget {
    kind: ProxyKind,
    credentials: Option<Credentials>,
    /// The server's host, without brackets.
    host: String,
    port: u16,
}

impl TunnelTarget {
    /// A tunnel through `proxy` to this server.
    pub(super) fn new(proxy: &Proxy, host: &str, port: u16) -> Self {
        Self { kind: proxy.kind, credentials: proxy.credentials.clone(), host: host.to_owned(), port }
    }

    /// The server as `CONNECT` names it.
    fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Why there is no tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// The proxy does not let this device through: for a person to mend.
    Refused(String),
    /// The proxy does not reach the server.
    Unreached(String),
    /// It does not speak the protocol.
    Protocol(String),
}

/// What an answer of the proxy led to.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// More of the answer is needed.
    More,
    /// This is to be said next.
    Say(Vec<u8>),
    /// The tunnel stands.
    Open,
}

#[derive(Debug)]
enum Protocol {
    Connect(Connect),
    Socks(Socks),
}

impl Protocol {
    /// `bytes` came from the proxy.
    fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        match self {
            Self::Connect(connect) => connect.receive(bytes),
            Self::Socks(socks) => socks.receive(bytes),
        }
    }
}

/// A tunnel that is being made.
#[derive(Debug)]
pub(super) struct Tunnel {
    protocol: Protocol,
    /// Still to be sent.
    output: Vec<u8>,
    /// When the latest words were sent.
    said: Instant,
}

impl Tunnel {
    /// Begins one.
    pub(super) fn new(target: &TunnelTarget) -> Self {
        let (protocol, output) = match target.kind {
            ProxyKind::Http => (Protocol::Connect(Connect::new(target)), connect::request(target)),
            ProxyKind::Socks5 => (Protocol::Socks(Socks::new(target)), socks::greeting(target)),
        };
        Self { protocol, output, said: Instant::now() }
    }

    /// Goes on as far as it can without waiting. When the tunnel stands, the answer is how long the proxy needed to reach
    /// the server.
    ///
    /// # Errors
    ///
    /// Why there is no tunnel.
    pub(super) fn go_on(
        &mut self,
        stream: &mut TcpStream,
        traffic: &Traffic,
    ) -> Result<Option<Duration>, Failure> {
        for _ in 0..READS_PER_TURN {
            if !self.flush(stream, traffic).map_err(|error| lost(&error))? {
                return Ok(None);
            }
            let mut piece = [0; PIECE];
            let count = match stream.read(&mut piece) {
                Ok(0) => return Err(lost(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost(&error)),
            };
            traffic.received_more(count);
            match self.protocol.receive(piece.get(..count).unwrap_or_default()).map_err(failure)? {
                Progress::More => {}
                Progress::Say(words) => (self.output, self.said) = (words, Instant::now()),
                Progress::Open => return Ok(Some(self.said.elapsed())),
            }
        }
        Ok(None)
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        if self.output.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    }

    /// Sends what can be sent. True when nothing is left.
    fn flush(&mut self, stream: &mut TcpStream, traffic: &Traffic) -> io::Result<bool> {
        while !self.output.is_empty() {
            match stream.write(&self.output) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    traffic.sent_more(count);
                    self.output.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::io(Stage::Tunnel, error)
}

fn failure(refusal: Refusal) -> Failure {
    let (cause, words) = match refusal {
        Refusal::Refused(words) => (Cause::ProxyRefused, words),
        Refusal::Unreached(words) => (Cause::ProxyUnreached, words),
        Refusal::Protocol(words) => (Cause::Protocol, words),
    };
    Failure::new(Stage::Tunnel, cause).because(words)
}

/// For `cargo fuzz`: no answer of a proxy causes a panic, and each is given up within its bound.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let user = if choice & 2 == 0 { "" } else { "user:password@" };
    let scheme = if choice & 1 == 0 { "http" } else { "socks5" };
    let Ok(proxy) = Proxy::parse(&format!("{scheme}://{user}p:1")) else { return };
    let mut tunnel = Tunnel::new(&TunnelTarget::new(&proxy, "a.example", 443));
    for piece in bytes.chunks(usize::from(choice >> 2) + 1) {
        if !matches!(tunnel.protocol.receive(piece), Ok(Progress::More | Progress::Say(_))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
