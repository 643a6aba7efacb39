//! What the daemon must report of the boards of which there is a captured tree is what the witnesses say.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::Value;

/// The checks whose witnesses are files, or programs whose answers are in a tree.
const CHECKS: &[&str] = &["identity", "temperature", "fan", "power", "supply", "throttled"];

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}

#[test]
fn no_captured_board_fails() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/trees");
    let folder = tempfile::tempdir().expect("a folder");
    let (daemon, reports) = (folder.path().join("daemon"), folder.path().join("report"));
    let (mut passed, mut failed) = (0, Vec::new());
    for tree in fs::read_dir(trees).expect("trees").flatten() {
        let name = tree.file_name().to_string_lossy().into_owned();
        let tree = tree.path();
        let Ok(expected) = fs::read(tree.join("expected.json")) else { continue };
        let mut document: Value = serde_json::from_slice(&expected).expect("JSON");
        // Those of the machine that reads a tree, which are not compared there.
        (document["timestamp"], document["disk"]) = (Value::Null, Value::Null);
        fs::write(folder.path().join("document"), document.to_string()).expect("written");
        let shown = folder.path().display();
        program(
            &daemon,
            &format!(
                "case $* in *check-config) echo 'url = \"https://a/\"';; *sample) cat {shown}/document;; esac"
            ),
        );
        program(
            &folder.path().join("vcgencmd"),
            &format!(
                "cat {0}/vcgencmd/\"$1\" 2>/dev/null || {{ echo 'no right to ask' >&2; exit 1; }}",
                tree.display()
            ),
        );
        let path = format!("{shown}:{}", std::env::var("PATH").expect("a PATH"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeat-hil"));
        command.arg("--sysroot").arg(&tree).arg("--daemon").arg(&daemon).env("PATH", path);
        for check in CHECKS {
            command.args(["--only", check]);
        }
        command.arg("--output").arg(&reports).output().expect("it runs");
        let report = fs::read(reports.join("report.json")).expect("a report");
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        for entry in report["checks"].as_array().expect("a list") {
            if entry["verdict"] == "failed" {
                failed.push(format!("{name}, {}: {}", entry["name"], entry["reason"]));
            }
            passed += usize::from(entry["verdict"] == "passed");
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed > 100, "only {passed} checks passed");
}
