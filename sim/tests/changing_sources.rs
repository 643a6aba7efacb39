//! Sources that change while the daemon runs: monitors and zones with other numbers, a receiver that falls silent, a modem
//! that hangs beside another.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use heartbeat_sim::receiver::Receiver;
use serde_json::Value;
use support::{Daemon, bare_tree, beat, command, receiver, wrapped, write};

/// A monitor or a zone; its files as `attribute=value`. It appears as a whole.
fn place(root: &Path, path: &str, files: &[(&str, &str)]) {
    for (name, content) in files {
        write(root, &format!("new/{name}"), content.as_bytes());
    }
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    fs::rename(root.join("new"), path).expect("moved");
}

/// The documents until one says at `pointer` what is expected; that one is the last.
fn until(receiver: &Receiver, pointer: &str, expected: &Value) -> Vec<Value> {
    let mut seen = Vec::new();
    // Four times as many as the slowest of the tests needs.
    for _ in 0..400 {
        seen.push(beat(receiver).value);
        if seen.last().and_then(|document| document.pointer(pointer)) == Some(expected) {
            return seen;
        }
    }
    panic!("{pointer} never became {expected}: {:?}", seen.last());
}

#[test]
fn monitors_and_zones_are_found_again_when_their_numbers_change() {
    let dir = bare_tree();
    let root = dir.path();
    let (hwmon, thermal) = ("sys/class/hwmon", "sys/class/thermal");
    place(root, &format!("{hwmon}/hwmon2"), &[("name", "pwmfan"), ("fan1_input", "2800")]);
    place(
        root,
        &format!("{hwmon}/hwmon3"),
        &[("name", "ina226"), ("in1_input", "5084"), ("power1_input", "4575000")],
    );
    place(root, &format!("{thermal}/thermal_zone0"), &[("type", "cpu-thermal"), ("temp", "48774")]);
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    let right = |document: &Value| {
        let values = [&document["fan_rpm"], &document["power"], &document["temp"]];
        values.map(Value::as_f64) == [Some(2800.0), Some(4.58), Some(48.8)]
    };
    assert!(right(&beat(&receiver).value));
    // As drivers do that are loaded again in another order: what is left of the old numbers is something else.
    let moves = [
        (hwmon, "hwmon3", "hwmon10"),
        (hwmon, "hwmon2", "hwmon4"),
        (thermal, "thermal_zone0", "thermal_zone7"),
    ];
    for (class, old, new) in moves {
        fs::rename(root.join(class).join(old), root.join(class).join(new)).expect("moved");
    }
    place(root, &format!("{hwmon}/hwmon2"), &[("name", "gpio_fan"), ("fan1_input", "5000")]);
    place(root, &format!("{hwmon}/hwmon3"), &[("name", "other"), ("power1_input", "9000000")]);
    place(root, &format!("{thermal}/thermal_zone0"), &[("type", "gpu-thermal"), ("temp", "91000")]);
    for _ in 0..6 {
        let document = beat(&receiver).value;
        assert!(right(&document), "{document}");
    }
    // Their drivers are unloaded.
    for gone in ["hwmon4", "hwmon10"] {
        fs::remove_dir_all(root.join(hwmon).join(gone)).expect("removed");
    }
    fs::remove_dir_all(root.join(thermal).join("thermal_zone7")).expect("removed");
    let last = until(&receiver, "/fan_rpm", &Value::Null).pop().expect("a document");
    let seen = until(&receiver, "/temp", &Value::Null);
    assert!(seen.iter().chain([&last]).all(|document| document["fan_rpm"] != 5000), "{seen:?}");
    until(&receiver, "/power", &Value::Null);
    // A fan and a monitor that have been there are found at once, and not after the re-probe interval.
    place(root, &format!("{hwmon}/hwmon1"), &[("name", "pwmfan"), ("fan1_input", "1400")]);
    let found = until(&receiver, "/fan_rpm", &1400.into());
    assert!(found.len() <= 10, "{} beats", found.len());
    daemon.stop();
}

