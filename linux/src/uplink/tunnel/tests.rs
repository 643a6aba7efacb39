use std::{net::TcpListener, thread};

use proptest::prelude::*;

use super::*;
use crate::uplink::tcp;

fn target(proxy: &str, host: &str) -> TunnelTarget {
    TunnelTarget::new(&Proxy::parse(proxy).expect(proxy), host, 443)
}

/// What is said in turn to a proxy with these answers, and how it ends.
fn talk(target: &TunnelTarget, answers: &[&[u8]]) -> (Vec<Vec<u8>>, Result<bool, Refusal>) {
    let Tunnel { mut protocol, output, .. } = Tunnel::new(target);
    let mut said = vec![output];
    for answer in answers {
        // Byte by byte, as a slow proxy sends.
        for byte in answer.iter() {
            match protocol.receive(&[*byte]) {
                Ok(Progress::More) => {}
                Ok(Progress::Say(words)) => said.push(words),
                Ok(Progress::Open) => return (said, Ok(true)),
                Err(refusal) => return (said, Err(refusal)),
            }
        }
    }
    (said, Ok(false))
}

fn ended(proxy: &str, answers: &[&[u8]]) -> Result<bool, Refusal> {
    talk(&target(proxy, "a.example"), answers).1
}

#[test]
fn connect_names_the_server_and_the_user() {
    let (said, ended) =
        talk(&target("http://p:1", "a.example"), &[b"HTTP/1.1 200 Go\r\nContent-Length: 9\r\n\r\n"]);
    assert_eq!(ended, Ok(true), "a length means nothing here");
    assert_eq!(said, [b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"]);
    let (said, _) = talk(&target("http://Aladdin:open%20sesame@p:1", "2001:db8::1"), &[]);
    // The example of RFC 7617, section 2.
    let expected = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
                    Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
    assert_eq!(said, [expected.as_bytes()]);
}

#[test]
fn refusals_of_connect_are_named() {
    let refused = |words: &str| Err(Refusal::Refused(words.to_owned()));
    for (proxy, status, expected) in [
        ("http://p:1", 407, refused("it wants a user and a password (407)")),
        ("http://u:x@p:1", 407, refused("it does not accept the user and the password (407)")),
        ("http://u:x@p:1", 401, refused("it does not accept the user and the password (401)")),
        ("http://p:1", 403, refused("status 403")),
        ("http://p:1", 301, refused("status 301")),
        ("http://p:1", 500, Err(Refusal::Unreached("status 500".to_owned()))),
        ("http://p:1", 502, Err(Refusal::Unreached("status 502".to_owned()))),
        ("http://p:1", 503, Err(Refusal::Unreached("status 503".to_owned()))),
        ("http://p:1", 504, Err(Refusal::Unreached("status 504".to_owned()))),
        ("http://p:1", 299, Ok(true)),
    ] {
        assert_eq!(ended(proxy, &[format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes()]), expected, "{status}");
    }
}

#[test]
fn answers_of_connect_are_bounded_and_checked() {
    let protocol = |answer: &[u8]| {
        let mut protocol = Tunnel::new(&target("http://p:1", "a.example")).protocol;
        match protocol.receive(answer) {
            Err(Refusal::Protocol(words)) => words,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(protocol(b"SSH-2.0-OpenSSH\r\n"), "the answer does not begin as HTTP does");
    assert_eq!(protocol(b"HTTP/1.1 200 OK\r\n\r\nx"), "more bytes than its answer");
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 64 * 1024]].concat();
    assert_eq!(protocol(&endless), "the header is larger than 64 KiB");
}

#[test]
fn socks_asks_for_a_name_and_says_the_password_only_when_wanted() {
    const REPLY: &[u8] = &[5, 0, 0, 1, 10, 0, 0, 1, 4, 56];
    let request = [&[5, 1, 0, 3, 9][..], b"a.example", &[1, 187]].concat();
    let (said, ended) = talk(&target("socks5://p:1", "a.example"), &[&[5, 0], REPLY]);
    assert_eq!((said, ended), (vec![vec![5, 1, 0], request.clone()], Ok(true)));
    let with_user = target("socks5://u:xy@p:1", "a.example");
    let (said, ended) = talk(&with_user, &[&[5, 2], &[1, 0], REPLY]);
    let password = vec![1, 1, b'u', 2, b'x', b'y'];
    assert_eq!((said, ended), (vec![vec![5, 2, 0, 2], password, request.clone()], Ok(true)));
    let (_, ended) = talk(&with_user, &[&[5, 2], &[5, 0], REPLY]);
    assert_eq!(ended, Ok(true), "another version in the answer to the password");
    let (said, ended) = talk(&with_user, &[&[5, 0], REPLY]);
    assert_eq!((said, ended), (vec![vec![5, 2, 0, 2], request], Ok(true)), "a proxy that wants none");
}

#[test]
fn socks_takes_addresses_of_both_families() {
    let (said, _) = talk(&target("socks5://p:1", "192.0.2.1"), &[&[5, 0]]);
    assert_eq!(said.last(), Some(&vec![5, 1, 0, 1, 192, 0, 2, 1, 1, 187]));
    let (said, _) = talk(&target("socks5://p:1", "2001:db8::1"), &[&[5, 0]]);
    let address = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(said.last(), Some(&[&[5, 1, 0, 4][..], &address, &[1, 187]].concat()));
    // What the proxy is bound to: IPv6, and a name.
    let v6 = [&[5, 0, 0, 4][..], &address, &[0, 80]].concat();
    assert_eq!(ended("socks5://p:1", &[&[5, 0], &v6]), Ok(true));
    assert_eq!(ended("socks5://p:1", &[&[5, 0], &v6[..21]]), Ok(false));
    assert_eq!(ended("socks5://p:1", &[&[5, 0], &[5, 0, 0, 3, 1, b'x', 0, 80]]), Ok(true));
    assert_eq!(ended("socks5://p:1", &[&[5, 0], &[5, 0, 0, 3, 1, b'x', 0]]), Ok(false));
}

#[test]
fn refusals_of_socks_are_named() {
    let refused = |words: &str| Err(Refusal::Refused(words.to_owned()));
    let unreached = |words: &str| Err(Refusal::Unreached(words.to_owned()));
    let protocol = |words: &str| Err(Refusal::Protocol(words.to_owned()));
    for (proxy, answers, expected) in [
        ("socks5://p:1", &[&[5, 255][..]][..], refused("it wants a user and a password")),
        ("socks5://p:1", &[&[5, 2]], refused("it wants a user and a password")),
        ("socks5://u:x@p:1", &[&[5, 255]], refused("it accepts neither a password nor going without")),
        ("socks5://u:x@p:1", &[&[5, 1]], refused("it accepts neither a password nor going without")),
        ("socks5://u:x@p:1", &[&[5, 2], &[1, 1]], refused("it does not accept the user and the password")),
        ("socks5://u:x@p:1", &[&[5, 2], &[5, 1]], refused("it does not accept the user and the password")),
        ("socks5://p:1", &[&[4]], protocol("it does not begin as SOCKS version 5 does")),
        ("socks5://p:1", &[&[5, 0], &[1]], protocol("it does not begin as SOCKS version 5 does")),
        ("socks5://p:1", &[&[5, 0], &[5, 0, 0, 9]], protocol("an unknown type of address")),
        ("socks5://p:1", &[&[5, 0], &[5, 1]], unreached("general failure")),
        ("socks5://p:1", &[&[5, 0], &[5, 2]], refused("its rules do not allow it")),
        ("socks5://p:1", &[&[5, 0], &[5, 5]], unreached("the server refuses connections")),
        ("socks5://p:1", &[&[5, 0], &[5, 99]], unreached("reply 99")),
    ] {
        assert_eq!(ended(proxy, answers), expected, "{answers:?}");
    }
    let mut eager = Tunnel::new(&target("socks5://p:1", "a.example")).protocol;
    assert_eq!(eager.receive(&[5, 0, 5]), Err(Refusal::Protocol("more bytes than its answer".to_owned())));
}

/// The proxy reads slowly, answers in pieces, and leaves.
#[test]
fn tunnel_is_made_over_a_socket_that_does_not_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = thread::spawn(move || {
        for answers in [&[&b"HTTP/1.1 200"[..], b" OK\r\n\r\n"][..], &[b"HTTP/1.1 403 x\r\n\r\n"], &[]] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.extend(byte);
            }
            for answer in answers {
                stream.write_all(answer).expect("sent");
            }
        }
    });
    let mut ends = Vec::new();
    let traffic = Traffic::default();
    for _ in 0..3 {
        let mut stream = tcp::begin(address).expect("begun");
        let wait = |stream: &TcpStream, interest| {
            let mut fds = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(stream), interest)];
            tcp::wait(&mut fds, None).expect("waited");
        };
        wait(&stream, PollFlags::POLLOUT);
        let mut tunnel = Tunnel::new(&target("http://p:1", "a.example"));
        ends.push(loop {
            match tunnel.go_on(&mut stream, &traffic) {
                Ok(None) => wait(&stream, tunnel.interest()),
                Ok(Some(_)) => break None,
                Err(failure) => break Some(failure.cause),
            }
        });
    }
    assert_eq!(ends, [None, Some(Cause::ProxyRefused), Some(Cause::Lost)]);
    assert_eq!((traffic.sent(), traffic.received()), (3 * 55, 19 + 18));
    proxy.join().expect("no panic");
}

proptest! {
    #[test]
    fn any_answer_is_survived_in_pieces_of_any_size(
        bytes: Vec<u8>, begins in 0usize..4, size in 1usize..40, user: bool, socks: bool,
    ) {
        let scheme = if socks { "socks5" } else { "http" };
        let user = if user { "u:x@" } else { "" };
        let start: &[u8] = match (socks, begins) {
            (true, 1) => &[5, 0],
            (true, 2) => &[5, 2],
            (true, 3) => &[5, 0, 5, 0, 0, 3],
            (false, 1) => b"HTTP/1.1 200 OK\r\n",
            (false, 2) => b"HTTP/1.1 407 No\r\nX: ",
            _ => b"",
        };
        let bytes = [start, &bytes].concat();
        let mut protocol = Tunnel::new(&target(&format!("{scheme}://{user}p:1"), "a.example")).protocol;
        for piece in bytes.chunks(size) {
            if !matches!(protocol.receive(piece), Ok(Progress::More | Progress::Say(_))) {
                break;
            }
        }
    }
}
