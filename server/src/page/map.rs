//! Positions on an outline of the land: Natural Earth, 1:110 million, public domain. No tiles: no request goes
//! to a third party.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension,
    extract::{Query as QueryString, State},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, PreEscaped, html};

use super::{Part, failure, guard::Visitor, html, layout};
use crate::{
    app::App,
    engine::read,
    fleet::{
        Device,
        query::{Query, QueryKeys},
    },
    limits::MAP_POINTS_MAX,
    presence::Presence,
};

/// The outline as an SVG path in tenths of a degree: x from 180° W to the east, y from 90° N to the south.
/// A ring that crosses 180° is two here, or a fill between its ends would cover the world from side to side.
const LAND: &str = include_str!("land.path");
/// Width and height of the outline.
const WORLD: (f64, f64) = (3600.0, 1800.0);
/// The smallest part of the world that is shown, in tenths of a degree: the outline is too coarse for less.
const SPAN_MIN: f64 = 200.0;

/// What the map shows of a device. A copy: to draw under the lock of a large fleet would hold up commits.
struct Placed {
    hardware_id: Arc<str>,
    name: Option<String>,
    presence: Presence,
    unwell: bool,
    /// Latitude and longitude in hundred-thousandths of a degree.
    position: (i32, i32),
}

impl Placed {
    fn new(device: &Device) -> Option<Self> {
        Some(Self {
            hardware_id: Arc::clone(&device.hardware_id),
            name: device.labels.name.clone(),
            presence: device.presence,
            unwell: device.is_unwell(),
            position: device.reading.position?,
        })
    }

    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.hardware_id)
    }
}

/// A device, or those of a cell.
struct Spot<'a> {
    x: f64,
    y: f64,
    devices: Vec<&'a Placed>,
}

/// The page.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    QueryString(keys): QueryString<QueryKeys>,
) -> Response {
    let query = Query::from(keys);
    let stream = format!("{}&view=map", query.address(|_| ()));
    // Some milliseconds for a large fleet: not on a thread that serves others.
    let drawn = {
        let app = Arc::clone(&app);
        tokio::task::spawn_blocking(move || map(&app, &query)).await
    };
    let Ok(map) = drawn else {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "No map", "It could not be drawn.");
    };
    let content = html! { h1 { "Map" } (map) };
    html(layout::page(&app, &visitor, "map", "Map", &stream, &content))
}

/// The parts of the page that change.
pub(super) fn parts(app: &App, query: &Query) -> Vec<Part> {
    vec![("map".to_owned(), map(app, query).into_string())]
}

fn map(app: &App, query: &Query) -> Markup {
    let mut total = 0;
    let devices: Vec<Placed> = {
        let fleet = read(&app.fleet);
        query.all(&fleet).inspect(|_| total += 1).filter_map(Placed::new).collect()
    };
    drawn(&devices, total)
}