/// gpsd's answer: this machine's clock, and the receiver's.
fn poll(clock: &str, receiver: &str) -> String {
    format!(
        r#"{{"class":"POLL","time":"2026-11-26T{clock}Z","active":1,"tpv":[{{"class":"TPV","device":"/dev/ttyACM0",
        "mode":3,"time":"2026-11-26T{receiver}Z","lat":52.5,"lon":13.4}}],"sky":[]}}"#
    )
    .replace('\n', "")
        + "\n"
}

#[test]
fn the_position_of_a_receiver_that_falls_silent_ends_and_comes_back_with_it() {
    let dir = bare_tree();
    // In the place of the file as a whole: the daemon may read at any time.
    let answer = |text: String| {
        write(dir.path(), "next", text.as_bytes());
        fs::rename(dir.path().join("next"), dir.path().join("gpsd/poll")).expect("moved");
    };
    fs::create_dir(dir.path().join("gpsd")).expect("created");
    answer(poll("01:33:10.5", "01:33:10.0"));
    let receiver = receiver();
    let tree = dir.path().to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    let (fix, none, three) = ("/connection/gps/fix", Value::from("none"), Value::from("3d"));
    until(&receiver, fix, &three);
    // gpsd goes on to give the last report: for three intervals of 5 s it is a position.
    let seen = until(&receiver, fix, &none);
    let time = |document: &Value| document["timestamp"].as_f64().expect("a number");
    let last = seen.last().expect("a document");
    assert!(time(last) - time(&seen[0]) > 10.0, "{seen:?}");
    assert_eq!(last.pointer("/connection/gps/latitude"), Some(&Value::Null));
    answer(poll("01:33:30.5", "01:33:30.0"));
    until(&receiver, fix, &three);
    // It is unplugged.
    answer("{\"class\":\"POLL\",\"active\":0,\"tpv\":[],\"sky\":[]}\n".to_owned());
    until(&receiver, "/connection/gps", &Value::Null);
    daemon.stop();
}

/// Knows two modems, of which the first never answers.
const MMCLI: &str = r#"#!/bin/sh
case "$*" in
-L*) echo '{"modem-list":["/Modem/0","/Modem/1"]}' ;;
*/Modem/1*) echo '{"modem":{"generic":{"state":"connected","ports":["wwan9 (net)"]},"3gpp":{"operator-name":"Example"}}}' ;;
*) trap '' TERM INT HUP; while :; do sleep 3600; done ;;
esac
"#;

#[test]
fn a_modem_that_hangs_does_not_hide_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("mmcli");
    fs::write(&program, MMCLI).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let programs = dir.path().to_str().expect("UTF-8");
    let overlay = format!("mount -t overlay overlay -o lowerdir={programs}:/usr/bin /usr/bin");
    let in_namespace = |then: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", &format!("{overlay} && {then}"), "sh"]);
        unshare
    };
    if !in_namespace("true").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting an overlay needs root and a kernel that can");
        return;
    }
    let receiver = receiver();
    let url = format!("http://{}/", receiver.address());
    let run = command(&["run", "--url", &url, "--interval", "0.5", "--pidfile", "", "--verbose"]);
    let mut daemon = Daemon::start(wrapped(in_namespace("exec \"$@\""), &run));
    let seen = until(&receiver, "/connection/4g/state", &"connected".into());
    let last = seen.last().expect("a document");
    assert_eq!(last.pointer("/connection/4g/operator"), Some(&"Example".into()), "{last}");
    assert!(seen.iter().all(|document| document["mem"].is_number()), "no other value waits: {seen:?}");
    // It is known to hang, and the one that is connected is not lost while it is left alone.
    for _ in 0..6 {
        let document = beat(&receiver).value;
        assert_eq!(document.pointer("/connection/4g/state"), Some(&"connected".into()), "{document}");
    }
    daemon.stop();
}
