//! Sources that change while the daemon runs: monitors, zones, radios, modems and batteries with other numbers, a receiver that
//! falls silent, a modem that hangs beside another.

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

/// A monitor of the INA2xx family on a 5 V rail, found by its node in the device tree.
fn on_rail(root: &Path, number: u32, address: u32, microwatts: &str) {
    let node = format!("OF_NAME=ina226\nOF_FULLNAME=/soc/i2c@7e804000/ina226@{address}\n");
    let files =
        [("name", "ina226"), ("in1_input", "5084"), ("power1_input", microwatts), ("uevent", node.as_str())];
    place(root, &format!("sys/class/hwmon/hwmon{number}"), &files);
}

/// Waybar's issues 622 and 4723: another device that is plugged in changes the numbers. Two chips of a driver have one name, so
/// that only their nodes tell them apart; numbers are the lowest that are free (`hwmon_ida` in drivers/hwmon/hwmon.c).
#[test]
fn of_two_monitors_with_one_name_the_same_counts_when_they_change_their_numbers() {
    let dir = bare_tree();
    let root = dir.path();
    on_rail(root, 2, 40, "4830000");
    on_rail(root, 3, 44, "900000");
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    until(&receiver, "/power", &4.83.into());
    let class = root.join("sys/class/hwmon");
    fs::rename(class.join("hwmon2"), class.join("hwmon4")).expect("moved");
    fs::rename(class.join("hwmon3"), class.join("hwmon2")).expect("moved");
    fs::rename(class.join("hwmon4"), class.join("hwmon3")).expect("moved");
    // What was sampled while they changed may be of one of them, or none.
    beat(&receiver);
    for _ in 0..5 {
        let document = beat(&receiver).value;
        assert_eq!(document["power"], 4.83, "{document}");
    }
    daemon.stop();
}

/// Sepero/temp-throttle, pull request 47, and the zones of a driver that comes late (`iwlwifi_1` moves all that follow): a
/// choice that was right when few were there must not last.
#[test]
fn zones_and_fans_of_drivers_that_are_loaded_late_are_weighed_against_those_in_use() {
    let dir = bare_tree();
    let root = dir.path();
    place(root, "sys/class/thermal/thermal_zone0", &[("type", "tsensor0-thermal"), ("temp", "41000")]);
    place(root, "sys/class/hwmon/hwmon1", &[("name", "nct6799"), ("fan1_input", "0")]);
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    until(&receiver, "/temp", &41.0.into());
    until(&receiver, "/fan_rpm", &0.into());
    place(root, "sys/class/hwmon/hwmon2", &[("name", "emc2305"), ("fan1_input", "2910")]);
    until(&receiver, "/fan_rpm", &2910.into());
    place(root, "sys/class/thermal/thermal_zone1", &[("type", "skin-thermal"), ("temp", "30000")]);
    until(&receiver, "/temp", &Value::Null);
    daemon.stop();
}

