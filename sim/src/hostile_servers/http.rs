//! After a request has been read: replies that are late, endless, wrong, or no replies.

use std::{io, thread, time::Duration};

use super::{Act, Fault, Wire, tcp::reset};

/// The pause between drops.
const DROP_EVERY: Duration = Duration::from_millis(50);

const TIMEOUT: &[&str] = &["no complete answer in time"];
const LOST: &[&str] = &["the connection broke"];
const PROTOCOL: &[&str] = &["the answer was not acceptable HTTP"];

super::http_faults! {
    // What is no reply.
    "no-reply", "N9 N27", "reads requests and does not answer", TIMEOUT, silence;
    "late-hang-up", "N20", "reads requests and closes the connection", LOST, |_| hang_up();
    "late-reset", "N20", "reads requests and resets the connection", LOST, |wire| reset(wire.tcp()).and_then(|()| hang_up());
    "stale-keep-alive", "N26", "answers once, and closes the connection when it is used again", &[], |wire| {
        ok(wire)?;
        wire.read_exact(&mut [0])?;
        hang_up()
    };
    "stale-reset", "N26", "answers once, and resets the connection when it is used again", &[], |wire| {
        ok(wire)?;
        wire.read_exact(&mut [0])?;
        reset(wire.tcp()).and_then(|()| hang_up())
    };
    "closes-each", "N26", "closes the connection after each reply", &[], |wire| ok(wire).and_then(|()| hang_up());
    "says-close", "N26", "says that it closes the connection, and does not", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")?;
        silence(wire)
    };
    "half-status", "N20", "breaks off within the status line", LOST, |wire| {
        wire.write_all(b"HTTP/1.1 20")?;
        hang_up()
    };
    "half-header", "N20", "breaks off within the header", LOST, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Len")?;
        hang_up()
    };

    // Headers.
    "not-http", "N11", "answers with a mail server's greeting", PROTOCOL, |wire| {
        wire.write_all(b"220 mail.example.org ESMTP\r\n\r\n")?;
        silence(wire)
    };
    "header-drip", "N14", "sends a header's line now and then", TIMEOUT, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        drip(wire, b"X-Drop: 1\r\n")
    };
    "byte-drip", "N14", "sends a header byte by byte", TIMEOUT, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nX-Drops: ")?;
        drip(wire, b"x")
    };
    "no-crlf", "N14", "does not end the header", TIMEOUT, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")?;
        silence(wire)
    };
    "huge-header", "N15", "sends a header line of 64 KiB", PROTOCOL, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ")?;
        wire.write_all(&[b'x'; 65_536])?;
        wire.write_all(b"\r\n\r\n")
    };
    "500-headers", "N15", "sends 500 headers", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for number in 0..500 {
            wire.write_all(format!("X-{number}: {number}\r\n").as_bytes())?;
        }
        wire.write_all(b"\r\n")
    };
    "endless-header", "N15", "sends headers without end", PROTOCOL, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for_ever(wire, b"X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
    };
    "nul-header", "N15", "sends a header with a NUL byte", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n")
    };
    "folded-header", "N15", "folds a header's line, which is obsolete", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 0\r\n\r\n")
    };
    "endless-100", "N16", "answers 100 Continue without end", &["the answer was not acceptable HTTP", "no complete answer in time"], |wire| for_ever(wire, b"HTTP/1.1 100 Continue\r\n\r\n");
    "slow-100", "N16", "answers 100 Continue now and then", TIMEOUT, |wire| drip(wire, b"HTTP/1.1 100 Continue\r\n\r\n");
    "endless-103", "N16", "answers 103 Early Hints without end", &["the answer was not acceptable HTTP", "no complete answer in time"], |wire| for_ever(wire, b"HTTP/1.1 103 Early Hints\r\n\r\n");

    // Bodies: only the status before them counts.
    "endless-body", "N17", "sends a body without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        for_ever(wire, &[b'x'; 4_096])
    };
    "endless-chunks", "N17", "sends chunks without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for_ever(wire, b"5\r\nabcde\r\n")
    };
    "100-mb-body", "N17", "sends a body of 100 MB", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
        (0..25_000).try_for_each(|_| wire.write_all(&[b'x'; 4_000]))
    };
    "body-drip", "N17", "sends a body byte by byte", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        drip(wire, b"x")
    };
    "short-body", "N17 N20", "breaks off within the body", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}")?;
        hang_up()
    };
    "reset-body", "N20", "resets the connection within the body", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}")?;
        wire.flush()?;
        // The status has arrived when the peer waits for more.
        thread::sleep(DROP_EVERY);
        reset(wire.tcp()).and_then(|()| hang_up())
    };
    "long-body", "N17", "sends more than it said", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more that nobody asked for")
    };
    "negative-length", "N17", "says that the body has -1 bytes", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")?;
        silence(wire)
    };
    "two-lengths", "N17", "says two lengths of the body", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")?;
        silence(wire)
    };
    "length-and-chunks", "N17", "says a length and sends chunks", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    };
    "chunk-drip", "N18", "sends the size of a chunk digit by digit", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        drip(wire, b"0")
    };
    "chunk-overflow", "N18", "says a chunk size beyond 64 bits", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx")?;
        silence(wire)
    };
    "bad-trailers", "N18", "ends chunks with trailers that are none", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\0\0\r\n\r\n")?;
        wire.flush()
    };
    "gzip-bomb", "N19", "claims that the body is compressed", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    };

    // Statuses.
    "redirect", "N21", "redirects to another path", &["the server sent a redirect (302), which is not followed"], |wire| {
        wire.write_all(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
    };
    "redirect-307", "N21", "redirects a POST to itself", &["the server sent a redirect (307), which is not followed"], |wire| {
        wire.write_all(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /heartbeat.php\r\nContent-Length: 0\r\n\r\n")
    };
    "redirect-away", "N21", "redirects to another host without TLS", &["the server sent a redirect (301), which is not followed"], |wire| {
        wire.write_all(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")
    };
    "unauthorized", "N22", "asks for a password", &["the server refused the heartbeat (401)"], |wire| {
        wire.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
    };
    "gone", "N22", "says that there is nothing any more", &["the server refused the heartbeat (410)"], |wire| {
        wire.write_all(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
    };
    "busy", "N23", "asks to be left alone for two minutes" => 120, &["the server failed (503)"], |wire| {
        wire.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n")
    };
    "busy-date", "N23", "asks to be left alone until a date" => 120, &["the server refused the heartbeat (429)"], |wire| {
        wire.write_all(
            b"HTTP/1.1 429 Slow down\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\
              Retry-After: Tue, 24 Nov 2026 12:02:00 GMT\r\nContent-Length: 0\r\n\r\n",
        )
    };
    "busy-garbage", "N23", "asks to be left alone, and not for how long", &["the server failed (503)"], |wire| {
        wire.write_all(b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n")
    };
    "fails", "N24", "fails", &["the server failed (500)"], |wire| {
        wire.write_all(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    };
    "status-999", "N24", "answers with a status that means nothing", &["the server failed (999)"], |wire| {
        wire.write_all(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n")
    };
}

/// A reply as it should be.
pub(super) fn ok(wire: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
}

/// Says nothing until the peer leaves.
pub(super) fn silence(wire: &mut dyn Wire) -> io::Result<()> {
    wire.flush()?;
    while wire.read(&mut [0; 1_024])? > 0 {}
    hang_up()
}

/// Sends this as fast as it can, until the peer closes the connection.
pub(super) fn for_ever(wire: &mut dyn Wire, piece: &[u8]) -> io::Result<()> {
    loop {
        wire.write_all(piece)?;
    }
}

/// Sends this now and then, until the peer closes the connection.
pub(super) fn drip(wire: &mut dyn Wire, piece: &[u8]) -> io::Result<()> {
    loop {
        thread::sleep(DROP_EVERY);
        wire.write_all(piece)?;
        wire.flush()?;
    }
}

/// Ends the connection.
pub(super) fn hang_up() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}
