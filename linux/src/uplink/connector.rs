//! Lends the link's connection to the HTTP library, one request at a time.
//!
//! The library's own pool is empty and its resolver finds nothing: [`Lender`] hands out a [`Loan`], and when the library
//! drops that, the connection goes back to the link if it is sound, or is reset. Before the library sees a reply, its head
//! is read with tolerance ([`head`](super::head)).

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport},
    },
};

use super::{
    buffers::RequestBuffers,
    connection::{BODY_READ_MAX, Connection, Input},
    failure::{Cause, Failure, Stage},
    head::{Body, Head, HeadReader},
    link::Link,
};

/// Bytes that are read at once while a head is expected.
const PIECE: usize = 1024;

/// Finds no address, and need not: the link makes the connection.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Hands out the link's connection.
#[derive(Debug, Clone)]
pub(super) struct Lender {
    link: Arc<Mutex<Link>>,
    /// Between two requests.
    buffers: Arc<Mutex<RequestBuffers>>,
}

impl Lender {
    pub(super) fn new(link: Link) -> Self {
        Self { link: Arc::new(Mutex::new(link)), buffers: Arc::default() }
    }

    /// The link. Only the uplink's thread asks for it.
    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffers(&self) -> MutexGuard<'_, RequestBuffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector for Lender {
    type Out = Loan;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Loan>, Error> {
        let mut link = self.link();
        let mut connection = link.take().map_err(other)?;
        connection.begin_request();
        let beat = *link.beat();
        let mut buffers = self.buffers().lend(details.config.output_buffer_size());
        Ok(Some(Loan {
            lender: self.clone(),
            is_secured: connection.is_secured(),
            is_new: connection.idle_for(Instant::now()).is_none(),
            connection: Some(connection),
            until: beat.until.min(Instant::now() + beat.timeout),
            had: beat.until.saturating_duration_since(Instant::now()).min(beat.timeout),
            has_sent: false,
            reader: HeadReader::with_line(std::mem::take(&mut buffers.line)),
            buffers,
            head: None,
            is_sound: false,
        }))
    }
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Loan {
    lender: Lender,
    /// Until it goes back.
    connection: Option<Connection>,
    buffers: RequestBuffers,
    is_secured: bool,
    is_new: bool,
    /// Until when the status must be here.
    until: Instant,
    /// How much time it has for that.
    had: Duration,
    /// Bytes of the request may have left.
    has_sent: bool,
    reader: HeadReader,
    /// Of the reply, when it has come.
    head: Option<Head>,
    /// The request is over, and nothing is left of it.
    is_sound: bool,
}

impl Loan {
    /// Reads until the head of the reply is here, and passes a minimal one on.
    fn await_head(&mut self) -> Result<(), Failure> {
        let mut unsent = None;
        // Nothing can be there yet. Later something may be that was received with what came before it, and decrypted.
        let mut is_first = true;
        loop {
            if Instant::now() >= self.until {
                return Err(self.failure(Cause::Timeout));
            }
            self.has_sent = true;
            if unsent.is_none() {
                // The peer may have said why it takes no more.
                unsent = self.connection()?.flush().err();
                if std::mem::take(&mut is_first) && unsent.is_none() {
                    self.wait(self.until)?;
                }
            }
            let mut piece = [0; PIECE];
            match self.connection()?.read(&mut piece) {
                Ok(Input::Bytes(count)) => {
                    self.lender.link().is_answered(None);
                    let bytes = piece.get(..count).unwrap_or_default();
                    let (used, head) = self
                        .reader
                        .read(bytes)
                        .map_err(|error| self.failure(Cause::Protocol).because(error.to_string()))?;
                    if let Some(head) = head {
                        self.lender.link().is_answered(Some(head.status));
                        if head.understands_deltas {
                            self.lender.link().understands_deltas();
                        }
                        self.begin_body(head, bytes.get(used..).unwrap_or_default());
                        return Ok(());
                    }
                }
                Ok(Input::More) => {}
                Ok(Input::Nothing) => match unsent.take() {
                    Some(error) => return Err(self.io(&error)),
                    None => self.wait(self.until)?,
                },
                Ok(Input::End) => {
                    let why = "the server closed the connection before it answered";
                    return Err(self.failure(Cause::Lost).because(why));
                }
                Err(error) => return Err(self.io(&error)),
            }
        }
    }

