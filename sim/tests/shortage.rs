//! A system that has run out of something: threads, descriptors. The daemon says what is missing and ends with status 1,
//! so that systemd tries again, or it beats without.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use nix::{sys::signal::Signal, unistd::Uid};
use support::{Daemon, bare_tree, server};

/// A server that takes each heartbeat over a connection of its own, which needs a descriptor.
fn forgetful_server() -> String {
    let address = server(|_, mut stream| {
        let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"}") {
            let len = stream.read(&mut chunk)?;
            if len == 0 {
                return Ok(());
            }
            request.extend(chunk.iter().take(len));
        }
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

#[test]
fn with_few_threads_it_says_so_or_beats_without() {
    if !Uid::effective().is_root() {
        println!("skipped: a user who runs nothing else is needed, which only root can become");
        return;
    }
    let tree = bare_tree();
    // Where anybody may run it.
    let program = tree.path().join("daemon");
    fs::copy(env!("CARGO_BIN_EXE_daemon-under-test"), &program).expect("copied");
    fs::set_permissions(tree.path(), Permissions::from_mode(0o755)).expect("set");
    let (program, tree) = (program.to_str().expect("UTF-8"), tree.path().to_str().expect("UTF-8"));
    let fares: Vec<_> = (1..20)
        .map(|limit| {
            let limit = format!("--nproc={limit}");
            let nobody_else = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
            beats(&[&["prlimit", &limit], &nobody_else[..]].concat(), program, tree)
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
    let pid = daemon.pid();
    let limit = |count: u32| {
        let status =
            Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={count}:1024")]).status();
        assert!(status.expect("it runs").success());
    };
    limit(3);
    let line = daemon.logs("not delivered");
    assert!(line.contains("out of local resources"), "{line}");
    limit(1024);
    daemon.logs("heartbeats are delivered again after ");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}
