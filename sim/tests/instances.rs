//! One daemon for one device: started by hand and as a service, by several users, beside the Python service. In a mount
//! namespace, whose `/run` and `/tmp` are empty at first.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    io::Read,
    process::{Child, Command, Output, Stdio},
};

use heartbeat_sim::receiver::Receiver;
use support::{Daemon, beat, command, receiver};

/// The service's user, and one who starts programs by hand.
const SERVICE: u32 = 54_331;
const PERSON: u32 = 54_332;
const ROOT: u32 = 0;

/// A machine with the package's directories, for as long as this lives.
struct Machine {
    namespace: Child,
    receiver: Receiver,
}

impl Machine {
    /// `None` where namespaces cannot be made.
    fn new() -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_daemon-under-test");
        let script = format!(
            "set -e; p=/tmp/of-the-test; mkdir -p $p; mount -t tmpfs none $p; cp {program} $p/daemon
             mount -t tmpfs -o mode=755 none /run; mkdir -m 755 /run/t; cp $p/daemon /run/t/; umount $p
             mount -t tmpfs -o mode=1777 none /tmp
             echo \"hardware_id = 'board'\" >/run/t/config.toml; chmod 644 /run/t/config.toml
             mkdir -m 755 /run/user; mkdir -m 700 /run/user/{PERSON}; chown {PERSON} /run/user/{PERSON}
             mkdir -m 755 /run/heartbeat-daemon; chown {SERVICE} /run/heartbeat-daemon
             echo ready; exec cat"
        );
        let mut namespace = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut ready = [0; 6];
        if namespace.stdout.as_mut()?.read_exact(&mut ready).is_err() {
            println!("skipped: a mount namespace needs root");
            let _ = namespace.wait();
            return None;
        }
        Some(Self { namespace, receiver: receiver() })
    }

    /// A program in the namespace, run by `user`, without an environment.
    fn program(&self, user: u32, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.namespace.id()));
        command.args(["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
        command.arg(program).env_clear().env("PATH", "/usr/bin:/bin");
        command
    }

    /// The daemon with these arguments, by hand or, by its user, as the service.
    fn daemon(&self, user: u32, args: &[&str]) -> Command {
        let mut command = self.program(user, "/run/t/daemon");
        command.args(args).args(["--config", "/run/t/config.toml"]).stdin(Stdio::null());
        match user {
            SERVICE => command.env("RUNTIME_DIRECTORY", "/run/heartbeat-daemon"),
            PERSON => command.env("XDG_RUNTIME_DIR", format!("/run/user/{PERSON}")),
            _ => &mut command,
        };
        command
    }

    fn run(&self, user: u32, more: &[&str]) -> Command {
        let url = format!("http://{}/of-{user}", self.receiver.address());
        self.daemon(user, &[&["run", "--url", &url, "--interval", "0.2"], more].concat())
    }

    /// A daemon that has found no other and is about to beat.
    fn start(&self, user: u32, more: &[&str]) -> Daemon {
        let mut daemon = Daemon::start(self.run(user, more));
        daemon.logs("sending a heartbeat every");
        daemon
    }

    /// A start that ends with status 75 and the pid of another, as which place told.
    fn is_refused(&self, user: u32, pid: u32, place: &str) {
        let Output { status, stderr, .. } = self.run(user, &[]).output().expect("it runs");
        let errors = String::from_utf8_lossy(&stderr).into_owned();
        assert_eq!(status.code(), Some(75), "{errors}");
        let expected = format!("error: another instance is running (pid {pid}, {place})");
        assert!(errors.lines().any(|line| line == expected), "{errors} instead of {expected}");
    }

    /// The pid that `status` shows to `user`.
    fn published(&self, user: u32) -> Option<u64> {
        let output = self.daemon(user, &["status", "--json"]).output().expect("it runs");
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        status.get("pid")?.as_u64()
    }

    /// Waits until `status` shows the daemon to `user`.
    fn shows(&self, user: u32, daemon: &Daemon) {
        while self.published(user) != Some(u64::from(daemon.pid())) {
            beat(&self.receiver);
        }
    }

    /// Something that looks like the Python service, with its pidfile. Ends with its standard input.
    fn old_service(&self, user: u32) -> Child {
        let script = "echo $$ >/tmp/heartbeat_daemon.pid; echo ready; read line; exit";
        let mut command = self.program(user, "sh");
        // nsenter and setpriv start it; it takes its name then.
        command.args([
            "-c",
            "exec bash -c 'exec -a python3 sh -c \"$1\" /home/pi/heartbeat_daemon.py' - \"$1\"",
            "-",
        ]);
        let mut child =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("it runs");
        child
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().expect("waited");
}

#[test]
fn refuses_a_second_daemon_beside_the_service_for_the_same_server() {
    let Some(machine) = Machine::new() else { return };
    // As the unit has it.
    let mut service = machine.start(SERVICE, &["--pidfile", "/run/heartbeat-daemon/pid"]);
    machine.shows(PERSON, &service);
    machine.is_refused(ROOT, service.pid(), "/run/heartbeat-daemon/lock");
    machine.is_refused(PERSON, service.pid(), "/run/heartbeat-daemon/status.json");

    // For another server, or when a second one is meant, it does not take the service's place in `status`.
    let other = receiver();
    let url = format!("http://{}/other", other.address());
    let mut by_hand = Daemon::start(machine.daemon(ROOT, &["run", "--url", &url, "--interval", "0.2"]));
    by_hand.logs(&format!("status is not published: daemon {} does that in /run/", service.pid()));
    beat(&other);
    let mut meant = machine.start(ROOT, &["--pidfile", ""]);
    machine.shows(ROOT, &service);
    by_hand.stop();
    meant.stop();

    // A service that was killed does not keep other instances from starting.
    service.signal(nix::sys::signal::Signal::SIGKILL);
    service.wait();
    let mut by_hand = machine.start(ROOT, &[]);
    machine.shows(PERSON, &by_hand);
    by_hand.stop();
    // And root has left nothing that the service cannot use.
    let mut service = machine.start(SERVICE, &[]);
    machine.shows(ROOT, &service);
    service.stop();
    assert!(!service.log.iter().any(|line| line.starts_with("warning: ")), "{:#?}", service.log);
}

#[test]
fn service_does_not_start_beside_a_daemon_of_root() {
    let Some(machine) = Machine::new() else { return };
    let mut by_hand = machine.start(ROOT, &[]);
    machine.is_refused(SERVICE, by_hand.pid(), "/run/heartbeat-daemon/lock");
    machine.shows(SERVICE, &by_hand);
    by_hand.stop();
    machine.start(SERVICE, &[]).stop();
}

#[test]
fn daemon_of_a_user_is_found_by_that_user_and_does_not_stop_the_service() {
    let Some(machine) = Machine::new() else { return };
    let mut by_hand = machine.start(PERSON, &[]);
    machine.shows(PERSON, &by_hand);
    machine.is_refused(PERSON, by_hand.pid(), "/tmp/heartbeat_daemon.pid");
    let mut service = machine.start(SERVICE, &[]);
    let warning = format!(
        "an older service is not looked for: /tmp/heartbeat_daemon.pid: belongs to another user ({PERSON})"
    );
    assert!(
        service.log.iter().any(|line| line.contains(&warning)) || service.logs(&warning).contains(&warning)
    );
    machine.shows(PERSON, &service);
    service.stop();
    machine.shows(PERSON, &by_hand);
    by_hand.stop();
}

#[test]
fn locked_file_of_another_user_in_tmp_does_not_stop_the_service() {
    let Some(machine) = Machine::new() else { return };
    for plant in [
        "exec 9>/tmp/heartbeat_daemon.pid; flock 9; echo 1 >&9",
        "mkfifo /tmp/heartbeat_daemon.pid",
        "mkdir /tmp/heartbeat_daemon.pid",
        "ln -s /etc/passwd /tmp/heartbeat_daemon.pid",
    ] {
        let mut planter = machine.program(PERSON, "sh");
        let script = format!("{plant}; echo ready; cat; rm -r /tmp/heartbeat_daemon.pid");
        planter.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut planter = planter.spawn().expect("it starts");
        planter.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 6]).expect("planted");
        for user in [SERVICE, ROOT] {
            let mut daemon = machine.start(user, &[]);
            daemon.stop();
            let warnings =
                daemon.log.iter().filter(|line| line.contains(" /tmp/heartbeat_daemon.pid: ")).count();
            assert_eq!(warnings, 1, "{plant}: {:#?}", daemon.log);
        }
        end(planter);
    }
}

