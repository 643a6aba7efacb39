//! Changes of a page as server-sent events, merged once a second.
//!
//! Each event is one JSON array of parts: the id of an element and its new HTML. Only parts that differ from what this
//! viewer has are sent, and only of what the page shows.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension,
    extract::{Query as QueryString, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use serde::Deserialize;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Part, device, fleet,
    guard::{self, Stranger},
    layout, map, problems,
};
use crate::{
    app::{App, Peer},
    engine::read,
    fleet::query::{Query, QueryKeys},
};

/// How often changes are sent.
const EVERY: Duration = Duration::from_secs(1);
/// How often a map is drawn anew: it is large.
const MAP_EVERY: Duration = Duration::from_secs(10);
/// How often charts and lists of events are read anew.
const SLOW_EVERY: Duration = Duration::from_secs(30);
/// How often a stream says that it is there, when nothing else happens.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// How often it is asked whether the viewer may still see the page: a logout or a new password ends a stream.
const ALLOWED_EVERY: Duration = Duration::from_secs(10);

/// What a viewer looks at.
#[derive(Debug, Deserialize)]
pub(super) struct View {
    #[serde(default)]
    view: String,
    #[serde(default)]
    id: String,
}

struct Viewer {
    app: Arc<App>,
    peer: Peer,
    headers: HeaderMap,
    /// When it was known last that the viewer may see the page.
    allowed_at: Instant,
    view: View,
    query: Arc<Query>,
    /// What this viewer has: the hash of each part.
    has: HashMap<String, u64>,
    revision: Option<u64>,
    drawn_at: Option<Instant>,
    sent_at: Instant,
    next: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The stream.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    QueryString(view): QueryString<View>,
    QueryString(keys): QueryString<QueryKeys>,
) -> Response {
    let Ok(permit) = Arc::clone(&app.viewers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers\n").into_response();
    };
    let now = Instant::now();
    let viewer = Viewer {
        app,
        peer,
        headers,
        allowed_at: now,
        view,
        query: Arc::new(Query::from(keys)),
        has: HashMap::new(),
        revision: None,
        drawn_at: None,
        sent_at: now,
        next: now,
        _permit: permit,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next_event().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    // nginx holds a stream back until a buffer is full unless it is told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Viewer {
    /// Whether the viewer may see the page, as far as it is known: a database that is away does not end a stream.
    async fn is_allowed(&mut self) -> bool {
        if self.allowed_at.elapsed() < ALLOWED_EVERY {
            return true;
        }
        self.allowed_at = Instant::now();
        let visitor = guard::visitor(&self.app, self.peer, &self.headers).await;
        matches!(visitor, Ok(_) | Err(Stranger::Unavailable))
    }

    /// Parts that are read from the database.
    async fn slow_parts(&self) -> Vec<Part> {
        match self.view.view.as_str() {
            "problems" => problems::event_parts(&self.app).await,
            "device" => device::history_parts(&self.app, &self.view.id).await,
            _ => Vec::new(),
        }
    }

    /// The next event; `None` when the server stops, or the viewer has been logged out.
    async fn next_event(&mut self) -> Option<Event> {
        let mut stopping = self.app.stopping.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.next) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            }
            self.next = Instant::now() + EVERY;
            if !self.is_allowed().await {
                return None;
            }
            let changed = self.changed_parts().await;
            if !changed.is_empty() || self.sent_at.elapsed() >= ALIVE_EVERY {
                self.sent_at = Instant::now();
                // The server's time is sent, too, so that ages are right even if the browser's clock is wrong.
                let data = serde_json::json!({ "now": self.app.clock.now().at, "parts": changed });
                return Some(Event::default().data(data.to_string()));
            }
        }
    }

    async fn changed_parts(&mut self) -> Vec<Part> {
        let revision = read(&self.app.fleet).revision;
        let is_map = self.view.view == "map";
        let every = if is_map { MAP_EVERY } else { SLOW_EVERY };
        let due = self.drawn_at.is_none_or(|drawn_at| drawn_at.elapsed() >= every);
        let changed = self.revision != Some(revision);
        // Also when nothing changes: an engine that hangs changes nothing.
        let mut parts = vec![("trouble".to_owned(), layout::trouble(&self.app).into_string())];
        // A map takes a change when it is drawn, and not before.
        if changed && (due || !is_map) {
            let (app, query) = (Arc::clone(&self.app), Arc::clone(&self.query));
            let (view, id) = (self.view.view.clone(), self.view.id.clone());
            // Some milliseconds for a large fleet: not on a thread that serves others.
            let render = tokio::task::spawn_blocking(move || render(&app, &view, &id, &query));
            parts.extend(render.await.unwrap_or_default());
            self.revision = Some(revision);
        }
        if due && (changed || !is_map) {
            self.drawn_at = Some(Instant::now());
            parts.extend(self.slow_parts().await);
        }
        // The first time everything is sent, so that a page that was cached or cut off is right again.
        let mut changed: Vec<Part> = Vec::new();
        let mut whole_table = false;
        for (id, html) in parts {
            let mut hasher = DefaultHasher::new();
            html.hash(&mut hasher);
            let hash = hasher.finish();
            if let Some(order) = id.strip_prefix("order ") {
                // The table as a whole is sent when its rows are others, or in another order.
                let mut hasher = DefaultHasher::new();
                order.hash(&mut hasher);
                let hash = hasher.finish();
                whole_table = self.has.insert("table".to_owned(), hash) != Some(hash);
                if whole_table {
                    self.has.retain(|id, _| !id.starts_with('d'));
                    changed.push(("table".to_owned(), html));
                }
                continue;
            }
            let is_row = id.starts_with('d') && id != "device";
            if self.has.insert(id.clone(), hash) != Some(hash) && !(is_row && whole_table) {
                changed.push((id, html));
            }
        }
        changed
    }
}

fn render(app: &App, view: &str, id: &str, query: &Query) -> Vec<Part> {
    if view == "map" {
        return map::parts(app, query);
    }
    let locked = read(&app.fleet);
    match view {
        "fleet" => fleet::parts(&locked, query),
        "problems" => problems::parts(&locked),
        "device" => locked.find(id).map(device::parts).unwrap_or_default(),
        _ => Vec::new(),
    }
}
