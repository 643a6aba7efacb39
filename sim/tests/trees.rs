//! Captured trees of boards: what is reported of each, and what `doctor` says about it.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{fs, path::PathBuf};

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

fn run(tree: &std::path::Path, args: &[&str]) -> (Option<i32>, String) {
    let output =
        command(&[&["--sysroot", tree.to_str().expect("UTF-8")], args].concat()).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
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
    let schema = Schema::new();
    for tree in trees() {
        let (status, output) = run(&tree, &["sample"]);
        assert_eq!(status, Some(0), "{tree:?}");
        let found = comparable(schema.check(output.trim().as_bytes()).expect("fits the schema"));
        let path = tree.join("expected.json");
        // For a new tree: UPDATE_TREES=1 writes what is to be looked at and committed.
        if std::env::var_os("UPDATE_TREES").is_some() {
            fs::write(&path, &found).expect("written");
        }
        let expected = fs::read_to_string(&path).expect("expected.json");
        assert_eq!(found, expected, "{tree:?}");
    }
}

#[test]
fn doctor_explains_every_value_of_every_tree() {
    for tree in trees() {
        let (status, output) = run(&tree, &["doctor", "--json"]);
        let values: Vec<Value> = serde_json::from_str(&output).expect("JSON");
        for value in &values {
            let explained = value["read"].is_string() && value["from"].is_string()
                || value["why"].is_string() && value["advice"].is_string();
            assert!(explained, "{tree:?}: {value}");
        }
        let serious = values.iter().any(|value| value["serious"] == true);
        assert_eq!(status, Some(i32::from(serious)), "{tree:?}");
        // The table says the same.
        let (_, table) = run(&tree, &["doctor"]);
        assert!(table.lines().count() > values.len(), "{table}");
    }
}
