//! What all request handlers share.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::http::HeaderMap;
use tokio::sync::{Semaphore, watch};

use crate::{
    access::{forms::FormKey, throttle::Throttle, tokens::Tokens},
    clock::Clock,
    config::Config,
    deltas::Bases,
    engine::{Handle, SharedFleet},
    limits::{TOKEN_LOOKS_APART, VIEWERS_MAX},
    refused::Refused,
    store::{Admin, Read, Readers, Result, StoreError},
};

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What all request handlers share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: Arc<Clock>,
    pub(crate) fleet: SharedFleet,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) engine: Handle,
    pub(crate) refused: Arc<Refused>,
    pub(crate) bases: Bases,
    pub(crate) forms: FormKey,
    pub(crate) throttle: Mutex<Throttle>,
    /// One for each open event stream.
    pub(crate) viewers: Arc<Semaphore>,
    /// One password at a time is checked: that takes a core.
    pub(crate) logins: Semaphore,
    /// Becomes `true` when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// When the last look for new tokens began.
    looked_for_tokens: tokio::sync::Mutex<Option<Instant>>,
    readers: Readers,
    admin: Mutex<Box<dyn Admin + Send>>,
}

/// What an [`App`] is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Arc<Clock>,
    pub(crate) fleet: SharedFleet,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) engine: Handle,
    pub(crate) forms: FormKey,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) readers: Readers,
    pub(crate) admin: Box<dyn Admin + Send>,
}

impl App {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            refused: Arc::default(),
            bases: Bases::new(parts.config.receive.devices),
            config: parts.config,
            clock: parts.clock,
            fleet: parts.fleet,
            tokens: parts.tokens,
            engine: parts.engine,
            forms: parts.forms,
            throttle: Mutex::new(Throttle::default()),
            viewers: Arc::new(Semaphore::new(VIEWERS_MAX)),
            logins: Semaphore::new(1),
            stopping: parts.stopping,
            looked_for_tokens: tokio::sync::Mutex::new(None),
            readers: parts.readers,
            admin: Mutex::new(parts.admin),
        }
    }

    /// Asks the database on a thread that may block; see [`Readers::ask`].
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.ask(question).await
    }

    /// Reads or changes what people decide, on a thread that may block.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn admin<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut dyn Admin) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let app = Arc::clone(self);
        let work = move || work(&mut **app.admin.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    /// Whether an unknown token may be one that was made a moment ago: then everything that was made before this call is
    /// in effect afterwards. Requests that come meanwhile share one look into the database, and looks are apart, so
    /// that guessing costs the engine nothing that is felt.
    pub(crate) async fn look_for_new_tokens(self: &Arc<Self>) {
        let asked = Instant::now();
        let mut looked = self.looked_for_tokens.lock().await;
        match *looked {
            // It began after this request had come.
            Some(began) if began > asked => return,
            Some(began) => tokio::time::sleep_until((began + TOKEN_LOOKS_APART).into()).await,
            None => {}
        }
        *looked = Some(Instant::now());
        self.reload().await;
    }

    /// Waits until changes of labels and tokens are in effect.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let engine = self.engine.clone();
        if let Ok(done) = tokio::task::spawn_blocking(move || engine.reload()).await {
            let _ = done.await;
        }
    }

    /// Whether this peer is a trusted proxy.
    pub(crate) fn is_proxy(&self, peer: Peer) -> bool {
        self.config.access.proxies.contains(&peer.0.ip().to_canonical())
    }

    /// The address of a client: the peer, or the last one in `X-Forwarded-For` if the peer is a trusted proxy.
    pub(crate) fn client(&self, peer: Peer, headers: &HeaderMap) -> IpAddr {
        let forwarded =
            headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        let forwarded = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        let client: IpAddr = forwarded.filter(|_| self.is_proxy(peer)).unwrap_or(peer.0.ip());
        client.to_canonical()
    }
}
