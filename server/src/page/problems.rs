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
    presence::Presence,
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
            (happened(&fleet, &events))
        }
    };
    html(layout::page(&app, &visitor, "problems", "Problems", "?view=problems", &content))
}

/// The parts of the page that change.
pub(super) fn parts(fleet: &Fleet) -> Vec<Part> {
    vec![("problems".to_owned(), problems(fleet).into_string())]
}

/// The part of the page that is read from the database, from time to time.
pub(super) async fn event_parts(app: &Arc<App>) -> Vec<Part> {
    let Ok(events) = app.read(|read| read.events(None, PAGE_ROWS)).await else { return Vec::new() };
    vec![("happened".to_owned(), happened(&read(&app.fleet), &events).into_string())]
}

fn happened(fleet: &Fleet, events: &[EventRow]) -> Markup {
    html! { div #happened { (events_of_all(fleet, events)) } }
}

/// Devices that no alert tells of: none is raised before a device was silent for long, nor for one that was never heard.
fn silent(fleet: &Fleet) -> Option<String> {
    let said = |word: &str, presence| {
        let silent = fleet.devices().iter().filter(|device| {
            !device.labels.removed
                && device.presence == presence
                && device.alerts.iter().all(|(kind, _)| *kind != Kind::Offline)
        });
        Some(silent.count()).filter(|count| *count > 0).map(|count| format!("{count} {word}"))
    };
    let said: Vec<_> =
        [said("late", Presence::Late), said("offline", Presence::Offline)].into_iter().flatten().collect();
    Some(said.join(", ")).filter(|said| !said.is_empty())
}

fn problems(fleet: &Fleet) -> Markup {
    html! {
        div #problems {
            @if fleet.messages > 0 {
                p.trouble { (fleet.messages) " messages have not been delivered yet." }
            }
            @let groups = Kind::LASTING.map(|kind| (kind, with(fleet, kind)));
            @let silent = silent(fleet);
            @if groups.iter().all(|(_, devices)| devices.is_empty()) {
                div.empty {
                    h2 { "No alert is raised" }
                    @if silent.is_none() { p { "Every device that is known is heard, and none reports a problem." } }
                }
            }
            @if let Some(silent) = silent { p { "Without an alert so far: " a href="./?sort=state" { (silent) } } }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::DeviceId, store::Labels, time::UnixMs};

    fn fleet(devices: &[(Presence, &[Kind])]) -> Fleet {
        let mut fleet = Fleet::default();
        for (n, (presence, kinds)) in (1..).zip(devices) {
            let mut device = Device::new(DeviceId(n), &format!("pi{n}"), Labels::default(), UnixMs(0));
            device.presence = *presence;
            device.alerts = kinds.iter().map(|kind| (*kind, UnixMs(0))).collect();
            fleet.add(device);
        }
        fleet
    }

    #[test]
    fn all_is_well_only_if_every_device_is_heard() {
        const WELL: &str = "Every device that is known is heard";
        let said = |devices: &[(Presence, &[Kind])]| problems(&fleet(devices)).into_string();
        assert!(said(&[(Presence::Online, &[])]).contains(WELL));
        let silent = said(&[(Presence::Online, &[]), (Presence::Offline, &[]), (Presence::Late, &[])]);
        assert!(!silent.contains(WELL) && silent.contains("1 late, 1 offline"), "{silent}");
        assert!(silent.contains("No alert is raised"));
        let told = said(&[(Presence::Offline, &[Kind::Offline]), (Presence::Late, &[Kind::Hot])]);
        assert!(!told.contains("No alert is raised") && told.contains(">1 late<"), "{told}");
    }
}
