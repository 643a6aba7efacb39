//! 40 hostile clients, and an honest device beside them that is never slowed down for long.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    io::{BufReader, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use common::{Server, document, read_answer};
use serde_json::json;

/// What a client sends, and the statuses that it may get. 0: the connection ends without an answer.
struct Hostile {
    name: &'static str,
    bytes: Vec<u8>,
    /// After the bytes the client sends nothing more, so that the server sees their end.
    closes: bool,
    may_get: &'static [u16],
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn hostile(name: &'static str, bytes: impl Into<Vec<u8>>, may_get: &'static [u16]) -> Hostile {
    Hostile { name, bytes: bytes.into(), closes: true, may_get }
}

fn changed(key: &str, value: &serde_json::Value) -> Vec<u8> {
    let mut document = document("hostile", 1);
    document[key] = value.clone();
    post(document.to_string().as_bytes())
}

fn hostiles() -> Vec<Hostile> {
    let valid = document("hostile", 1).to_string();
    let head = |line: &str| format!("POST /heartbeat.php HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n").into_bytes();
    let keys: Vec<_> = (0..100_000).map(|n| format!("\"k{n}\":0")).collect();
    let few_keys: Vec<_> = (0..900).map(|n| format!("\"{n}\":0")).collect();
    let twice = valid.replacen('{', "{\"cpu\":1,", 1);
    let deep = |open: &str, close: &str, n| format!("{{\"x\":{}1{}}}", open.repeat(n), close.repeat(n));
    let token = |token: &str| {
        format!(
            "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {}\r\n\r\n{valid}",
            valid.len()
        )
    };
    vec![
        hostile("nothing at all", "", &[0]),
        hostile("a line break", "\r\n", &[0, 400]),
        hostile(
            "bytes of no protocol",
            vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03],
            &[0, 400],
        ),
        hostile("zeros", vec![0; 4096], &[0, 400]),
        hostile("half a request line", "POST /heart", &[0, 400]),
        hostile("half a head", "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nConte", &[0, 400]),
        hostile("half a body", post(valid.as_bytes())[..300].to_vec(), &[0, 400]),
        hostile(
            "a head without end",
            [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat(),
            &[0, 431],
        ),
        hostile(
            "ten thousand headers",
            format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
            &[0, 431],
        ),
        hostile("an endless path", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)), &[0, 414, 431]),
        hostile("a method of its own", "BREW /heartbeat.php HTTP/1.1\r\nHost: x\r\n\r\n", &[405]),
        hostile("version 9", "POST /heartbeat.php HTTP/9.9\r\nHost: x\r\n\r\n", &[0, 400, 505]),
        hostile("version 2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 400, 505]),
        hostile("a negative length", head("Content-Length: -5"), &[0, 400]),
        hostile("two lengths", head("Content-Length: 5\r\nContent-Length: 6"), &[0, 400]),
        hostile("a length of 2^64", head("Content-Length: 18446744073709551616"), &[0, 400]),
        hostile(
            "a huge length",
            head("Content-Type: application/json\r\nContent-Length: 9999999999"),
            &[413],
        ),
        hostile("length and chunks", head("Content-Length: 5\r\nTransfer-Encoding: chunked"), &[0, 400]),
        hostile(
            "chunks without end",
            [
                head("Content-Type: application/json\r\nTransfer-Encoding: chunked"),
                b"1000\r\n".to_vec(),
                vec![b' '; 0x1000],
                b"\r\n1000\r\n".to_vec(),
                vec![b' '; 0x1000],
                b"\r\n1000\r\n".to_vec(),
                vec![b' '; 0x1000],
            ]
            .concat(),
            &[413],
        ),
        hostile(
            "a chunk of a wrong size",
            [head("Transfer-Encoding: chunked"), b"zz\r\n".to_vec()].concat(),
            &[0, 400],
        ),
        hostile("an empty body", post(b""), &[400]),
        hostile("8 KiB of spaces", post(&vec![b' '; 8192]), &[400]),
        hostile("a megabyte", post(&vec![b' '; 1 << 20]), &[413]),
        hostile("100,000 keys", post(format!("{{{}}}", keys.join(",")).as_bytes()), &[413]),
        hostile("900 keys", post(format!("{{{}}}", few_keys.join(",")).as_bytes()), &[422]),
        hostile("deep lists", post(deep("[", "]", 4000).as_bytes()), &[400, 422]),
        hostile("deep objects", post(deep("{\"a\":", "}", 1300).as_bytes()), &[400, 422]),
        hostile("invalid UTF-8", post(&[b"{\"hardwareid\":\"\xff\xfe\"}".as_slice()].concat()), &[400]),
        hostile("half a surrogate", post(valid.replace("hostile", "\\ud800").as_bytes()), &[400, 422]),
        hostile("the same key twice", post(twice.as_bytes()), &[422]),
        hostile(
            "a number of 7,000 digits",
            post(valid.replace("12.5", &"9".repeat(7000)).as_bytes()),
            &[400, 422],
        ),
        hostile("1e999", post(valid.replace("12.5", "1e999").as_bytes()), &[400, 422]),
        hostile("an id of 9 KiB", changed("hardwareid", &json!("x".repeat(9000))), &[413]),
        hostile("an id of spaces", changed("hardwareid", &json!("   ")), &[422]),
        hostile("control characters", changed("app_version", &json!("\u{0}\u{1b}[2J\u{7f}")), &[200]),
        hostile("script in every text", changed("app_version", &json!("</td><script>x()</script>")), &[200]),
        hostile("two documents", post(format!("{valid}{valid}").as_bytes()), &[400, 422]),
        hostile("a token of 7 KiB", token(&format!("Bearer {}", "a".repeat(7000))), &[401]),
        hostile("a token that is no text", token("Bearer \u{e9}\u{e9}"), &[401]),
        hostile("another scheme", token("Basic YTpi"), &[401]),
        hostile("a traversal", "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", &[400, 404]),
        hostile("half of params", "GET /heartbeat.php?params=%7B%22%zz HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        Hostile { name: "silence", bytes: Vec::new(), closes: false, may_get: &[] },
        Hostile {
            name: "a head, byte by byte",
            bytes: b"POST /heartb".to_vec(),
            closes: false,
            may_get: &[],
        },
    ]
}

/// Tricks below the document: framing, encodings, other protocols, paths.
fn transport_tricks() -> Vec<Hostile> {
    let post = |head: &str, rest: &str| {
        format!(
            "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n{rest}"
        )
    };
    let get = |path: &str, head: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n");
    let chunked = "Transfer-Encoding: chunked";
    let smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let headers: String = (0..5_000).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        hostile(
            "a compressed body",
            post("Content-Encoding: gzip\r\nContent-Length: 4", "\x1f\x08ab"),
            &[415],
        ),
        hostile("two lengths", post("Content-Length: 4\r\nContent-Length: 5", "abcde"), &[400]),
        // What comes after an empty body is a request of its own; this one gets its refusal first.
        hostile("a length and chunks", post(&format!("Content-Length: 4\r\n{chunked}"), smuggled), &[400]),
        hostile("an unknown encoding", post("Transfer-Encoding: xchunked", smuggled), &[400]),
        hostile("a space before the colon", post("Transfer-Encoding : chunked", smuggled), &[400]),
        hostile("a negative length", post("Content-Length: -1", ""), &[400]),
        hostile("a length beyond 64 bits", post("Content-Length: 99999999999999999999", ""), &[400]),
        hostile(
            "long trailers",
            post(chunked, &format!("2\r\n{{}}\r\n0\r\nX: {}\r\n\r\n", "a".repeat(20_000))),
            &[0, 400, 422],
        ),
        hostile(
            "a chunk extension without end",
            post(chunked, &format!("1;{}", "a".repeat(200_000))),
            &[0, 400],
        ),
        hostile("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 400]),
        hostile("5,000 headers", get("/", &headers), &[0, 431]),
        hostile("a folded header", get("/", "X: a\r\n b\r\n"), &[400]),
        hostile("a path out of the root", get("/../../etc/passwd", ""), &[404]),
        hostile("an encoded path out of the root", get("/%2e%2e/%2e%2e/etc/passwd", ""), &[404]),
        hostile("a NUL and a line break in a parameter", get("/device?id=%00%0d%0aX:1", ""), &[404]),
    ]
}

fn status(server: &Server, hostile: &Hostile) -> u16 {
    let mut stream = server.connect();
    // The server may have closed while the client still writes.
    let _ = stream.write_all(&hostile.bytes);
    if hostile.may_get.contains(&0) {
        // Otherwise the answer must come without the end of what is sent.
        let _ = stream.shutdown(Shutdown::Write);
    }
    read_answer(&mut stream).map_or(0, |answer| answer.status)
}

#[test]
fn each_gets_a_clear_answer_or_none_and_no_other_client_is_slowed() {
    let server = Server::start();
    let hostiles = hostiles();
    assert!(hostiles.len() >= 40);
    let mut held: Vec<TcpStream> = Vec::new();
    for (number, hostile) in hostiles.iter().enumerate() {
        if hostile.closes {
            let status = status(&server, hostile);
            assert!(hostile.may_get.contains(&status), "{}: {status}", hostile.name);
        } else {
            let mut stream = server.connect();
            stream.write_all(&hostile.bytes).unwrap();
            held.push(stream);
        }
        let began = Instant::now();
        assert_eq!(server.beat(&document("honest", number as u64 + 1)).status, 200, "after {}", hostile.name);
        assert!(began.elapsed() < Duration::from_secs(5), "after {}", hostile.name);
    }
    assert_eq!(server.stored("honest"), hostiles.len());
    assert_eq!(server.stored("hostile"), 1, "repetitions, whatever else is in them");
}

#[test]
fn tricks_with_framing_and_paths_are_refused_and_no_other_client_is_slowed() {
    let server = Server::start();
    for (number, trick) in transport_tricks().iter().enumerate() {
        let status = status(&server, trick);
        assert!(trick.may_get.contains(&status), "{}: {status}", trick.name);
        assert_eq!(server.beat(&document("honest", number as u64 + 1)).status, 200, "after {}", trick.name);
    }
    assert_eq!(server.get("/api/v1/devices").json()["total"], 1, "none of them made a device");
}

#[test]
fn many_held_connections_slow_no_other_client() {
    let server = Server::start();
    let held: Vec<_> = (0..400)
        .map(|n| {
            let mut stream = server.connect();
            let request = post(document("slow", 1).to_string().as_bytes());
            stream.write_all(&request[..n % request.len()]).unwrap();
            stream
        })
        .collect();
    for number in 1..=20 {
        let began = Instant::now();
        assert_eq!(server.beat(&document("honest", number)).status, 200);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    drop(held);
}

#[test]
fn pipelined_heartbeats_are_each_answered_and_stored() {
    let server = Server::start();
    let mut stream = server.connect();
    for number in 1..=50 {
        stream.write_all(&post(document("pi1", number).to_string().as_bytes())).unwrap();
    }
    let mut reader = BufReader::new(stream);
    for _ in 0..50 {
        assert_eq!(read_answer(&mut reader).unwrap().status, 200);
    }
    assert_eq!(server.stored("pi1"), 50);
}

#[test]
fn a_server_without_free_connections_refuses_and_recovers() {
    let server = Server::with("connections = 20");
    let held: Vec<_> = (0..20).map(|_| server.connect()).collect();
    common::eventually("all places are taken", || {
        let mut stream = server.connect();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        read_answer(&mut stream).is_none()
    });
    drop(held);
    common::eventually("places are free again", || {
        let mut stream = server.connect();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        read_answer(&mut stream).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_hostile_token_guesser_learns_nothing_from_a_body() {
    let server = Server::with("[receive]\nrequire_token = true");
    // Refused before the body: 10 MB are not read.
    let mut stream = server.connect();
    let head = "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 401);
}

/// How many connections the server holds.
fn connections(server: &Server) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn who_reads_nothing_of_its_answer_loses_its_connection() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let mut database = rusqlite::Connection::open(server.database()).unwrap();
    let transaction = database.transaction().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let from = i64::try_from(now).unwrap() - 3_600_000;
    for n in 0..20_000 {
        let sql = "INSERT INTO beat (device, at, flags, temp) VALUES (1, ?1, 0, 488)";
        transaction.execute(sql, [from + n]).unwrap();
    }
    transaction.commit().unwrap();
    let before = connections(&server);
    // Some megabytes each, more than the buffers of a connection.
    let path = "/api/v1/devices/pi1/history?step=beat";
    let unread: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get(path).status, 200, "others are answered");
    assert!(connections(&server) >= before + 8);
    let deadline = Instant::now() + Duration::from_secs(240);
    while connections(&server) > before {
        assert!(Instant::now() < deadline, "{} of {before}", connections(&server));
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(unread);
}
