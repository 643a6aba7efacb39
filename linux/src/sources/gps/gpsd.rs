//! gpsd, asked with `?POLL;` over a kept connection (gpsd_json(5)).

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Instant,
};

use heartbeat_core::{SensorError, readings::Position};

use super::{
    TIMEOUT, connect_error,
    poll::{Poll, Receivers},
    receive,
};
use crate::{
    clock,
    sources::{
        Remark, Source,
        sysroot::{Answer, Sysroot},
    },
};

/// Where gpsd listens (gpsd(8)).
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2947);
/// Where a captured tree has its answer to `?POLL;`, the lines before it included.
const CAPTURED: &str = "/gpsd/poll";
/// The first answer of a connection: gpsd opens its receiver for it, and tries one speed after the other.
const OPENING: std::time::Duration = std::time::Duration::from_secs(4);

const NO_RECEIVER: Remark = Remark {
    says: "gpsd runs and has no receiver that sends",
    advice: "connect the receiver, or name its device in /etc/default/gpsd; see: gpspipe -w",
};
const OPENING_IT: Remark = Remark {
    says: "gpsd runs and does not answer; it may be opening its receiver",
    advice: "ask again; if it stays so, restart gpsd, and start it with -n so that it opens the receiver at once",
};

/// gpsd and the connection to it.
#[derive(Debug)]
pub(crate) struct Gpsd {
    address: SocketAddr,
    connection: Option<TcpStream>,
    receivers: Receivers,
    remark: Option<Remark>,
}

impl Gpsd {
    pub(crate) fn new() -> Self {
        Self::at(ADDRESS)
    }

    fn at(address: SocketAddr) -> Self {
        Self { address, connection: None, receivers: Receivers::default(), remark: None }
    }

    fn poll(&mut self, root: &Sysroot) -> Result<Poll, SensorError> {
        if !root.is_live() {
            return match root.captured_answer(CAPTURED, super::ANSWER_MAX as u64)? {
                Answer::Text(text) => {
                    last_poll(&String::from_utf8_lossy(&text)).ok_or(SensorError::Invalid)?
                }
                Answer::Complaint(_) => Err(SensorError::Io),
            };
        }
        let kept = self.connection.take();
        let mut remark = None;
        let polled = ask(self.address, kept, &mut remark);
        self.remark = remark;
        let (poll, connection) = match polled {
            Ok(answered) => answered,
            Err(error) => {
                root.note_answer(CAPTURED, None, Err(error));
                return Err(error);
            }
        };
        self.connection = Some(connection);
        let text = poll.as_ref().map(|poll| Answer::Text(poll.to_line()));
        root.note_answer(CAPTURED, Some(Poll::rewrite), text.as_ref().map_err(|error| **error));
        poll
    }
}

/// Asks over the kept connection, or over a new one.
fn ask(
    address: SocketAddr,
    kept: Option<TcpStream>,
    remark: &mut Option<Remark>,
) -> Result<(Result<Poll, SensorError>, TcpStream), SensorError> {
    let (mut stream, time) = match kept {
        Some(stream) => (stream, TIMEOUT),
        None => {
            let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(connect_error)?;
            stream.write_all(b"?WATCH={\"enable\":true};\n").map_err(|_| SensorError::Io)?;
            (stream, OPENING)
        }
    };
    // A stream that gpsd has closed does not mean that a receiver hangs.
    stream.write_all(b"?POLL;\n").map_err(|_| SensorError::Io)?;
    let deadline = Instant::now() + time;
    let poll = receive(&mut stream, deadline, last_poll).inspect_err(|_| {
        if Instant::now() >= deadline {
            *remark = Some(OPENING_IT);
        }
    })?;
    Ok((poll, stream))
}

/// The answer among gpsd's lines: greetings and reports come before it.
fn last_poll(text: &str) -> Option<Result<Poll, SensorError>> {
    let mut lines = text.split_inclusive('\n').rev();
    let line = lines.find(|line| line.ends_with('\n') && line.contains("\"class\":\"POLL\""))?;
    Some(Poll::parse(line))
}

impl Source for Gpsd {
    type Reading = Position;

