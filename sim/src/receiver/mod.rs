//! A small HTTP server for heartbeats: the fake of the server's side, over real sockets.
//!
//! It takes POST and the deprecated GET form, checks every document against the schema and answers 200, or 422 with
//! what is wrong. For tests and demonstrations: a thread per connection.

mod http;
mod line;
mod view;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc,
        mpsc::{self, Receiver as Channel, Sender},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

pub use self::{
    http::{Connection, Form, Refusal, Request, read_request},
    line::{Line, describe},
    view::{Habit, Read as ViewRead, View},
};
use crate::{authority::Authority, schema::Schema};

/// A connection that says nothing for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the receiver saw.
#[derive(Debug, Clone)]
pub enum Event {
    /// A heartbeat that fits the schema.
    Beat(Beat),
    /// Something else; it was answered with the refusal's status.
    Refused(Refusal),
}

/// A heartbeat as it arrived.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The document.
    pub value: Value,
    /// Its bytes.
    pub document: Vec<u8>,
    /// How it came.
    pub form: Form,
    /// Bytes of the whole request.
    pub size: usize,
    /// Number of the connection that it came over, from 1.
    pub connection: u64,
}

/// The server. It lives until the process ends.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    events: Channel<Event>,
}

impl Receiver {
    /// Listens on `address`; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be used.
    pub fn listen(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::start(address, None)
    }

    /// As [`Receiver::listen`], for `https://name`, with a certificate of this authority.
    ///
    /// # Errors
    ///
    /// When the address cannot be used.
    pub fn secured(address: impl ToSocketAddrs, authority: &Authority, name: &str) -> io::Result<Self> {
        Self::with_tls(address, authority.server(name))
    }

    /// As [`Receiver::secured`], with these settings of TLS.
    ///
    /// # Errors
    ///
    /// When the address cannot be used.
    pub fn with_tls(address: impl ToSocketAddrs, tls: Arc<ServerConfig>) -> io::Result<Self> {
        Self::start(address, Some(tls))
    }

    fn start(address: impl ToSocketAddrs, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (sender, events) = mpsc::channel();
        thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            accept(&listener, tls.as_ref(), &sender);
        })?;
        Ok(Self { address, events })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw, in order.
    pub fn events(&self) -> &Channel<Event> {
        &self.events
    }
}

fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, events: &Sender<Event>) {
    let schema = Arc::new(Schema::new());
    for (number, stream) in (1u64..).zip(listener.incoming()) {
        let Ok(stream) = stream else { continue };
        let (schema, events, tls) = (Arc::clone(&schema), events.clone(), tls.cloned());
        // A connection that cannot have a thread is closed; the sender tries again.
        let _ = thread::Builder::new().name(format!("connection {number}")).spawn(move || {
            let _ = stream.set_read_timeout(Some(IDLE_MAX));
            let _ = stream.set_nodelay(true);
            let _ = match tls.map(ServerConnection::new) {
                Some(Ok(session)) => serve(StreamOwned::new(session, stream), number, &schema, &events),
                // A session that cannot be begun is a connection that ends.
                Some(Err(_)) => Ok(()),
                None => serve(stream, number, &schema, &events),
            };
        });
    }
}

/// Serves one connection until it ends.
fn serve(stream: impl Read + Write, number: u64, schema: &Schema, events: &Sender<Event>) -> io::Result<()> {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.receive()? {
        let (event, usable) = match request {
            Ok(request) => (judge(request, number, schema), true),
            Err(refusal) => (Event::Refused(refusal), false),
        };
        let (status, body) = match &event {
            Event::Beat(_) => (200, r#"{"status":"ok"}"#.to_owned()),
            Event::Refused(refusal) => {
                (refusal.status, serde_json::json!({ "error": refusal.reason }).to_string())
            }
        };
        // The event goes before the reply, so that its reader has it before the sender's next beat.
        if events.send(event).is_err() {
            break;
        }
        connection.reply(status, &body)?;
        if !usable {
            break;
        }
    }
    Ok(())
}

fn judge(request: Request, connection: u64, schema: &Schema) -> Event {
    match schema.check(&request.document) {
        Ok(value) => {
            let Request { form, document, size } = request;
            Event::Beat(Beat { value, document, form, size, connection })
        }
        Err(reason) => Event::Refused(Refusal { status: 422, reason }),
    }
}
