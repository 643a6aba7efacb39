//! Which connection a heartbeat uses, and what becomes of it.

use super::*;

#[test]
fn heartbeats_share_a_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(&mut stream, OK)
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [200; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

/// The first heartbeat ends before the handshake does, and the second has its connection.
#[test]
fn handshake_outlives_the_heartbeat_that_began_it() {
    let pki = Pki::new();
    let (late, may_go_on) = mpsc::channel::<()>();
    let (opened, connections) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let address = secured(pki.server(), move |number, stream| {
        let _ = opened.send(number);
        let _ = may_go_on.lock().expect("no panic").recv();
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let unfinished = device.beat_within(Duration::from_millis(300));
    assert_eq!(message(&unfinished), "no end of the TLS handshake in time");
    late.send(()).expect("it waits");
    assert_eq!(device.status(), 200);
    assert_eq!(connections.try_iter().count(), 1);
}

/// At the next heartbeat it would be too late for that one.
#[test]
fn slow_link_has_its_next_connection_begun_at_once() {
    let pki = Pki::new();
    let (opened, connections) = mpsc::channel();
    let address = secured(pki.server(), move |number, stream| {
        let _ = opened.send(number);
        thread::sleep(Duration::from_millis(400));
        request(stream)?;
        stream.read(&mut [0]).map(drop)
    });
    let mut device = Device::new(&https(address), pki.trust(), Duration::from_millis(600));
    // On a slow machine the handshake may not end in time either.
    assert!(!device.beat().verdict.is_accepted());
    assert_eq!([(); 2].map(|()| connections.recv_timeout(LONG)), [Ok(0), Ok(1)]);
}

/// Otherwise each second heartbeat would come too late where the server closes every connection, and each where none is
/// kept until the next heartbeat.
#[test]
fn connection_is_made_ahead_of_the_next_heartbeat_where_it_would_be_late() {
    let pki = Pki::new();
    let (late, may_go_on) = mpsc::channel::<()>();
    let (opened, connections) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let address = secured(pki.server(), move |number, stream| {
        let _ = opened.send(number);
        let _ = may_go_on.lock().expect("no panic").recv();
        request(stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert!(!device.beat_within(Duration::from_millis(300)).verdict.is_accepted());
    late.send(()).expect("it waits");
    assert_eq!(device.status(), 200);
    assert_eq!([(); 2].map(|()| connections.recv_timeout(LONG)), [Ok(0), Ok(1)], "without a heartbeat");
    late.send(()).expect("it waits");
    assert_eq!(device.status(), 200);
}

/// The failure is that of the heartbeat before, which has ended already.
#[test]
fn connection_that_fails_late_does_not_cost_the_next_heartbeat() {
    let pki = Pki::new();
    let (late, may_end) = mpsc::channel::<()>();
    let may_end = std::sync::Mutex::new(may_end);
    let address = secured(pki.server(), move |number, stream| match number {
        0 => may_end.lock().expect("no panic").recv().map_err(io::Error::other),
        _ => answer(stream, OK),
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    let unfinished = device.beat_within(Duration::from_millis(300));
    assert_eq!(message(&unfinished), "no end of the TLS handshake in time");
    device.send(LONG);
    late.send(()).expect("it waits");
    assert!(device.outcome().verdict.is_accepted());
}

#[test]
fn given_up_request_is_reset() {
    let (ended, ends) = mpsc::channel();
    let address = server(move |_, mut stream| {
        let mut bytes = Vec::new();
        let _ = ended.send(stream.read_to_end(&mut bytes).map_err(|error| error.kind()));
        Ok(())
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!(message(&device.beat_within(Duration::from_millis(300))), "no complete answer in time");
    assert_eq!(ends.recv(), Ok(Err(ErrorKind::ConnectionReset)));
}

#[test]
fn cancelled_request_is_given_up_at_once() {
    let (ended, ends) = mpsc::channel();
    let address = server(move |_, mut stream| {
        request(&mut stream)?;
        let _ = ended.send(None);
        let _ = ended.send(Some(stream.read(&mut [0]).map_err(|error| error.kind())));
        Ok(())
    });
    let mut device = Device::new(&url(address), None, Duration::from_secs(3600));
    device.send(Duration::from_secs(3600));
    assert_eq!(ends.recv(), Ok(None));
    assert_eq!(message(&device.uplink.cancel()), "no complete answer in time");
    assert_eq!(ends.recv(), Ok(Some(Err(ErrorKind::ConnectionReset))));
}

#[test]
fn misdirected_request_costs_the_connection() {
    let address = server(|number, mut stream| match number {
        0 => answer(&mut stream, b"HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n"),
        _ => answer(&mut stream, OK),
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([device.status(), device.status()], [421, 200]);
}

#[test]
fn other_refusals_keep_a_young_connection() {
    let (opened, connections) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = opened.send(number);
        answer(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 3].map(|()| device.status()), [404; 3]);
    assert_eq!(connections.try_iter().count(), 1);
}

#[test]
fn request_is_one_packet() {
    let (got, pieces) = mpsc::channel();
    let address = server(move |_, mut stream| {
        let count = stream.read(&mut [0; 4096])?;
        let _ = got.send(count);
        stream.write_all(OK)
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!(device.status(), 200);
    assert_eq!(pieces.recv(), Ok(usize::try_from(device.traffic.sent()).expect("few")));
}

/// As long as the connection makes progress, slowness is the link's: each try would begin from nothing after a pause.
#[test]
fn slow_handshake_and_slow_reply_do_not_back_off() {
    let pki = Pki::new();
    let (late, may_go_on) = mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let address = secured(pki.server(), move |number, stream| {
        if number == 0 {
            let _ = may_go_on.lock().expect("no panic").recv();
        }
        request(stream)?;
        stream.read(&mut [0]).map(drop)
    });
    let timeout = Duration::from_millis(300);
    let mut device = Device::new(&https(address), pki.trust(), timeout);
    for _ in 0..4 {
        let unfinished = device.beat_within(timeout);
        assert_eq!(message(&unfinished), "no end of the TLS handshake in time");
        assert!(!unfinished.verdict.backs_off(), "{}", unfinished.detail);
    }
    late.send(()).expect("it waits");
    loop {
        let outcome = device.beat_within(timeout);
        assert!(!outcome.verdict.backs_off(), "{}", outcome.detail);
        // The handshake took four heartbeats, so that no reply can be expected in one.
        if message(&outcome) == "no complete answer in time" {
            break;
        }
    }
}

/// A server that broke off handshakes before is not taken for a slow link.
#[test]
fn slow_handshake_after_a_failed_one_backs_off() {
    let pki = Pki::new();
    let address = secured(pki.server(), |number, stream| match number {
        0 => Ok(()),
        _ => stream.sock.read_exact(&mut [0; 64 * 1024]),
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert_eq!(message(&device.beat()), "the connection broke in the TLS handshake");
    let silent = device.beat_within(Duration::from_millis(300));
    assert_eq!(message(&silent), "no end of the TLS handshake in time");
    assert!(silent.verdict.backs_off());
}

/// Connection 0 is made for a heartbeat that has ended, and the server closes it as the next one uses it.
#[test]
fn connection_that_stood_and_was_never_used_costs_one_more_attempt() {
    let pki = Pki::new();
    let (late, may_go_on) = mpsc::channel::<()>();
    let (ended, handshakes) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let address = secured(pki.server(), move |number, stream| {
        if number == 0 {
            let _ = may_go_on.lock().expect("no panic").recv();
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
            let _ = ended.send(());
            return request(stream);
        }
        answer(stream, OK)
    });
    let mut device = Device::new(&https(address), pki.trust(), LONG);
    assert!(!device.beat_within(Duration::from_millis(300)).verdict.is_accepted());
    late.send(()).expect("it waits");
    handshakes.recv_timeout(LONG).expect("a handshake");
    assert_eq!(device.status(), 200);
}

/// The server gives the connection up as the request arrives.
#[test]
fn request_timeout_on_a_kept_connection_costs_one_more_attempt() {
    let address = server(|number, mut stream| {
        if number == 0 {
            request(&mut stream)?;
            stream.write_all(OK)?;
            request(&mut stream)?;
            return stream.write_all(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
        }
        answer(&mut stream, OK)
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!([(); 2].map(|()| device.status()), [200; 2]);
    let address = server(|_, mut stream| {
        answer(&mut stream, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    });
    assert_eq!(Device::new(&url(address), None, LONG).status(), 408, "a new connection is not idle");
}

/// The server has read the request and ends; the second attempt does not reach it.
#[test]
fn failed_repetition_does_not_hide_that_the_first_attempt_may_have_arrived() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        request(&mut stream)?;
        stream.write_all(OK)?;
        request(&mut stream)?;
        drop(listener);
        Ok(())
    });
    let mut device = Device::new(&url(address), None, LONG);
    assert_eq!(device.status(), 200);
    let ended = device.beat();
    assert_eq!(message(&ended), "connection refused");
    assert!(ended.verdict.may_have_arrived());
}
