//! A system that has run out of something: threads, descriptors. The daemon says what is missing and ends with status 1,
//! so that systemd tries again, or it beats without.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use heartbeat_sim::receiver::{Receiver, read_request};
use nix::{sys::signal::Signal, unistd::Uid};
use support::{Daemon, PATIENCE, bare_tree, beat, receiver, server};

/// A server that takes each heartbeat over a connection of its own, which needs a descriptor.
fn forgetful_server() -> String {
    let address = server(|_, mut stream| {
        read_request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    format!("http://{address}/")
}

/// How `run` fares under `limiter`: whether it takes a sample, sends it and stops in order. If not, it must have said why.
fn beats(limiter: &[&str], program: &str, sysroot: &str) -> bool {
    let mut command = Command::new("env");
    command.args(["--ignore-environment", "PATH=/usr/bin:/bin"]).args(limiter).arg(program);
    command.args(["run", "--config", "/dev/null", "--url", "http://127.0.0.1:9/", "--interval", "0.2"]);
    command.args(["--sysroot", sysroot, "--pidfile", "", "--verbose"]);
    let mut daemon = Daemon::start(command);
    let beats = daemon.logs_or_ends("debug: sending").is_some();
    if beats {
        daemon.stop();
    } else {
        assert_eq!(daemon.wait().code(), Some(1), "{limiter:?}: {:#?}", daemon.log);
        let said = |log: &[String]| log.iter().any(|line| line.starts_with("error: "));
        assert!(said(&daemon.log), "{limiter:?}: {:#?}", daemon.log);
    }
    assert!(!daemon.log.iter().any(|line| line.contains("panicked")), "{limiter:?}: {:#?}", daemon.log);
    beats
}

#[test]
fn with_few_descriptors_it_says_so_or_beats_without() {
    let tree = bare_tree();
    let program = env!("CARGO_BIN_EXE_daemon-under-test");
    let fares: Vec<_> = (4..40)
        .map(|limit| {
            let limit = format!("--nofile={limit}");
            beats(&["prlimit", &limit], program, tree.path().to_str().expect("UTF-8"))
        })
        .collect();
    println!("{fares:?}");
    assert!(fares.is_sorted(), "more of them are not worse: {fares:?}");
    assert!(fares.first() == Some(&false) && fares.last() == Some(&true), "{fares:?}");
}

/// Puts the daemon where every user may run it, if it can be run as a user who runs nothing else.
fn for_anybody(dir: &Path) -> Option<String> {
    if !Uid::effective().is_root() {
        println!("skipped: a user who runs nothing else is needed, which only root can become");
        return None;
    }
    let program = dir.join("daemon");
    fs::copy(env!("CARGO_BIN_EXE_daemon-under-test"), &program).expect("copied");
    fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("set");
    Some(program.to_str().expect("UTF-8").to_owned())
}

/// Becomes that user and runs what follows.
fn as_user(uid: u32) -> [String; 4] {
    ["setpriv".to_owned(), format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".to_owned()]
}

/// Has a running daemon's limit changed by one who may.
fn limit(daemon: &Daemon, changer: &mut Command, what: &str) {
    changer.args([format!("--pid={}", daemon.pid()), what.to_owned()]);
    assert!(changer.status().expect("it runs").success());
}

#[test]
fn with_few_threads_it_says_so_or_beats_without() {
    let tree = bare_tree();
    let Some(program) = for_anybody(tree.path()) else { return };
    let tree = tree.path().to_str().expect("UTF-8");
    let fares: Vec<_> = (1..20)
        .map(|limit| {
            let limit = format!("--nproc={limit}");
            let user = as_user(54_321);
            let user = user.each_ref().map(String::as_str);
            beats(&[&["prlimit", &limit], &user[..]].concat(), &program, tree)
        })
        .collect();
    println!("{fares:?}");
    assert!(fares.is_sorted(), "more of them are not worse: {fares:?}");
    assert!(fares.first() == Some(&false) && fares.last() == Some(&true), "{fares:?}");
}

#[test]
fn descriptors_that_run_out_while_it_runs_cost_beats_until_there_are_some_again() {
    let url = forgetful_server();
    let tree = bare_tree();
    let mut command =
        support::command(&["run", "--url", &url, "--interval", "0.2", "--pidfile", "", "--verbose"]);
    command.args(["--sysroot", tree.path().to_str().expect("UTF-8")]);
    let mut daemon = Daemon::start(command);
    daemon.logs("debug: sending");
    daemon.logs("debug: sending");
    limit(&daemon, &mut Command::new("prlimit"), "--nofile=3:");
    let line = daemon.logs("not delivered");
    assert!(line.contains("out of local resources"), "{line}");
    limit(&daemon, &mut Command::new("prlimit"), "--nofile=256:");
    daemon.logs("heartbeats are delivered again after ");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

/// A daemon of a user who runs nothing else, with so many threads at most.
struct Limited {
    daemon: Daemon,
    receiver: Receiver,
    config: PathBuf,
    user: [String; 4],
    _tree: tempfile::TempDir,
}

impl Limited {
    /// `None` where there cannot be such a user.
    fn start(uid: u32, threads: &str) -> Option<Self> {
        let (tree, receiver, user) = (bare_tree(), receiver(), as_user(uid));
        let program = for_anybody(tree.path())?;
        let config = tree.path().join("config.toml");
        configure(&config, "127.0.0.1", &receiver);
        let mut command = Command::new(&user[0]);
        command.args(&user[1..]).args(["prlimit", threads, &program, "run", "--verbose"]);
        command.arg("--config").arg(&config).arg("--sysroot").arg(tree.path());
        Some(Self { daemon: Daemon::start(command), receiver, config, user, _tree: tree })
    }

    fn limit(&self, threads: &str) {
        limit(&self.daemon, Command::new("setpriv").args(&self.user[1..]).arg("prlimit"), threads);
    }
}

fn configure(config: &Path, host: &str, receiver: &Receiver) {
    let port = receiver.address().port();
    let text = format!("url = 'http://{host}:{port}/'\ninterval = 0.2\npidfile = ''\n");
    fs::write(config, text).expect("written");
}

#[test]
fn without_a_thread_for_the_sensors_it_beats_and_starts_one_later() {
    let began = Instant::now();
    let mut limited = loop {
        // For the main loop, the log and the uplink.
        let Some(mut limited) = Limited::start(54_322, "--nproc=3:") else { return };
        if limited.daemon.logs_or_ends("cannot start a thread: ").is_some() {
            break limited;
        }
        // The thread that looked for another daemon still counted. Systemd would start it again, too.
        assert!(limited.daemon.log.iter().any(|line| line.starts_with("error: cannot start: ")));
        assert!(began.elapsed() < PATIENCE, "{:#?}", limited.daemon.log);
    };
    let first = beat(&limited.receiver);
    assert!(first.value["disk"].is_null() && first.value["hardwareid"].is_string(), "{}", first.value);
    limited.limit("--nproc=1000:");
    limited.daemon.logs("disk: reading again");
    limited.daemon.stop();
    let log = &limited.daemon.log;
    assert_eq!(log.iter().filter(|line| line.contains("cannot start a thread")).count(), 1, "{log:#?}");
}

#[test]
fn without_a_thread_to_look_a_name_up_beats_fail_until_there_is_one() {
    let Some(mut limited) = Limited::start(54_323, "--nproc=1000:") else { return };
    beat(&limited.receiver);
    // The thread that reads configurations is there from the first one on.
    limited.daemon.signal(Signal::SIGHUP);
    limited.daemon.logs("configuration read again");
    limited.limit("--nproc=1:");
    configure(&limited.config, "localhost", &limited.receiver);
    limited.daemon.signal(Signal::SIGHUP);
    limited.daemon.logs("not delivered: out of local resources");
    limited.limit("--nproc=1000:");
    limited.daemon.logs("heartbeats are delivered again after ");
    limited.daemon.stop();
}