/// The files of an interface that is up and has the default route.
fn interface(root: &Path, name: &str, devtype: &str, ip: &str) {
    let uevent = format!("DEVTYPE={devtype}\n");
    let files =
        [("operstate", "up"), ("type", "1"), ("uevent", uevent.as_str()), ("device/uevent", "DRIVER=x\n")];
    place(root, &format!("sys/class/net/{name}"), &files);
    write(
        root,
        "ip/address",
        format!(r#"[{{"ifname":"{name}","addr_info":[{{"local":"{ip}"}}]}}]"#).as_bytes(),
    );
    let route = format!("{name}\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n");
    write(root, "proc/net/route", format!("Iface\tDestination\n{route}").as_bytes());
}

/// A driver that is loaded again after its firmware has crashed (raspberrypi/linux, issue 3849; seemoo-lab/nexmon, issue 222)
/// makes another `phy` and another index, and another name if the old one is still in use.
#[test]
fn a_radio_that_comes_back_under_another_name_has_its_own_values() {
    let dir = bare_tree();
    let root = dir.path();
    let radio = |name: &str, ssid: &str, level: i32| {
        write(
            root,
            &format!("iw/{name}/info"),
            format!("Interface {name}\n\tssid {ssid}\n\ttype managed\n").as_bytes(),
        );
        let station = format!("Station 02:00:5e:00:53:01 (on {name})\n\tsignal:  \t{level} dBm\n");
        write(root, &format!("iw/{name}/stations"), station.as_bytes());
    };
    radio("wlan0", "before", -50);
    interface(root, "wlan0", "wlan", "192.0.2.1");
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    until(&receiver, "/connection/wifi/signal_dbm", &(-50).into());
    fs::remove_dir_all(root.join("sys/class/net/wlan0")).expect("removed");
    until(&receiver, "/connection/wifi", &Value::Null);
    radio("wlan1", "after", -70);
    interface(root, "wlan1", "wlan", "192.0.2.2");
    let seen = until(&receiver, "/connection/wifi/signal_dbm", &(-70).into());
    let wifi = |document: &Value, key: &str| document["connection"]["wifi"][key].clone();
    for document in &seen {
        assert_ne!(wifi(document, "ssid"), "before", "the old radio's name: {document}");
        assert_ne!(wifi(document, "interface"), "wlan0", "{document}");
    }
    let last = seen.last().expect("a document");
    assert_eq!((wifi(last, "ssid"), wifi(last, "ip")), ("after".into(), "192.0.2.2".into()));
    daemon.stop();
}

/// A modem that was reset has another number in ModemManager, and often another interface (NixOS/nixpkgs, issue 22533;
/// vyos/vyos-1x, pull request 5483: the two numbers have nothing to do with each other).
#[test]
fn a_modem_that_was_reset_is_known_by_its_new_number_and_its_new_interface() {
    let dir = bare_tree();
    let root = dir.path();
    let modem = |number: u32, port: &str, operator: &str| {
        let described = format!(
            r#"{{"modem":{{"3gpp":{{"operator-name":"{operator}"}},"generic":{{"ports":["{port} (net)"],"state":"connected"}}}}}}"#
        );
        write(root, &format!("mmcli/{number}"), described.as_bytes());
        write(root, "mmcli/list", format!(r#"{{"modem-list":["/Modem/{number}"]}}"#).as_bytes());
    };
    modem(0, "wwan0", "before");
    interface(root, "wwan0", "wwan", "192.0.2.1");
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    until(&receiver, "/connection/4g/operator", &"before".into());
    fs::remove_file(root.join("mmcli/0")).expect("removed");
    fs::remove_dir_all(root.join("sys/class/net/wwan0")).expect("removed");
    modem(3, "wwan1", "after");
    interface(root, "wwan1", "wwan", "192.0.2.2");
    let seen = until(&receiver, "/connection/4g/operator", &"after".into());
    let cellular = |document: &Value, key: &str| document["connection"]["4g"][key].clone();
    for document in &seen {
        let is_old = cellular(document, "interface") == "wwan0";
        assert!(!is_old || cellular(document, "ip") != "192.0.2.2", "another's address: {document}");
    }
    let last = seen.last().expect("a document");
    assert_eq!((cellular(last, "interface"), cellular(last, "ip")), ("wwan1".into(), "192.0.2.2".into()));
    daemon.stop();
}

/// The name of a gauge has the number of its bus, which is another one after the adapter was plugged in again
/// (`sbs-%s` of `sbs_probe` in drivers/power/supply/sbs-battery.c); systemd's issue 24070: not every battery is `BAT0`.
#[test]
fn a_battery_that_comes_back_under_another_name_is_read_there() {
    let dir = bare_tree();
    let root = dir.path();
    let battery = |bus: u32, capacity: &str| {
        let files = [
            ("type", "Battery"),
            ("present", "1"),
            ("status", "Discharging"),
            ("power_now", "5300000"),
            ("capacity", capacity),
        ];
        place(root, &format!("sys/class/power_supply/sbs-{bus}-000b"), &files);
    };
    battery(9, "72");
    let receiver = receiver();
    let tree = root.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &["--sysroot", tree]);
    until(&receiver, "/diagnostics/ups/percent", &72.0.into());
    battery(11, "71");
    fs::remove_dir_all(root.join("sys/class/power_supply/sbs-9-000b")).expect("removed");
    let last = until(&receiver, "/diagnostics/ups/percent", &71.0.into()).pop().expect("a document");
    assert_eq!(last["power"], 5.3, "{last}");
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
