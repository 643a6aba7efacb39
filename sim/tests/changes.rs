//! What changes while the daemon runs is in the heartbeats that follow, although nothing is read again that has not changed.
//!
//! Without notices a change would be found once a minute, so each of these must show within far fewer heartbeats than a
//! minute has. The tests of the network need root and iproute2:
//! `cargo test -p heartbeat-sim --test changes -- --ignored --test-threads=1`

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use heartbeat_sim::receiver::Receiver;
use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};
use support::{Daemon, beat, command, wrapped};

/// Heartbeats after which the daemon reads only what has changed.
const UNTIL_SETTLED: usize = 5;
/// Heartbeats in which a change must show: half a minute.
const LATEST: usize = 150;
const INTERVAL: &str = "0.2";

/// Waits for a heartbeat in which `path` is `expected`, and checks that the next one has it, too.
fn expect(receiver: &Receiver, path: &str, expected: &Value, when: &str) {
    let found = |document: &Value| match (document.pointer(path), expected.as_f64()) {
        (Some(found), Some(number)) => found.as_f64() == Some(number),
        (found, _) => found == Some(expected),
    };
    let shows = (0..LATEST).any(|_| found(&beat(receiver).value));
    assert!(shows, "{when}: {path} is not {expected} in any heartbeat");
    assert!(found(&beat(receiver).value), "{when}: {path} does not stay {expected}");
}

fn settle(receiver: &Receiver) {
    (0..UNTIL_SETTLED).for_each(|_| drop(beat(receiver)));
}

/// A process that lives until it is killed.
fn sleeping() -> Child {
    let mut command = Command::new("sleep");
    // Not for ever, if the test fails.
    command.arg("300").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
}

fn end(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("reaped");
}

#[test]
fn pidfiles_that_appear_change_and_go() {
    let tmp = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::listen("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", receiver.address());
    let args = ["run", "--url", &url, "--interval", INTERVAL, "--pidfile", ""];
    let mut command = command(&args);
    command.env("HEARTBEAT_APP_TMP", tmp.path());
    let mut daemon = Daemon::start(command);
    settle(&receiver);

    let streaming = tmp.path().join("relay-ffmpeg-webcam.pid");
    let expect = |key: &str, expected: Value, when: &str| {
        expect(&receiver, key, &expected, when);
        settle(&receiver);
    };
    expect("/streaming_active", json!(false), "without a pidfile");
    let (first, second) = (sleeping(), sleeping());
    fs::write(&streaming, first.id().to_string()).expect("written");
    expect("/streaming_active", json!(true), "a pidfile appears");
    end(first);
    expect("/streaming_active", json!(false), "its process has ended");
    fs::write(&streaming, second.id().to_string()).expect("written");
    expect("/streaming_active", json!(true), "the file names another process");
    fs::remove_file(&streaming).expect("removed");
    expect("/streaming_active", json!(false), "the file is gone");
    let new = tmp.path().join("new");
    fs::write(&new, second.id().to_string()).expect("written");
    fs::rename(&new, &streaming).expect("renamed");
    expect("/streaming_active", json!(true), "a file takes the name");

    let film = tmp.path().join("film.mp4");
    fs::write(&film, vec![0; 1 << 20]).expect("written");
    // As the application knows it, whose /tmp this is.
    let content = format!("{}:/tmp/film.mp4", second.id());
    fs::write(tmp.path().join("relay-ffmpeg-record-webcam.pid"), content).expect("written");
    expect("/recording_file_size_mb", json!(1), "a recording begins");
    fs::write(&film, vec![0; 3 << 20]).expect("written");
    expect("/recording_file_size_mb", json!(3), "the recording grows");
    end(second);
    expect("/recording_active", json!(false), "its process has ended");
    expect("/streaming_active", json!(false), "its process has ended");
    daemon.stop();
}

/// A network namespace; gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let namespace = Self(format!("heartbeat-changes-{}", std::process::id()));
        run(&["netns", "add", &namespace.0]);
        namespace.ip("link set lo up");
        namespace
    }

    fn ip(&self, args: &str) {
        run(&[&["-n", &self.0], &args.split(' ').collect::<Vec<_>>()[..]].concat());
    }

    fn receiver(&self) -> Receiver {
        let file = File::open(Path::new("/run/netns").join(&self.0)).expect("it is there");
        let entered = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).expect("entered");
            Receiver::listen("127.0.0.1:0").expect("a port")
        });
        entered.join().expect("no panic")
    }

    fn exec(&self, inner: &Command) -> Command {
        let mut outer = Command::new("ip");
        outer.args(["netns", "exec", &self.0]);
        wrapped(outer, inner)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn run(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("it is installed");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs root"]
fn interfaces_addresses_and_routes() {
    let namespace = Namespace::new();
    let receiver = namespace.receiver();
    let url = format!("http://{}/", receiver.address());
    let config = tempfile::NamedTempFile::new().expect("a file");
    fs::write(config.path(), "hardware_id = \"test\"\n").expect("written");
    let config = config.path().to_str().expect("text");
    let args = ["run", "--url", &url, "--interval", INTERVAL, "--pidfile", "", "--config", config];
    let mut daemon = Daemon::start(namespace.exec(&command(&args)));
    settle(&receiver);

    let expect = |path: &str, expected: Value, when: &str| {
        expect(&receiver, path, &expected, when);
        settle(&receiver);
    };
    let route = "/connection/default_interface";
    let ethernet = "/connection/ethernet";
    expect(ethernet, Value::Null, "without an interface");
    namespace.ip("link add eth0 type veth peer name peer0");
    namespace.ip("addr add 192.0.2.7/24 dev eth0");
    namespace.ip("link set peer0 up");
    namespace.ip("link set eth0 up");
    expect(ethernet, json!({"interface": "eth0", "ip": "192.0.2.7"}), "an interface comes up");
    namespace.ip("route add default via 192.0.2.1");
    expect(route, json!("eth0"), "a default route comes");
    namespace.ip("addr add 192.0.2.8/24 dev eth0");
    namespace.ip("addr del 192.0.2.7/24 dev eth0");
    namespace.ip("addr add 192.0.2.9/24 dev eth0");
    expect("/connection/ethernet/interface", json!("eth0"), "the addresses have changed");
    namespace.ip("addr flush dev eth0");
    namespace.ip("addr add 198.51.100.7/24 dev eth0");
    expect("/connection/ethernet/ip", json!("198.51.100.7"), "another address");
    namespace.ip("route add default via 198.51.100.1");
    expect(route, json!("eth0"), "the route is back");
    // Of the route that goes with it the kernel tells nothing.
    namespace.ip("link set eth0 down");
    expect(route, Value::Null, "the interface is down");
    expect(ethernet, Value::Null, "the interface is down");
    namespace.ip("link set eth0 name lan0");
    namespace.ip("link set lan0 up");
    expect("/connection/ethernet/interface", json!("lan0"), "it has another name");
    namespace.ip("-6 addr add 2001:db8::7/64 dev lan0 nodad");
    namespace.ip("-6 route add default via 2001:db8::1");
    expect(route, json!("lan0"), "a default route of IPv6");
    namespace.ip("link set peer0 down");
    expect(ethernet, Value::Null, "the carrier is lost");
    namespace.ip("link set peer0 up");
    expect("/connection/ethernet/interface", json!("lan0"), "the carrier is back");
    namespace.ip("link del lan0");
    expect(ethernet, Value::Null, "it is gone");
    daemon.stop();
}
