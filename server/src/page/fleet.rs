//! The fleet: counts first, then a table of 100 rows a page.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query as QueryString, State},
    response::Response,
};
use maud::{Markup, html};

use super::{Part, guard::Visitor, html, layout};
use crate::{
    app::App,
    engine::read,
    fleet::{
        Counts, Device, Fleet,
        query::{Order, Query, QueryKeys, Selection},
    },
    model::reading::Value,
    presence::Presence,
};

/// Columns with a value, in order.
const VALUES: [Value; 6] = [Value::Cpu, Value::Mem, Value::Temp, Value::Disk, Value::Power, Value::Signal];

/// The page.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    QueryString(keys): QueryString<QueryKeys>,
) -> Response {
    let query = Query::from(keys);
    let content = {
        let fleet = read(&app.fleet);
        let selection = query.select(&fleet);
        html! {
            h1 { "Fleet" }
            // Not for a screen reader to read out at each change: in a large fleet it would never end.
            (counts(&selection.counts, &query))
            (filters(&selection.groups, &query))
            (table(&selection, &query))
            (pages(&selection, &query))
        }
    };
    let stream = format!("{}&view=fleet", query.address(|_| ()));
    html(layout::page(&app, &visitor, ".", "Fleet", &stream, &content))
}

/// The parts of the page that change.
pub(super) fn parts(fleet: &Fleet, query: &Query) -> Vec<Part> {
    let selection = query.select(fleet);
    let mut parts = vec![("counts".to_owned(), counts(&selection.counts, query).into_string())];
    // The rows in their order; when that changes, the whole table is replaced.
    let order: Vec<_> = selection.devices.iter().map(|device| device.id.0.to_string()).collect();
    parts.push((format!("order {}", order.join(" ")), table(&selection, query).into_string()));
    parts.extend(selection.devices.iter().map(|device| (row_id(device), row(device).into_string())));
    parts.push(("pages".to_owned(), pages(&selection, query).into_string()));
    parts
}

fn counts(counts: &Counts, query: &Query) -> Markup {
    let all = query.presence.is_none() && !query.unwell;
    let presences = [
        (Presence::Online, counts.online),
        (Presence::Late, counts.late),
        (Presence::Offline, counts.offline),
    ];
    let address = |presence, unwell| {
        query.address(|query| {
            query.presence = presence;
            query.unwell = unwell;
            query.page = 0;
        })
    };
    html! {
        nav #counts.counts aria-label="Devices by state" {
            a href=(address(None, false)) aria-current=[all.then_some("true")] {
                strong { (counts.total()) } span { "devices" }
            }
            @for (presence, count) in presences {
                a.(presence.word()) href=(address(Some(presence), false))
                    aria-current=[(query.presence == Some(presence)).then_some("true")] {
                    strong { (count) } span { (presence.word()) }
                }
            }
            a.unwell href=(address(None, true)) aria-current=[query.unwell.then_some("true")] {
                strong { (counts.unwell) } span { "with problems" }
            }
        }
    }
}

fn filters(groups: &[&str], query: &Query) -> Markup {
    let state = if query.unwell { Some("unwell") } else { query.presence.map(Presence::word) };
    html! {
        form.filters method="get" action="." role="search" {
            @if let Some(state) = state { input type="hidden" name="state" value=(state); }
            @if query.order != Order::State { input type="hidden" name="sort" value=(query.order.word()); }
            @if query.descending { input type="hidden" name="down" value="1"; }
            input type="search" name="text" value=[query.text.as_deref()] placeholder="Name, id, group or tag"
                aria-label="Search";
            @if !groups.is_empty() {
                select name="group" aria-label="Group" {
                    option value="" { "All groups" }
                    @for group in groups {
                        option value=(group) selected[query.group.as_deref() == Some(*group)] { (group) }
                    }
                }
            }
            @if let Some(tag) = &query.tag {
                input type="hidden" name="tag" value=(tag);
                a.tag.chosen href=(query.address(|query| query.tag = None)) title="Show all tags" { "#" (tag) " ✕" }
            }
            button { "Filter" }
            @if *query != (Query { order: query.order, descending: query.descending, ..Query::default() }) {
                a href="." { "Show all" }
            }
        }
    }
}