fn drawn(devices: &[Placed], total: usize) -> Markup {
    let (x, y, width, height) = view(devices);
    let spots = spots(devices, width);
    let radius = width / 150.0;
    html! {
        div #map {
            @if devices.is_empty() {
                div.empty { h2 { "No positions" } p { "No device reports a position. They need GPS and a fix." } }
            } @else {
                p { (devices.len()) " of " (total) " devices report a position." }
            }
            svg.map viewBox={ (round(x)) " " (round(y)) " " (round(width)) " " (round(height)) } role="group" aria-label="Positions of devices" {
                path.land d=(PreEscaped(LAND.trim())) {}
                @for spot in &spots {
                    @let worst = spot.devices.iter().map(|device| rank(device)).max().unwrap_or_default();
                    @let size = if spot.devices.len() > 1 { 1.6 } else { 1.0 };
                    @if let [device] = spot.devices.as_slice() {
                        a href=(layout::address(&device.hardware_id)) {
                            circle.(class_of(worst)) cx=(round(spot.x)) cy=(round(spot.y)) r=(round(radius * size)) {
                                title { (device.title()) ", " (device.presence.word()) }
                            }
                        }
                    } @else {
                        circle.(class_of(worst)) cx=(round(spot.x)) cy=(round(spot.y)) r=(round(radius * size)) {
                            title { (spot.devices.len()) " devices" }
                        }
                        text x=(round(spot.x)) y=(round(spot.y + radius * 0.55)) font-size=(round(radius * 1.6)) {
                            (spot.devices.len())
                        }
                    }
                }
            }
            // The same for those who cannot see a picture, and where circles lie on each other.
            @if !devices.is_empty() {
                details {
                    summary { "As a list" }
                    ul.positions {
                        @for device in devices.iter().take(MAP_POINTS_MAX) {
                            li {
                                (layout::state(device.presence)) " "
                                a href=(layout::address(&device.hardware_id)) { (device.title()) } " "
                                (degrees(device.position.0)) "°, " (degrees(device.position.1)) "°"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The part of the world in which the devices are, with a margin.
fn view(devices: &[Placed]) -> (f64, f64, f64, f64) {
    let points: Vec<_> = devices.iter().map(place).collect();
    let Some(first) = points.first() else { return (0.0, 0.0, WORLD.0, WORLD.1) };
    let (mut left, mut right, mut top, mut bottom) = (first.0, first.0, first.1, first.1);
    for (x, y) in &points {
        (left, right) = (left.min(*x), right.max(*x));
        (top, bottom) = (top.min(*y), bottom.max(*y));
    }
    // Twice as wide as high, as the world is.
    let width = ((right - left) * 1.3).max((bottom - top) * 2.6).clamp(SPAN_MIN, WORLD.0);
    let height = width / 2.0;
    let x = (f64::midpoint(left, right) - width / 2.0).clamp(0.0, WORLD.0 - width);
    let y = (f64::midpoint(top, bottom) - height / 2.0).clamp(0.0, WORLD.1 - height);
    (x, y, width, height)
}

/// Devices, merged where they would lie on each other.
fn spots(devices: &[Placed], width: f64) -> Vec<Spot<'_>> {
    let mut cell = width / 90.0;
    loop {
        let mut cells: BTreeMap<(i64, i64), Vec<&Placed>> = BTreeMap::new();
        for device in devices {
            let (x, y) = place(device);
            #[expect(clippy::cast_possible_truncation, reason = "a few thousand at most")]
            let key = ((x / cell) as i64, (y / cell) as i64);
            cells.entry(key).or_default().push(device);
        }
        if cells.len() <= MAP_POINTS_MAX {
            return cells.into_values().map(spot).collect();
        }
        cell *= 1.5;
    }
}

fn spot(devices: Vec<&Placed>) -> Spot<'_> {
    let places: Vec<_> = devices.iter().map(|device| place(device)).collect();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let count = places.len().max(1) as f64;
    let x = places.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y = places.iter().map(|(_, y)| y).sum::<f64>() / count;
    Spot { x, y, devices }
}

fn place(device: &Placed) -> (f64, f64) {
    let (latitude, longitude) = device.position;
    (f64::from(longitude) / 1e4 + 1800.0, 900.0 - f64::from(latitude) / 1e4)
}

/// How much a device needs attention; the worst of a cell gives its colour.
fn rank(device: &Placed) -> usize {
    match (device.presence, device.unwell) {
        (Presence::Online, false) => 0,
        (Presence::Online, true) => 1,
        (Presence::Late, _) => 2,
        (Presence::Offline, _) => 3,
    }
}

fn class_of(rank: usize) -> &'static str {
    match rank {
        0 => "online",
        1 => "unwell",
        2 => "late",
        _ => "offline",
    }
}

fn degrees(stored: i32) -> String {
    format!("{:.4}", f64::from(stored) / 1e5)
}

fn round(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: i32, latitude: i32, longitude: i32) -> Placed {
        Placed {
            hardware_id: format!("pi{number}").into(),
            name: None,
            presence: Presence::Online,
            unwell: false,
            position: (latitude * 100_000, longitude * 100_000),
        }
    }

    #[test]
    fn the_view_holds_every_device_and_stays_within_the_world() {
        let devices = [device(1, 89, -179), device(2, -89, 179), device(3, 0, 0)];
        for n in 1..=3 {
            let shown = &devices[..n];
            let (x, y, width, height) = view(shown);
            assert!(x >= 0.0 && y >= 0.0 && x + width <= WORLD.0 && y + height <= WORLD.1);
            for device in shown {
                let (px, py) = place(device);
                assert!((x..=x + width).contains(&px) && (y..=y + height).contains(&py), "{px} {py}");
            }
        }
    }

    /// The corners of each ring of the outline. It holds one `M`, an `l` with all steps, and a `z`.
    fn rings(outline: &str) -> Vec<Vec<(i32, i32)>> {
        let numbers = |text: &str| -> Vec<i32> {
            text.replace('-', " -").split_whitespace().map(|number| number.parse().unwrap()).collect()
        };
        let ring = |text: &str| {
            let (start, steps) = text.trim_end().trim_end_matches('z').split_once('l').unwrap();
            let (mut corner, steps) = (numbers(start), numbers(steps));
            let mut corners = vec![(corner[0], corner[1])];
            for step in steps.chunks_exact(2) {
                corner = vec![corner[0] + step[0], corner[1] + step[1]];
                corners.push((corner[0], corner[1]));
            }
            corners
        };
        outline.split('M').skip(1).map(ring).collect()
    }

    #[test]
    fn no_land_is_drawn_across_the_world() {
        let rings = rings(LAND);
        assert!(rings.len() > 100, "{}", rings.len());
        for ring in rings {
            let ends = ring.iter().cycle().skip(1);
            for (from, to) in ring.iter().zip(ends) {
                // What crosses 180° is cut there. Only the south pole is as wide as the world.
                let south_pole = from.1 == 1800 && to.1 == 1800;
                assert!(south_pole || (from.0 - to.0).abs() < 1800, "{from:?} to {to:?}");
                assert!((0..=3600).contains(&from.0) && (0..=1800).contains(&from.1), "{from:?}");
            }
        }
    }

    #[test]
    fn a_large_fleet_is_merged_into_cells_without_losing_a_device() {
        let devices: Vec<_> = (0..20_000).map(|n| device(n, n % 160 - 80, (n * 7) % 340 - 170)).collect();
        let spots = spots(&devices, WORLD.0);
        assert!(spots.len() <= MAP_POINTS_MAX);
        assert_eq!(spots.iter().map(|spot| spot.devices.len()).sum::<usize>(), devices.len());
    }
}
