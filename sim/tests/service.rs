//! What the daemon tells systemd and `status`.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Output, time::Instant};

use heartbeat_sim::receiver::Receiver;
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, PATIENCE, bare_tree, command};

/// A runtime directory, and systemd's end of the notification socket.
struct Supervisor {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Supervisor {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self { directory, socket }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn start(&self, url: &str, sysroot: &Path, more: &[(&str, &str)]) -> Daemon {
        let mut command = command(&["run", "--url", url, "--interval", "0.2", "--pidfile", ""]);
        command.args(["--sysroot", sysroot.to_str().expect("UTF-8")]);
        command.env("NOTIFY_SOCKET", self.path("notify")).env("RUNTIME_DIRECTORY", self.directory.path());
        command.envs(more.iter().copied());
        Daemon::start(command)
    }

    /// What is told next.
    fn told(&self) -> String {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// What is told up to something that contains `text`.
    fn told_until(&self, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|told: &String| told.contains(text)) {
            all.push(self.told());
        }
        all
    }

    /// Waits until `status` can know of a delivery by this daemon. It is written after systemd was told.
    fn delivered(&self, daemon: &Daemon) {
        let began = Instant::now();
        let is_published = || {
            let status: Value = serde_json::from_slice(&fs::read(self.path("status.json")).ok()?).ok()?;
            (status["pid"] == daemon.pid() && status["delivered"].as_u64()? > 0).then_some(())
        };
        while is_published().is_none() {
            assert!(began.elapsed() < PATIENCE, "never published");
            std::thread::yield_now();
        }
    }

    fn status(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let file = self.path("status.json");
        let Output { status, stdout, stderr } =
            command(&[&["status", "--file", &file], more].concat()).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code(), text(stdout), text(stderr))
    }
}

#[test]
fn notifies_systemd_of_ready_status_and_stopping() {
    let (receiver, tree, supervisor) =
        (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree(), Supervisor::new());
    let url = format!("http://{}/", receiver.address());
    let mut daemon = supervisor.start(&url, tree.path(), &[]);
    let first = supervisor.told_until("STATUS=last heartbeat delivered in ");
    assert!(first.iter().any(|told| told.starts_with("READY=1")), "{first:?}");
    daemon.signal(Signal::SIGHUP);
    let reload = supervisor.told_until("RELOADING=1");
    assert!(!reload.iter().any(|told| told.contains("READY=1")), "once: {reload:?}");
    assert!(reload.last().is_some_and(|told| told.contains("MONOTONIC_USEC=")), "{reload:?}");
    supervisor.told_until("READY=1");
    daemon.stop();
    let last = supervisor.told_until("STOPPING=1");
    assert!(!last.iter().any(|told| told.contains("WATCHDOG")), "no watchdog was requested: {last:?}");
}

#[test]
fn unreachable_supervisor_costs_no_heartbeat() {
    let (receiver, tree) = (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree());
    let url = format!("http://{}/", receiver.address());
    let long = format!("/{}", "x".repeat(200));
    // Not there, abstract and not there, no path at all, longer than an address can be, nothing.
    for socket in ["/nonexistent", "@nobody", "relative", &long, ""] {
        let mut command = command(&["run", "--url", &url, "--interval", "0.2", "--pidfile", ""]);
        command.arg("--sysroot").arg(tree.path()).env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "100000");
        let mut daemon = Daemon::start(command);
        for _ in 0..2 {
            receiver.events().recv_timeout(PATIENCE).expect("a beat");
        }
        daemon.stop();
        for _ in receiver.events().try_iter() {}
    }
}

