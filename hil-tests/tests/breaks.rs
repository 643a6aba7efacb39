//! A source that is broken on purpose is found: the program judges a fake daemon on a fake machine, whose tools are scripts
//! that print captured text.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// What the fake daemon prints while all is well. The clock and the uptime are those of the running machine.
const DOCUMENT: &str = r#"{"hardwareid":"10000000a1b2c3d4","cpu":5.0,"mem":40.0,"temp":48.8,"power":4.79,"fan_rpm":2500,
"disk":{"percent":32.5,"used_gb":0.7,"total_gb":2.3},"connection":{"default_interface":"eth0","ethernet":{"interface":"eth0","ip":"192.0.2.2"},
"wifi":{"interface":"wlan0","ip":"192.0.2.66","mode":"client","ssid":"Fleet here","signal_dbm":-30,"signal_percent":90,
"clients":null},"4g":{"interface":null,"ip":null,"state":"registered","operator":"Heartbeat Mobile","technology":"lte",
"signal_percent":80},"gps":{"fix":"3d","latitude":48.1173,"longitude":11.5166667,"altitude_m":545.4,"speed_mps":11.52,
"heading":84.4,"satellites":8}},"timestamp":@NOW@,"app_version":null,"streaming_active":false,"tracking_active":false,
"recording_active":false,"recording_file_size_mb":0.00,"recording_file_path":null,"uptime_s":@UPTIME@,
"diagnostics":{"throttled":327685,"ups":{"voltage":11.98,"percent":82.8}}}"#;

/// What the fake daemon shows as its settings.
const SETTINGS: &str = r#"url = "https://example.org/"
disk_path = "/"
diagnostics = true
ups.preset = "waveshare-3s"
ups.bus = 1
ups.address = 0x41
ups.shunt_ohms = 0.01
ups.positive_current = "charges"
"#;

