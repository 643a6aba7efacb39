//! Satellite receivers: gpsd, and the GPS daemon of the streaming application.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
    units::{Degrees, Heading, Metres, MetresPerSecond},
};
use serde_json::Value;

use super::{chain::Source, sysroot::Sysroot};

/// Where gpsd listens (gpsd(8)).
const GPSD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2947);
/// Where the streaming application's daemon listens, in the application's `/tmp`.
const STREAMER: &str = "gps_daemon.sock";
/// Both are on this machine and answer from memory.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longest answer.
const ANSWER_MAX: usize = 32 * 1024;

/// gpsd over its kept connection, asked with `?POLL;` (gpsd_json(5)).
#[derive(Debug)]
pub(super) struct Gpsd {
    address: SocketAddr,
    connection: Option<TcpStream>,
}

impl Gpsd {
    pub(super) const fn new() -> Self {
        Self { address: GPSD, connection: None }
    }
}

impl Source<Position> for Gpsd {
    fn place(&self) -> String {
        format!("gpsd at {}", self.address)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Position, SensorError> {
        if !root.is_live() {
            return Err(SensorError::Absent);
        }
        let deadline = Instant::now() + PATIENCE;
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => {
                let mut stream =
                    TcpStream::connect_timeout(&self.address, PATIENCE).map_err(connect_error)?;
                stream.write_all(b"?WATCH={\"enable\":true};\n").map_err(|_| SensorError::Io)?;
                stream
            }
        };
        stream.write_all(b"?POLL;\n").map_err(|_| SensorError::Io)?;
        let position = receive(&mut stream, deadline, |text| {
            // Greetings and reports come before the answer.
            text.split_inclusive('\n')
                .find(|line| line.ends_with('\n') && line.contains("\"class\":\"POLL\""))
                .map(parse_poll)
        })?;
        self.connection = Some(stream);
        position
    }
}

/// The streaming application's own GPS daemon: one question and one answer per connection.
#[derive(Debug)]
pub(super) struct Streamer {
    socket: PathBuf,
}

impl Streamer {
    pub(super) fn new(tmp: &Path) -> Self {
        Self { socket: tmp.join(STREAMER) }
    }
}

impl Source<Position> for Streamer {
    fn place(&self) -> String {
        self.socket.display().to_string()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Position, SensorError> {
        let deadline = Instant::now() + PATIENCE;
        let mut stream = UnixStream::connect(root.host_path(&self.socket)).map_err(connect_error)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|_| SensorError::Io)?;
        stream.write_all(b"{\"command\": \"get_location\"}").map_err(|_| SensorError::Io)?;
        // No end mark: the answer has ended when it is whole.
        receive(&mut stream, deadline, |text| {
            let json = without_nan(text);
            serde_json::from_str::<Value>(&json).ok().map(|value| parse_location(&value))
        })?
    }
}

/// Nobody listening is ordinary.
fn connect_error(error: std::io::Error) -> SensorError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotConnected => SensorError::Absent,
        ErrorKind::PermissionDenied => SensorError::Denied,
        _ => SensorError::Io,
    }
}

/// A socket whose reads can be limited in time.
trait Timed: Read {
    fn limit(&self, time: Duration) -> std::io::Result<()>;
}

impl Timed for TcpStream {
    fn limit(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

impl Timed for UnixStream {
    fn limit(&self, time: Duration) -> std::io::Result<()> {
        self.set_read_timeout(Some(time))
    }
}

/// Reads until `whole` recognises an answer in the text so far.
fn receive<T>(
    stream: &mut impl Timed,
    deadline: Instant,
    whole: impl Fn(&str) -> Option<T>,
) -> Result<T, SensorError> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SensorError::Io);
        }
        stream.limit(left).map_err(|_| SensorError::Io)?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(SensorError::Io),
            Ok(len) => answer.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Err(SensorError::Io),
        }
        if let Some(found) = str::from_utf8(&answer).ok().and_then(&whole) {
            return Ok(found);
        }
        if answer.len() >= ANSWER_MAX {
            return Err(SensorError::Invalid);
        }
    }
}

/// gpsd's answer: the latest `TPV` and `SKY` of each receiver. Without a receiver it has nothing to say.
pub(super) fn parse_poll(line: &str) -> Result<Position, SensorError> {
    let value: Value = serde_json::from_str(line).map_err(|_| SensorError::Invalid)?;
    if value.get("active").and_then(Value::as_i64).unwrap_or(0) == 0 {
        return Err(SensorError::Absent);
    }
    let tpv = value.pointer("/tpv/0").unwrap_or(&Value::Null);
    let number = |key: &str| tpv.get(key).and_then(Value::as_f64);
    let fix = match tpv.get("mode").and_then(Value::as_i64) {
        Some(2) => Fix::TwoD,
        Some(3) => Fix::ThreeD,
        _ => Fix::None,
    };
    let satellites = value.pointer("/sky/0/uSat").and_then(Value::as_u64);
    Ok(position(
        fix,
        [number("lat"), number("lon"), number("altMSL").or(number("alt")), number("speed"), number("track")],
        satellites,
    ))
}

