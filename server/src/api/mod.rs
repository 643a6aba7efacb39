//! For other programs: the fleet and its history as JSON and CSV, metrics for Prometheus, and a description of it all.

mod history;
mod metrics;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query as QueryString, RawQuery, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value as Json_, json};

use crate::{
    app::App,
    engine::read,
    fleet::{
        Device,
        query::{Query, QueryKeys},
    },
    model::reading::Value,
    page::guard,
    receive,
};

/// What programs may ask.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/devices/{id}", get(device))
        .route("/api/v1/devices/{id}/history", get(history::history))
        .route_layer(middleware::from_fn_with_state(Arc::clone(app), guard::programs));
    Router::new()
        .merge(guarded)
        .route("/api/v1/enrol", axum::routing::post(receive::enrol))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/healthz", get(health))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../../openapi.json")).into_response()
}

/// 200 while heartbeats are being stored.
async fn health(State(app): State<Arc<App>>) -> Response {
    match read(&app.fleet).not_storing(app.clock.now().up) {
        None => "ok\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "nothing is being stored\n").into_response(),
    }
}

/// A refusal as JSON.
fn error(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

#[derive(Debug, Serialize)]
struct Listed {
    total: usize,
    page: usize,
    pages: usize,
    devices: Vec<Json_>,
}

/// The list, with the filters and orders of the page.
async fn devices(
    State(app): State<Arc<App>>,
    RawQuery(asked): RawQuery,
    QueryString(keys): QueryString<QueryKeys>,
) -> Response {
    if let Some(key) = unknown_key(asked.as_deref().unwrap_or_default()) {
        let known = QueryKeys::NAMES.join(", ");
        let why = match key {
            "limit" => "there is no limit: a page has 100 devices; see page and pages".to_owned(),
            _ => format!("an unknown key; expected one of {known}"),
        };
        return error(StatusCode::BAD_REQUEST, &why);
    }
    // Some milliseconds for a large fleet: not on a thread that serves others.
    let listed = tokio::task::spawn_blocking(move || {
        let query = Query::from(keys);
        let fleet = read(&app.fleet);
        let selection = query.select(&fleet);
        let devices = selection.devices.iter().map(|device| summary(device)).collect();
        Listed { total: selection.total, page: selection.page + 1, pages: selection.pages(), devices }
    });
    match listed.await {
        Ok(listed) => Json(listed).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The first key of a query string that the list does not have: a filter with a typing error would list everything.
fn unknown_key(asked: &str) -> Option<&str> {
    let pairs = asked.split('&').filter(|pair| !pair.is_empty());
    let mut keys = pairs.map(|pair| pair.split('=').next().unwrap_or_default());
    keys.find(|key| !QueryKeys::NAMES.contains(key))
}

/// One device, with its last heartbeat as it came.
async fn device(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let fleet = read(&app.fleet);
    let Some(device) = fleet.find(&id) else { return error(StatusCode::NOT_FOUND, "no such device") };
    let mut answer = summary(device);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("document".to_owned(), serde_json::from_str(&device.document).unwrap_or_default());
    }
    Json(answer).into_response()
}

fn summary(device: &Device) -> Json_ {
    let reading = &device.reading;
    let values: serde_json::Map<_, _> = Value::ALL
        .into_iter()
        .map(|value| {
            let units = reading.values.get(value).map(|stored| value.in_units(f64::from(stored)));
            (value.name().to_owned(), json!(units))
        })
        .collect();
    let degrees = |stored: i32| f64::from(stored) / 1e5;
    let alerts: Vec<_> = device
        .alerts
        .iter()
        .map(|(kind, since)| json!({ "kind": kind.word(), "since": since.rfc3339() }))
        .collect();
    json!({
        "hardwareid": *device.hardware_id,
        "name": device.labels.name,
        "group": device.labels.group,
        "tags": device.labels.tags,
        "removed": device.labels.removed,
        "state": device.presence.word(),
        "seen_at": device.seen_at.map(crate::time::UnixMs::rfc3339),
        "added_at": device.added_at.rfc3339(),
        "lost": device.lost,
        "clock_skew_ms": device.skew_ms,
        "alerts": alerts,
        "values": values,
        "position": reading.position.map(|(lat, lon)| json!({ "latitude": degrees(lat), "longitude": degrees(lon) })),
        "streaming_active": reading.streaming,
        "tracking_active": reading.tracking,
        "recording_active": reading.recording,
        "app_version": reading.app_version,
    })
}