/// A machine of files and programs.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        for (path, text) in [
            ("proc/cpuinfo", "Revision\t: c03114\nSerial\t\t: 10000000a1b2c3d4\n"),
            ("proc/device-tree/serial-number", "10000000a1b2c3d4\0"),
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("proc/meminfo", "MemTotal:        1000 kB\nMemAvailable:     600 kB\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "48500\n"),
            ("sys/class/hwmon/hwmon0/name", "pwmfan\n"),
            ("sys/class/hwmon/hwmon0/fan1_input", "2510\n"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
            ("dev/i2c-1", ""),
            ("sys/class/net/eth0/type", "1\n"),
            ("sys/class/net/eth0/device/uevent", "DRIVER=bcmgenet\n"),
            ("sys/class/net/wlan0/type", "1\n"),
            ("sys/class/net/wlan0/device/uevent", "DRIVER=brcmfmac\n"),
            ("sys/class/net/wlan0/phy80211/name", "phy0\n"),
        ] {
            machine.write(&format!("root/{path}"), text);
        }
        // Time goes on.
        symlink("/proc/uptime", machine.folder.path().join("root/proc/uptime")).expect("a link");
        let capture = |name| format!("cat {}/tests/captures/{name}", env!("CARGO_MANIFEST_DIR"));
        for (tool, script) in [
            ("vcgencmd", "case $1 in measure_temp) echo \"temp=48.8'C\";; get_throttled) echo throttled=0x50005;; *) echo 'error=1 error_msg=\"Command not registered\"'; exit 255;; esac".into()),
            ("free", "printf '  total used\\nMem: 1000 300 500 0 200 600\\n'".into()),
            ("df", capture("df.txt")),
            ("ip", format!("case $* in '-4 -json route'*) {};; -6*) echo '[]';; *) {};; esac", capture("ip-route.json"), capture("ip-address.json"))),
            ("iw", format!("case $* in dev) {};; *link) {};; esac", capture("iw-dev.txt"), capture("iw-link.txt"))),
            ("mmcli", format!("case $1 in -L) {};; *) {};; esac", capture("mmcli-list.json"), capture("mmcli-modem.json"))),
            ("gpspipe", "echo '{\"class\":\"TPV\",\"mode\":3,\"lat\":48.1173,\"lon\":11.5166667,\"altMSL\":545.4,\"speed\":11.52,\"track\":84.4}'
echo '{\"class\":\"SKY\",\"uSat\":8}'".into()),
            // Register 2 is 11.98 V, register 1 is -4 mV.
            ("i2ctransfer", "case $4 in 0x02) echo 0x5d 0x9a;; 0x01) echo 0xfe 0x70;; esac".into()),
        ] {
            machine.program(&format!("bin/{tool}"), &script);
        }
        machine.setting(SETTINGS);
        machine.daemon(DOCUMENT);
        machine
    }

    /// The settings that the daemon shows.
    fn setting(&self, settings: &str) {
        self.write("settings", settings);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn program(&self, path: &str, script: &str) {
        self.write(path, &format!("#!/bin/sh\n{script}\n"));
        let path = self.folder.path().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
    }

    /// A daemon that prints this document.
    fn daemon(&self, document: &str) {
        let document = document.replace('\n', "").replace("@NOW@", "'$(date +%s.%3N)'");
        let document = document.replace("@UPTIME@", "'$(cut -d. -f1 /proc/uptime)'");
        let settings = self.folder.path().join("settings");
        self.program(
            "bin/daemon",
            &format!(
                "case $* in *check-config) cat {};; *sample) echo '{document}';; esac",
                settings.display()
            ),
        );
    }

    fn judge(&self, only: &str, more: &[&str]) -> Output {
        let bin = self.folder.path().join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a PATH"));
        Command::new(env!("CARGO_BIN_EXE_heartbeat-hil"))
            .arg("--sysroot")
            .arg(self.folder.path().join("root"))
            .arg("--daemon")
            .arg(bin.join("daemon"))
            .args(["--only", only])
            .args(more)
            .env("PATH", path)
            .output()
            .expect("it runs")
    }

    /// The last report, without its line ends.
    fn report(&self) -> String {
        let path = self.folder.path().join("report/report.txt");
        let text = fs::read_to_string(path).expect("a report");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// How the check ends: `passed`, `failed` or `skipped`, and its reason.
    fn verdict(&self, check: &str, more: &[&str]) -> (String, String) {
        let reports = self.folder.path().join("report");
        let output = self.judge(check, &[more, &["--output", reports.to_str().expect("text")]].concat());
        let json = fs::read(reports.join("report.json")).unwrap_or_else(|_| panic!("{output:?}"));
        let report: Value = serde_json::from_slice(&json).expect("JSON");
        let entry = report["checks"].as_array().expect("a list").last().expect("a check").clone();
        assert_eq!(entry["name"], check);
        let verdict = entry["verdict"].as_str().expect("a verdict").to_owned();
        assert_eq!(output.status.success(), verdict == "passed", "{output:?}");
        (verdict, entry["reason"].as_str().unwrap_or_default().to_owned())
    }
}

/// A source that is broken: the check that must fail, and how the document differs.
const BREAKS: &[(&str, &str, &str, &str)] = &[
    ("a file of another board", "identity", "10000000a1b2c3d4", "10000000deadbeef"),
    ("memory in wrong units", "memory", "\"mem\":40.0", "\"mem\":4.0"),
    ("used space with reserved blocks", "disk", "\"percent\":32.5", "\"percent\":30.6"),
    ("decimal gigabytes", "disk", "\"total_gb\":2.3", "\"total_gb\":2.5"),
    ("millidegrees as degrees", "temperature", "\"temp\":48.8", "\"temp\":0.0"),
    ("another thermal zone", "temperature", "\"temp\":48.8", "\"temp\":53.1"),
    ("a temperature that is not read", "temperature", "\"temp\":48.8", "\"temp\":null"),
    ("a mask that was read as decimal", "throttled", "327685", "50005"),
    ("the duty of the fan for its speed", "fan", "\"fan_rpm\":2500", "\"fan_rpm\":120"),
    ("the wrong shunt", "power", "\"power\":4.79", "\"power\":47.9"),
    ("the wrong sign", "power", "\"power\":4.79", "\"power\":-4.79"),
    ("a supply with the scale of another chip", "supply", "\"voltage\":11.98", "\"voltage\":5.99"),
    (
        "the interface of another route",
        "network",
        "\"default_interface\":\"eth0\"",
        "\"default_interface\":\"wlan0\"",
    ),
    ("no route at all", "network", "\"default_interface\":\"eth0\"", "\"default_interface\":null"),
    ("an address that is gone", "network", "192.0.2.66", "192.0.2.67"),
    (
        "a wired interface that is not seen",
        "network",
        "{\"interface\":\"eth0\",\"ip\":\"192.0.2.2\"}",
        "null",
    ),
    (
        "a radio as the wired interface",
        "network",
        "\"eth0\",\"ip\":\"192.0.2.2\"",
        "\"wlan0\",\"ip\":\"192.0.2.66\"",
    ),
    ("a percentage of another scale", "wifi", "\"signal_percent\":90", "\"signal_percent\":70"),
    ("a charge of another battery", "supply", "\"percent\":82.8", "\"percent\":60.0"),
    ("a power with one factor off", "power", "\"power\":4.79", "\"power\":6.10"),
    ("an interface that the modem does not have", "4g", "{\"interface\":null,", "{\"interface\":\"eth0\","),
    ("minutes that are cut off", "gps", "48.1173", "48.1160"),
    ("knots for metres per second", "gps", "\"speed_mps\":11.52", "\"speed_mps\":22.4"),
    ("satellites in view for those in use", "gps", "\"satellites\":8", "\"satellites\":14"),
    ("a heading from south", "gps", "\"heading\":84.4", "\"heading\":264.4"),
    ("no under-voltage", "throttled", "327685", "262144"),
    ("a signal without its sign", "wifi", "\"signal_dbm\":-30", "\"signal_dbm\":30"),
    ("the network before", "wifi", "Fleet here", "Fleet there"),
    ("a hotspot that is a client", "wifi", "\"mode\":\"client\"", "\"mode\":\"hotspot\""),
    ("a modem's state that is old", "4g", "\"state\":\"registered\"", "\"state\":\"connected\""),
    ("latitude and longitude exchanged", "gps", "48.1173", "11.5166"),
    ("a fix that was lost", "gps", "\"fix\":\"3d\"", "\"fix\":\"none\""),
    ("an uptime that stands still", "uptime", "@UPTIME@", "17"),
    ("a timestamp that is old", "clock", "@NOW@", "1700000000.000"),
    ("a document that does not fit", "document", "\"cpu\":5.0", "\"cpu\":500.0"),
];

#[test]
fn all_is_well_on_a_machine_without_breaks() {
    let machine = Machine::new();
    let mut checks: Vec<_> = BREAKS.iter().map(|(_, check, ..)| *check).collect();
    checks.dedup();
    for check in checks {
        assert_eq!(machine.verdict(check, &[]), ("passed".to_owned(), String::new()), "{check}");
    }
}

#[test]
fn each_broken_source_is_found() {
    let machine = Machine::new();
    for (what, check, right, wrong) in BREAKS {
        assert!(DOCUMENT.contains(right), "{what}");
        machine.daemon(&DOCUMENT.replace(right, wrong));
        let (verdict, reason) = machine.verdict(check, &[]);
        assert_eq!(verdict, "failed", "{what}: {reason}");
    }
}

#[test]
fn what_a_board_must_have_may_not_be_skipped() {
    let machine = Machine::new();
    fs::remove_file(machine.folder.path().join("root/proc/device-tree/serial-number")).expect("removed");
    machine.write("root/proc/cpuinfo", "processor : 0\n");
    let (verdict, reason) = machine.verdict("identity", &[]);
    assert_eq!(verdict, "skipped", "{reason}");
    let (verdict, reason) = machine.verdict("identity", &["--require", "pi4"]);
    assert_eq!(verdict, "failed");
    assert!(
        reason.starts_with("the board pi4 must have this: this machine has no serial number"),
        "{reason}"
    );
}

#[test]
fn another_board_than_the_required_one_fails() {
    let machine = Machine::new();
    let output = machine.judge("identity", &["--require", "pi5"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("\nFAILED   board: the board is not pi5: Raspberry Pi 4 Model B Rev 1.4\n"),
        "{text}"
    );
    let output = machine.judge("identity", &["--require", "pi6"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_witness_that_is_not_there_is_in_the_report_of_a_check_that_passes() {
    let machine = Machine::new();
    fs::remove_file(machine.folder.path().join("bin/vcgencmd")).expect("removed");
    // Of the system that the test runs on, which may be a Pi.
    if std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))
        .any(|path| path.join("vcgencmd").exists())
    {
        return;
    }
    assert_eq!(machine.verdict("temperature", &[]), ("passed".to_owned(), String::new()));
    let report = machine.report();
    assert!(report.contains(" not compared: vcgencmd is not installed "), "{report}");
    let (verdict, reason) = machine.verdict("temperature", &["--require", "pi4"]);
    assert_eq!(verdict, "failed");
    assert!(
        reason.starts_with("the board pi4 must have the witness vcgencmd: vcgencmd is not installed"),
        "{reason}"
    );
}

#[test]
fn power_that_no_witness_here_can_measure_is_a_skip_with_its_reason() {
    let machine = Machine::new();
    machine.program(
        "bin/i2ctransfer",
        "echo 'Error: Adapter does not have I2C transfers capability' >&2; exit 1",
    );
    let (verdict, reason) = machine.verdict("power", &[]);
    assert_eq!(verdict, "skipped");
    assert!(reason.contains("Adapter does not have"), "{reason}");
}

#[test]
fn a_chip_that_its_driver_owns_is_read_beneath_it() {
    let machine = Machine::new();
    // Register 2 is 11.98 V, register 1 is -4 mV, and the driver measures the same.
    machine.program(
        "bin/i2ctransfer",
        "case $2 in -f) ;; *) echo 'Error: Could not set address to 0x41: Device or resource busy' >&2; exit 1;; esac
        case $5 in 0x02) echo 0x5d 0x9a;; 0x01) echo 0xfe 0x70;; esac",
    );
    for (attribute, value) in [
        ("name", "ina219\n"),
        ("power1_input", "4792000\n"),
        ("curr1_input", "-400\n"),
        ("in1_input", "11980\n"),
        ("shunt_resistor", "10000\n"),
    ] {
        machine.write(&format!("root/sys/class/hwmon/hwmon2/{attribute}"), value);
    }
    let device = machine.folder.path().join("root/sys/class/hwmon/hwmon2/device");
    symlink("../../../1-0041", device).expect("a link");
    assert_eq!(machine.verdict("power", &[]), ("passed".to_owned(), String::new()));
    let report = machine.report();
    assert!(report.contains("(i2ctransfer, beneath its driver)"), "{report}");
    // A driver that does not know its shunt.
    machine.write("root/sys/class/hwmon/hwmon2/power1_input", "47920000\n");
    machine.daemon(&DOCUMENT.replace("\"power\":4.79", "\"power\":47.9"));
    assert_eq!(machine.verdict("power", &[]).0, "failed");
    // The daemon does not ask a chip that a driver owns, and this driver tells no battery.
    assert_eq!(machine.verdict("supply", &[]).0, "failed");
    machine.daemon(&DOCUMENT.replace("{\"voltage\":11.98,\"percent\":82.8}", "null"));
    assert_eq!(machine.verdict("supply", &[]).0, "skipped");
}

#[test]
fn a_gauge_is_compared_with_its_driver() {
    let machine = Machine::new();
    machine.setting("ups.preset = \"x120x\"\nups.bus = 1\n");
    // 3.9 V and 80.5 %.
    machine.program(
        "bin/i2ctransfer",
        "case $2 in -f) ;; *) echo 'Error: Could not set address to 0x36: Device or resource busy' >&2; exit 1;; esac
        case $5 in 0x02) echo 0xc3 0x00;; 0x04) echo 0x50 0x80;; esac",
    );
    for (attribute, value) in [("type", "Battery\n"), ("voltage_now", "3900000\n"), ("capacity", "80\n")] {
        machine.write(&format!("root/sys/class/power_supply/battery/{attribute}"), value);
    }
    let document = |voltage: &str| DOCUMENT.replace("11.98,\"percent\":82.8", voltage);
    machine.daemon(&document("3.90,\"percent\":80.0"));
    assert_eq!(machine.verdict("supply", &[]), ("passed".to_owned(), String::new()));
    let report = machine.report();
    for witness in ["(the gauge's register 2, read by i2ctransfer)", "(/sys/class/power_supply/battery)"] {
        assert!(report.contains(witness), "{report}");
    }
    machine.daemon(&document("4.10,\"percent\":80.0"));
    assert_eq!(machine.verdict("supply", &[]).0, "failed");
}