/// The streaming application's answer. Some versions wrap it in `data`.
pub(super) fn parse_location(value: &Value) -> Result<Position, SensorError> {
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

/// What a fix of this kind can know: without one, nothing but the satellites; height only in three dimensions.
fn position(
    fix: Fix,
    [latitude, longitude, altitude, speed, heading]: [Option<f64>; 5],
    satellites: Option<u64>,
) -> Position {
    let some = fix != Fix::None;
    let fixed = |value: Option<f64>, scale: f64| {
        let scaled = value.filter(|_| some).map(|value| (value * scale).round());
        // Far inside i64. Whether it can be true, the core checks.
        #[allow(clippy::cast_possible_truncation)]
        let raw = scaled.filter(|value| value.abs() < 1e15).map(|value| value as i64);
        raw
    };
    Position {
        fix,
        latitude: fixed(latitude, 1e7).map(Degrees::from_raw),
        longitude: fixed(longitude, 1e7).map(Degrees::from_raw),
        altitude_m: fixed(altitude.filter(|_| fix == Fix::ThreeD), 1e1).map(Metres::from_raw),
        speed_mps: fixed(speed, 1e2).map(MetresPerSecond::from_raw),
        heading: fixed(heading, 1e1).map(Heading::from_raw),
        satellites: satellites.and_then(|count| u8::try_from(count).ok()),
    }
}

/// Python writes `NaN` and `Infinity`, which JSON does not have: outside of strings they become `null`.
pub(super) fn without_nan(text: &str) -> String {
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
    use proptest::prelude::*;
    use std::{net::TcpListener, os::unix::net::UnixListener, thread};

    const POLL: &str = r#"{"class":"POLL","time":"2026-11-01T12:00:00.000Z","active":1,"tpv":[{"class":"TPV","device":"/dev/ttyACM0","mode":3,"lat":52.123456789,"lon":-0.0000045,"altMSL":34.21,"speed":1.054,"track":359.94}],"gst":[],"sky":[{"class":"SKY","uSat":9,"satellites":[]}]}"#;
    const LOCATION: &str = r#"{"fix_status": "valid", "latitude": 52.1234567, "longitude": 13.4, "altitude": 34.2, "speed": NaN, "heading": 90.0, "fix_type": "3D", "accuracy": 2.5, "satellites": {"used": 7.0, "visible": 12}}"#;

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    #[test]
    fn answers_of_both_daemons() {
        let position = parse_poll(POLL).expect("a position");
        assert_eq!(position.fix, Fix::ThreeD);
        assert_eq!(position.latitude, Some(Degrees::from_raw(521_234_568)));
        assert_eq!(position.longitude, Some(Degrees::from_raw(-45)));
        assert_eq!(position.altitude_m, Some(Metres::from_raw(342)));
        assert_eq!(position.speed_mps, Some(MetresPerSecond::from_raw(105)));
        assert_eq!(position.heading, Some(Heading::from_raw(3599)));
        assert_eq!(position.satellites, Some(9));

        let value = serde_json::from_str(&without_nan(LOCATION)).expect("JSON");
        let position = parse_location(&value).expect("a position");
        assert_eq!((position.fix, position.speed_mps, position.satellites), (Fix::ThreeD, None, Some(7)));
        assert_eq!(position.longitude, Some(Degrees::from_raw(134_000_000)));
    }

    #[test]
    fn without_a_fix_there_is_no_position() {
        let position =
            parse_poll(r#"{"class":"POLL","active":1,"tpv":[{"mode":1,"lat":1.0}],"sky":[{"uSat":0}]}"#);
        let nothing = super::position(Fix::None, [None; 5], Some(0));
        assert_eq!(position, Ok(nothing.clone()));
        assert_eq!(parse_poll(r#"{"class":"POLL","active":0,"tpv":[],"sky":[]}"#), Err(SensorError::Absent));
        let location =
            serde_json::json!({ "fix_status": "no_fix", "latitude": 1.0, "satellites": { "used": 0 } });
        assert_eq!(parse_location(&location), Ok(nothing));
        assert_eq!(parse_location(&Value::Null), Err(SensorError::Invalid));
        assert_eq!(without_nan(r#"{"a": NaN, "NaN": -Infinity}"#), r#"{"a": null, "NaN": null}"#);
    }

    #[test]
    fn gpsd_is_asked_over_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut gpsd = Gpsd { address: listener.local_addr().expect("an address"), connection: None };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"{\"class\":\"VERSION\",\"release\":\"3.22\"}\n").expect("sent");
            let mut asked = Vec::new();
            for _ in 0..2 {
                while !asked.ends_with(b"?POLL;\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("read");
                    asked.push(byte[0]);
                }
                asked.push(b' ');
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
        assert_eq!(gpsd.read(&live()), Err(SensorError::Absent), "and is gone");
    }

    #[test]
    fn a_daemon_that_accepts_and_says_nothing_is_left() {
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
        fn any_text_is_survived(text: String, json in "\\{\"(class|fix_status|tpv|active)\":[\\[\\{\"0-9a-zN.,:\\}\\]-]{0,40}\\}") {
            for text in [text, json] {
                let _ = parse_poll(&text);
                if let Ok(value) = serde_json::from_str(&without_nan(&text)) {
                    let _ = parse_location(&value);
                }
            }
        }
    }
}
