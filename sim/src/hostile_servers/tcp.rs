//! Before anything is said, or instead of TLS.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};

use super::{Act, Fault};

/// The pause between drops.
const DROP_EVERY: Duration = Duration::from_millis(50);

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "silent",
        rows: "N9",
        about: "accepts connections and says nothing",
        expected: &["no complete answer in time"],
        asks_for: None,
        act: Act::Tcp(listen_only),
    },
    Fault {
        name: "deaf",
        rows: "N32",
        about: "accepts connections and reads nothing",
        expected: &["no complete answer in time"],
        asks_for: None,
        act: Act::Tcp(read_nothing),
    },
    Fault {
        name: "hang-up",
        rows: "N8",
        about: "closes every connection at once",
        expected: &["the connection broke"],
        asks_for: None,
        act: Act::Tcp(|_| Ok(())),
    },
    Fault {
        name: "reset",
        rows: "N8",
        about: "resets every connection at once",
        expected: &["the connection broke"],
        asks_for: None,
        act: Act::Tcp(|stream| reset(&stream)),
    },
    Fault {
        name: "tls-silent",
        rows: "N9",
        about: "does not answer the TLS handshake",
        expected: &["no end of the TLS handshake in time"],
        asks_for: None,
        act: Act::InsteadOfTls(listen_only),
    },
    Fault {
        name: "tls-hang-up",
        rows: "N11",
        about: "closes the connection in the TLS handshake",
        expected: &["the connection broke in the TLS handshake"],
        asks_for: None,
        act: Act::InsteadOfTls(|mut stream| hello(&mut stream)),
    },
    Fault {
        name: "tls-reset",
        rows: "N11",
        about: "resets the connection in the TLS handshake",
        expected: &["the connection broke in the TLS handshake"],
        asks_for: None,
        act: Act::InsteadOfTls(|mut stream| hello(&mut stream).and_then(|()| reset(&stream))),
    },
    Fault {
        name: "tls-garbage",
        rows: "N11",
        about: "answers the TLS handshake with noise",
        expected: &["the TLS session failed"],
        asks_for: None,
        act: Act::InsteadOfTls(|stream| say(stream, &[0xa5; 600])),
    },
    Fault {
        name: "tls-plain",
        rows: "N11",
        about: "speaks HTTP where TLS is expected",
        expected: &["the TLS session failed"],
        asks_for: None,
        act: Act::InsteadOfTls(|stream| {
            say(stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        }),
    },
    Fault {
        name: "tls-alert",
        rows: "N11 N13",
        about: "refuses the TLS handshake: no cipher in common",
        expected: &["the TLS session failed"],
        asks_for: None,
        // A record of alert, TLS 1.2, two bytes: fatal, handshake_failure (RFC 5246, 7.2).
        act: Act::InsteadOfTls(|stream| say(stream, &[21, 3, 3, 0, 2, 2, 40])),
    },
    Fault {
        name: "tls-old",
        rows: "N13",
        about: "refuses the TLS handshake: protocol version",
        expected: &["the TLS session failed"],
        asks_for: None,
        act: Act::InsteadOfTls(|stream| say(stream, &[21, 3, 1, 0, 2, 2, 70])),
    },
    Fault {
        name: "tls-10-hello",
        rows: "N13",
        about: "answers with a handshake of TLS 1.0",
        expected: &["the TLS session failed"],
        asks_for: None,
        act: Act::InsteadOfTls(|stream| say(stream, &server_hello_of_tls_10())),
    },
    Fault {
        name: "tls-ccs-flood",
        rows: "N11",
        about: "answers with change-cipher-spec messages without end",
        expected: &["the TLS session failed"],
        asks_for: None,
        act: Act::InsteadOfTls(|mut stream| {
            hello(&mut stream)?;
            loop {
                stream.write_all(&[20, 3, 3, 0, 1, 1])?;
            }
        }),
    },
    Fault {
        name: "tls-drip",
        rows: "N10",
        about: "sends the bytes of the TLS handshake one by one",
        expected: &["no end of the TLS handshake in time"],
        asks_for: None,
        act: Act::Handshake(|stream| Drip { stream, at_once: 1 }),
    },
    Fault {
        name: "tls-record-drip",
        rows: "N10",
        about: "sends the TLS handshake in small pieces",
        expected: &["no end of the TLS handshake in time"],
        asks_for: None,
        act: Act::Handshake(|stream| Drip { stream, at_once: 16 }),
    },
];

/// Reads and says nothing until the peer leaves.
fn listen_only(mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Keeps the connection, with as little room for what arrives as there can be, until it is reset by the process's end.
fn read_nothing(stream: TcpStream) -> io::Result<()> {
    setsockopt(&stream, sockopt::RcvBuf, &0)?;
    loop {
        thread::park();
    }
}

/// Waits for the beginning of a handshake.
fn hello(stream: &mut TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0; 16])
}

/// Says this to a handshake, and leaves.
fn say(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    hello(&mut stream)?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    listen_only(stream)
}

/// Closes with a reset instead of an orderly end.
pub(super) fn reset(stream: &TcpStream) -> io::Result<()> {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(stream, sockopt::Linger, &at_once)?;
    Ok(())
}

/// Version, 32 bytes of chance, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression (RFC 2246, 7.4.1.3).
fn server_hello_of_tls_10() -> Vec<u8> {
    let mut body = vec![3, 1];
    body.extend([7; 32]);
    body.extend([0, 0, 0x2f, 0]);
    // Both lengths fit a byte.
    #[allow(clippy::cast_possible_truncation)]
    let len = body.len() as u8;
    let mut record = vec![22, 3, 1, 0, len + 4, 2, 0, 0, len];
    record.extend(body);
    record
}

/// A stream that lets what is written go a few bytes at a time.
#[derive(Debug)]
pub(super) struct Drip {
    stream: TcpStream,
    at_once: usize,
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Drip {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(DROP_EVERY);
        self.stream.write(bytes.get(..self.at_once).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