#[test]
fn a_supply_without_a_battery_is_none() {
    let machine = Machine::new();
    machine.program("bin/i2ctransfer", "echo 0x00 0x02");
    machine.daemon(
        &DOCUMENT
            .replace("{\"voltage\":11.98,\"percent\":82.8}", "null")
            .replace("\"power\":4.79", "\"power\":null"),
    );
    assert_eq!(machine.verdict("supply", &[]).0, "skipped");
    assert_eq!(machine.verdict("power", &[]).0, "skipped");
}

#[test]
fn settings_that_change_a_value_are_known() {
    let machine = Machine::new();
    machine.setting("hardware_id = \"kitchen-display\"\n");
    assert_eq!(machine.verdict("identity", &[]).0, "failed");
    machine.daemon(&DOCUMENT.replace("10000000a1b2c3d4", "kitchen-display"));
    assert_eq!(machine.verdict("identity", &["--require", "pi4"]), ("passed".to_owned(), String::new()));
    machine.setting("diagnostics = false\n");
    for check in ["throttled", "supply"] {
        let (verdict, reason) = machine.verdict(check, &[]);
        assert_eq!((verdict.as_str(), reason.contains("diagnostics = false")), ("skipped", true), "{reason}");
    }
}

#[test]
fn a_missing_witness_is_a_skip_with_its_reason() {
    let machine = Machine::new();
    machine.program("bin/mmcli", "echo \"error: couldn't find the ModemManager process\" >&2; exit 1");
    let (verdict, reason) = machine.verdict("4g", &[]);
    assert_eq!(verdict, "skipped");
    assert!(reason.contains("couldn't find the ModemManager process"), "{reason}");
}

