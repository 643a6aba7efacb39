//! A connection to the server, plain or with TLS, that never blocks and measures its times and bytes.
//!
//! Dropping it resets it: data that was written and not sent is discarded. [`Connection::close`] closes it in order.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::PollFlags;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion,
    pki_types::{ServerName, UnixTime},
};

use super::{
    certificate::Issued,
    failure::{Cause, Failure, Stage, TooMuch},
    tcp,
    traffic::Traffic,
};

/// Bytes from the wire in one handshake. The longest chains of certificates have some 20 KiB.
pub(super) const HANDSHAKE_MAX: u64 = 64 * 1024;
/// Bytes from the wire for one reply: 64 KiB of header, 16 KiB of body, and what TLS adds.
pub(super) const REPLY_MAX: u64 = 128 * 1024;
/// Bytes of a reply's body. They are read for no other reason than that the connection can be used again, which costs less
/// than a new one as long as they fit into what a server sends at once.
pub(super) const BODY_READ_MAX: u64 = 16 * 1024;
/// Bytes from the wire while nothing is asked: session tickets.
pub(super) const IDLE_MAX: u64 = 16 * 1024;
/// Reads from the wire in one turn, after which the caller looks at the time again.
const READS_PER_TURN: u32 = 16;

/// What is known of a connection since it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The server's address.
    pub(super) address: SocketAddr,
    /// From the first packet until the connection stood: one round trip, if nothing was lost.
    pub(super) connect_time: Duration,
    /// One round trip of the TLS handshake, and what the peers had to compute; zero without TLS. Longer than the time
    /// to connect where a proxy on the way answers in the server's place, as on links over satellites.
    pub(super) handshake_round_trip: Duration,
    /// When it could be used.
    pub(super) since: Instant,
}

impl Facts {
    /// How long an answer takes at least.
    pub(super) fn round_trip(&self) -> Duration {
        self.connect_time.max(self.handshake_round_trip)
    }

    /// A request had no answer, although it had this much of its time. The server is not blamed when the link alone needs
    /// half of that time, or when making the connection had taken more than a quarter of it.
    pub(super) fn no_answer_within(&self, had: Duration, timeout: Duration) -> Failure {
        let is_cut_short = had < nearly(timeout);
        let left =
            if is_cut_short { format!(", {} ms of it were left", had.as_millis()) } else { String::new() };
        let words = self.round_trip_words();
        Failure::new(Stage::Exchange, Cause::Timeout)
            .at(self.address)
            .because(format!("{words}, the timeout is {} ms{left}", timeout.as_millis()))
            .excused(is_cut_short || self.round_trip() > timeout / 2)
    }

    /// How far away the server is, for people.
    pub(super) fn round_trip_words(&self) -> String {
        format!("the link's round trip was {} ms", self.round_trip().as_millis())
    }
}

/// A request without an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoAnswer {
    /// Of its connection.
    pub(super) facts: Facts,
    /// How much time it had.
    pub(super) had: Duration,
    /// How much time it should have.
    pub(super) timeout: Duration,
    /// A slow link is an excuse. It is none when there was no answer for long.
    pub(super) may_excuse: bool,
}

impl NoAnswer {
    /// What it fails with.
    pub(super) fn failure(&self) -> Failure {
        let failure = self.facts.no_answer_within(self.had, self.timeout);
        let is_only_slow = failure.is_only_slow && self.may_excuse;
        failure.excused(is_only_slow)
    }
}

/// As much of a request's time as makes no difference.
pub(super) fn nearly(timeout: Duration) -> Duration {
    timeout * 3 / 4
}

/// A connection to the server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// Plain bytes that are still to be sent.
    output: Vec<u8>,
    traffic: Traffic,
    /// Bytes that the peer may still send.
    allowance: u64,
    facts: Facts,
    /// Requests that were answered over it.
    answered: u32,
    /// When the last of them was, or when it was made.
    idle_since: Instant,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing that concerns the caller, but there may be more at once.
    More,
    /// The peer's end.
    End,
}

