//! The GPS daemon of the streaming application.

use std::{
    io::Write,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::Instant,
};

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{TIMEOUT, connect_error, position, receive};
use crate::sources::{
    Source,
    json::lenient,
    stand_ins::StandIns,
    sysroot::{Answer, Sysroot},
};

/// Where it listens, in the application's `/tmp`.
const SOCKET: &str = "gps_daemon.sock";
/// Where a captured tree has its answer.
const CAPTURED: &str = "/gps_daemon/get_location";

/// The daemon: one question and one answer per connection.
#[derive(Debug)]
pub(crate) struct Streamer {
    socket: PathBuf,
}

impl Streamer {
    pub(crate) fn new(tmp: &Path) -> Self {
        Self { socket: tmp.join(SOCKET) }
    }
}

impl Source for Streamer {
    type Reading = Position;

    fn place(&self) -> String {
        self.socket.display().to_string()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Position, SensorError> {
        if !root.is_live() {
            match root.captured_answer(CAPTURED, super::ANSWER_MAX as u64) {
                Ok(Answer::Text(text)) => {
                    return Location::parse(&String::from_utf8_lossy(&text))?.position();
                }
                Ok(Answer::Complaint(_)) => return Err(SensorError::Io),
                Err(_) => {}
            }
        }
        let location = root.reach_untrusted_socket(&self.socket).and_then(|socket| ask(socket.as_ref()));
        let text = location.as_ref().map(|location| Answer::Text(location.to_json()));
        root.note_answer(CAPTURED, Some(Location::rewrite), text.as_ref().map_err(|error| **error));
        location?.position()
    }
}

/// One question and its answer.
fn ask(socket: &Path) -> Result<Location, SensorError> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = connect(socket).map_err(connect_error)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(|_| SensorError::Io)?;
    stream.write_all(b"{\"command\": \"get_location\"}").map_err(|_| SensorError::Io)?;
    // No end mark: the answer has ended when it is whole.
    receive(&mut stream, deadline, |text| Location::parse(text).ok())
}

/// Connects without waiting: the queue of a daemon that is stuck is full, and stays so.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// What is read of its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Location {
    /// `valid` or `no_fix`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    fix_status: Option<String>,
    /// `2D` or `3D`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    fix_type: Option<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    altitude: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    heading: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    satellites: Satellites,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Satellites {
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    used: Option<f64>,
}

impl Location {
    /// Reads an answer. Some versions wrap it in `data`.
    ///
    /// # Errors
    ///
    /// [`SensorError::Invalid`] when it is no JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, SensorError> {
        let mut value: Value = serde_json::from_str(&without_nan(text)).map_err(|_| SensorError::Invalid)?;
        let wrapped = value.get_mut("data").filter(|data| data.is_object()).map(Value::take);
        Ok(serde_json::from_value(wrapped.unwrap_or(value)).unwrap_or_default())
    }

    /// The position that it gives.
    ///
    /// # Errors
    ///
    /// [`SensorError::Invalid`] when it does not say whether there is a fix.
    pub(crate) fn position(&self) -> Result<Position, SensorError> {
        let fix = match (self.fix_status.as_deref(), self.fix_type.as_deref()) {
            (Some("valid"), Some("3D")) => Fix::ThreeD,
            // Valid, and of a kind that it does not say: two dimensions are sure.
            (Some("valid"), _) => Fix::TwoD,
            (Some(_), _) => Fix::None,
            (None, _) => return Err(SensorError::Invalid),
        };
        let satellites = self.satellites.used.filter(|used| (0.0..=255.0).contains(used));
        // In range.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let satellites = satellites.map(|used| used as u64);
        let numbers = [self.latitude, self.longitude, self.altitude, self.speed, self.heading];
        Ok(position(fix, numbers, satellites))
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// A stand-in for the position.
    fn rewrite(text: &[u8], names: &mut StandIns) -> Vec<u8> {
        let Ok(mut location) = Self::parse(&String::from_utf8_lossy(text)) else { return Vec::new() };
        names.position(&mut location.latitude, &mut location.longitude, [&mut location.altitude, &mut None]);
        location.to_json()
    }
}

