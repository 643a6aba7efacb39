//! Satellite receivers: gpsd, and the GPS daemon of the streaming application.

pub(crate) mod gpsd;
pub(crate) mod poll;
pub(crate) mod streamer;

use std::{
    io::{ErrorKind, Read},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
    units::{Degrees, Heading, Metres, MetresPerSecond},
};

/// Both are on this machine and answer from memory.
const TIMEOUT: Duration = Duration::from_millis(300);
/// Longest answer.
const ANSWER_MAX: usize = 32 * 1024;

/// That no process listens is an ordinary case.
fn connect_error(error: std::io::Error) -> SensorError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotConnected => SensorError::Absent,
        // The loopback interface is down, so that no process can listen.
        ErrorKind::NetworkUnreachable => SensorError::Absent,
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

/// What a fix of this kind can know: without one, nothing but the satellites; height only in three dimensions.
///
/// A fix without a place is none, and so is one at 0° north, 0° east, in the Gulf of Guinea: programs and receivers give
/// these numbers before they have others. No satellites at all cannot have made a fix, so that their number is unknown.
fn position(
    fix: Fix,
    [latitude, longitude, altitude, speed, heading]: [Option<f64>; 5],
    satellites: Option<u64>,
) -> Position {
    let is_place = latitude.zip(longitude).is_some_and(|place| place != (0.0, 0.0));
    let fix = if is_place { fix } else { Fix::None };
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
        satellites: satellites.filter(|count| !some || *count > 0).and_then(|count| u8::try_from(count).ok()),
    }
}
