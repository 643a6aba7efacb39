//! gpsd, asked with `?POLL;` over a kept connection (gpsd_json(5)).

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Instant,
};

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
};
use serde_json::Value;

use super::{TIMEOUT, connect_error, position, receive};
use crate::sources::{Source, sysroot::Sysroot};

/// Where gpsd listens (gpsd(8)).
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2947);

/// gpsd and the connection to it.
#[derive(Debug)]
pub(crate) struct Gpsd {
    address: SocketAddr,
    connection: Option<TcpStream>,
}

impl Gpsd {
    pub(crate) const fn new() -> Self {
        Self { address: ADDRESS, connection: None }
    }
}

impl Source for Gpsd {
    type Reading = Position;

    fn place(&self) -> String {
        format!("gpsd at {}", self.address)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Position, SensorError> {
        if !root.is_live() {
            return Err(SensorError::Absent);
        }
        let deadline = Instant::now() + TIMEOUT;
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => {
                let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT).map_err(connect_error)?;
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

/// gpsd's answer: the latest `TPV` and `SKY` of each receiver. Without a receiver it has nothing to say.
pub(crate) fn parse_poll(line: &str) -> Result<Position, SensorError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::units::{Degrees, Heading, Metres, MetresPerSecond};
    use proptest::prelude::*;
    use std::{io::Read, net::TcpListener, path::Path, thread};

    const POLL: &str = r#"{"class":"POLL","time":"2026-11-01T12:00:00.000Z","active":1,"tpv":[{"class":"TPV","device":"/dev/ttyACM0","mode":3,"lat":52.123456789,"lon":-0.0000045,"altMSL":34.21,"speed":1.054,"track":359.94}],"gst":[],"sky":[{"class":"SKY","uSat":9,"satellites":[]}]}"#;

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    #[test]
    fn parses_a_fix_in_three_dimensions() {
        let position = parse_poll(POLL).expect("a position");
        assert_eq!(position.fix, Fix::ThreeD);
        assert_eq!(position.latitude, Some(Degrees::from_raw(521_234_568)));
        assert_eq!(position.longitude, Some(Degrees::from_raw(-45)));
        assert_eq!(position.altitude_m, Some(Metres::from_raw(342)));
        assert_eq!(position.speed_mps, Some(MetresPerSecond::from_raw(105)));
        assert_eq!(position.heading, Some(Heading::from_raw(3599)));
        assert_eq!(position.satellites, Some(9));
    }

    #[test]
    fn has_no_position_without_a_fix_and_is_absent_without_a_receiver() {
        let without_fix =
            parse_poll(r#"{"class":"POLL","active":1,"tpv":[{"mode":1,"lat":1.0}],"sky":[{"uSat":0}]}"#);
        assert_eq!(without_fix, Ok(position(Fix::None, [None; 5], Some(0))));
        assert_eq!(parse_poll(r#"{"class":"POLL","active":0,"tpv":[],"sky":[]}"#), Err(SensorError::Absent));
    }

    #[test]
    fn asks_over_one_connection_until_it_closes() {
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

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, json in "\\{\"(class|tpv|active)\":[\\[\\{\"0-9a-zN.,:\\}\\]-]{0,40}\\}") {
            for text in [text, json] {
                let _ = parse_poll(&text);
            }
        }
    }
}
