//! One line per heartbeat, for people.

use std::{fmt, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

/// What a person wants to see of a heartbeat.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The document.
    pub value: &'a Value,
    /// Its size in bytes.
    pub size: usize,
    /// Time from sending it to its acceptance, where that is known.
    pub round_trip: Option<Duration>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |pointer: &str| self.value.pointer(pointer).unwrap_or(&Value::Null);
        let number = |pointer: &str, unit: &str| match get(pointer) {
            Value::Number(number) => format!("{:>5} {unit}", number.to_string()),
            _ => format!("{:>5} {unit}", "-"),
        };
        write!(
            f,
            "{}  {}  cpu {}  mem {}  temp {}  disk {}  {}  {} bytes",
            clock(get("/timestamp")),
            get("/hardwareid").as_str().unwrap_or("-"),
            number("/cpu", "%"),
            number("/mem", "%"),
            number("/temp", "°C"),
            number("/disk/percent", "%"),
            describe(get("/connection")),
            self.size,
        )?;
        match self.round_trip {
            Some(time) => write!(f, "  {:.1} ms", time.as_secs_f64() * 1e3),
            None => Ok(()),
        }
    }
}

/// Time of day in UTC.
fn clock(timestamp: &Value) -> String {
    let time = timestamp.as_f64().and_then(|secs| {
        // Whole seconds are all that is shown.
        #[allow(clippy::cast_possible_truncation)]
        Timestamp::from_second(secs as i64).ok()
    });
    time.map_or("--:--:--".to_owned(), |time| {
        time.to_zoned_datetime(TimeZone::UTC).strftime("%H:%M:%S").to_string()
    })
}

/// The connection by which the device is reached, in a few words.
pub fn describe(connection: &Value) -> String {
    let default = connection.get("default_interface").and_then(Value::as_str);
    let kinds = ["ethernet", "wifi", "4g"].into_iter().filter_map(|kind| connection.get(kind));
    let mut interfaces = kinds.filter(|kind| kind.is_object());
    let text = |kind: &Value, key: &str| kind.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    interfaces
        .find(|kind| default.is_none() || kind.get("interface").and_then(Value::as_str) == default)
        .map_or_else(
            || default.unwrap_or("no connection").to_owned(),
            |kind| format!("{} {}", text(kind, "interface"), text(kind, "ip")),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_shows_what_is_known() {
        let value = json!({
            "hardwareid": "10000000a1b2c3d4", "cpu": 12.3, "mem": 25.4, "temp": null,
            "disk": { "percent": 26.7 }, "timestamp": 1_795_464_005.5,
            "connection": { "default_interface": "wlan0",
                "ethernet": { "interface": "eth0", "ip": "192.0.2.1" },
                "wifi": { "interface": "wlan0", "ip": null } },
        });
        let line = Line { value: &value, size: 663, round_trip: Some(Duration::from_micros(1_250)) };
        assert_eq!(
            line.to_string(),
            "20:00:05  10000000a1b2c3d4  cpu  12.3 %  mem  25.4 %  temp     - °C  disk  26.7 %  wlan0 -  663 bytes  1.2 ms"
        );
        assert_eq!(describe(&json!({ "default_interface": "tun0", "ethernet": null })), "tun0");
        assert_eq!(describe(&Value::Null), "no connection");
    }
}