impl Connection {
    /// A plain connection over a stream that stands.
    pub(super) fn plain(stream: TcpStream, facts: Facts, traffic: &Traffic) -> Self {
        let traffic = traffic.clone();
        let idle_since = facts.since;
        Self {
            stream,
            tls: None,
            output: Vec::new(),
            traffic,
            allowance: IDLE_MAX,
            facts,
            answered: 0,
            idle_since,
        }
    }

    /// The beginning of a connection with TLS over a stream that stands; see [`Self::handshake`].
    ///
    /// # Errors
    ///
    /// When the settings cannot be used.
    pub(super) fn secured(
        stream: TcpStream,
        facts: Facts,
        traffic: &Traffic,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let tls = ClientConnection::new(Arc::clone(config), name.clone())?;
        Ok(Self { tls: Some(Box::new(tls)), allowance: HANDSHAKE_MAX, ..Self::plain(stream, facts, traffic) })
    }

    /// Goes on with the handshake as far as it can without waiting. True when it is complete.
    ///
    /// # Errors
    ///
    /// What the stream or the TLS library says.
    pub(super) fn handshake(&mut self) -> io::Result<bool> {
        self.handshake_within(READS_PER_TURN)
    }

    fn handshake_within(&mut self, reads: u32) -> io::Result<bool> {
        // What completes it may come with the last read: it is looked at once more than is read.
        for reads_left in (0..=reads).rev() {
            self.flush()?;
            let Some(tls) = &mut self.tls else { return Ok(true) };
            if !tls.is_handshaking() {
                self.facts.handshake_round_trip = self.facts.since.elapsed() / round_trips(tls);
                self.facts.since = Instant::now();
                self.idle_since = self.facts.since;
                self.allowance = IDLE_MAX;
                return Ok(true);
            }
            if reads_left == 0 {
                break;
            }
            match receive(tls, &self.stream, &self.traffic, &mut self.allowance)? {
                Received::Bytes => {}
                Received::Nothing => return Ok(false),
                Received::End => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(false)
    }

    /// What is known of it.
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether it is encrypted.
    pub(super) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// The version of TLS, and whether an earlier session was resumed.
    pub(super) fn session(&self) -> Option<String> {
        let tls = self.tls.as_ref()?;
        let resumed = matches!(tls.handshake_kind(), Some(HandshakeKind::Resumed));
        let how = if resumed { "resumed" } else { "new session" };
        let version = match tls.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
            ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
            other => format!("{other:?}"),
        };
        Some(format!("{version}, {how}"))
    }

    /// Who issued the server's certificate, and until when; `None` without TLS.
    pub(super) fn issued(&self) -> Option<Issued> {
        let certificate = self.tls.as_ref()?.peer_certificates()?.first()?;
        Issued::of(certificate, UnixTime::now())
    }

    /// For how long nothing was asked; `None` when nothing ever was.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        (self.answered > 0).then(|| now.saturating_duration_since(self.idle_since))
    }

    /// Since when nothing was asked.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// A request begins, for whose reply the peer may send [`REPLY_MAX`].
    pub(super) fn begin_request(&mut self) {
        self.allowance = REPLY_MAX;
    }

    /// The reply has ended, and the connection is idle.
    pub(super) fn become_idle(&mut self) {
        self.allowance = IDLE_MAX;
        self.answered = self.answered.saturating_add(1);
        self.idle_since = Instant::now();
    }

