//! `hil-tests/grid`, which judges the heartbeats of emulated boards, on heartbeats that are made up.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

/// What `grid` says about heartbeats that arrive at these moments, in intervals of 5 s; the clock jumps after the third.
fn judged(slots: &[f64]) -> Result<String, String> {
    let mut lines = String::new();
    for (number, slot) in slots.iter().enumerate() {
        let time = if number < 3 { 1_800_000_000 } else { 1_900_000_000 };
        let arrived = 1000.0 + slot * 5.0;
        lines.push_str(&format!(
            "{arrived:.3} {{\"hardwareid\":\"x\",\"boot_id\":\"1\",\"timestamp\":{time}}}\n"
        ));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("received");
    fs::write(&file, lines).expect("written");
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("grid"))
        .arg(&file)
        .args(["x", "5"])
        .output()
        .expect("python3");
    let [said, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if output.status.success() { Ok(said) } else { Err(error) }
}

fn arrivals(slot: impl Fn(u32) -> f64) -> Vec<f64> {
    (0..12).map(slot).collect()
}

#[test]
fn a_grid_with_a_late_heartbeat_and_an_unused_slot_is_one() {
    let slots = arrivals(|number| {
        let late = if number == 6 { 0.4 } else { 0.03 };
        f64::from(number + number / 8) + late
    });
    let said = judged(&slots).expect("on the grid");
    assert_eq!(said, "ok  11 heartbeats are on the grid of their start, while the clock jumped 1 times\n");
}

#[test]
fn a_drift_is_no_grid() {
    let problem = judged(&arrivals(|number| f64::from(number) * 1.1)).expect_err("it drifts");
    assert!(problem.contains("heartbeats are on one grid"), "{problem}");
}

#[test]
fn random_gaps_are_no_grid() {
    let slots = arrivals(|number| f64::from(number) + (f64::from(number) * 0.618_034).fract() * 0.45);
    assert!(judged(&slots).is_ok(), "they are all near");
    let slots = arrivals(|number| f64::from(2 * number) + (f64::from(number) * 0.618_034).fract());
    let problem = judged(&slots).expect_err("no grid");
    assert!(problem.contains("heartbeats are on one grid"), "{problem}");
}

#[test]
fn two_heartbeats_in_one_slot_are_found() {
    let problem = judged(&[0.0, 1.0, 2.0, 3.0, 3.1, 4.0, 5.0]).expect_err("a burst");
    assert!(problem.contains("0.5 s between two heartbeats"), "{problem}");
}
