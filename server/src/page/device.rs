//! One device: every value with its history, connection, power, recording, restarts, gaps and events.

mod words;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query as QueryString, State},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Part, Which,
    chart::{Span, chart},
    failure,
    guard::Visitor,
    html, labels, layout,
};
use crate::{
    app::App,
    engine::{document, read},
    fleet::Device,
    limits::HISTORY_ROWS_MAX,
    model::{
        DeviceId,
        boot::Boot,
        document::{Document, THROTTLED},
        parts::Board,
        reading::Value,
    },
    store::{EventRow, Point, Result},
    time::{UnixMs, span},
};

/// The page.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    QueryString(which): QueryString<Which>,
) -> Response {
    let Some(device) = read(&app.fleet).find(&which.id).cloned() else {
        return failure(
            StatusCode::NOT_FOUND,
            "No such device",
            "No heartbeat with this hardware id has come.",
        );
    };
    let id = device.id;
    let now = app.clock.now().at;
    let Ok((histories, boots, events)) = app.read(move |read| past(read, id, now)).await else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "No database", "The database is not available.");
    };
    let content = html! {
        (present(&device))
        h2 { "History" }
        (charts(&app, &device, &histories))
        (export(&device.hardware_id, now))
        div.columns {
            section { h2 { "Starts of the agent" } (starts(&boots)) }
            section { h2 { "Events" } (events_of_one(&events)) }
        }
        section { h2 { "Labels" } (labels::form(&app, &visitor, &device)) }
        @if let Some(text) = pretty(&device) { details { summary { "Last heartbeat as it came" } pre { code { (text) } } } }
    };
    let stream = format!("?view=device&id={}", utf8_percent_encode(&device.hardware_id, NON_ALPHANUMERIC));
    html(layout::page(&app, &visitor, "", device.title(), &stream, &content))
}

/// The part of the page that changes with each heartbeat.
pub(super) fn parts(device: &Device) -> Vec<Part> {
    vec![("device".to_owned(), present(device).into_string())]
}

/// The parts of the page that are read from the database, from time to time.
pub(super) async fn history_parts(app: &Arc<App>, hardware_id: &str) -> Vec<Part> {
    let Some(device) = read(&app.fleet).find(hardware_id).cloned() else { return Vec::new() };
    let (id, now) = (device.id, app.clock.now().at);
    let Ok((histories, boots, events)) = app.read(move |read| past(read, id, now)).await else {
        return Vec::new();
    };
    [
        ("charts", charts(app, &device, &histories)),
        ("starts", starts(&boots)),
        ("events", events_of_one(&events)),
    ]
    .map(|(id, part)| (id.to_owned(), part.into_string()))
    .into()
}

/// What is known of the past of a device.
type Past = (Histories, Vec<Boot>, Vec<EventRow>);

fn past(read: &mut dyn crate::store::Read, id: DeviceId, now: UnixMs) -> Result<Past> {
    Ok((histories(read, id, now)?, read.boots(id, 10)?, read.events(Some(id), 50)?))
}

/// Points of each span up to a time.
struct Histories {
    now: UnixMs,
    spans: Vec<(Span, Vec<Point>)>,
}

fn histories(read: &mut dyn crate::store::Read, id: DeviceId, now: UnixMs) -> Result<Histories> {
    let mut spans = Vec::new();
    for span in Span::ALL {
        let from = now.plus(-span.length());
        spans.push((span, read.history(id, span.step(), from, now.plus(1), HISTORY_ROWS_MAX)?));
    }
    Ok(Histories { now, spans })
}

fn charts(app: &App, device: &Device, histories: &Histories) -> Markup {
    let expect = app.config.expectations().of(device.labels.group.as_deref()).late_after_ms;
    let there = |value: Value| {
        let mut points = histories.spans.iter().flat_map(|(_, points)| points);
        points.any(|point| point.mean.get(value as usize).copied().flatten().is_some())
    };
    html! {
        div #charts.charts {
            @if !Value::ALL.into_iter().any(there) { div.empty { p { "No values yet." } } }
            @for value in Value::ALL.into_iter().filter(|value| there(*value)) {
                section {
                    h3 { (value.label()) }
                    div.spans { @for (span, points) in &histories.spans { (chart(value, *span, histories.now, expect, points)) } }
                }
            }
        }
    }
}

/// Links to what the charts are drawn from.
fn export(hardware_id: &str, now: UnixMs) -> Markup {
    let path = format!("api/v1/devices/{}/history", utf8_percent_encode(hardware_id, NON_ALPHANUMERIC));
    let spans = [(Span::Day, "minute"), (Span::Month, "hour")];
    html! {
        @for (span, step) in spans {
            @let from = now.plus(-span.length()).0;
            @let query = format!("{path}?step={step}&from={from}");
            p.export {
                "Download the last " (span.label()) " by " (step) "s: "
                a href={ (query) "&format=csv" } { "CSV" } " " a href=(query) { "JSON" }
            }
        }
    }
}

