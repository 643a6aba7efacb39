//! The daemon against hostile servers: each costs its own beat at most, is logged once, and never delays the
//! end of the program.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use heartbeat_sim::receiver::read_request;
use nix::sys::socket::{setsockopt, sockopt};
use support::{Daemon, PATIENCE, command, server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Sends `piece` again and again, until the peer closes the connection.
fn for_ever(stream: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(piece)?;
    }
}

/// Says nothing until the peer leaves.
fn silence(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: &TcpStream) {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, sockopt::Linger, &at_once).expect("set");
}

#[test]
fn obeys_retry_after() {
    let address = server(move |_, mut stream| {
        read_request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n")?;
        silence(&mut stream)
    });
    let mut daemon = Daemon::sending_to(address, "0.2", &[]);
    daemon.logs("not delivered: the server failed (503)");
    daemon.logs("backing off for 600 s");
    daemon.stop();
}

/// Runs against a server that is hostile on its first connections and then works: the failure is logged with
/// `reason`, once, then its end, and beats go on.
fn survives(reason: &str, misbehave: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static) {
    let good = Arc::new(AtomicBool::new(false));
    let is_good = Arc::clone(&good);
    let address = server(move |_, mut stream| {
        while is_good.load(Ordering::SeqCst) {
            read_request(&mut stream)?;
            stream.write_all(OK)?;
        }
        misbehave(&mut stream)
    });
    let mut daemon = Daemon::sending_to(address, "1", &[]);
    let line = daemon.logs("heartbeat not delivered");
    assert!(line.starts_with(&format!("warning: heartbeat not delivered: {reason}")), "{line}");
    // Two beats more, so that a second line would have its chance.
    daemon.logs("sending");
    daemon.logs("sending");
    good.store(true, Ordering::SeqCst);
    daemon.logs("heartbeats are delivered again after");
    daemon.stop();
    // On a slow machine more beats have failed, and a back-off may have begun, which is a warning, too.
    let complaints = daemon.log.iter().filter(|line| line.contains("heartbeat not delivered")).count();
    assert_eq!(complaints, 1, "{:#?}", daemon.log);
}

#[test]
fn a_server_that_refuses() {
    // A port that was just free; no server listens on it.
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut daemon = Daemon::sending_to(address, "0.3", &[]);
    let line = daemon.logs("not delivered");
    let expected = format!("warning: heartbeat not delivered: connection refused [IPv4 {address}]");
    assert!(line.starts_with(&expected), "{line}");
    let address: SocketAddr = address;
    let listener = TcpListener::bind(address).expect("still free");
    let (mut stream, _) = listener.accept().expect("a connection");
    read_request(&mut stream).expect("a request");
    stream.write_all(OK).expect("answered");
    daemon.logs("heartbeats are delivered again after");
}

#[test]
fn redirect_is_not_followed() {
    let (asked, elsewhere) = mpsc::channel();
    let target = server(move |_, _| {
        asked.send(()).expect("the test listens");
        Ok(())
    });
    survives("the server sent a redirect (302), which is not followed", move |stream| {
        read_request(stream)?;
        let reply = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(reply.as_bytes())
    });
    assert!(elsewhere.try_recv().is_err(), "the redirect was followed");
}

/// With an hour for the request only the limit on the reply's size can end it.
#[test]
fn endless_body_is_cut_off_by_its_size() {
    let address = server(|_, mut stream| {
        read_request(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")?;
        for_ever(&mut stream, b"abcde")
    });
    let url = format!("http://{address}/");
    let mut daemon =
        Daemon::start(command(&["send", "--url", &url, "--interval", "3600", "--timeout", "3600"]));
    assert!(daemon.wait().success(), "{:#?}", daemon.log);
}

/// The close races with the next request: nothing is lost, because the request is repeated at once.
#[test]
fn a_kept_connection_that_closes_between_beats_costs_nothing() {
    let bodies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bodies);
    let (done, enough) = mpsc::channel();
    let address = server(move |_, mut stream| {
        // One answer, then the second request is read and left without one.
        read_request(&mut stream)?;
        stream.write_all(OK)?;
        if counted.fetch_add(1, Ordering::SeqCst) == 5 {
            done.send(()).expect("the test waits");
        }
        stream.read_exact(&mut [0])?;
        reset(&stream);
        Ok(())
    });
    let mut daemon = Daemon::sending_to(address, "0.2", &[]);
    enough.recv_timeout(PATIENCE).expect("beats go on");
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered")), "{:#?}", daemon.log);
    assert!(daemon.log.iter().any(|line| line.contains("once more")), "the race did not take place");
}

/// An orderly end between beats is noticed before the next request is sent.
#[test]
fn an_idle_connection_that_the_server_closed_is_not_used() {
    let (served, requests) = mpsc::channel();
    let address = server(move |number, mut stream| {
        read_request(&mut stream)?;
        stream.write_all(OK)?;
        served.send(number).expect("the test waits");
        Ok(())
    });
    let mut daemon = Daemon::sending_to(address, "0.2", &[]);
    let connections: Vec<_> = (0..4).map(|_| requests.recv_timeout(PATIENCE).expect("a beat")).collect();
    assert_eq!(connections, [0, 1, 2, 3]);
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered")), "{:#?}", daemon.log);
}

/// With an hour for each request nothing but the signal can end it.
#[test]
fn sigterm_does_not_wait_for_a_hanging_request() {
    let (connected, connections) = mpsc::channel();
    let address = server(move |_, mut stream| {
        connected.send(()).expect("the test waits");
        silence(&mut stream)
    });
    let mut daemon = Daemon::sending_to(address, "3600", &["--timeout", "3600"]);
    connections.recv_timeout(PATIENCE).expect("a connection");
    let took = daemon.stop();
    println!("SIGTERM during a hanging request: {} ms", took.as_millis());
    assert!(
        daemon.log.iter().any(|line| line == "stopped: 0 heartbeats delivered, 1 failed"),
        "{:#?}",
        daemon.log
    );
}

#[test]
fn sigterm_does_not_wait_for_a_hanging_connect() {
    // A listener whose queue is full drops further attempts.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a backlog"))
        .expect("shrunk");
    let address = listener.local_addr().expect("an address");
    let _queue: Vec<_> =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
    let mut daemon = Daemon::sending_to(address, "3600", &["--timeout", "3600"]);
    daemon.logs("sending");
    println!("SIGTERM during a hanging connect: {} ms", daemon.stop().as_millis());
}

#[test]
fn unanswered_connect_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a backlog"))
        .expect("shrunk");
    let address = listener.local_addr().expect("an address");
    let _queue: Vec<_> =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
    let mut daemon = Daemon::sending_to(address, "0.3", &[]);
    let line = daemon.logs("not delivered");
    let expected =
        format!("warning: heartbeat not delivered: no answer to the attempt to connect [IPv4 {address}]");
    assert!(line.starts_with(&expected), "{line}");
}

#[test]
fn a_name_that_cannot_be_resolved() {
    // A label of 64 letters cannot be put into a query (RFC 1035, 2.3.4): the system's resolver refuses it without
    // asking a name server.
    let url = format!("http://{}.example/", "a".repeat(64));
    let args = ["run", "--url", &url, "--interval", "0.3", "--pidfile", ""];
    let mut daemon = Daemon::start(command(&args));
    let line = daemon.logs("not delivered");
    assert_eq!(line, "warning: heartbeat not delivered: the server's name has no address");
    daemon.stop();
}
