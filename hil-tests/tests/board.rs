//! This machine beside its own tools: ignored by default because it is about the machine, not about the code.
//!
//! ```text
//! cargo test -p heartbeat-hil -- --ignored --nocapture --test-threads=1
//! ```
//!
//! The installed daemon is judged, if there is one; else the one of this workspace.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn daemon() -> PathBuf {
    let installed = Path::new("/usr/bin/heartbeat-daemon");
    if installed.exists() {
        return installed.to_owned();
    }
    // Cargo builds the examples of a package with its tests, beside its programs.
    let programs = Path::new(env!("CARGO_BIN_EXE_heartbeat-hil")).parent().expect("a folder");
    programs.join("examples/daemon-under-test")
}

#[test]
#[ignore = "about this machine"]
fn this_machine_is_what_others_say() {
    let daemon = daemon();
    assert!(daemon.exists(), "{} was not built", daemon.display());
    let output = Command::new(env!("CARGO_BIN_EXE_heartbeat-hil"))
        .arg("--daemon")
        .arg(daemon)
        .output()
        .expect("it runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