    /// Takes bytes to send; [`Self::flush`] sends them, all that was taken until then in one piece: one packet, and one
    /// record of TLS.
    pub(super) fn enqueue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends as much as can be sent without waiting. True when nothing is left.
    ///
    /// # Errors
    ///
    /// What the stream says.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut wire = Wire { stream: &self.stream, traffic: &self.traffic, allowance: &mut self.allowance };
        loop {
            if let Some(tls) = self.tls.as_mut().filter(|tls| !tls.is_handshaking()) {
                // What the TLS library has no room for stays until it has sent some.
                let taken = tls.writer().write(&self.output)?;
                self.output.drain(..taken);
            }
            let sent = match &mut self.tls {
                Some(tls) if tls.wants_write() => tls.write_tls(&mut wire),
                None if !self.output.is_empty() => {
                    wire.write(&self.output).inspect(|sent| drop(self.output.drain(..*sent)))
                }
                _ => return Ok(true),
            };
            match sent {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what has come, without waiting.
    ///
    /// # Errors
    ///
    /// What the stream or the TLS library says, or that the peer has sent too much.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        let Some(tls) = &mut self.tls else {
            let mut wire =
                Wire { stream: &self.stream, traffic: &self.traffic, allowance: &mut self.allowance };
            return match wire.read(buffer) {
                Ok(0) => Ok(Input::End),
                Ok(count) => Ok(Input::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Input::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Input::More),
                Err(error) => Err(error),
            };
        };
        for _ in 0..READS_PER_TURN {
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Input::End),
                Ok(count) => return Ok(Input::Bytes(count)),
                // Without the end that TLS provides for, which many servers leave out.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Input::End),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match receive(tls, &self.stream, &self.traffic, &mut self.allowance)? {
                Received::Bytes => {}
                Received::Nothing => return Ok(Input::Nothing),
                Received::End => return Ok(Input::End),
            }
        }
        Ok(Input::More)
    }

    /// Whether it can be used for a request: reads tickets, and detects the peer's end and unsolicited data.
    ///
    /// # Errors
    ///
    /// Why not, when the peer gave a reason.
    pub(super) fn is_usable(&mut self) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            match self.read(&mut [0])? {
                Input::Nothing => return self.flush(),
                Input::More => {}
                // Unsolicited data often announces the end of the connection.
                Input::Bytes(_) | Input::End => return Ok(false),
            }
        }
        Ok(false)
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        let writes = !self.output.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Ends it in order.
    pub(super) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.flush();
        }
        tcp::close(self.stream);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// How many round trips this handshake took (RFC 5246, section 7.3; RFC 8446, section 2).
fn round_trips(tls: &ClientConnection) -> u32 {
    let is_old = tls.protocol_version() == Some(ProtocolVersion::TLSv1_2);
    match tls.handshake_kind() {
        Some(HandshakeKind::FullWithHelloRetryRequest) => 2,
        Some(HandshakeKind::Full) if is_old => 2,
        _ => 1,
    }
}

/// What one read from the wire brought.
enum Received {
    Bytes,
    Nothing,
    End,
}

/// Reads once from the wire and lets the TLS library see it.
fn receive(
    tls: &mut ClientConnection,
    stream: &TcpStream,
    traffic: &Traffic,
    allowance: &mut u64,
) -> io::Result<Received> {
    let mut wire = Wire { stream, traffic, allowance };
    let count = match tls.read_tls(&mut wire) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Received::Bytes),
        Err(error) => return Err(error),
    };
    if let Err(error) = tls.process_new_packets() {
        // The alert that tells the peer.
        let _ = tls.write_tls(&mut wire);
        return Err(io::Error::new(ErrorKind::InvalidData, error));
    }
    Ok(if count == 0 { Received::End } else { Received::Bytes })
}

/// The stream, whose bytes are counted.
struct Wire<'c> {
    stream: &'c TcpStream,
    traffic: &'c Traffic,
    allowance: &'c mut u64,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = usize::try_from(*self.allowance).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..allowed).filter(|buffer| !buffer.is_empty()) else {
            return Err(io::Error::other(TooMuch));
        };
        let count = self.stream.read(buffer)?;
        *self.allowance = self.allowance.saturating_sub(count as u64);
        self.traffic.received_more(count);
        Ok(count)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.traffic.sent_more(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
