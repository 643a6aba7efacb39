//! The sockets: connections in, requests to the routes, and a stop that loses nothing.
//!
//! An accept loop of its own over hyper, with small buffers: an idle connection is what a fleet has most of.
//!
//! - [`tls`][]: HTTPS in this process, with a certificate that is read again when it changes
//! - [`counting`][]: how many connections there may be

mod counting;
pub(crate) mod tls;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use tower_service::Service as _;

use crate::{
    app::Peer,
    limits::{DRAIN, HANDSHAKE_TIMEOUT, HEAD_MAX, HEAD_TIMEOUT, UNREAD_TIMEOUT},
    refused::{Reason, Refused},
};
use counting::{Connections, Place};
use tls::Acceptor;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often the log says so.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Serves until `stop` becomes `true`, then until requests under way have been answered, [`DRAIN`] at most.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: Option<Arc<Acceptor>>,
    routes: Router,
    connections: usize,
    refused: Arc<Refused>,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(connections);
    let mut said_at: Option<Instant> = None;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if must_pause(&error) {
                        if said_at.is_none_or(|said_at| said_at.elapsed() > SAY_EVERY) {
                            said_at = Some(Instant::now());
                            log::warn!("no new connections: {error}");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        let Some(place) = connections.enter(peer.ip()) else {
            // Closing it tells the client at once, and costs nothing to keep.
            drop(stream);
            refused.count(Reason::Connections);
            continue;
        };
        let connection = Connection {
            routes: routes.clone(),
            peer: Peer(peer),
            watcher: graceful.watcher(),
            _place: place,
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // A client that reads nothing would keep its place, and what is sent to it, for as long as it likes.
            let unread_ms = u32::try_from(UNREAD_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
            let _ = setsockopt(&stream, TcpUserTimeout, &unread_ms);
            match acceptor {
                None => connection.run(stream).await,
                Some(acceptor) => {
                    if let Some(stream) = handshake(&acceptor, stream).await {
                        connection.run(stream).await;
                    }
                }
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        log::warn!("some requests were not answered before the stop");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A connection that is being served.
struct Connection {
    routes: Router,
    peer: Peer,
    watcher: hyper_util::server::graceful::Watcher,
    _place: Place,
}

impl Connection {
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { routes, peer, watcher, _place } = self;
        // Not a layer: that would copy every route for each connection.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            routes.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // Clients that break off are ordinary.
        if let Err(error) = watcher.watch(connection).await {
            log::debug!("connection: {error}");
        }
    }
}

async fn handshake(
    acceptor: &Acceptor,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            log::debug!("handshake: {error}");
            None
        }
        Err(_) => None,
    }
}

/// Without free descriptors `accept` fails at once, again and again: in a pause other connections may end.
fn must_pause(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