    /// Decides how much of the body is read. `rest` came with the head.
    fn begin_body(&mut self, head: Head, rest: &[u8]) {
        let is_accepted = (200..300).contains(&head.status);
        let body = match head.body {
            Body::Length(length) if length > BODY_READ_MAX => Body::None,
            // The connection cannot be used again. What is small is read all the same, so that the server's script can end.
            _ if head.closes && !is_accepted => Body::None,
            Body::Unclear => Body::None,
            body => body,
        };
        if is_accepted && body == Body::None && head.body != Body::None {
            self.lender.link().warn_of_large_page();
        }
        let is_read = body != Body::None || head.body == Body::None;
        let mut room = self.buffers.input_append_buf();
        let before = room.len();
        // A minimal head and what came with it are shorter than that.
        let _ = head.render(body, &mut room);
        let _ = room.write_all(if is_read { rest } else { &[] });
        let count = before - room.len();
        self.buffers.input_appended(count);
        self.head = Some(head);
    }

    /// Reads more of the body. False at its end.
    fn await_body(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let until = Instant::now() + *timeout.after;
        loop {
            if Instant::now() >= until {
                return Err(Error::Timeout(timeout.reason));
            }
            let input = self.buffers.input_append_buf();
            let Some(connection) = &mut self.connection else { return Ok(false) };
            match connection.read(input)? {
                Input::Bytes(count) => {
                    self.buffers.input_appended(count);
                    return Ok(true);
                }
                Input::More => {}
                Input::Nothing => self.wait(until).map_err(other)?,
                Input::End => return Ok(false),
            }
        }
    }

    fn wait(&mut self, until: Instant) -> Result<(), Failure> {
        let waited = match &self.connection {
            Some(connection) => self.lender.link().wait_on(connection, until),
            None => Ok(true),
        };
        match waited {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.failure(Cause::Cancelled)),
            Err(error) => Err(self.io(&error)),
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        self.connection.as_mut().ok_or(Failure::new(Stage::Exchange, Cause::Lost))
    }

    fn failure(&self, cause: Cause) -> Failure {
        let failure = Failure::new(Stage::Exchange, cause);
        let failure = match self.connection.as_ref().map(Connection::facts) {
            Some(facts) if cause == Cause::Timeout => {
                self.lender.link().no_answer(*facts, self.had).failure()
            }
            Some(facts) => failure.at(facts.address),
            None => failure,
        };
        failure.after_sending(self.has_sent)
    }

    fn io(&self, error: &io::Error) -> Failure {
        let failure =
            Failure { address: self.failure(Cause::Lost).address, ..Failure::io(Stage::Exchange, error) };
        // A refusal of this device's certificate comes after TLS 1.3's handshake, and before anything was read.
        let is_refused = failure.cause == Cause::ClientCertificate && self.is_new;
        failure.after_sending(self.has_sent && !is_refused)
    }
}

impl Transport for Loan {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        // Sent when the reply is waited for, in one packet.
        let Self { buffers, connection, .. } = self;
        if let (Some(connection), Some(output)) = (connection, buffers.output().get(..amount)) {
            connection.enqueue(output);
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.head.is_some() {
            return self.await_body(timeout);
        }
        self.await_head().map(|()| true).map_err(other)
    }

    /// The library asks when it has read all of a reply and would keep the connection.
    fn is_open(&mut self) -> bool {
        let closes = self.head.as_ref().is_none_or(|head| head.closes);
        let Some(connection) = self.connection.as_mut().filter(|_| !closes) else { return false };
        self.is_sound = connection.is_usable().unwrap_or(false);
        self.is_sound
    }

    fn is_tls(&self) -> bool {
        self.is_secured
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.buffers.line = std::mem::replace(&mut self.reader, HeadReader::new()).into_line();
        *self.lender.buffers() = std::mem::take(&mut self.buffers);
        let Some(connection) = self.connection.take() else { return };
        match &self.head {
            Some(head) if self.is_sound => self.lender.link().put_back(connection, head.status),
            // Nothing of a request that was given up may arrive.
            _ => drop(connection),
        }
    }
}

/// As the library carries it.
fn other(failure: Failure) -> Error {
    Error::Other(Box::new(failure))
}
