//! The environment and the limits that a daemon is started with: it beats with any of them, and runs no program that they
//! name.

#![allow(clippy::expect_used)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use support::{Daemon, beat, command, receiver, wrapped};

/// Programs whose names the daemon or its libraries know.
const HELPERS: [&str; 8] = ["mmcli", "iw", "vcgencmd", "systemctl", "getent", "ip", "sh", "gpsd"];

/// A directory with a program for each name that leaves a trace when it runs.
fn planted(dir: &Path) {
    for name in HELPERS {
        let program = dir.join(name);
        fs::write(&program, format!("#!/bin/sh\n: >{}/ran\n", dir.display())).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    }
}

#[test]
fn beats_in_a_hostile_environment_and_runs_no_planted_program() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    planted(dir.path());
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("made");
    let url = format!("http://{}/", receiver.address());
    let mut run = command(&["run", "--url", &url, "--interval", "0.1", "--pidfile", ""]);
    for name in [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "TZ",
        "TZDIR",
        "HOME",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "RUNTIME_DIRECTORY",
        "STATE_DIRECTORY",
        "NOTIFY_SOCKET",
        "RES_OPTIONS",
        "HOSTALIASES",
        "LOCALDOMAIN",
    ] {
        run.env(name, &fifo);
    }
    for (name, value) in [
        ("WATCHDOG_USEC", "-1"),
        ("WATCHDOG_PID", "x"),
        ("JOURNAL_STREAM", "\n:"),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "\u{fffd}"),
        ("LISTEN_FDS", "3"),
        ("http_proxy", "http://127.0.0.1:1/"),
        ("HTTPS_PROXY", "http://127.0.0.1:1/"),
        ("ALL_PROXY", "socks5://127.0.0.1:1/"),
        ("SSLKEYLOGFILE", "/dev/full"),
        ("TERM", "\u{1b}[2J"),
        ("LANG", "../../../etc/passwd"),
    ] {
        run.env(name, value);
    }
    run.env("PATH", dir.path());
    let mut daemon = Daemon::start(run);
    for _ in 0..5 {
        beat(&receiver);
    }
    daemon.stop();
    assert!(!dir.path().join("ran").exists(), "a planted program ran");
}

#[test]
fn beats_without_standard_streams() {
    let receiver = receiver();
    let url = format!("http://{}/", receiver.address());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]);
    let mut run = wrapped(shell, &command(&["run", "--url", &url, "--interval", "0.1", "--pidfile", ""]));
    let mut child =
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    for _ in 0..3 {
        beat(&receiver);
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid")),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("it lives");
    assert!(child.wait().expect("waited").success());
}

/// The kernel sends SIGXFSZ then, which ends a program that does not expect it.
#[test]
fn limit_of_file_sizes_costs_the_status_and_no_beat() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let url = format!("http://{}/", receiver.address());
    let mut run = command(&["run", "--url", &url, "--interval", "0.1", "--pidfile", ""]);
    run.env("RUNTIME_DIRECTORY", dir.path());
    let mut limiter = Command::new("prlimit");
    // The pidfile and the lock fit, the status does not.
    limiter.arg("--fsize=200");
    let mut daemon = Daemon::start(wrapped(limiter, &run));
    daemon.logs("status is not published: ");
    for _ in 0..5 {
        beat(&receiver);
    }
    daemon.stop();
    assert!(!dir.path().join("status.json").exists());
}