fn present(device: &Device) -> Markup {
    let document = document(device);
    html! {
        div #device {
            h1 { (device.title()) " " (layout::state(device.presence)) }
            p.under {
                code { (device.hardware_id) }
                @if let Some(group) = &device.labels.group { " · group " (group) }
                @for tag in &device.labels.tags { " " span.tag { "#" (tag) } }
                " · last heard " (layout::time(device.seen_at)) " · known since " (layout::time(Some(device.added_at)))
            }
            @if device.labels.removed { p.trouble { "This device was removed. Its heartbeats are refused." } }
            @if !device.alerts.is_empty() {
                ul.alerts {
                    @for (kind, since) in &device.alerts { li { span.alert { (kind.label()) } " " (layout::lasting(*since)) } }
                }
            }
            @match document {
                Some(document) => (values(device, &document)),
                None => div.empty { p { "No live heartbeat has come yet, only late ones." } },
            }
        }
    }
}

fn values(device: &Device, document: &Document) -> Markup {
    let diagnostics = document.diagnostics.as_ref();
    html! {
        dl.values {
            // The size of a recording stands below, exact: whole MiB are kept of it.
            @for value in Value::ALL.into_iter().filter(|value| *value != Value::Recording) {
                @if let Some(shown) = device.reading.values.shown(value) {
                    div { dt { (value.label()) } dd { (shown.to_string()) } }
                }
            }
            @if let Some(disk) = &document.disk {
                div { dt { "Disk space" } dd { (format!("{:.1} of {:.1} GiB", disk.used_gb, disk.total_gb)) } }
            }
            @if let Some(uptime) = document.uptime_s {
                div { dt { "Up" } dd { (span(i64::try_from(uptime).unwrap_or(i64::MAX / 1000).saturating_mul(1000))) } }
            }
            @if let Some(load) = diagnostics.and_then(|diagnostics| diagnostics.load) {
                div { dt { "Load" } dd { (format!("{load:.2}")) } }
            }
            @if let Some(swap) = diagnostics.and_then(|diagnostics| diagnostics.swap) {
                div { dt { "Swap space" } dd { (format!("{swap:.1} %")) } }
            }
            @if device.reading.read_only == Some(true) {
                div { dt { "Root filesystem" } dd { span.alert { "read-only" } } }
            }
            div { dt { "Lost heartbeats" } dd { (device.lost) } }
            div { dt { "Clock" } dd { (clock(device.skew_ms)) @if device.reading.clock_synchronized == Some(false) { ", not synchronized" } } }
            @if let Some(version) = &document.app_version { div { dt { "Application" } dd { (version) } } }
        }
        div.columns {
            section { h2 { "Connection" } (connection(document)) }
            section { h2 { "Power" } (power(document)) }
            section { h2 { "Activity" } (activity(document)) }
            @if let Some(board) = &device.board { section { h2 { "Board" } (board_of(board)) } }
            @if let Some(unread) = unread(document) { section { h2 { "Not read" } (unread) } }
            @if let Some(gps) = &document.connection.gps {
                section {
                    h2 { "Position" }
                    p {
                        @match (gps.latitude, gps.longitude) {
                            (Some(latitude), Some(longitude)) => { (format!("{latitude:.5}°, {longitude:.5}°")) },
                            _ => { "no fix" },
                        }
                        @if let Some(satellites) = gps.satellites { ", " (satellites) " satellites" }
                        @if let Some(altitude) = gps.altitude_m { (format!(", {altitude:.0} m")) }
                        @if let Some(speed) = gps.speed_mps { (format!(", {:.1} km/h", speed * 3.6)) }
                        @if let Some(heading) = gps.heading { (format!(", heading {heading:.0}°")) }
                    }
                }
            }
        }
    }
}

fn clock(skew_ms: Option<i64>) -> String {
    match skew_ms {
        None => "not set".to_owned(),
        // A heartbeat takes a while, so that a right clock seems to be behind.
        Some(skew) if skew.abs() < 10_000 => "right".to_owned(),
        Some(skew) if skew < 0 => format!("{} behind", span(-skew)),
        Some(skew) => format!("{} ahead", span(skew)),
    }
}

