//! The id of a board without a serial over restarts of the daemon, which keeps it in its state directory.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{fs, path::Path};

use heartbeat_sim::receiver::Receiver;
use serde_json::Value;
use support::{Daemon, bare_tree, beat, command, receiver, write};

/// A board in whose tree the daemon starts, and its state directory.
struct Board {
    tree: tempfile::TempDir,
    state: tempfile::TempDir,
    receiver: Receiver,
}

impl Board {
    fn new() -> Self {
        let state = tempfile::tempdir().expect("a directory");
        Self { tree: bare_tree(), state, receiver: receiver() }
    }

    fn interface(&self, name: &str, address: &str, uevent: &str) {
        let class = format!("sys/class/net/{name}");
        for (file, content) in
            [("address", address), ("addr_assign_type", "0"), ("ifindex", "2"), ("device/uevent", uevent)]
        {
            write(self.tree.path(), &format!("{class}/{file}"), content.as_bytes());
        }
    }

    fn adapter(&self, address: &str) {
        self.interface("eth0", address, "DEVTYPE=usb_interface\nDRIVER=r8152\n");
    }

    fn unplug(&self, name: &str) {
        fs::remove_dir_all(self.tree.path().join("sys/class/net").join(name)).expect("it is there");
    }

    fn card(&self, number: &str) {
        write(self.tree.path(), "sys/class/mmc_host/mmc0/mmc0:aaaa/cid", number.as_bytes());
    }

    fn tree(&self) -> &str {
        self.tree.path().to_str().expect("UTF-8")
    }

    /// The id in the first heartbeat of a start, and what was logged until then.
    fn starts(&self, more: &[&str]) -> (String, Vec<String>) {
        let url = format!("http://{}/", self.receiver.address());
        let args = ["run", "--url", &url, "--interval", "0.5", "--pidfile", "", "--sysroot", self.tree()];
        let mut run = command(&[&args, more].concat());
        run.env("STATE_DIRECTORY", self.state.path());
        let mut daemon = Daemon::start(run);
        let id = beat(&self.receiver).value["hardwareid"].as_str().expect("a text").to_owned();
        daemon.stop();
        (id, daemon.log.clone())
    }

    fn id(&self) -> String {
        self.starts(&[]).0
    }

    fn kept(&self) -> Option<Value> {
        let text = fs::read(self.state.path().join("hardware-id")).ok()?;
        Some(serde_json::from_slice(&text).expect("JSON"))
    }
}

#[test]
fn a_board_without_a_serial_keeps_its_id_when_its_adapter_is_unplugged() {
    let board = Board::new();
    board.adapter("00:e0:4c:36:00:02");
    board.card("035344534333324780a1b2c3d4015a00");
    assert_eq!(board.id(), "00e04c360002");
    board.unplug("eth0");
    assert_eq!(board.id(), "00e04c360002", "without its adapter");
    board.adapter("00:e0:4c:36:00:99");
    assert_eq!(board.id(), "00e04c360002", "with another one");
    let doctor = command(&["doctor", "--json", "--sysroot", board.tree()])
        .env("STATE_DIRECTORY", board.state.path())
        .output()
        .expect("it runs");
    let values: Vec<Value> = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let from = values.iter().find(|value| value["value"] == "hardwareid").expect("the id")["from"].clone();
    let kept_in = board.state.path().join("hardware-id");
    assert_eq!(from, format!("/sys/class/net/*/address, kept in {}", kept_in.display()));
}

#[test]
fn a_card_carries_no_id_to_a_board_that_has_its_own() {
    let board = Board::new();
    board.interface("eth0", "dc:a6:32:01:02:03", "DRIVER=bcmgenet\n");
    board.card("035344534333324780a1b2c3d4015a00");
    assert_eq!(board.id(), "dca632010203");
    // The card is moved to a board with a serial, and on to one with another built-in interface.
    write(board.tree.path(), "proc/cpuinfo", b"Serial\t\t: 10000000a1b2c3d4\n");
    assert_eq!(board.id(), "10000000a1b2c3d4", "a serial comes first");
    assert_eq!(board.kept().expect("it is left alone")["id"], "dca632010203");
    fs::remove_file(board.tree.path().join("proc/cpuinfo")).expect("removed");
    assert_eq!(board.id(), "dca632010203", "back on the first board");
    board.interface("eth0", "dc:a6:32:09:09:09", "DRIVER=bcmgenet\n");
    let (id, log) = board.starts(&[]);
    assert_eq!(id, "dca632090909");
    assert!(log.iter().any(|line| line.contains("was chosen for another board")), "{log:?}");
    assert_eq!(board.kept().expect("it is kept now")["id"], "dca632090909");
}

#[test]
fn a_cloned_card_does_not_share_the_id() {
    let board = Board::new();
    board.adapter("00:e0:4c:36:00:02");
    board.card("035344534333324780a1b2c3d4015a00");
    assert_eq!(board.id(), "00e04c360002");
    board.adapter("00:e0:4c:36:00:03");
    board.card("0353445343333247800f0e0d0c015a00");
    assert_eq!(board.id(), "00e04c360003");
}

#[test]
fn the_configured_id_comes_before_the_kept_one_and_keeps_nothing() {
    let board = Board::new();
    board.adapter("00:e0:4c:36:00:02");
    let config = board.state.path().join("config.toml");
    fs::write(&config, "hardware_id = \"camera-7\"\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    assert_eq!(board.starts(&["--config", config]).0, "camera-7");
    assert_eq!(board.kept(), None);
    assert_eq!(board.id(), "00e04c360002");
    assert!(board.kept().is_some());
    assert_eq!(board.starts(&["--config", config]).0, "camera-7");
}

#[test]
fn what_cannot_be_kept_or_is_no_kept_id_is_told_and_costs_nothing() {
    let board = Board::new();
    board.adapter("00:e0:4c:36:00:02");
    for nonsense in [&b"nonsense"[..], b"", br#"{"id":"\u001b[2J","from":"mac","marks":{}}"#] {
        fs::write(board.state.path().join("hardware-id"), nonsense).expect("written");
        assert_eq!(board.id(), "00e04c360002");
        assert_eq!(board.kept().expect("it is replaced")["id"], "00e04c360002");
    }
    let place = board.state.path().join("hardware-id");
    fs::remove_file(&place).expect("removed");
    fs::create_dir(&place).expect("made");
    fs::write(Path::new(&place).join("x"), "").expect("written");
    let (id, log) = board.starts(&[]);
    assert_eq!(id, "00e04c360002");
    assert!(log.iter().any(|line| line.contains("could not be kept")), "{log:?}");
}
