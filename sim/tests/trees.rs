//! Captured trees of boards: what is reported of each, and what `doctor` says about it.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use heartbeat_sim::schema::Schema;
use serde_json::Value;
use support::command;

fn trees() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let mut trees: Vec<_> = fs::read_dir(folder)
        .expect("the folder of trees")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    trees.sort();
    assert!(trees.len() >= 8, "{trees:?}");
    trees
}

fn run(tree: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output =
        command(&[&["--sysroot", tree.to_str().expect("UTF-8")], args].concat()).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Trees that are looked at together. Each waits for most of its time; of more, a slow machine would make some wait for
/// longer than the grace period of their candidates.
const TOGETHER: usize = 8;

/// Does the same with every tree.
fn with_each(check: fn(&Path)) {
    for some in trees().chunks(TOGETHER) {
        thread::scope(|scope| {
            for tree in some {
                scope.spawn(move || check(tree));
            }
        });
    }
}

/// What `doctor` says of one value.
fn doctor(tree: &str, value: &str) -> (Option<i32>, Value) {
    let tree = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/trees").join(tree);
    let (status, output) = run(&tree, &["doctor", "--json"]);
    let values: Vec<Value> = serde_json::from_str(&output).expect("JSON");
    let found = values.into_iter().find(|found| found["value"] == value);
    (status, found.expect("the value"))
}

/// The document with what belongs to this machine taken out, a key per line.
fn comparable(mut document: Value) -> String {
    for key in ["timestamp", "disk"] {
        assert!(!document[key].is_null(), "{key} is this machine's");
        document[key] = "not compared".into();
    }
    serde_json::to_string_pretty(&document).expect("JSON") + "\n"
}

#[test]
fn every_tree_is_reported_as_expected() {
    with_each(|tree| {
        let schema = Schema::new();
        let (status, output) = run(tree, &["sample"]);
        assert_eq!(status, Some(0), "{tree:?}");
        let found = comparable(schema.check(output.trim().as_bytes()).expect("fits the schema"));
        let path = tree.join("expected.json");
        // For a new tree: UPDATE_TREES=1 writes what is to be looked at and committed.
        if std::env::var_os("UPDATE_TREES").is_some() {
            fs::write(&path, &found).expect("written");
        }
        let expected = fs::read_to_string(&path).expect("expected.json");
        assert_eq!(found, expected, "{tree:?}");
    });
}

#[test]
fn doctor_explains_every_value_of_every_tree() {
    with_each(|tree| {
        let (status, output) = run(tree, &["doctor", "--json"]);
        let values: Vec<Value> = serde_json::from_str(&output).expect("JSON");
        for value in &values {
            let explained = value["read"].is_string() && value["from"].is_string()
                || value["why"].is_string() && value["advice"].is_string();
            assert!(explained, "{tree:?}: {value}");
        }
        let serious = values.iter().any(|value| value["serious"] == true);
        assert_eq!(status, Some(i32::from(serious)), "{tree:?}");
        // The table says the same.
        let (_, table) = run(tree, &["doctor"]);
        assert!(table.lines().count() > values.len(), "{table}");
    });
}

#[test]
fn doctor_tells_what_is_absent_from_what_is_not_ready() {
    for (tree, value, says, advises) in [
        (
            "pi4-modemmanager-stopped",
            "4g",
            "ModemManager does not run",
            "systemctl enable --now ModemManager",
        ),
        ("pi4-gpsd-without-receiver", "gps", "gpsd runs and has no receiver that sends", "/etc/default/gpsd"),
        ("pi4-gpsd-without-receiver", "4g", "not present", "apt-get install modemmanager"),
        ("pi4-modemmanager-masked", "4g", "ModemManager does not run", "systemctl enable --now ModemManager"),
        ("pi4-bus-not-running", "4g", "ModemManager does not run", "systemctl enable --now ModemManager"),
        ("pi4-modemmanager-stopped", "gps", "not present", "start one if there is a receiver"),
    ] {
        let (status, found) = doctor(tree, value);
        assert_eq!(found["why"], says, "{tree}: {found}");
        assert!(found["advice"].as_str().expect("a text").contains(advises), "{tree}: {found}");
        assert_eq!(
            (status, &found["serious"]),
            (Some(0), &false.into()),
            "nothing is broken: {tree}: {found}"
        );
    }
}

#[test]
fn names_from_outside_move_no_terminal() {
    let tree = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/trees/pi4-hostile-names");
    for args in [&["sample"][..], &["doctor"], &["doctor", "--json"], &["sample", "--verbose"]] {
        let (_, output) = run(&tree, args);
        let harmful = output.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(harmful, None, "{args:?}: {output:?}");
    }
    let (_, sample) = run(&tree, &["sample"]);
    let document: Value = serde_json::from_str(&sample).expect("JSON");
    let ssid = document["connection"]["wifi"]["ssid"].as_str().expect("a text");
    assert_eq!(ssid, "\u{1b}[2J\u{7f}\u{9b}31m\"\\\0\u{fffd}", "it means what it was");
}
