//! The daemon over a link with a round trip of a second: a connection takes longer to make than a heartbeat may take, and
//! lasts for all that follow.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use heartbeat_sim::{hostile_servers::Authority, receiver::Receiver};
use support::{Daemon, beat, command, server};

/// One way.
const DELAY: Duration = Duration::from_millis(500);

/// Passes on what comes from `from` so much later, in order and unchanged.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let piece = buffer.iter().take(count).copied().collect();
        if sender.send((Instant::now() + DELAY, piece)).is_err() {
            return;
        }
    }
}

/// A link to `server`.
fn link(to: SocketAddr) -> SocketAddr {
    server(move |_, stream| {
        let upstream = TcpStream::connect(to)?;
        for stream in [&stream, &upstream] {
            stream.set_nodelay(true)?;
        }
        let (back, forth) = ((upstream.try_clone()?, stream.try_clone()?), (stream, upstream));
        thread::spawn(move || pass_on(back.0, back.1));
        pass_on(forth.0, forth.1);
        io::Result::Ok(())
    })
}

/// The request alone takes 1 s of the 1.7 s that it has; the handshake before it takes as much again.
#[test]
fn twelve_of_thirteen_heartbeats_arrive_at_a_round_trip_of_a_second() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().expect("a directory");
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("written");
    let receiver = Receiver::secured("127.0.0.1:0", &authority, "localhost").expect("listening");
    let url = format!("https://localhost:{}/", link(receiver.address()).port());
    let ca_file = ca_file.to_str().expect("UTF-8");
    let mut daemon = Daemon::start(command(&[
        "run",
        "--url",
        &url,
        "--interval",
        "2",
        "--timeout",
        "1.7",
        "--pidfile",
        "",
        "--ca-file",
        ca_file,
        "--verbose",
    ]));
    for _ in 0..14 {
        daemon.logs("debug: sending");
    }
    // The outcome of the thirteenth is known when the fourteenth is sent.
    let arrived = std::iter::from_fn(|| receiver.events().try_recv().ok()).count();
    assert!(arrived >= 12, "{arrived} of 13: {:#?}", daemon.log);
    assert_eq!(beat(&receiver).connection, 1);
    daemon.stop();
    let complaints = daemon.log.iter().filter(|line| line.contains("not delivered:")).count();
    assert!(complaints <= 1, "{:#?}", daemon.log);
}