fn table(selection: &Selection<'_>, query: &Query) -> Markup {
    html! {
        div #table.scroll {
            @if selection.devices.is_empty() {
                (empty(query))
            } @else {
                table.fleet {
                    thead {
                        tr {
                            (heading("State", Order::State, query))
                            (heading("Device", Order::Name, query))
                            (heading("Group", Order::Group, query))
                            (heading("Last heard", Order::Seen, query))
                            @for value in VALUES { (heading(value.label(), Order::Value(value), query)) }
                            th scope="col" { "Now" }
                        }
                    }
                    tbody { @for device in &selection.devices { (row(device)) } }
                }
            }
        }
    }
}

fn empty(query: &Query) -> Markup {
    let unfiltered =
        Query { order: query.order, descending: query.descending, page: query.page, ..Query::default() };
    html! {
        div.empty {
            @if *query == unfiltered {
                h2 { "No device has reported yet" }
                p { "Set this on a device, in " code { "/etc/heartbeat-daemon/config.toml" } ", and restart its agent:" }
                pre { code { "url = \"http://ADDRESS-OF-THIS-SERVER/heartbeat.php\"" } }
                p { "It appears here with its first heartbeat." }
            } @else {
                h2 { "No device matches" }
                p { a href="." { "Show all devices" } }
            }
        }
    }
}

fn heading(label: &str, order: Order, query: &Query) -> Markup {
    let here = query.order == order;
    // What is large is looked for first; names and states from the beginning.
    let first_down = matches!(order, Order::Value(_) | Order::Seen);
    let down = if here { !query.descending } else { first_down };
    let sorted = here.then_some(if query.descending { "descending" } else { "ascending" });
    let address = query.address(|query| {
        query.order = order;
        query.descending = down;
        query.page = 0;
    });
    let number = matches!(order, Order::Value(_)).then_some("number");
    html! { th scope="col" class=[number] aria-sort=[sorted] { a href=(address) { (label) } } }
}

fn row_id(device: &Device) -> String {
    format!("d{}", device.id.0)
}

fn row(device: &Device) -> Markup {
    html! {
        tr id=(row_id(device)) {
            td { (layout::state(device.presence)) }
            td.name {
                a href=(layout::address(&device.hardware_id)) { (device.title()) }
                @for tag in &device.labels.tags {
                    " " a.tag href={ "?tag=" (percent_encoding::utf8_percent_encode(tag, percent_encoding::NON_ALPHANUMERIC)) } { "#" (tag) }
                }
            }
            td.group data-label="Group" { (device.labels.group.as_deref().unwrap_or("")) }
            td data-label="Last heard" { (layout::time(device.seen_at)) }
            @for value in VALUES {
                td.number data-label=(value.label()) {
                    @match device.reading.values.shown(value) { Some(shown) => (shown.to_string()), None => span.none { "–" } }
                }
            }
            td.now { (layout::alerts(device)) (layout::activities(device)) }
        }
    }
}

fn pages(selection: &Selection<'_>, query: &Query) -> Markup {
    let (page, pages) = (selection.page, selection.pages());
    let to = |page: usize| query.address(|query| query.page = page);
    html! {
        nav #pages.pages aria-label="Pages of the table" {
            @if pages > 1 {
                @if page > 0 { a href=(to(page - 1)) rel="prev" { "← Previous" } }
                span { "Page " (page + 1) " of " (pages) ", " (selection.total) " devices" }
                @if page + 1 < pages { a href=(to(page + 1)) rel="next" { "Next →" } }
            }
        }
    }
}
