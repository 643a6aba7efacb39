//! What is wrong now, and what happened lately.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use maud::{Markup, html};

use super::{Part, failure, guard::Visitor, html, layout};
use crate::{
    alerts::kind::Kind,
    app::App,
    engine::read,
    fleet::{Device, Fleet},
    limits::PAGE_ROWS,
    store::EventRow,
};

/// The page.
pub(super) async fn page(State(app): State<Arc<App>>, Extension(visitor): Extension<Visitor>) -> Response {
    let Ok(events) = app.read(|read| read.events(None, PAGE_ROWS)).await else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "No database", "The database is not available.");
    };
    let content = {
        let fleet = read(&app.fleet);
        html! {
            h1 { "What is wrong now" }
            (problems(&fleet))
            h2 { "What happened lately" }
            (events_of_all(&fleet, &events))
        }
    };
    html(layout::page(&app, &visitor, "problems", "Problems", "?view=problems", &content))
}

/// The parts of the page that change.
pub(super) fn parts(fleet: &Fleet) -> Vec<Part> {
    vec![("problems".to_owned(), problems(fleet).into_string())]
}

fn problems(fleet: &Fleet) -> Markup {
    html! {
        div #problems {
            @if fleet.messages > 0 {
                p.trouble { (fleet.messages) " messages have not been delivered yet." }
            }
            @let groups = Kind::LASTING.map(|kind| (kind, with(fleet, kind)));
            @if groups.iter().all(|(_, devices)| devices.is_empty()) {
                div.empty { h2 { "Nothing" } p { "Every device that is known is heard, and none reports a problem." } }
            }
            @for (kind, devices) in groups {
                @if !devices.is_empty() {
                    section.problem {
                        h3 { (devices.len()) " " (kind.label()) }
                        ul {
                            @for (device, since) in devices.iter().take(PAGE_ROWS) {
                                li {
                                    a href=(layout::address(&device.hardware_id)) { (device.title()) }
                                    @if let Some(group) = &device.labels.group { " " span.group { (group) } }
                                    " " (layout::lasting(*since))
                                }
                            }
                        }
                        @if devices.len() > PAGE_ROWS { p { "and " (devices.len() - PAGE_ROWS) " more" } }
                    }
                }
            }
        }
    }
}

/// Devices with a problem, those that have had it longest first.
fn with(fleet: &Fleet, kind: Kind) -> Vec<(&Device, crate::time::UnixMs)> {
    let devices = fleet.devices().iter().filter(|device| !device.labels.removed);
    let mut found: Vec<_> = devices
        .filter_map(|device| {
            let (_, since) = device.alerts.iter().find(|(other, _)| *other == kind)?;
            Some((device, *since))
        })
        .collect();
    found.sort_unstable_by_key(|(device, since)| (*since, device.id));
    found
}

fn events_of_all(fleet: &Fleet, rows: &[EventRow]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.none { "Nothing yet." }
        } @else {
            div.scroll {
                table.events {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Device" } th scope="col" { "What" } } }
                    tbody {
                        @for event in rows {
                            tr {
                                td { (layout::time(Some(event.at))) }
                                td {
                                    @if let Some(device) = fleet.get(event.device) {
                                        a href=(layout::address(&device.hardware_id)) { (device.title()) }
                                    }
                                }
                                td { (event.detail) }
                            }
                        }
                    }
                }
            }
        }
    }
}
