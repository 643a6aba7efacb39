//! Ways to the server that lead through a proxy, which is the server at the same time.

use super::*;

/// Reads the head of a request.
fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A proxy that says this to each request, and then nothing.
fn proxy_that_says(answer: &'static [u8]) -> String {
    let address = server(move |_, mut stream| {
        head(&mut stream)?;
        stream.write_all(answer)?;
        stream.read(&mut [0]).map(drop)
    });
    format!("http://{address}")
}

#[test]
fn http_proxy_leads_to_a_server_that_proves_its_own_name() {
    let pki = Pki::new();
    let config = Arc::new(pki.server());
    let (asked, requests) = mpsc::channel();
    let address = server(move |_, mut stream| {
        let _ = asked.send(head(&mut stream)?);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        answer(&mut StreamOwned::new(connection, stream), OK)
    });
    let proxy = format!("http://user:s3cret@{address}");
    // Nothing listens on port 1: only the proxy can have answered.
    let mut device = Device::through(Some(&proxy), "https://localhost:1/", pki.trust(), LONG);
    assert_eq!([(); 3].map(|()| device.status()), [200; 3]);
    let request = requests.recv().expect("a tunnel");
    assert!(request.starts_with("CONNECT localhost:1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Proxy-Authorization: Basic "), "{request}");
    assert!(requests.try_recv().is_err(), "the tunnel is kept");
    let mut other = Device::through(Some(&proxy), "https://other.example/", pki.trust(), LONG);
    assert_eq!(message(&other.beat()), "the server's certificate was not accepted");
}

#[test]
fn socks_proxy_resolves_the_name_of_the_server() {
    let (asked, requests) = mpsc::channel();
    let address = server(move |_, mut stream| {
        stream.read_exact(&mut [0; 4])?;
        stream.write_all(&[5, 2])?;
        stream.read_exact(&mut [0; 5])?;
        stream.write_all(&[1, 0])?;
        let mut request = [0; 21];
        stream.read_exact(&mut request)?;
        let _ = asked.send(request);
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        answer(&mut stream, OK)
    });
    let proxy = format!("socks5://u:p@{address}");
    // A name that no name server knows (RFC 6761).
    let mut device = Device::through(Some(&proxy), "http://server.invalid/", None, LONG);
    assert_eq!([(); 2].map(|()| device.status()), [200; 2]);
    let request = requests.recv().expect("a tunnel");
    assert_eq!(request, *b"\x05\x01\x00\x03\x0eserver.invalid\x00\x50");
    assert!(requests.try_recv().is_err(), "the tunnel is kept");
}

#[test]
fn refusal_of_the_proxy_is_named_and_nothing_has_arrived() {
    for (answer, expected, backs_off) in [
        (
            &b"HTTP/1.1 407 Who\r\n\r\n"[..],
            "the proxy refused the way to the server [proxy IPv4 ADDRESS]: it wants a user and a password (407)",
            true,
        ),
        (
            b"HTTP/1.1 403 No\r\n\r\n",
            "the proxy refused the way to the server [proxy IPv4 ADDRESS]: status 403",
            true,
        ),
        (
            b"HTTP/1.1 502 Bad\r\n\r\n",
            "the proxy does not reach the server [proxy IPv4 ADDRESS]: status 502",
            false,
        ),
        (
            b"220 mail.example ESMTP\r\n",
            "the proxy's answer was not acceptable [proxy IPv4 ADDRESS]: the answer does not begin as HTTP does",
            true,
        ),
    ] {
        let proxy = proxy_that_says(answer);
        let outcome = Device::through(Some(&proxy), "https://localhost/", Pki::new().trust(), LONG).beat();
        let address = proxy.strip_prefix("http://").expect("a URL");
        assert_eq!(outcome.detail.as_str().replace(address, "ADDRESS"), expected);
        assert_eq!(outcome.verdict.backs_off(), backs_off, "{expected}");
        assert!(!outcome.verdict.may_have_arrived(), "{expected}");
    }
}

