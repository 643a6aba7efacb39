//! The daemon in networks as people have them, with names, delays and servers of their own: `doc/network.md` has the list.
//!
//! Needs root, iproute2 and nftables: `cargo test -p heartbeat-sim --test field_networks -- --ignored`. Tests in `minutes`
//! take that long.

#![allow(clippy::expect_used, clippy::panic)]

mod minutes;
mod names;
mod paths;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    thread,
};

use heartbeat_sim::{
    hostile_servers::{Authority, Fault, HostileServer},
    networks::{Namespace, Site},
    receiver::{Receiver, read_request},
};
use support::{Daemon, command};

const SERVER: IpAddr = IpAddr::V4(Site::SERVER);
/// Another address of the server's network.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 3));

/// A site with the second address, and an authority that its device trusts.
struct Field {
    site: Site,
    authority: Authority,
    dir: tempfile::TempDir,
}

impl Field {
    fn new() -> Self {
        let (site, authority) = (Site::new().expect("a network"), Authority::new());
        site.add_address(OTHER).expect("added");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
        Self { site, authority, dir }
    }

    /// A server that takes heartbeats over TLS.
    fn receiver(&self, ip: IpAddr) -> Receiver {
        let tls = self.authority.server(Site::NAME);
        self.site.server.inside(move || Receiver::with_tls((ip, 443), tls)).expect("listening")
    }

    /// A server that does one thing wrong, over TLS.
    fn hostile(&self, fault: &str, ip: IpAddr) -> HostileServer {
        let fault = Fault::named(fault).expect("a fault");
        let tls = self.authority.clone();
        let listen = move || HostileServer::listen_as(Site::NAME, (ip, 443).into(), fault, Some(&tls));
        self.site.server.inside(listen).expect("listening")
    }

    /// A daemon that sends to the server over TLS, by name.
    fn daemon(&self, interval: &str, timeout: &str, more: &[&str]) -> Daemon {
        self.daemon_for(&format!("https://{}/", Site::NAME), interval, timeout, more)
    }

    fn daemon_for(&self, url: &str, interval: &str, timeout: &str, more: &[&str]) -> Daemon {
        let ca_file = self.dir.path().join("ca.pem");
        let mut args = vec!["run", "--url", url, "--interval", interval, "--timeout", timeout];
        args.extend(["--pidfile", "", "--verbose"]);
        if url.starts_with("https") {
            args.extend(["--ca-file", ca_file.to_str().expect("UTF-8")]);
        }
        args.extend(more);
        Daemon::start(self.site.device.exec(&command(&args)))
    }
}

/// A server without TLS that answers each request with a status that can be changed, and counts.
#[derive(Clone)]
struct Switch {
    status: Arc<AtomicU16>,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Switch {
    fn listen(field: &Field, ip: IpAddr, status: u16) -> Self {
        Self::listen_in(&field.site.server, ip, status)
    }

    fn listen_in(namespace: &Namespace, ip: IpAddr, status: u16) -> Self {
        let switch = Self {
            status: Arc::new(AtomicU16::new(status)),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let theirs = switch.clone();
        let listener = namespace.inside(move || TcpListener::bind((ip, 80))).expect("listening");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let theirs = theirs.clone();
                // An error means that the peer has closed the connection.
                thread::spawn(move || theirs.serve(stream));
            }
        });
        switch
    }

    fn serve(&self, mut stream: impl Read + Write) -> io::Result<()> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        loop {
            read_request(&mut stream)?;
            self.requests.fetch_add(1, Ordering::SeqCst);
            let status = self.status.load(Ordering::SeqCst);
            stream.write_all(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        }
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Heartbeats that were not delivered, as far as is logged.
fn failures(daemon: &Daemon) -> usize {
    let failed = |line: &&String| line.contains("request failed:");
    daemon.log.iter().filter(failed).count()
}

/// Runs every case on a thread of its own, and names those that went wrong.
fn each<C: Send>(cases: Vec<(&'static str, C)>, run: impl Fn(C) -> Result<(), String> + Sync) {
    let wrong: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = cases.into_iter().map(|(name, case)| (name, scope.spawn(|| run(case)))).collect();
        let ended = runs.into_iter().map(|(name, run)| (name, run.join().expect("no panic")));
        ended.filter_map(|(name, result)| Some((name, result.err()?))).collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Waits until `is_true`, or until the daemon has logged so many heartbeats.
fn within_beats(daemon: &mut Daemon, beats: usize, is_true: impl Fn() -> bool) -> Result<(), String> {
    for _ in 0..beats {
        if is_true() {
            return Ok(());
        }
        daemon.logs("debug: sending");
    }
    if is_true() { Ok(()) } else { Err(format!("not within {beats} heartbeats: {:#?}", daemon.log)) }
}