/// At its start, with its first heartbeat on the way, when that has been delivered, and in between.
#[test]
fn kill_at_any_time_leaves_no_torn_file() {
    let (receiver, tree, supervisor) =
        (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree(), Supervisor::new());
    let url = format!("http://{}/", receiver.address());
    let (pidfile, config) = (supervisor.path("pid"), supervisor.path("config.toml"));
    let settings = format!("[backlog]\nbeats = 10\nfile = {:?}\n", supervisor.path("backlog"));
    fs::write(&config, settings).expect("written");
    let start = || {
        let mut command =
            command(&["run", "--url", &url, "--interval", "0.05", "--config", &config, "--verbose"]);
        command.args(["--pidfile", &pidfile, "--sysroot"]).arg(tree.path());
        command.env("RUNTIME_DIRECTORY", supervisor.directory.path());
        Daemon::start(command)
    };
    let status_is_whole = || {
        if let Ok(status) = fs::read(supervisor.path("status.json")) {
            serde_json::from_slice::<Value>(&status).expect("whole");
        }
    };
    for round in 0..40 {
        let mut daemon = start();
        match round % 4 {
            0 => {}
            1 => drop(daemon.logs("sending a heartbeat every")),
            2 => drop(daemon.logs("debug: sending")),
            _ => {
                // Looked at all the time until four have been delivered.
                let mut beats = 0;
                while beats < 4 {
                    status_is_whole();
                    beats += receiver.events().try_iter().count();
                }
            }
        }
        daemon.signal(Signal::SIGKILL);
        daemon.wait();
        status_is_whole();
        for _ in receiver.events().try_iter() {}
    }
    let mut daemon = start();
    receiver.events().recv_timeout(PATIENCE).expect("a beat");
    daemon.stop();
    let is_torn = |line: &String| line.starts_with("warning: ") && !line.contains("not delivered");
    assert!(!daemon.log.iter().any(is_torn), "{:#?}", daemon.log);
}

#[test]
fn it_is_not_ready_before_its_first_sample_is_complete() {
    let (tree, supervisor) = (bare_tree(), Supervisor::new());
    // No server listens: the daemon is ready all the same, and reports the failure.
    let mut daemon = supervisor.start("http://127.0.0.1:9/", tree.path(), &[]);
    let told = supervisor.told_until("STATUS=last heartbeat not delivered: connection refused");
    let ready = told.iter().position(|told| told.contains("READY=1")).expect("ready");
    assert!(ready > 0, "{told:?}");
    assert!(told[..ready].iter().all(|told| told.contains("STATUS=taking the first sample")), "{told:?}");
    daemon.stop();
}

#[test]
fn watchdog_is_notified_only_while_the_loop_runs() {
    let (tree, supervisor) = (bare_tree(), Supervisor::new());
    // Between two heartbeats, too, which are far apart here.
    let mut command =
        command(&["run", "--url", "http://127.0.0.1:9/", "--interval", "3600", "--pidfile", ""]);
    command.args(["--sysroot", tree.path().to_str().expect("UTF-8")]);
    command.env("NOTIFY_SOCKET", supervisor.path("notify")).env("WATCHDOG_USEC", "300000");
    let mut daemon = Daemon::start(command);
    for _ in 0..5 {
        supervisor.told_until("WATCHDOG=1");
    }
    daemon.signal(Signal::SIGSTOP);
    // What is in the socket was told before.
    supervisor.socket.set_nonblocking(true).expect("set");
    let frozen =
        || fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it lives").contains(") T ");
    while !frozen() {
        std::thread::yield_now();
    }
    let mut buffer = [0; 4096];
    while supervisor.socket.recv(&mut buffer).is_ok() {}
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(supervisor.socket.recv(&mut buffer).is_err(), "a frozen loop feeds nothing");
    supervisor.socket.set_nonblocking(false).expect("set");
    daemon.signal(Signal::SIGCONT);
    supervisor.told_until("WATCHDOG=1");
    daemon.stop();
}