#[test]
fn a_value_that_no_hardware_can_give_fails() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.folder.path().join("root/sys/class/hwmon")).expect("removed");
    assert_eq!(machine.verdict("fan", &[]).0, "failed", "there is no fan");
    machine.write("root/sys/class/hwmon/hwmon0/name", "emc2305\n");
    machine.write("root/sys/class/hwmon/hwmon0/fan1_input", "0\n");
    machine.write("root/sys/class/hwmon/hwmon0/fan2_input", "2510\n");
    assert_eq!(machine.verdict("fan", &[]).0, "passed", "the fan that turns counts");
    machine.write("root/sys/class/hwmon/hwmon0/fan2_fault", "1\n");
    assert_eq!(machine.verdict("fan", &[]).0, "failed", "the one that turned has failed");
    machine.program("bin/i2ctransfer", "echo 'Error: Sending messages failed: Remote I/O error' >&2; exit 1");
    assert_eq!(machine.verdict("supply", &[]).0, "failed", "there is no chip");
}

#[test]
fn a_daemon_that_is_not_there_fails() {
    let machine = Machine::new();
    fs::remove_file(machine.folder.path().join("bin/daemon")).expect("removed");
    assert_eq!(machine.verdict("document", &[]).0, "failed");
}

#[test]
fn a_tree_is_captured_if_the_daemon_has_a_command_for_it() {
    let machine = Machine::new();
    let report = || {
        machine.verdict("clock", &[]);
        fs::read_to_string(machine.folder.path().join("report/report.txt")).expect("a report")
    };
    assert!(report().contains("none: this heartbeat-daemon has no command capture"));
    let daemon = machine.folder.path().join("bin/daemon");
    let script = fs::read_to_string(&daemon).expect("a script");
    let capturing = "case $* in --help) echo '  capture  Capture it';; *capture*) for last; do :; done; mkdir \"$last\";; esac\n";
    fs::write(&daemon, script + capturing).expect("written");
    assert!(!report().contains("none: "));
    assert!(machine.folder.path().join("report/tree").is_dir());
}
