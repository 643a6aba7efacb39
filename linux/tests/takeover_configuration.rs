//! A configuration that is there before the older service is taken over from: nothing is added that the daemon would
//! refuse, and the older service goes on where it refuses what is there.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;

use heartbeat_daemon::takeover::{Notice, Request, take_over};

mod machine;

use machine::{CONFIG, FLEET, Machine, OLD_UNIT, PROGRAM, PUBLISHED, UNIT, attention};

/// Whether the daemon takes the configuration, in its own words.
fn check_config(machine: &Machine) -> Result<(), String> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"));
    command.arg("--config").arg(machine.path(CONFIG)).arg("check-config");
    let output = command.output().expect("it runs");
    output.status.success().then_some(()).ok_or(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn nothing_is_added_that_contradicts_what_is_set() {
    for (own, program, added, refused) in [
        ("interval = 1\n", PUBLISHED.to_owned(), "", "timeout"),
        ("timeout = 3\n", format!("{PROGRAM}HEARTBEAT_INTERVAL = 1\n"), "", "interval"),
        (
            "interval = 10\n",
            format!("{PROGRAM}HEARTBEAT_INTERVAL = 20\nREQUEST_TIMEOUT = 4\n"),
            "timeout = 4 ",
            "",
        ),
    ] {
        let machine = Machine::with_old_service(&program);
        let own = format!("url = \"https://mine.example/\"\n{own}");
        machine.write(CONFIG, &own);
        let notices = machine.take_over();
        check_config(&machine).expect("usable");
        assert!(machine.read(CONFIG).ends_with(&own));
        assert!(machine.read(CONFIG).contains(added), "{}", machine.read(CONFIG));
        let said = attention(&notices);
        let is_named = said
            .iter()
            .any(|text| text.starts_with(&format!("{refused} = ")) && text.contains("is not taken over"));
        assert_eq!(is_named, !refused.is_empty(), "{notices:?}");
        assert!(!machine.path(UNIT).exists(), "taken over");
    }
}

#[test]
fn older_service_goes_on_where_the_daemon_refuses_the_configuration() {
    for (own, problem) in [
        (&b"interval = \n"[..], "config.toml:1: "),
        (b"\nintervall = 5\n", "config.toml:2: unknown key `intervall`"),
        (b"interval = 0\n", "config.toml:1: interval: expected from"),
        (b"timeout = 9\n", "config.toml:1: timeout: expected at most"),
        (b"url = \"ftp://a.example/\"\n", "config.toml:1: url: "),
        (b"interval = 1 # \xff\xfe\n", "is not UTF-8 text"),
    ] {
        let machine = Machine::with_old_service(PROGRAM);
        machine.write(CONFIG, "");
        fs::write(machine.path(CONFIG), own).expect("written");
        let mut notices: Vec<Notice> = Vec::new();
        let refused = take_over(&machine.root(), &Request::default(), &mut |notice| notices.push(notice));
        let refused = refused.expect_err("refused").to_string();
        assert!(refused.contains(problem) && refused.ends_with("the older service goes on"), "{refused}");
        assert_eq!(fs::read(machine.path(CONFIG)).expect("there"), own, "as it was");
        assert_eq!(machine.read(UNIT), OLD_UNIT, "as it was");
    }
}

/// Nothing was sent since the last time, and nobody has set it: that is no reason to stop.
#[test]
fn address_that_is_still_to_be_set_is_no_problem() {
    let machine = Machine::with_old_service("");
    machine.assert_nothing_is_sent("no address");
    let before = machine.read(CONFIG);
    machine.write(UNIT, OLD_UNIT);
    machine.take_over();
    assert_eq!(machine.read(CONFIG), before);
    assert!(!machine.path(UNIT).exists());
}

/// The token would travel unencrypted, which the daemon refuses. By default it would send to the published address.
#[test]
fn address_that_is_refused_beside_what_is_set_stops_all_sending() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'http://fleet.example/'\n");
    machine.write(CONFIG, "token_file = \"/etc/token\"\n");
    machine.assert_nothing_is_sent("a token");
    let machine = Machine::with_old_service(PROGRAM);
    machine.write(CONFIG, "token_file = \"/etc/token\"\n");
    machine.take_over();
    assert_eq!(machine.url(), FLEET);
}

#[test]
fn id_that_no_heartbeat_can_have_is_named_and_not_written() {
    let long = format!("Serial : {}\n", "1".repeat(80));
    for serial in ["Serial : AB CD \"x\"\n", &long] {
        let machine = Machine::with_old_service(PROGRAM);
        machine.write("proc/cpuinfo", serial);
        let notices = machine.take_over();
        check_config(&machine).expect("usable");
        assert!(!machine.read(CONFIG).contains("hardware_id"), "{}", machine.read(CONFIG));
        let named = "the id of the older service is not taken over: ";
        assert!(attention(&notices).iter().any(|text| text.starts_with(named)), "{notices:?}");
    }
}

/// The kernel makes up another one at the next boot.
#[test]
fn random_address_is_no_id_that_the_server_knows() {
    for (kind, is_kept) in [("0", true), ("1", false)] {
        let machine = Machine::with_old_service(PROGRAM);
        machine.write("proc/cpuinfo", "");
        machine.write("sys/class/net/ifb0/address", "e6:72:f6:31:2c:1f\n");
        machine.write("sys/class/net/ifb0/addr_assign_type", &format!("{kind}\n"));
        let notices = machine.take_over();
        assert_eq!(machine.read(CONFIG).contains("hardware_id = \"e672f6312c1f\""), is_kept, "{notices:?}");
        assert_eq!(format!("{notices:?}").contains("which the kernel made up"), !is_kept, "{notices:?}");
    }
}

/// A drop-in whose new name would be too long for the system.
#[test]
fn older_service_goes_on_where_its_files_cannot_be_moved() {
    let machine = Machine::with_old_service(PROGRAM);
    let drop_in = format!("{UNIT}.d/{}.conf", "a".repeat(249));
    machine.write(&drop_in, "[Service]\nRestartSec=1\n");
    let refused = take_over(&machine.root(), &Request::default(), &mut |_| {});
    assert!(refused.is_err());
    assert_eq!(machine.read(UNIT), OLD_UNIT, "put back");
    assert!(machine.path(&drop_in).exists());
}
