//! The position, beside `gpspipe`.

use super::Context;
use crate::{
    finding::{Evidence, Stop},
    program,
    witnesses::gpsd::{self, Position},
};

/// What a receiver that stands still says between two looks lies so far beside both, in degrees: about 30 m.
const PLACE_TOLERANCE: f64 = 0.0003;
/// The same for its height, in metres.
const HEIGHT_TOLERANCE: f64 = 30.0;
/// The same for its speed, in metres per second.
const SPEED_TOLERANCE: f64 = 1.5;
/// A heading turns by so much between two looks, in degrees; while nothing moves, it is any.
const HEADING_TOLERANCE: f64 = 30.0;
/// Satellites rise and set.
const SATELLITES_TOLERANCE: f64 = 2.0;

/// What gpsd reports.
fn look() -> Result<Position, Stop> {
    // It ends after so many reports or seconds. By number, because not every system has the name localhost.
    let said = program::ask("gpspipe", &["-w", "-n", "12", "-x", "10", "127.0.0.1"])?;
    gpsd::position(&said).ok_or_else(|| Stop::skipped("gpsd reports no position: no receiver"))
}

/// The position.
pub(super) fn position(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = look()?;
    let sample = context.daemon.sample()?;
    let after = look()?;
    if before.fix != after.fix {
        return Err(Stop::skipped(format_args!("the fix changes: {}, then {}", before.fix, after.fix)));
    }
    let number = |key: &str| sample.number(&format!("/connection/gps/{key}"));
    evidence.text("gps.fix", sample.text("/connection/gps/fix"), Some(before.fix), "gpspipe");
    for (key, said, tolerance) in [
        ("latitude", [before.latitude, after.latitude], PLACE_TOLERANCE),
        ("longitude", [before.longitude, after.longitude], PLACE_TOLERANCE),
        ("altitude_m", [before.altitude_m, after.altitude_m], HEIGHT_TOLERANCE),
        ("speed_mps", [before.speed_mps, after.speed_mps], SPEED_TOLERANCE),
        ("satellites", [before.satellites, after.satellites], SATELLITES_TOLERANCE),
    ] {
        compare(evidence, &format!("gps.{key}"), number(key), said, tolerance);
    }
    let moves = |position: &Position| position.speed_mps.is_some_and(|speed| speed > SPEED_TOLERANCE);
    match (before.heading, after.heading) {
        (Some(said), Some(then))
            if moves(&before) && moves(&after) && apart(said, then) < HEADING_TOLERANCE =>
        {
            let reported = number("heading");
            let shown = reported.map_or_else(|| "null".to_owned(), |heading| heading.to_string());
            let agrees = reported.is_some_and(|heading| apart(heading, said) <= HEADING_TOLERANCE);
            evidence.holds("gps.heading", shown, said, "gpspipe", agrees);
        }
        _ => evidence.silent("gps.heading: the receiver does not move in one direction"),
    }
    Ok(())
}

/// A number that both looks or none of them has.
fn compare(
    evidence: &mut Evidence,
    name: &str,
    reported: Option<f64>,
    said: [Option<f64>; 2],
    tolerance: f64,
) {
    match said {
        [Some(before), Some(after)] => {
            evidence.number(name, reported, [before, after], tolerance, "gpspipe, before and after");
        }
        [None, None] => evidence.holds(name, reported.is_some(), false, "gpspipe", reported.is_none()),
        _ => evidence.silent(format_args!("{name}: gpspipe told it at one of two looks")),
    }
}

/// Degrees between two directions.
fn apart(one: f64, other: f64) -> f64 {
    let turn = (one - other).rem_euclid(360.0);
    turn.min(360.0 - turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_apart_over_north_too() {
        assert!((apart(359.0, 1.0) - 2.0).abs() < 1e-9);
        assert!((apart(90.0, 270.0) - 180.0).abs() < 1e-9);
    }
}
