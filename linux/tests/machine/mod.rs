//! A machine with an older service, as a tree.

#![allow(dead_code, clippy::expect_used)]

use std::fs;

use heartbeat_daemon::{
    sources::sysroot::Sysroot,
    takeover::{Notice, Request, take_over},
};

pub(crate) const UNIT: &str = "etc/systemd/system/heartbeat-daemon.service";
pub(crate) const CONFIG: &str = "etc/heartbeat-daemon/config.toml";
pub(crate) const SCRIPT: &str = "home/pi/flask_app/heartbeat_daemon.py";

/// Where the old service sends, and a program that says so.
pub(crate) const FLEET: &str = "https://fleet.example/h.php";
pub(crate) const PROGRAM: &str = "HEARTBEAT_URL = 'https://fleet.example/h.php'\n";
/// The published program, as far as it matters here: the constant, the call that sends, and one to the application.
pub(crate) const PUBLISHED: &str = "import requests\n\
    HEARTBEAT_INTERVAL = 5\n\
    HEARTBEAT_URL = 'https://streamer.lambda-tek.com/heartbeat.php'\n\
    REQUEST_TIMEOUT = 2.0\n\
    def control(action):\n    requests.post('http://localhost:80/gps-control', json={'action': action}, timeout=30)\n\
    def send():\n    requests.post(\n        HEARTBEAT_URL,\n        json={},\n        timeout=REQUEST_TIMEOUT,\n    )\n";
pub(crate) const PUBLISHED_URL: &str = "https://streamer.lambda-tek.com/heartbeat.php";
/// Asks the environment, and has a default that must not be taken.
pub(crate) const ASKS: &str = "HEARTBEAT_URL = os.environ.get('HEARTBEAT_URL', 'https://default.example/')\n";

/// A unit as the old service's document has it.
pub(crate) const OLD_UNIT: &str = "[Unit]\nDescription=Heartbeat\n\n[Service]\nType=simple\nUser=pi\nWorkingDirectory=/home/pi/flask_app\n\
    ExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py\nRestart=always\n\n\
    [Install]\nWantedBy=multi-user.target\n";

/// A machine that is a directory.
pub(crate) struct Machine(pub(crate) tempfile::TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self(tempfile::tempdir().expect("a directory"));
        machine.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\nheartbeat-daemon:x:900:900::/nonexistent:/x\n",
        );
        machine.write("proc/cpuinfo", "Serial\t\t: 10000000a1b2c3d4\n");
        machine
    }

    /// With the old service, whose program has these lines.
    pub(crate) fn with_old_service(program: &str) -> Self {
        let machine = Self::new();
        machine.write(UNIT, OLD_UNIT);
        machine.write(SCRIPT, program);
        machine
    }

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn root(&self) -> Sysroot {
        Sysroot::new(self.0.path()).expect("opened")
    }

    pub(crate) fn take_over(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        take_over(&self.root(), &Request::default(), &mut |notice| notices.push(notice)).expect("taken over");
        notices
    }

    /// Lines of the configuration that are not only comments.
    pub(crate) fn settings(&self) -> Vec<String> {
        let config = self.read(CONFIG);
        config
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Where it sends, as the configuration has it; empty when nothing is sent.
    pub(crate) fn url(&self) -> String {
        let config = self.read(CONFIG);
        let line =
            config.lines().find_map(|line| line.strip_prefix("url = \"")).expect("an address, or none");
        line.split('"').next().expect("a value").to_owned()
    }

    /// Takes over, after which nothing is sent, and that is said.
    pub(crate) fn assert_nothing_is_sent(&self, about: &str) {
        let notices = self.take_over();
        assert_eq!(self.url(), "", "{about}");
        let said = attention(&notices);
        assert!(said.iter().any(|text| text.starts_with("NOTHING IS SENT")), "{about}: {notices:?}");
    }
}

pub(crate) fn attention(notices: &[Notice]) -> Vec<&str> {
    let attention = notices.iter().filter_map(|notice| match notice {
        Notice::Attention(text) => Some(text.as_str()),
        Notice::Done(_) => None,
    });
    attention.collect()
}