/// Python writes `NaN` and `Infinity`, which JSON does not have: outside of strings they become `null`.
pub(crate) fn without_nan(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            json.push('"');
        }
        // Escaped quotes shift what counts as inside; such an answer only fails to parse.
        if index % 2 == 0 {
            json.push_str(
                &part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"),
            );
        } else {
            json.push_str(part);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::units::Degrees;
    use proptest::prelude::*;
    use std::{io::Read, os::unix::net::UnixListener, thread};

    const LOCATION: &str = r#"{"fix_status": "valid", "latitude": 52.1234567, "longitude": 13.4, "altitude": 34.2, "speed": NaN, "heading": 90.0, "fix_type": "3D", "accuracy": 2.5, "satellites": {"used": 7.0, "visible": 12}}"#;

    #[test]
    fn parses_a_fix_with_a_number_that_is_none() {
        let position = Location::parse(LOCATION).expect("JSON").position().expect("a position");
        assert_eq!((position.fix, position.speed_mps, position.satellites), (Fix::ThreeD, None, Some(7)));
        assert_eq!(position.longitude, Some(Degrees::from_raw(134_000_000)));
    }

    #[test]
    fn has_no_position_without_a_fix_and_rejects_what_is_no_answer() {
        let read = |text: &str| Location::parse(text).and_then(|location| location.position());
        let without_fix =
            r#"{ "data": { "fix_status": "no_fix", "latitude": 1.0, "satellites": { "used": 0 } } }"#;
        assert_eq!(read(without_fix), Ok(position(Fix::None, [None; 5], Some(0))));
        for bad in ["", "null", "[]", "{}", r#"{"fix_status":7}"#] {
            assert_eq!(read(bad), Err(SensorError::Invalid), "{bad}");
        }
        assert_eq!(without_nan(r#"{"a": NaN, "NaN": -Infinity}"#), r#"{"a": null, "NaN": null}"#);
    }

    #[test]
    fn a_tree_has_the_answer_and_its_stand_in_is_elsewhere() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("gps_daemon")).expect("created");
        let mut names = StandIns::new(Path::new("/tmp"));
        let rewritten = Location::rewrite(LOCATION.as_bytes(), &mut names);
        std::fs::write(dir.path().join("gps_daemon/get_location"), rewritten).expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let position = Streamer::new(Path::new("/tmp")).read(&root).expect("a position");
        assert_eq!((position.fix, position.satellites), (Fix::ThreeD, Some(7)));
        assert_eq!(position.latitude, Some(Degrees::from_raw(514_778_000)));
    }

    #[test]
    fn gives_up_on_silence_and_on_half_an_answer() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("tmp")).expect("created");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut streamer = Streamer::new(Path::new("/tmp"));
        assert_eq!(streamer.read(&root), Err(SensorError::Absent));
        let listener = UnixListener::bind(dir.path().join("tmp/gps_daemon.sock")).expect("bound");
        assert_eq!(streamer.read(&root), Err(SensorError::Io), "silence");
        thread::spawn(move || {
            // The first connection is the one that was left above.
            for answer in ["", "{\"fix_status\": \"val", LOCATION] {
                let (mut stream, _) = listener.accept().expect("a connection");
                // The question is read, or closing would break the connection off instead of ending it.
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        assert_eq!(streamer.read(&root), Err(SensorError::Io), "broken off");
        assert_eq!(streamer.read(&root).expect("a position").fix, Fix::ThreeD);
    }

    #[test]
    fn does_not_wait_for_a_daemon_whose_queue_is_full() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("gps_daemon.sock");
        let _listener = UnixListener::bind(&path).expect("bound");
        let mut queued = Vec::new();
        let full = loop {
            match connect(&path) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
        let root = Sysroot::new(Path::new("/")).expect("opened");
        assert_eq!(Streamer::new(dir.path()).read(&root), Err(SensorError::Io));
    }

    #[test]
    fn follows_no_link_and_asks_only_a_socket() {
        let (dir, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        std::fs::create_dir(dir.path().join("tmp")).expect("created");
        let socket = dir.path().join("tmp/gps_daemon.sock");
        let listener = UnixListener::bind(outside.path().join("other.sock")).expect("bound");
        listener.set_nonblocking(true).expect("set");
        std::os::unix::fs::symlink(outside.path().join("other.sock"), &socket).expect("linked");
        for (root, tmp) in
            [(dir.path(), "/tmp"), (Path::new("/"), socket.parent().and_then(Path::to_str).expect("text"))]
        {
            let root = Sysroot::new(root).expect("opened");
            assert_eq!(Streamer::new(Path::new(tmp)).read(&root), Err(SensorError::Invalid));
        }
        assert!(listener.accept().is_err(), "not connected to");
        std::fs::remove_file(&socket).expect("removed");
        std::fs::write(&socket, "").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(Streamer::new(Path::new("/tmp")).read(&root), Err(SensorError::Invalid));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, json in "\\{\"(fix_status|data)\":[\\[\\{\"0-9a-zN.,:\\}\\]-]{0,40}\\}") {
            for text in [text, json] {
                if let Ok(location) = Location::parse(&text) {
                    let _ = location.position();
                    prop_assert_eq!(Location::parse(&String::from_utf8_lossy(&location.to_json())), Ok(location));
                }
            }
        }
    }
}
