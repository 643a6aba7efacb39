//! The daemon as a process with a backlog: over an outage, and over a restart.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use heartbeat_sim::receiver::{Event, Receiver};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, PATIENCE, command};

/// An address at which no server listens yet: the port was free a moment ago.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn config(dir: &Path, backlog: &str) -> String {
    let path = dir.join("config.toml");
    fs::write(&path, format!("[backlog]\n{backlog}\n")).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn start(address: SocketAddr, config: &str) -> Daemon {
    Daemon::sending_to(address, "0.2", &["--config", config])
}

fn event(receiver: &Receiver) -> Value {
    match receiver.events().recv_timeout(PATIENCE).expect("a heartbeat") {
        Event::Beat(beat) => beat.value,
        Event::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn is_late(value: &Value) -> bool {
    value.get("replayed").is_some()
}

#[test]
fn backlog_of_an_outage_is_delivered_in_order_and_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let address = closed_port();
    let mut daemon = start(address, &config(dir.path(), "beats = 100\nper_interval = 2"));
    daemon.logs("not delivered: connection refused");
    for _ in 0..5 {
        daemon.logs("debug: sending");
    }
    let receiver = Receiver::listen(address).expect("still free");
    let first = event(&receiver);
    assert!(!is_late(&first), "the live one goes first: {first}");
    let (mut late, mut live) = (Vec::new(), vec![first["seq"].as_u64().expect("a number")]);
    while late.len() < 5 {
        let value = event(&receiver);
        assert_eq!(value["boot_id"], first["boot_id"]);
        let seq = value["seq"].as_u64().expect("a number");
        if is_late(&value) { late.push(seq) } else { live.push(seq) }
    }
    assert_eq!(late, [1, 2, 3, 4, 5]);
    assert!(live.is_sorted() && live[0] > 5, "{live:?}");
    daemon.stop();
    assert!(daemon.log.iter().any(|line| line.starts_with("of those that were not, ")), "{:#?}", daemon.log);
}

#[test]
fn stop_stores_the_backlog_and_disabling_it_deletes_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("kept");
    let settings = format!("beats = 100\nfile = {:?}", file);
    let mut daemon = start(closed_port(), &config(dir.path(), &settings));
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    let kept = fs::read_to_string(&file).expect("the file");
    let documents = kept.lines().filter(|line| line.starts_with('{')).count();
    assert!(documents >= 2, "{kept}");

    // Killed right after its start it has lost nothing.
    let mut daemon = start(closed_port(), &config(dir.path(), &settings));
    daemon.logs(&format!("{documents} heartbeats of an earlier start will be sent late"));
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    assert_eq!(fs::read_to_string(&file).expect("the file"), kept);

    fs::write(&file, &kept[..kept.len() - 9]).expect("torn");
    let mut daemon = start(closed_port(), &config(dir.path(), &settings));
    let line = daemon.logs("damaged");
    assert!(line.starts_with("warning: backlog: "), "{line}");
    daemon.stop();

    fs::write(&file, &kept).expect("whole again");
    let off = format!("beats = 0\nfile = {:?}", file);
    let mut daemon = start(closed_port(), &config(dir.path(), &off));
    daemon.logs("removed, as heartbeats are not kept any more");
    daemon.stop();
    assert!(!file.exists());
}

#[test]
fn failing_storage_costs_no_beat() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = format!("beats = 100\nfile = {:?}", dir.path().join("no/such/folder"));
    let mut daemon = start(closed_port(), &config(dir.path(), &settings));
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    assert!(
        daemon.log.iter().any(|line| line.contains("backlog: ") && line.contains("No such file")),
        "{:#?}",
        daemon.log
    );
}

/// Files are a minute apart, so this takes as long.
#[test]
#[ignore = "takes more than a minute"]
fn backlog_of_an_earlier_start_is_delivered_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("kept");
    let config = config(dir.path(), &format!("beats = 100\nfile = {:?}", file));
    let mut daemon = start(closed_port(), &config);
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    let kept = fs::read_to_string(&file).expect("the file");
    let kept: Vec<&str> = kept.lines().filter(|line| line.starts_with('{')).collect();
    let receiver = Receiver::listen("127.0.0.1:0").expect("a port");
    let mut daemon = start(receiver.address(), &config);
    let mut late = Vec::new();
    while late.len() < kept.len() {
        let value = event(&receiver);
        if is_late(&value) {
            // What has been sent is not in the file any more.
            assert!(
                !fs::read_to_string(&file)
                    .expect("the file")
                    .contains(&format!("\"seq\":{}}}", value["seq"]))
            );
            late.push(value["seq"].clone());
        }
    }
    let expected: Vec<Value> =
        kept.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].clone()).collect();
    assert_eq!(late, expected);
    daemon.stop();
    // Nothing is found again.
    let mut daemon = start(receiver.address(), &config);
    daemon.logs("debug: sending");
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("earlier start")), "{:#?}", daemon.log);
}

#[test]
fn unit_without_a_state_directory_is_reported() {
    let output = command(&["check-config", "--url", "http://127.0.0.1:1/"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.lines().any(|line| line.starts_with("backlog.beats = 0 ")), "{shown}");
}
