//! `capture` of this machine: its tree answers as the machine does, and holds nothing that identifies it.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::IpAddr,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
};

use nix::ifaddrs::getifaddrs;
use serde_json::Value;
use support::command;
use tempfile::TempDir;

const LOCATION: &str = r#"{"fix_status": "valid", "fix_type": "3D", "latitude": 52.1234567, "longitude": 13.7654321, "altitude": 1234.567, "speed": 1.25, "heading": 90.0, "satellites": {"used": 7}, "daemon_stats": {"owner": "alice"}}"#;
const RECORDING: &[u8] = b"film";

/// A streaming application at work: a stream, a recording, a position.
struct Application {
    tmp: TempDir,
    config: PathBuf,
    programs: [Child; 2],
}

impl Drop for Application {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Application {
    fn new() -> Self {
        let tmp = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: String| {
            let path = tmp.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, content).expect("written");
        };
        // Named as the programs are, and waiting for the end of their input, which is the end of this test.
        let start = |name: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "read -r line", name, "rtmp://host/stream-key"]).stdin(Stdio::piped());
            command.spawn().expect("a shell")
        };
        let [ffmpeg, tracker] = ["ffmpeg", "gps_tracker.py"].map(start);
        write("relay-ffmpeg-webcam.pid", format!("{}\n", ffmpeg.id()));
        write("relay-ffmpeg-record-webcam.pid", format!("{}:/tmp/holiday/beach.mp4\n", ffmpeg.id()));
        write("gps-tracker.pid", format!("{}:alice:streams.example.org:track-77\n", tracker.id()));
        write("holiday/beach.mp4", String::from_utf8(RECORDING.repeat(100_000)).expect("text"));
        let config = tmp.path().join("config.toml");
        fs::write(&config, format!("app_tmp = {:?}\n", tmp.path())).expect("written");
        let listener = UnixListener::bind(tmp.path().join("gps_daemon.sock")).expect("bound");
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(LOCATION.as_bytes());
            }
        });
        Self { tmp, config, programs: [ffmpeg, tracker] }
    }

    fn run(&self, args: &[&str]) -> Output {
        let config = self.config.to_str().expect("UTF-8");
        let output = command(&[args, &["--config", config]].concat()).output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Captures, and returns the tree with what was said.
    fn capture(&self, more: &[&str]) -> (PathBuf, String) {
        let tree = self.tmp.path().join("captured");
        let path = tree.to_str().expect("UTF-8").to_owned();
        let output = self.run(&[&["capture", &path], more].concat());
        (tree, String::from_utf8(output.stdout).expect("UTF-8"))
    }

    fn sample(&self, more: &[&str]) -> Value {
        serde_json::from_slice(&self.run(&[&["sample"], more].concat()).stdout).expect("JSON")
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

/// The document without these keys: values that change with time, or that are this machine's even with a tree.
fn lasting(mut document: Value, keys: &[&str]) -> Value {
    for key in keys {
        document.as_object_mut().expect("an object").remove(*key);
        document["diagnostics"].as_object_mut().expect("an object").remove(*key);
    }
    document
}

/// Every file of a tree: its path below it, and its content.
fn files(tree: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry.clone());
            }
            let name = entry.strip_prefix(tree).expect("below").display().to_string();
            found.push((name, fs::read(&entry).unwrap_or_default()));
        }
    }
    found
}

/// What identifies this machine and what runs on it: each with the reason.
fn identifying() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |what: &str, text: &str| found.push((what.to_owned(), text.trim().to_owned()));
    for path in ["/etc/machine-id", "/proc/device-tree/serial-number"] {
        if let Ok(text) = fs::read_to_string(path) {
            add(path, text.trim_end_matches('\0'));
        }
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").expect("a kernel");
    for line in cpuinfo.lines().filter(|line| line.starts_with("Serial")) {
        add("cpuinfo", line.rsplit(':').next().expect("a value"));
    }
    for interface in fs::read_dir("/sys/class/net").expect("sysfs").flatten() {
        let address = fs::read_to_string(interface.path().join("address")).unwrap_or_default();
        if address.contains(':') && !address.starts_with("00:00:00:00:00:00") {
            add("MAC address", &address);
            add("MAC address", &address.replace(':', ""));
        }
    }
    for address in getifaddrs().expect("addresses").filter_map(|interface| interface.address) {
        let ip = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        let ip = ip.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()));
        let Some(ip) = ip.filter(|ip| !ip.is_loopback()) else { continue };
        add("IP address", &ip.to_string());
        if let IpAddr::V4(v4) = ip {
            add("IP address", &format!("{:08X}", u32::from_ne_bytes(v4.octets())));
        }
    }
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    for gateway in routes.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)) {
        if gateway != "00000000" {
            add("gateway", gateway);
        }
    }
    for (what, text) in [
        ("latitude", "52.123"),
        ("longitude", "13.765"),
        ("altitude", "1234.567"),
        ("recording", "holiday"),
        ("recording", "beach"),
        ("account", "alice"),
        ("domain", "streams.example"),
        ("track", "track-77"),
        ("argument", "stream-key"),
    ] {
        add(what, text);
    }
    found
}

