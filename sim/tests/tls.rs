//! The daemon against a real TLS server whose authority the test has made.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use heartbeat_sim::{
    hostile_servers::{Authority, Fault, HostileServer},
    receiver::{Event, Receiver},
};
use support::{Daemon, PATIENCE, command, server, wrapped};

/// An authority with a file that holds it.
struct Trusted {
    authority: Authority,
    dir: tempfile::TempDir,
}

impl Trusted {
    fn new() -> Self {
        Self::named("Authority of a test")
    }

    fn named(name: &str) -> Self {
        let (authority, dir) = (Authority::named(name), tempfile::tempdir().expect("a directory"));
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
        Self { authority, dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn sending_to(address: SocketAddr, ca_file: &Path) -> Daemon {
    let url = format!("https://localhost:{}/heartbeat.php", address.port());
    let ca_file = ca_file.to_str().expect("UTF-8");
    let args =
        ["run", "--url", &url, "--interval", "0.3", "--pidfile", "", "--ca-file", ca_file, "--verbose"];
    Daemon::start(command(&args))
}

#[test]
fn beats_arrive_over_one_verified_connection() {
    let ca = Trusted::new();
    let receiver = Receiver::secured("127.0.0.1:0", &ca.authority, "localhost").expect("listening");
    let mut daemon = sending_to(receiver.address(), &ca.file());
    for _ in 0..5 {
        match receiver.events().recv_timeout(PATIENCE).expect("a beat") {
            Event::Beat(beat) => assert_eq!(beat.connection, 1),
            Event::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    daemon.stop();
}

/// As when an update of the system brings the authority that the server's new certificate is from.
#[test]
fn an_authority_that_comes_while_it_runs_is_trusted_without_a_restart() {
    let (old, new) = (Trusted::new(), Trusted::new());
    let receiver = Receiver::secured("127.0.0.1:0", &new.authority, "localhost").expect("listening");
    let mut daemon = sending_to(receiver.address(), &old.file());
    daemon.logs("not delivered: the server's certificate was not accepted");
    std::fs::rename(new.file(), old.file()).expect("replaced");
    receiver.events().recv_timeout(PATIENCE).expect("a beat");
    daemon.logs("heartbeats are delivered again");
    daemon.stop();
}

/// The new authority is vouched for by the old one, until that certificate expires.
#[test]
fn an_authority_that_comes_after_its_voucher_has_expired_is_trusted() {
    let (old, new) = (Trusted::named("old"), Trusted::named("new"));
    let vouched = new.authority.server_vouched_for("localhost", &old.authority, [2015, 2020]);
    let receiver = Receiver::with_tls("127.0.0.1:0", vouched).expect("listening");
    let mut daemon = sending_to(receiver.address(), &old.file());
    daemon.logs("not delivered: the server's certificate has expired");
    std::fs::rename(new.file(), old.file()).expect("replaced");
    receiver.events().recv_timeout(PATIENCE).expect("a beat");
    daemon.logs("heartbeats are delivered again");
    daemon.stop();
}

/// The connection stood, so the failure is the server's: this decides the back-off.
#[test]
fn a_handshake_that_hangs_is_no_failure_to_connect() {
    let ca = Trusted::new();
    let address = server(|_, mut stream| io::copy(&mut stream, &mut io::sink()).map(drop));
    let mut daemon = sending_to(address, &ca.file());
    let line = daemon.logs("not delivered");
    assert!(
        line.starts_with("warning: heartbeat not delivered: no end of the TLS handshake in time"),
        "{line}"
    );
    println!("SIGTERM during a hanging handshake: {} ms", daemon.stop().as_millis());
}

/// The TLS library has something to say about each of these messages, at each beat.
#[test]
fn a_hostile_server_cannot_fill_the_log() {
    let ca = Trusted::new();
    let fault = Fault::named("tls-ccs-flood").expect("a fault");
    let server = HostileServer::listen(SocketAddr::from(([127, 0, 0, 1], 0)), fault, Some(&ca.authority))
        .expect("listening");
    let url = format!("https://localhost:{}/", server.address().port());
    let ca_file = ca.file();
    let args = [
        "run",
        "--url",
        &url,
        "--interval",
        "0.2",
        "--pidfile",
        "",
        "--ca-file",
        ca_file.to_str().expect("UTF-8"),
    ];
    let mut daemon = Daemon::start(command(&args));
    daemon.logs("heartbeat not delivered: the TLS session failed");
    let began = server.connections();
    while server.connections() < began + 2 {
        std::thread::yield_now();
    }
    daemon.stop();
    let warnings: Vec<_> = daemon
        .log
        .iter()
        .filter_map(|line| line.strip_prefix("warning: heartbeat not delivered: "))
        .collect();
    assert_eq!(warnings.len(), 1, "{:#?}", daemon.log);
    // The third failure begins a back-off, if it comes in time.
    let others = daemon.log.iter().filter(|line| line.starts_with("warning: ")).count() - warnings.len();
    assert!(others <= 1, "{:#?}", daemon.log);
}

#[test]
fn a_bad_authority_file_is_refused_at_start() {
    let output =
        command(&["run", "--url", "https://localhost:1/", "--pidfile", "", "--ca-file", "/dev/null"])
            .output()
            .expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors, "error: /dev/null: expected certificates in PEM form, found none\n");
}

/// A volume that is mounted later, a package that is being upgraded: systemd starts the service again after status 1.
#[test]
fn absent_authorities_end_a_start_with_status_1() {
    let dir = tempfile::tempdir().expect("a directory");
    let ca_file = dir.path().join("later/ca.pem");
    let run = ["run", "--url", "https://localhost:1/", "--pidfile", ""];
    let mut configured = command(&run);
    configured.arg("--ca-file").arg(&ca_file);
    let output = configured.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("error: {}: No such file or directory (os error 2)\n", ca_file.display());
    assert_eq!(errors, expected);

    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-c", "mount -t tmpfs none /etc/ssl && exec \"$@\"", "sh"]);
    let probe = hidden.arg("true").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("skipped: hiding the system's authorities needs root");
        return;
    }
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-c", "mount -t tmpfs none /etc/ssl && exec \"$@\"", "sh"]);
    let output = wrapped(hidden, &command(&run)).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no certificate authority is installed on this system"), "{errors}");
}

#[test]
fn the_environment_does_not_decide_who_is_trusted() {
    let ca = Trusted::new();
    let receiver = Receiver::secured("127.0.0.1:0", &ca.authority, "localhost").expect("listening");
    let url = format!("https://localhost:{}/", receiver.address().port());
    let mut send = command(&["send", "--url", &url]);
    send.env("SSL_CERT_FILE", ca.file()).env("SSL_CERT_DIR", ca.dir.path());
    let output = send.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("SSL_CERT_FILE is set and not used: set ca_file"), "{errors}");
    let refused =
        errors.contains("certificate was not accepted") || errors.contains("no certificate authority");
    assert!(refused, "{errors}");
    let output = send.arg("--ca-file").arg(ca.file()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
