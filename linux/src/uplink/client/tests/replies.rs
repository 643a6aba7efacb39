//! Replies: odd ones count, and none costs more than its bound.

use super::*;

/// Warnings of a script, lines without CR, interim replies with headers: the status is the answer.
#[test]
fn odd_replies_count_and_keep_their_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(
            &mut stream,
            b"HTTP/1.1 100 Continue\r\nServer: IIS\r\n\r\nHTTP/1.1 200 OK\nWarning: x in y.php\nX : z\n a\n\
              Not a header\nContent-Length: 2\n\n{}",
        )
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [200; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn page_of_a_refusal_is_not_downloaded() {
    let pki = Pki::new();
    let address = secured(pki.server(), |_, stream| {
        let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\n";
        answer(stream, &[&head[..], &[b'x'; 1_000_000]].concat())
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(device.status(), 404);
    // The next request begins when the reply has been dealt with.
    let _ = device.status();
    let received = device.traffic.received();
    // Of each the first record of 16 KiB, without which the status cannot be read.
    assert!(received < 2 * 24 * 1024, "{received} bytes for two replies");
}

/// What each of these servers sends without end must not be paid for.
#[test]
fn endless_senders_are_cut_off() {
    let pki = Pki::new();
    let reply = |beginning: &'static [u8], piece: &'static [u8]| {
        move |stream: &mut StreamOwned<ServerConnection, TcpStream>| {
            request(stream)?;
            stream.write_all(beginning)?;
            for_ever(stream, piece)
        }
    };
    let interim = reply(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let header = reply(b"HTTP/1.1 200 OK\r\n", b"X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    let line = reply(b"HTTP/1.1 200 OK\r\nX: ", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (what, expected, act) in [
        (
            "interim replies",
            "the answer was not acceptable HTTP",
            Box::new(interim) as Box<dyn Fn(&mut _) -> _ + Send + Sync>,
        ),
        ("header", "the answer was not acceptable HTTP", Box::new(header)),
        ("header line", "the answer was not acceptable HTTP", Box::new(line)),
    ] {
        let address = secured(pki.server(), move |_, stream| act(stream));
        let mut device = Device::new(&https(address), pki.trust(), LONG);
        assert_eq!(message(&device.beat()), expected, "{what}");
        let received = device.traffic.received();
        assert!(received < WIRE_MAX, "{what}: {received} bytes");
    }
}

/// The status has arrived; what follows it costs the connection and no more.
#[test]
fn endless_bodies_are_cut_off() {
    let pki = Pki::new();
    for (what, beginning, piece) in [
        ("trailers", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-Trailer: a\r\n"),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("body", "\r\n", "x"),
    ] {
        let address = secured(pki.server(), move |_, stream| {
            request(stream)?;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{beginning}").as_bytes())?;
            for_ever(stream, piece.as_bytes())
        });
        let mut device = Device::new(&https(address), pki.trust(), LONG);
        assert_eq!([device.status(), device.status()], [200; 2], "{what}");
        let received = device.traffic.received();
        assert!(received < 2 * WIRE_MAX, "{what}: {received} bytes");
    }
}

#[test]
fn session_tickets_without_end_are_cut_off() {
    let pki = Pki::new();
    let mut config = pki.server();
    config.send_tls13_tickets = 20_000;
    let address = secured(config, |_, stream| {
        stream.conn.set_buffer_limit(None);
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(message(&device.beat()), "the TLS session failed");
    let received = device.traffic.received();
    assert!(received < WIRE_MAX, "{received} bytes");
}

/// A header of 64 KiB has 1.5 MB on the wire when each byte is a record of TLS.
#[test]
fn bytes_are_counted_on_the_wire() {
    let pki = Pki::new();
    let address = secured(pki.server(), |_, stream| {
        request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        loop {
            stream.write_all(b"x")?;
            stream.flush()?;
        }
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(message(&device.beat()), "the server sent too much");
    let received = device.traffic.received();
    assert!(received < WIRE_MAX, "{received} bytes");
}

/// Once a minute it would still be 90 MB a day.
#[test]
fn large_refusals_are_followed_by_a_pause_and_large_confirmations_are_not() {
    for (status, expected) in [(404, 4), (200, 6)] {
        let requests = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&requests);
        let address = server(move |_, mut stream| {
            loop {
                request(&mut stream)?;
                theirs.fetch_add(1, Ordering::SeqCst);
                let padding = "x".repeat(60 * 1024);
                let reply = format!("HTTP/1.1 {status} x\r\nX: {padding}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(reply.as_bytes())?;
            }
        });
        let mut device = Device::new(&url(address), None, LONG);
        let outcomes = [(); 6].map(|()| device.beat());
        assert_eq!(requests.load(Ordering::SeqCst), expected, "{status}");
        if status == 404 {
            assert_eq!(message(&outcomes[0]), "the server refused the heartbeat (404)");
            assert_eq!(message(&outcomes[4]), "the server sent too much");
            assert!(outcomes[4].verdict.backs_off() && !outcomes[4].verdict.may_have_arrived());
        }
    }
}

#[test]
fn large_handshakes_that_fail_are_followed_by_a_pause() {
    let connections = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&connections);
    let address = server(move |_, mut stream| {
        theirs.fetch_add(1, Ordering::SeqCst);
        // The beginning of a message that does not end: a record of 16 KiB, a message of 64 KiB.
        stream.write_all(&[22, 3, 3, 0x40, 0, 2, 0, 0xff, 0xff])?;
        stream.write_all(&[0; 0x4000 - 4])?;
        for_ever(&mut stream, &[&[22, 3, 3, 0x40, 0][..], &[0; 0x4000]].concat())
    });
    let pki = Pki::new();
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let outcomes = [(); 8].map(|()| device.beat());
    let count = connections.load(Ordering::SeqCst);
    assert_eq!(count, 4, "{}", outcomes[0].detail);
    assert!(outcomes.iter().all(|outcome| message(outcome) == message(&outcomes[0])));
    let received = device.traffic.received();
    assert!(received < 300 * 1024, "{received} bytes");
}

/// Gives the connection up as a router or a process that dies does.
fn reset(stream: &TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).expect("set");
}

#[test]
fn reply_that_breaks_off_counts_if_its_head_was_complete() {
    let lost = "the connection broke";
    for (what, reply, resets, expected) in [
        ("reset in the head", &b"HTTP/1.1 200 OK\r\nContent-"[..], true, lost),
        ("reset in the body", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", true, "status 200"),
        ("end in the body", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", false, "status 200"),
        (
            "end in a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
            false,
            "status 200",
        ),
        ("end after 100", b"HTTP/1.1 100 Continue\r\n\r\n", false, lost),
        ("reset after 100", b"HTTP/1.1 100 Continue\r\n\r\n", true, lost),
        ("HTTP/1.0 without a length", b"HTTP/1.0 200 OK\r\n\r\nhello", false, "status 200"),
        ("HTTP/1.0 that fails", b"HTTP/1.0 500 No\n\nhello", false, "the server failed (500)"),
        ("end at once", b"", false, lost),
    ] {
        let (opened, connections) = mpsc::channel();
        let address = server(move |number, mut stream| {
            let _ = opened.send(number);
            request(&mut stream)?;
            stream.write_all(reply)?;
            if resets {
                reset(&stream);
            }
            Ok(())
        });
        let mut device = Device::new(&url(address), None, LONG);
        for _ in 0..2 {
            let outcome = device.beat();
            assert_eq!(message(&outcome), expected, "{what}: {}", outcome.detail);
            assert_eq!(outcome.verdict.may_have_arrived(), expected == lost, "{what}");
        }
        assert_eq!(connections.try_iter().count(), 2, "{what}: one for each heartbeat");
    }
}

/// Many servers leave the end out that TLS provides for.
#[test]
fn end_without_the_end_of_tls_is_an_end() {
    let pki = Pki::new();
    let address = secured(pki.server(), |_, stream| request(stream));
    let outcome = Device::new(&https(address), pki.trust(), LONG).beat();
    let why = "the server closed the connection before it answered";
    assert!(outcome.detail.as_str().ends_with(why), "{}", outcome.detail);
}

/// The deadline is that of the whole reply, not of each byte.
#[test]
fn reply_that_trickles_ends_with_the_heartbeat() {
    let address = server(|_, mut stream| {
        request(&mut stream)?;
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain([b'x'; 1_000].iter()) {
            stream.write_all(&[*byte])?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let timeout = Duration::from_millis(500);
    let mut device = Device::new(&url(address), None, timeout);
    let began = Instant::now();
    assert_eq!(message(&device.beat()), "no complete answer in time");
    assert!(began.elapsed() >= timeout && began.elapsed() < LONG);
}