#[test]
fn a_captured_tree_answers_as_the_machine_does() {
    let application = Application::new();
    let (tree, said) = application.capture(&["--raw"]);
    assert!(said.contains("nothing was replaced"), "{said}");
    let of_tree = application.sample(&["--sysroot", tree.to_str().expect("UTF-8")]);
    // Processor use needs two readings; time and space are those of the machine that reads.
    let moment = ["timestamp", "cpu", "disk"];
    let reported = read_json(&tree.join("reported.json"));
    assert_eq!(lasting(of_tree.clone(), &moment), lasting(reported, &moment));
    assert_eq!(of_tree["streaming_active"], true, "{of_tree}");
    assert_eq!(of_tree["recording_file_path"], "/tmp/holiday/beach.mp4", "{of_tree}");
    assert_eq!(of_tree["recording_file_size_mb"], 0.38, "{of_tree}");
    assert_eq!(of_tree["connection"]["gps"]["latitude"], 52.123_456_7, "{of_tree}");
    // The machine itself says the same a little later.
    let changing = [
        "timestamp",
        "cpu",
        "disk",
        "mem",
        "uptime_s",
        "temp",
        "power",
        "fan_rpm",
        "cpu_mhz",
        "load",
        "swap",
    ];
    assert_eq!(lasting(of_tree, &changing), lasting(application.sample(&[]), &changing));
}

#[test]
fn a_captured_tree_holds_no_identifiers() {
    let application = Application::new();
    let (tree, said) = application.capture(&[]);
    assert!(said.contains("replaced: "), "{said}");
    for kind in ["positions (", "paths of recordings (1)", "names of an account (3)"] {
        assert!(said.contains(kind), "{said}");
    }
    let mode = fs::metadata(&tree).expect("a directory").permissions().mode();
    assert_eq!(mode & 0o077, 0, "other users cannot read it");
    let files = files(&tree);
    let secrets = identifying();
    assert!(secrets.iter().any(|(what, _)| what == "latitude"));
    let mut all: Vec<(String, Vec<u8>)> = files;
    all.push(("what was said".to_owned(), said.into_bytes()));
    for (name, content) in &all {
        let text = format!("{name}\n{}", String::from_utf8_lossy(content)).to_ascii_lowercase();
        for (what, secret) in &secrets {
            assert!(!text.contains(&secret.to_ascii_lowercase()), "{what} {secret} is in {name}:\n{text}");
        }
    }
    // Still it answers, and its heartbeat is the one that was written beside it.
    let of_tree = application.sample(&["--sysroot", tree.to_str().expect("UTF-8")]);
    let moment = ["timestamp", "cpu", "disk"];
    let reported = read_json(&tree.join("reported.json"));
    assert_eq!(lasting(of_tree.clone(), &moment), lasting(reported, &moment));
    assert_eq!(of_tree["recording_file_size_mb"], 0.38, "{of_tree}");
    assert_eq!(of_tree["connection"]["gps"]["speed_mps"], 1.25, "{of_tree}");
}

#[test]
fn captures_this_machine_into_an_empty_directory_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::write(at("file"), "").expect("written");
    let here = dir.path().to_str().expect("UTF-8");
    for (args, why) in [
        (vec!["capture", here], "not empty"),
        (vec!["capture", &at("file")], "file"),
        (vec!["--sysroot", here, "capture", &at("new")], "not a --sysroot"),
    ] {
        let output = command(&args).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("not captured: ") && said.contains(why), "{args:?}: {said}");
    }
    assert!(!Path::new(&at("new")).exists());
}
