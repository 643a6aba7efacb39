//! The daemon against every hostile server: what it logs, that it goes on, and that its memory, descriptors and threads
//! do not grow.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
};

use heartbeat_daemon::status_file;
use heartbeat_sim::hostile_servers::{Authority, Fault, HostileServer};
use support::{Daemon, command};

/// Servers that are tested at once.
const AT_ONCE: usize = 16;
/// Memory that a daemon may grow by, in KiB.
const GROWTH_MAX: u64 = 1_024;
/// Bytes that a server may send over the wire for one heartbeat.
const WIRE_MAX: u64 = 1024 * 1024;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
}

fn holdings(pid: u32) -> Holdings {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let count = |what: &str| fs::read_dir(proc.join(what)).expect("it lives").count();
    let status = fs::read_to_string(proc.join("status")).expect("it lives");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    Holdings {
        memory_kib: memory.trim().trim_end_matches(" kB").parse().expect("a number"),
        descriptors: count("fd"),
        threads: count("task"),
    }
}

/// A folder with an authority's certificate, and settings without back-off.
fn folder(authority: &Authority) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
    fs::write(dir.path().join("config.toml"), "backoff_cap = 0\n").expect("written");
    dir
}

/// Runs a daemon against one server for a few beats. `Err` says what was wrong.
fn endure(fault: &'static Fault, authority: Option<&Authority>, dir: &Path) -> Result<(), String> {
    let server = HostileServer::listen("127.0.0.1:0".parse().expect("an address"), fault, authority)
        .expect("listening");
    let scheme = if authority.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}/heartbeat.php", server.address().port());
    let file = |name: &str| dir.join(name).to_str().expect("UTF-8").to_owned();
    let (ca, config) = (file("ca.pem"), file("config.toml"));
    let args = [
        "run",
        "--url",
        &url,
        "--interval",
        "1",
        "--timeout",
        "1",
        "--pidfile",
        "",
        "--config",
        &config,
        "--ca-file",
        &ca,
        "--verbose",
    ];
    let published = tempfile::tempdir().expect("a directory");
    let mut command = command(&args);
    command.env("RUNTIME_DIRECTORY", published.path());
    let mut daemon = Daemon::start(command);
    if let Some(secs) = fault.asks_for {
        daemon.logs("not delivered: ");
        daemon.logs(&format!("backing off for {secs} s"));
        daemon.stop();
        return Ok(());
    }
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    // Two beats have ended by now.
    let before = holdings(daemon.pid());
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    let after = holdings(daemon.pid());
    let (beats, received) = received(published.path());
    daemon.stop();
    let complaints: Vec<_> = daemon
        .log
        .iter()
        .filter_map(|line| line.strip_prefix("warning: heartbeat not delivered: "))
        .collect();
    let expected = fault.expected;
    let is_expected = match complaints.as_slice() {
        [] => expected.is_empty(),
        [complaint] => expected.iter().any(|expected| complaint.starts_with(expected)),
        _ => false,
    };
    if !is_expected {
        return Err(format!("said {complaints:?}, expected {expected:?}: {:#?}", daemon.log));
    }
    // What the agent cancels without its thread's knowledge would show here: the thread never comes to the next beat.
    // A handshake without end outlives its beat, and a certificate that was refused is not asked for at each of them.
    let reached = server.connections().max(server.requests());
    if reached < if fault.needs_tls() { 1 } else { 4 } {
        return Err(format!("{reached} beats reached the server: {:#?}", daemon.log));
    }
    let is_unverified = fault.needs_tls() && !fault.is_verified();
    if !fault.expected.is_empty() && is_unverified && server.requests() > 0 {
        return Err("a heartbeat was sent to a server that was not verified".to_owned());
    }
    if after.memory_kib > before.memory_kib + GROWTH_MAX
        || after.descriptors > before.descriptors + 2
        // One that reads authorities or looks up a name may be there for a moment; one left behind a beat would be more.
        || after.threads > before.threads + 1
    {
        return Err(format!("{before:?} became {after:?}"));
    }
    // The next heartbeat is under way.
    if received > (beats + 1) * WIRE_MAX {
        return Err(format!("{received} bytes came over the wire for {beats} heartbeats"));
    }
    Ok(())
}

/// How many heartbeats have ended, and the bytes that came over the wire until then.
fn received(directory: &Path) -> (u64, u64) {
    let status = status_file::ask(&directory.join("status.json")).expect("it is published");
    (status.delivered + status.failed, status.received_bytes)
}

#[test]
fn survives_and_names_every_server_fault() {
    let authority = Authority::new();
    let dir = folder(&authority);
    let mut runs: Vec<(&'static Fault, bool)> = Vec::new();
    for fault in Fault::all() {
        if !fault.needs_tls() {
            runs.push((fault, false));
        }
        // Before TLS has begun a fault is another one with TLS: those have their own names.
        if fault.needs_tls() || fault.is_about_http() {
            runs.push((fault, true));
        }
    }
    let total = runs.len();
    let (runs, wrong) = (Mutex::new(runs), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((fault, tls)) = { runs.lock().expect("no panic").pop() } {
                    if let Err(error) = endure(fault, tls.then_some(&authority), dir.path()) {
                        wrong.lock().expect("no panic").insert((fault.name, tls), error);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    println!("{total} servers endured");
    assert!(wrong.is_empty(), "{} of {total}: {wrong:#?}", wrong.len());
}

#[test]
fn names_are_names() {
    let names: Vec<_> = Fault::all().map(|fault| fault.name).collect();
    for name in &names {
        assert_eq!(Fault::named(name).map(|fault| fault.name), Some(*name), "twice");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{name}"
        );
    }
    assert!(names.len() >= 40, "{}", names.len());
    assert!(Fault::named("nonsense").is_none());
}