#[test]
fn python_service_counts_if_root_or_the_same_user_has_started_it() {
    let Some(machine) = Machine::new() else { return };
    let old = machine.old_service(ROOT);
    for user in [SERVICE, ROOT, PERSON] {
        machine.is_refused(user, old.id(), "/tmp/heartbeat_daemon.pid");
    }
    end(old);
    // Its pidfile stays, and root takes it over. The others cannot write it.
    machine.start(ROOT, &[]).stop();

    let old = machine.old_service(PERSON);
    machine.is_refused(PERSON, old.id(), "/tmp/heartbeat_daemon.pid");
    let mut service = machine.start(SERVICE, &[]);
    service.stop();
    let warning = format!(
        "/tmp/heartbeat_daemon.pid: belongs to another user ({PERSON}), and process {} there is a heartbeat daemon, too",
        old.id()
    );
    assert!(service.log.iter().any(|line| line.contains(&warning)), "{:#?}", service.log);
    end(old);
}

#[test]
fn backlog_file_belongs_to_one_daemon() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    let (config, backlog) = (dir.path().join("config.toml"), dir.path().join("backlog"));
    fs::write(&config, format!("[backlog]\nbeats = 10\nfile = {backlog:?}\n")).expect("written");
    let config = config.to_str().expect("UTF-8");
    let mut first = Daemon::sending_to(receiver.address(), "0.2", &["--config", config]);
    beat(&receiver);
    let mut second = command(&["run", "--url", "http://127.0.0.1:1/", "--pidfile", "", "--config", config]);
    let Output { status, stderr, .. } = second.output().expect("it runs");
    assert_eq!(status.code(), Some(75));
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    let expected =
        format!("error: another instance is running (pid {}, {}.lock)\n", first.pid(), backlog.display());
    assert_eq!(errors, expected);
    first.stop();
    assert!(!dir.path().join("backlog.lock").exists());
}
