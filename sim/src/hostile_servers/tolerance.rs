//! After a request has been read: replies that are unusual, and that other clients accept; and floods of data that the
//! client does not read.

use std::io;

use super::{
    Act, Fault, Wire,
    http::{drip, for_ever, hang_up, silence},
};

const TIMEOUT: &[&str] = &["no complete answer in time"];
const PROTOCOL: &[&str] = &["the answer was not acceptable HTTP"];
/// How far a flood gets depends on how fast the machine is.
const FLOOD: &[&str] =
    &["the answer was not acceptable HTTP", "no complete answer in time", "the server sent too much"];
/// Bytes of a page that the client does not read.
const PAGE: usize = 150_000;

/// A server that says this after each request, and waits.
macro_rules! says {
    ($reply:expr) => {
        |wire| {
            wire.write_all($reply)?;
            wire.flush()
        }
    };
}

/// The same, and then nothing more.
macro_rules! falls_silent {
    ($reply:expr) => {
        |wire| {
            wire.write_all($reply)?;
            silence(wire)
        }
    };
}

super::http_faults! {
    // Heads that other clients accept.
    "lf-only", "N15", "ends lines with LF", &[], says!(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}");
    "space-before-colon", "N15", "has a space before a header's colon", &[], says!(b"HTTP/1.1 200 OK\r\nX-Odd : a\r\nContent-Length: 2\r\n\r\n{}");
    "warning-in-header", "N15", "prints a warning of PHP among the headers", &[], says!(b"HTTP/1.1 200 OK\r\n<br />\r\n<b>Warning</b>:  Undefined variable in heartbeat.php on line 7<br />\r\nContent-Length: 2\r\n\r\n{}");
    "header-40k", "N15", "sends a header section of 40 KiB", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for number in 0..100 {
            wire.write_all(format!("Set-Cookie: c{number}={}\r\n", "x".repeat(390)).as_bytes())?;
        }
        wire.write_all(b"Content-Length: 2\r\n\r\n{}")
    };
    "no-reason", "N15", "has no reason behind the status", &[], says!(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}");
    "http-1-0", "N26", "speaks HTTP/1.0", &[], |wire| {
        wire.write_all(b"HTTP/1.0 200 OK\r\n\r\n{}")?;
        hang_up()
    };
    "latin-1-header", "N15", "has a header in Latin-1", &[], says!(b"HTTP/1.1 200 OK\r\nX-Place: K\xf6ln\r\nContent-Length: 2\r\n\r\n{}");
    "nameless-header", "N15", "has a header without a name", &[], says!(b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\n{}");
    "100-with-headers", "N16", "answers 100 Continue with headers before the reply", &[], says!(b"HTTP/1.1 100 Continue\r\nX-Why: none\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    "103-with-links", "N16", "answers 103 Early Hints before the reply", &[], says!(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    "no-content", "N17", "answers 204", &[], says!(b"HTTP/1.1 204 No Content\r\n\r\n");
    "no-content-with-body", "N17", "answers 204 and sends a body", &[], says!(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}");
    "reset-content", "N17", "answers 205", &[], says!(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
    "two-replies", "N17", "answers each request twice", &[], says!(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    "length-beyond-64-bits", "N17", "says a length beyond 64 bits", &[], falls_silent!(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n");
    "length-of-words", "N17", "says a length that is no number", &[], falls_silent!(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n");
    "unknown-coding", "N18", "sends a body in an unknown coding", &[], falls_silent!(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: zebra\r\n\r\n{}");
    "chunk-of-words", "N18", "says a chunk size that is no number", &[], falls_silent!(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzebra\r\n");
    "negative-chunk", "N18", "says a negative chunk size", &[], falls_silent!(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n");

    // Floods: bounded in the bytes of the wire.
    "header-flood", "N15", "sends 100,000 short headers", FLOOD, |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\n")?;
        (0..100_000).try_for_each(|_| wire.write_all(b"a:\r\n"))?;
        wire.write_all(b"\r\n")
    };
    "nameless-flood", "N15", "sends a line without end", FLOOD, |wire| for_ever(wire, &[b'x'; 1_024]);
    "endless-reason", "N15", "sends a reason without end", FLOOD, |wire| {
        wire.write_all(b"HTTP/1.1 200 ")?;
        for_ever(wire, &[b'x'; 1_024])
    };
    "reason-drip", "N14", "sends a reason byte by byte", TIMEOUT, |wire| {
        wire.write_all(b"HTTP/1.1 200 ")?;
        drip(wire, b"x")
    };
    "endless-102", "N16", "answers 102 Processing with headers without end", FLOOD, |wire| for_ever(wire, b"HTTP/1.1 102 Processing\r\nX-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n");
    "slow-102", "N16", "answers 102 Processing now and then", TIMEOUT, |wire| drip(wire, b"HTTP/1.1 102 Processing\r\n\r\n");
    "endless-chunk-extension", "N18", "sends an extension of a chunk without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=")?;
        for_ever(wire, &[b'x'; 1_024])
    };
    "endless-trailers", "N18", "sends trailers without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")?;
        for_ever(wire, b"X-Trailer: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
    };
    "bytes-in-chunks", "N18", "sends a chunk for each byte without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for_ever(wire, b"1\r\nx\r\n")
    };
    "flood-after-reply", "N17", "goes on after the reply without end", &[], |wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
        for_ever(wire, &[b'x'; 1_024])
    };

    // What is no reply.
    "http-2-preface", "N11", "answers with a frame of HTTP/2", FLOOD, falls_silent!(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff");
    "http-0-9", "N11", "answers with a page and no head", PROTOCOL, |wire| {
        wire.write_all(b"<html><body>It works!</body></html>\r\n")?;
        hang_up()
    };
    "two-digits", "N11", "answers with a status of two digits", PROTOCOL, falls_silent!(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n");
    "four-digits", "N11", "answers with a status of four digits", PROTOCOL, falls_silent!(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n");

    // Refusals, with pages that are not downloaded.
    "page-404", "N22", "answers 404 with a page of 150 kB", &["the server refused the heartbeat (404)"], |wire| page(wire, "404 Not Found", PAGE);
    "page-404-1m", "N22", "answers 404 with a page of 1 MB", &["the server refused the heartbeat (404)"], |wire| page(wire, "404 Not Found", 1_000_000);
    "page-500", "N24", "answers 500 with a page of 150 kB", &["the server failed (500)"], |wire| page(wire, "500 Oops", PAGE);
    "login-page", "N25", "redirects to a login page of 150 kB", &["the server sent a redirect (302), which is not followed"], |wire| page(wire, "302 Found\r\nLocation: http://192.0.2.1/login", PAGE);
    "login-in-place", "N25", "answers 200 with a login page of 150 kB in place of the server", &[], |wire| page(wire, "200 OK\r\nContent-Type: text/html", PAGE);
    "network-login", "N25", "answers 511, as networks that want a login do", &["the server failed (511)"], says!(b"HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n");
    "misdirected", "N22", "answers 421", &["the server refused the heartbeat (421)"], says!(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n");
    "too-slow", "N22", "answers 408 and closes the connection", &["the server refused the heartbeat (408)"], |wire| {
        wire.write_all(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
        hang_up()
    };
    "proxy-password", "N22", "asks for the password of a proxy", &["the server refused the heartbeat (407)"], says!(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
}

/// Answers with this status and a page that the client does not read.
fn page(wire: &mut dyn Wire, status: &str, bytes: usize) -> io::Result<()> {
    wire.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
    wire.write_all(&vec![b'x'; bytes])?;
    wire.flush()
}