fn connection(document: &Document) -> Markup {
    let connection = &document.connection;
    let ip = |ip: &Option<String>| ip.clone().unwrap_or_else(|| "no address".to_owned());
    html! {
        ul {
            @if let Some(default) = &connection.default_interface { li { "Default route: " (default) } }
            @if let Some(ethernet) = &connection.ethernet {
                li { "Ethernet " (ethernet.interface) ": " (ip(&ethernet.ip)) }
            }
            @if let Some(wifi) = &connection.wifi {
                li {
                    "WiFi " (wifi.interface) ": " (ip(&wifi.ip))
                    @if let Some(mode) = &wifi.mode { ", " (mode) }
                    @if let Some(ssid) = &wifi.ssid { ", network " (ssid) }
                    @if let Some(dbm) = wifi.signal_dbm { ", " (dbm) " dBm" }
                    @if let Some(percent) = wifi.signal_percent { ", " (percent) " %" }
                    @if let Some(clients) = wifi.clients { ", " (clients) " clients" }
                }
            }
            @if let Some(mobile) = &connection.mobile {
                li {
                    "Mobile " (mobile.interface.as_deref().unwrap_or("modem")) ": " (ip(&mobile.ip))
                    @for text in [&mobile.state, &mobile.operator, &mobile.technology].into_iter().flatten() { ", " (text) }
                    @if let Some(percent) = mobile.signal_percent { ", " (percent) " %" }
                }
            }
            @if connection.ethernet.is_none() && connection.wifi.is_none() && connection.mobile.is_none() {
                li.none { "No interface is reported." }
            }
        }
    }
}

fn power(document: &Document) -> Markup {
    let diagnostics = document.diagnostics.as_ref();
    html! {
        ul {
            @match diagnostics.and_then(|diagnostics| diagnostics.throttled) {
                None => li.none { "The firmware says nothing." },
                Some(0) => li { "Supply and clock were good since the boot." },
                Some(mask) => {
                    @for (bit, words) in THROTTLED {
                        @if mask & bit != 0 { li { span.alert { (words) " now" } } }
                        @else if mask & (bit << 16) != 0 { li { (words) " since the boot, not now" } }
                    }
                },
            }
            @if let Some(ups) = diagnostics.and_then(|diagnostics| diagnostics.ups.as_ref()) {
                li {
                    "Battery"
                    @if let Some(percent) = ups.percent { (format!(" {percent:.0} %")) }
                    @if let Some(voltage) = ups.voltage { (format!(" {voltage:.2} V")) }
                }
            }
            @if let Some(watts) = document.power { li { (format!("Drawn: {watts:.2} W")) } }
        }
    }
}

fn activity(document: &Document) -> Markup {
    // What could not be read is `false` in the document, and may be going on.
    let idle = |key, words: &'static str| if document.unread(key).is_some() { "Not known" } else { words };
    html! {
        ul {
            li { @if document.streaming_active { "Streaming" } @else { (idle("streaming_active", "Not streaming")) } }
            li { @if document.tracking_active { "Tracking" } @else { (idle("tracking_active", "Not tracking")) } }
            li {
                @if document.recording_active {
                    "Recording"
                    @if let Some(path) = &document.recording_file_path { " to " code { (path) } }
                    @if let Some(size) = document.recording_file_size_mb { (format!(", {size:.1} MiB")) }
                } @else { (idle("recording_active", "Not recording")) }
            }
        }
    }
}

/// What the board is, as it said last.
fn board_of(text: &str) -> Markup {
    let board: Option<Board> = serde_json::from_str(text).ok();
    html! {
        ul {
            @if let Some(board) = &board {
                @for text in [&board.model, &board.os].into_iter().flatten() { li { (text) } }
                @if let Some(wear) = &board.wear {
                    @if let Some(percent) = wear.life_used { li { "Storage: " (percent) " % of its life used" } }
                    @match wear.pre_eol.as_deref() {
                        None | Some("normal") => {},
                        Some("warning") => li { span.alert { "80 % of the storage's reserve used" } },
                        Some("urgent") => li { span.alert { "90 % of the storage's reserve used" } },
                        Some(other) => li { "Storage's reserve: " (other) },
                    }
                }
            }
        }
    }
}

/// What is there and could not be read, and why.
fn unread(document: &Document) -> Option<Markup> {
    let unread = document.diagnostics.as_ref()?.unread.as_ref().filter(|unread| !unread.is_empty())?;
    Some(html! {
        ul { @for (key, word) in unread { li { (words::named(key)) ": " (words::reason(word)) } } }
    })
}

fn starts(boots: &[Boot]) -> Markup {
    html! { div #starts { (starts_table(boots)) } }
}

fn starts_table(boots: &[Boot]) -> Markup {
    html! {
        @if boots.is_empty() {
            p.none { "The agent does not number its heartbeats." }
        } @else {
            div.scroll {
                table {
                    thead { tr { th scope="col" { "From" } th scope="col" { "To" } th.number scope="col" { "Heartbeats" } th.number scope="col" { "Lost" } } }
                    tbody {
                        @for boot in boots {
                            tr {
                                td { (layout::time(Some(boot.first_at))) } td { (layout::time(Some(boot.last_at))) }
                                td.number { (boot.received) } td.number { (boot.lost()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn events_of_one(events: &[EventRow]) -> Markup {
    html! {
        div #events {
            @if events.is_empty() {
                p.none { "Nothing yet." }
            } @else {
                ul.events { @for event in events { li { (layout::time(Some(event.at))) " " (event.detail) } } }
            }
        }
    }
}

fn pretty(device: &Device) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(&device.document).ok()?;
    serde_json::to_string_pretty(&document).ok()
}

#[cfg(test)]
mod tests;