#[test]
fn status_shows_the_last_heartbeat_and_a_stopped_daemon() {
    let (receiver, tree, supervisor) =
        (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree(), Supervisor::new());
    let (status, out, error) = supervisor.status(&[]);
    assert_eq!((status, out.as_str()), (Some(3), ""));
    assert_eq!(
        error,
        format!("error: no daemon has published its status in {}\n", supervisor.path("status.json"))
    );

    let url = format!("http://{}/?secret", receiver.address());
    let mut daemon = supervisor.start(&url, tree.path(), &[]);
    supervisor.delivered(&daemon);
    let (status, out, error) = supervisor.status(&[]);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains(&format!(" runs as {} since 0 s\n", daemon.pid())), "{out}");
    assert!(out.contains("\nlast heartbeat   delivered, status 200 after "), "{out}");
    assert!(!out.contains("secret"), "a query may hold a key: {out}");
    assert!(out.contains("\nhardwareid "), "{out}");
    let (status, out, _) = supervisor.status(&["--json"]);
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, &shown["last"]["document"]["hardwareid"].is_string()), (Some(0), &true), "{out}");
    assert_eq!(shown["pid"], daemon.pid());
    assert!(shown["sent_bytes"].as_u64() >= shown["delivered"].as_u64().map(|beats| beats * 300), "{out}");

    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    let (status, _, error) = supervisor.status(&[]);
    assert_eq!(status, Some(3));
    assert!(error.starts_with("error: the daemon is not running: this is from 0 s ago"), "{error}");

    let mut again = supervisor.start(&url, tree.path(), &[]);
    supervisor.delivered(&again);
    again.stop();
    let (status, _, error) = supervisor.status(&["--json"]);
    assert_eq!(status, Some(3));
    assert!(error.starts_with("error: the daemon was stopped 0 s ago"), "{error}");
}

#[test]
fn a_runtime_directory_that_fails_costs_a_line_and_no_heartbeat() {
    let (receiver, tree, supervisor) =
        (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree(), Supervisor::new());
    // Fails for root, too.
    fs::create_dir(supervisor.path("status.json.new")).expect("created");
    let mut daemon = supervisor.start(&format!("http://{}/", receiver.address()), tree.path(), &[]);
    daemon.logs("status is not published: ");
    for _ in 0..5 {
        receiver.events().recv_timeout(PATIENCE).expect("a beat");
    }
    fs::remove_dir(supervisor.path("status.json.new")).expect("removed");
    daemon.logs("status is published again");
    daemon.stop();
    let lines = daemon.log.iter().filter(|line| line.contains("status is not published")).count();
    assert_eq!(lines, 1, "{:#?}", daemon.log);
}

#[test]
fn a_new_configuration_that_cannot_be_used_changes_nothing() {
    let (receiver, tree, supervisor) =
        (Receiver::listen("127.0.0.1:0").expect("a port"), bare_tree(), Supervisor::new());
    let (url, config) = (format!("http://{}/first", receiver.address()), supervisor.path("config.toml"));
    fs::write(&config, format!("url = '{url}'\ninterval = 0.2\npidfile = ''\n")).expect("written");
    let mut command = command(&["run", "--config", &config]);
    command.args(["--sysroot", tree.path().to_str().expect("UTF-8")]);
    command
        .env("NOTIFY_SOCKET", supervisor.path("notify"))
        .env("RUNTIME_DIRECTORY", supervisor.directory.path());
    let mut daemon = Daemon::start(command);
    supervisor.told_until("STATUS=last heartbeat delivered in ");
    // Each value can be what it is; only together with this machine they cannot.
    fs::write(&config, "url = 'https://localhost:9/second'\nca_file = '/nonexistent/ca.pem'\n")
        .expect("written");
    daemon.signal(Signal::SIGHUP);
    daemon.logs("the old one stays");
    supervisor.told_until("RELOADING=1");
    supervisor.told_until("READY=1");
    fs::remove_file(supervisor.path("status.json")).expect("removed");
    supervisor.delivered(&daemon);
    let (_, out, _) = supervisor.status(&["--json"]);
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&shown["server"], &shown["interval_s"]), (&url.into(), &0.2.into()), "{out}");
    daemon.stop();
}