#[test]
fn proxy_that_is_silent_or_leaves_is_told_from_the_server() {
    let (opened, connections) = mpsc::channel();
    let silent = server(move |number, mut stream| {
        let _ = opened.send(number);
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let mut device = Device::through(Some(&format!("http://{silent}")), "http://a.invalid/", None, LONG);
    for _ in 0..2 {
        let unfinished = device.beat_within(Duration::from_millis(300));
        assert_eq!(message(&unfinished), "no complete answer of the proxy");
        assert!(unfinished.detail.as_str().contains("[proxy IPv4 "), "{}", unfinished.detail);
    }
    assert_eq!(connections.try_iter().count(), 1, "the tunnel outlives the heartbeat");
    let leaving = server(|_, mut stream| head(&mut stream).map(drop));
    let leaving = format!("http://{leaving}");
    let mut device = Device::through(Some(&leaving), "http://a.invalid/", None, LONG);
    assert_eq!(message(&device.beat()), "the proxy closed the connection");
}

#[test]
fn refusal_of_a_server_behind_a_proxy_names_no_address() {
    let address = server(|_, mut stream| {
        head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        answer(&mut stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    });
    let proxy = format!("http://{address}");
    let refused = Device::through(Some(&proxy), "http://a.invalid/", None, LONG).beat();
    assert_eq!(refused.detail.as_str(), "the server refused the heartbeat (404)");
    let direct = server(|_, mut stream| answer(&mut stream, b"HTTP/1.1 404 Not Found\r\n\r\n"));
    let refused = Device::new(&url(direct), None, LONG).beat();
    assert_eq!(refused.detail.to_string(), format!("the server refused the heartbeat (404) [IPv4 {direct}]"));
}

#[test]
fn proxy_that_sends_without_end_is_cut_off() {
    for beginning in [&b"HTTP/1.1 200 OK\r\nX: "[..], b"HTTP/1.1 200 OK\r\n\r\n", b""] {
        let address = server(move |_, mut stream| {
            head(&mut stream)?;
            stream.write_all(beginning)?;
            for_ever(&mut stream, b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
        });
        let proxy = format!("http://{address}");
        let mut device = Device::through(Some(&proxy), "https://localhost/", Pki::new().trust(), LONG);
        let outcome = device.beat();
        assert!(!outcome.verdict.is_accepted());
        // After an answer of its own the rest is no TLS.
        assert!(
            ["the proxy's answer was not acceptable", "the TLS session failed"].contains(&message(&outcome)),
            "{}",
            outcome.detail
        );
        let received = device.traffic.received();
        assert!(received < WIRE_MAX, "{received} bytes");
    }
}

#[test]
fn proxy_that_dies_and_comes_back_is_used_again() {
    let mut listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = format!("http://{address}");
    let mut device = Device::through(Some(&proxy), "http://server.invalid/", None, LONG);
    for _ in 0..2 {
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            drop(listener);
            head(&mut stream)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            request(&mut stream)?;
            stream.write_all(OK)
        });
        assert_eq!(device.status(), 200);
        // With it the connection ends.
        serving.join().expect("no panic").expect("served");
        let gone = device.beat();
        assert_eq!(gone.detail.as_str(), format!("connection refused [proxy IPv4 {address}]"));
        assert!(!gone.verdict.backs_off(), "the server may be well");
        listener = TcpListener::bind(address).expect("the port once more");
    }
}

/// Its answer costs some kilobytes, and the next one would be the same.
#[test]
fn proxy_that_does_not_reach_the_server_is_not_asked_each_time() {
    let (asked, requests) = mpsc::channel();
    let address = server(move |number, mut stream| {
        let _ = asked.send(number);
        head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    });
    let mut device =
        Device::through(Some(&format!("http://{address}")), "https://localhost:1/", Pki::new().trust(), LONG);
    for _ in 0..20 {
        assert_eq!(message(&device.beat()), "the proxy does not reach the server");
    }
    assert_eq!(requests.try_iter().count(), 3);
}
