//! What this machine reports, beside what independent witnesses say about it.
//!
//! The tests of this crate are ignored by default because they are about the machine, not about the code. Run them
//! where the daemon will run, one at a time, and read what they say:
//!
//! ```text
//! cargo test -p heartbeat-hil -- --ignored --nocapture --test-threads=1
//! ```

#![forbid(unsafe_code)]

use std::{path::Path, process::Command};

use heartbeat_daemon::{
    config::{Layers, Settings},
    daemon::{identity, open_root, sample_once},
};
use heartbeat_sim::schema::Schema;
use serde_json::Value;

/// One heartbeat of this machine, as the daemon would send it with its built-in settings.
///
/// # Errors
///
/// Why there is none, for people.
pub fn sample() -> Result<Value, String> {
    let settings = Settings::new(&Layers::default()).map_err(|error| error.to_string())?;
    let root = open_root(Path::new("/")).map_err(|error| error.to_string())?;
    let identity = identity(&settings, &root).map_err(|error| error.to_string())?;
    let body = sample_once(&settings, root, identity).map_err(|error| error.to_string())?;
    Schema::new().check(&body)
}

/// What a program prints.
///
/// # Errors
///
/// Why it prints nothing: it is not installed, or it failed.
pub fn witness(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program} cannot be asked: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed something else than text"))
}

/// Says what was compared.
pub fn compared(value: &str, ours: impl std::fmt::Display, theirs: impl std::fmt::Display, witness: &str) {
    println!("{value}: {ours}, and {theirs} according to {witness}");
}

/// Says why nothing could be compared.
pub fn skipped(value: &str, reason: impl std::fmt::Display) {
    println!("{value}: skipped, {reason}");
}