    fn place(&self) -> String {
        format!("gpsd at {}", self.address)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Position, SensorError> {
        self.remark = None;
        let poll = self.poll(root)?;
        let position = self.receivers.best(&poll, clock::now());
        if position.is_none() {
            self.remark = Some(NO_RECEIVER);
        }
        position.ok_or(SensorError::Absent)
    }

    /// A receiver that is plugged in, or that `gpsd` opened because a client asked, is there at the next beat.
    fn holds(&self, outcome: &Result<Position, SensorError>) -> heartbeat_core::time::Duration {
        match outcome {
            Err(SensorError::Absent) if self.remark.is_none() => crate::sources::REPROBE,
            _ => heartbeat_core::time::Duration::ZERO,
        }
    }

    fn remark(&self) -> Option<Remark> {
        self.remark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::readings::Fix;
    use std::{fs, io::Read, net::TcpListener, path::Path, thread};

    const POLL: &str = r#"{"class":"POLL","time":"2026-11-01T12:00:00.000Z","active":1,"tpv":[{"class":"TPV","device":"/dev/ttyACM0","mode":3,"lat":52.5,"lon":13.4}],"gst":[],"sky":[]}"#;

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    /// Reads until the question has arrived.
    fn await_question(stream: &mut TcpStream, asked: &mut Vec<u8>) {
        while !asked.ends_with(b"?POLL;\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("read");
            asked.push(byte[0]);
        }
        asked.push(b' ');
    }

    #[test]
    fn asks_over_one_connection_until_it_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut gpsd = Gpsd::at(listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"{\"class\":\"VERSION\",\"release\":\"3.22\"}\n").expect("sent");
            let mut asked = Vec::new();
            for _ in 0..2 {
                await_question(&mut stream, &mut asked);
                stream
                    .write_all(format!("{{\"class\":\"TPV\",\"mode\":1}}\r\n{POLL}\r\n").as_bytes())
                    .expect("sent");
            }
        });
        for _ in 0..2 {
            assert_eq!(gpsd.read(&live()).expect("a position").fix, Fix::ThreeD);
        }
        server.join().expect("one connection served both");
        assert_eq!(gpsd.read(&live()), Err(SensorError::Io), "it has closed");
        assert_eq!(gpsd.remark(), None);
        assert_eq!(gpsd.read(&live()), Err(SensorError::Absent), "and is gone");
        assert_eq!((gpsd.remark(), gpsd.holds(&Err(SensorError::Absent))), (None, crate::sources::REPROBE));
    }

    #[test]
    fn a_receiver_that_is_opened_first_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut gpsd = Gpsd::at(listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            await_question(&mut stream, &mut Vec::new());
            // Longer than an answer over a kept connection may take.
            thread::sleep(TIMEOUT * 3);
            stream.write_all(format!("{POLL}\n").as_bytes()).expect("sent");
        });
        assert_eq!(gpsd.read(&live()).map(|position| position.fix), Ok(Fix::ThreeD));
        server.join().expect("served");
    }

    #[test]
    fn silence_of_gpsd_and_the_lack_of_a_receiver_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut gpsd = Gpsd::at(listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut asked = Vec::new();
            await_question(&mut stream, &mut asked);
            stream.write_all(b"{\"class\":\"POLL\",\"active\":0,\"tpv\":[],\"sky\":[]}\n").expect("sent");
            await_question(&mut stream, &mut asked);
            // Until the other end gives up.
            let _ = stream.read(&mut [0; 1]);
        });
        let without = gpsd.read(&live());
        assert_eq!((without.clone(), gpsd.remark()), (Err(SensorError::Absent), Some(NO_RECEIVER)));
        assert_eq!(
            gpsd.holds(&without),
            heartbeat_core::time::Duration::ZERO,
            "it may be there at the next beat"
        );
        let silent = gpsd.read(&live());
        assert_eq!((silent, gpsd.remark()), (Err(SensorError::Io), Some(OPENING_IT)));
        server.join().expect("served");
    }

    #[test]
    fn a_tree_has_the_answer_and_the_lines_before_it() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("gpsd")).expect("created");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut gpsd = Gpsd::new();
        assert_eq!((gpsd.read(&root), gpsd.remark()), (Err(SensorError::Absent), None));
        let write = |text: &str| fs::write(dir.path().join("gpsd/poll"), text).expect("written");
        write(&format!("{{\"class\":\"VERSION\"}}\n{POLL}\n"));
        assert_eq!(gpsd.read(&root).map(|position| position.fix), Ok(Fix::ThreeD));
        write(&format!("{POLL}\n{{\"class\":\"TPV\",\"mode\":1}}\n{{\"class\":\"POLL\",\"active\""));
        assert_eq!(gpsd.read(&root).map(|position| position.fix), Ok(Fix::ThreeD), "the last whole answer");
        write("{\"class\":\"VERSION\"}\n");
        assert_eq!(gpsd.read(&root), Err(SensorError::Invalid));
    }
}
