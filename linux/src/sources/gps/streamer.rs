//! The GPS daemon of the streaming application.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Instant,
};

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
};
use serde_json::Value;

use super::{TIMEOUT, connect_error, position, receive};
use crate::sources::{Source, sysroot::Sysroot};

/// Where it listens, in the application's `/tmp`.
const SOCKET: &str = "gps_daemon.sock";

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
        let deadline = Instant::now() + TIMEOUT;
        let mut stream = UnixStream::connect(root.host_path(&self.socket)).map_err(connect_error)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(|_| SensorError::Io)?;
        stream.write_all(b"{\"command\": \"get_location\"}").map_err(|_| SensorError::Io)?;
        // No end mark: the answer has ended when it is whole.
        receive(&mut stream, deadline, |text| {
            let json = without_nan(text);
            serde_json::from_str::<Value>(&json).ok().map(|value| parse_location(&value))
        })?
    }
}

/// Its answer. Some versions wrap it in `data`.
pub(crate) fn parse_location(value: &Value) -> Result<Position, SensorError> {
    let value = value.get("data").filter(|data| data.is_object()).unwrap_or(value);
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let number = |key: &str| value.get(key).and_then(Value::as_f64);
    let fix = match (text("fix_status"), text("fix_type")) {
        (Some("valid"), Some("3D")) => Fix::ThreeD,
        // Valid, and of a kind that it does not say: two dimensions are sure.
        (Some("valid"), _) => Fix::TwoD,
        (Some(_), _) => Fix::None,
        (None, _) => return Err(SensorError::Invalid),
    };
    let satellites =
        value.pointer("/satellites/used").and_then(Value::as_f64).filter(|used| (0.0..=255.0).contains(used));
    // In range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let satellites = satellites.map(|used| used as u64);
    let numbers =
        [number("latitude"), number("longitude"), number("altitude"), number("speed"), number("heading")];
    Ok(position(fix, numbers, satellites))
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
        let value = serde_json::from_str(&without_nan(LOCATION)).expect("JSON");
        let position = parse_location(&value).expect("a position");
        assert_eq!((position.fix, position.speed_mps, position.satellites), (Fix::ThreeD, None, Some(7)));
        assert_eq!(position.longitude, Some(Degrees::from_raw(134_000_000)));
    }

    #[test]
    fn has_no_position_without_a_fix_and_rejects_what_is_no_answer() {
        let location =
            serde_json::json!({ "fix_status": "no_fix", "latitude": 1.0, "satellites": { "used": 0 } });
        assert_eq!(parse_location(&location), Ok(position(Fix::None, [None; 5], Some(0))));
        assert_eq!(parse_location(&Value::Null), Err(SensorError::Invalid));
        assert_eq!(without_nan(r#"{"a": NaN, "NaN": -Infinity}"#), r#"{"a": null, "NaN": null}"#);
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

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, json in "\\{\"(fix_status|data)\":[\\[\\{\"0-9a-zN.,:\\}\\]-]{0,40}\\}") {
            for text in [text, json] {
                if let Ok(value) = serde_json::from_str(&without_nan(&text)) {
                    let _ = parse_location(&value);
                }
            }
        }
    }
}
