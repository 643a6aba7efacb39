//! Each peer of the daemon freezes: the supervisor, the reader of the log, the place of the status, the configuration, the
//! storage. Beats go on and SIGTERM ends the daemon.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use heartbeat_sim::{hostile_servers::Authority, receiver::Receiver};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use support::{Daemon, PATIENCE, beat, command, receiver, wrapped};

/// More than the messages that a socket holds (`net.unix.max_dgram_qlen`), and than the turns of a status.
const BEATS: usize = 30;

fn run(receiver: &Receiver, more: &[&str]) -> Command {
    let url = format!("http://{}/", receiver.address());
    command(&[&["run", "--url", &url, "--interval", "0.05", "--pidfile", ""], more].concat())
}

fn beats_go_on(receiver: &Receiver) {
    for _ in receiver.events().try_iter() {}
    for _ in 0..BEATS {
        beat(receiver);
    }
}

fn fifo(path: &Path) {
    mkfifo(path, Mode::S_IRWXU).expect("made");
}

#[test]
fn frozen_supervisor_does_not_stop_the_beats_and_is_notified_later() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let path = dir.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).expect("bound");
    let other = UnixDatagram::unbound().expect("a socket");
    other.set_nonblocking(true).expect("set");
    while other.send_to(b"X_FILL=1", &path).is_ok() {}
    let mut command = run(&receiver, &[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let mut daemon = Daemon::start(command);
    beats_go_on(&receiver);

    supervisor.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut buffer = [0; 4096];
    let first = loop {
        let len = supervisor.recv(&mut buffer).expect("a message");
        let told = String::from_utf8_lossy(buffer.get(..len).expect("received")).into_owned();
        if told != "X_FILL=1" {
            break told;
        }
    };
    assert!(first.starts_with("READY=1\nSTATUS=") && first.ends_with("WATCHDOG=1"), "{first}");
    // Full again.
    beats_go_on(&receiver);
    daemon.stop();
}

/// Neither before its first line nor later.
#[test]
fn full_pipe_as_standard_error_does_not_stop_the_beats() {
    let receiver = receiver();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let handle = writer.try_clone().expect("a handle");
    fcntl(&handle, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("set");
    let full = loop {
        if let Err(error) = writer.write(&[b'x'; 4096]) {
            break error.kind();
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    fcntl(&handle, FcntlArg::F_SETFL(OFlag::empty())).expect("set");
    let mut child =
        run(&receiver, &["--verbose"]).stdout(Stdio::null()).stderr(writer).spawn().expect("it starts");
    drop(handle);
    beats_go_on(&receiver);
    stop(&mut child);
    drop(reader);
}

/// Sends SIGTERM and waits for an end in order.
fn stop(child: &mut Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGTERM).expect("it lives");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().expect("killed");
            panic!("SIGTERM is not obeyed");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn fifo_as_status_file_does_not_stop_the_beats() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    for name in ["status.json", "status.json.new"] {
        fifo(&dir.path().join(name));
        let mut command = run(&receiver, &[]);
        command.env("RUNTIME_DIRECTORY", dir.path());
        let mut daemon = Daemon::start(command);
        beats_go_on(&receiver);
        daemon.stop();
        let status = fs::read_to_string(dir.path().join("status.json")).expect("a file in its place");
        assert!(status.contains("\"running\":false"), "{status}");
        assert!(!daemon.log.iter().any(|line| line.contains("not published")), "{:#?}", daemon.log);
        fs::remove_file(dir.path().join("status.json")).expect("removed");
    }
}

#[test]
fn removed_runtime_directory_does_not_stop_the_beats() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let mut command = run(&receiver, &[]);
    command.env("RUNTIME_DIRECTORY", dir.path());
    let mut daemon = Daemon::start(command);
    beat(&receiver);
    drop(dir);
    daemon.logs("status is not published: ");
    beats_go_on(&receiver);
    daemon.stop();
}

#[test]
fn refuses_a_fifo_as_configuration_at_start_and_at_reload() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let config = dir.path().join("config.toml");
    let path = config.to_str().expect("UTF-8");
    fifo(&config);
    let output = run(&receiver, &["--config", path]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("expected a regular file, found a FIFO"), "{errors}");

    fs::remove_file(&config).expect("removed");
    fs::write(&config, "").expect("written");
    let mut daemon = Daemon::start(run(&receiver, &["--config", path]));
    beat(&receiver);
    fs::remove_file(&config).expect("removed");
    fifo(&config);
    daemon.signal(Signal::SIGHUP);
    let line = daemon.logs("the old one stays");
    assert!(line.ends_with("expected a regular file, found a FIFO"), "{line}");
    beats_go_on(&receiver);
    fs::remove_file(&config).expect("removed");
    fs::write(&config, "hardware_id = 'renamed'").expect("written");
    daemon.signal(Signal::SIGHUP);
    daemon.logs("configuration read again");
    while beat(&receiver).value["hardwareid"] != "renamed" {}
    daemon.stop();
}

/// Each call of these on one file takes ten minutes, as on storage that has died (strace(1), "Tampering").
fn frozen(calls: &str, file: &Path, daemon: &Command) -> Command {
    let mut strace = Command::new("strace");
    // As a grandchild: signals and the exit status are the daemon's.
    strace.args(["--daemonize=grandchild", "-f", "-qq", "-o", "/dev/null", "-P"]).arg(file);
    strace.args(["-e", &format!("inject={calls}:delay_enter=600s")]);
    wrapped(strace, daemon)
}

/// SIGTERM ends all threads but the frozen one, which strace holds: the kernel would end it, too.
fn stop_frozen(pid: u32) {
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let field = |name: &str| {
        let found = status().lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        found.expect("a field")
    };
    let tracer = field("TracerPid:").parse().expect("a pid");
    assert_ne!(tracer, 0, "it is traced");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("it lives");
    let began = Instant::now();
    while !field("State:").starts_with('Z') {
        assert!(began.elapsed() < PATIENCE, "SIGTERM is not obeyed");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(tracer), Signal::SIGKILL).expect("it lives");
}

#[test]
fn hanging_storage_does_not_stop_the_beats() {
    if Command::new("strace").arg("--version").output().is_err() {
        println!("skipped: strace is needed to freeze calls");
        return;
    }
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let path = |name: &str| dir.path().join(name);

    // The status. `openat` creates it under its new name.
    let mut published = run(&receiver, &[]);
    published.env("RUNTIME_DIRECTORY", dir.path());
    let mut daemon = Daemon::start(frozen("openat", &path("status.json.new"), &published));
    beats_go_on(&receiver);
    stop_frozen(daemon.pid());
    assert!(daemon.wait().success());
    assert!(!path("status.json").exists(), "it was frozen");

    // The pidfile, before the first beat.
    let pidfile = path("pid");
    let url = format!("http://{}/", receiver.address());
    let held =
        command(&["run", "--url", &url, "--interval", "0.05", "--pidfile", pidfile.to_str().expect("UTF-8")]);
    let mut daemon = Daemon::start(frozen("openat", &pidfile, &held));
    daemon.logs("another daemon is not looked for");
    beats_go_on(&receiver);
    stop_frozen(daemon.pid());
    assert!(daemon.wait().success());

    // The log.
    let log = path("log");
    let mut logging = frozen("write", &log, &run(&receiver, &["--verbose"]));
    let mut child = logging.stderr(File::create(&log).expect("created")).spawn().expect("it starts");
    beats_go_on(&receiver);
    stop_frozen(child.id());
    assert!(child.wait().expect("waited").success());
    assert!(!fs::read_to_string(&log).expect("read").contains("heartbeat"), "it was frozen");

    // A file that a new configuration names.
    let (ca_file, config) = (path("ca.pem"), path("config.toml"));
    fs::write(&ca_file, Authority::new().pem()).expect("written");
    let url = format!("url = 'http://{}/'\ninterval = 0.05\npidfile = ''\n", receiver.address());
    fs::write(&config, url).expect("written");
    let configured = command(&["run", "--config", config.to_str().expect("UTF-8")]);
    let mut daemon = Daemon::start(frozen("openat", &ca_file, &configured));
    beat(&receiver);
    fs::write(&config, format!("url = 'https://localhost:1/'\nca_file = {ca_file:?}\n")).expect("written");
    daemon.signal(Signal::SIGHUP);
    beats_go_on(&receiver);
    daemon.signal(Signal::SIGHUP);
    daemon.logs("the configuration is still being read");
    beats_go_on(&receiver);
    stop_frozen(daemon.pid());
    assert!(daemon.wait().success());
}
