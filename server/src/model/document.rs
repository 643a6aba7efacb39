//! The document of a device, version 1 (`heartbeat_core::SCHEMA`): checked, and kept as the text that it was.
//!
//! A required key that is missing, a value of another type or outside of its range, and text that is too long are
//! refused, each by name. Keys that version 1 does not know are kept in the text, so that a newer agent loses nothing.

use serde::Deserialize;

use crate::{
    limits::{DOCUMENT_MAX, NESTING_MAX},
    model::{
        parts::{Board, Connection, Diagnostics, Disk, Gps, present},
        reading::{Value, Values},
    },
    time::UnixMs,
};

/// Why a body is no document of version 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DocumentError {
    #[error("larger than {DOCUMENT_MAX} bytes")]
    TooLarge,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("not a heartbeat of version 1: {0}")]
    NotVersion1(String),
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beat {
    pub(crate) hardware_id: String,
    /// When the device says that it sampled; `None` while its clock has not been set.
    pub(crate) sampled_at: Option<UnixMs>,
    /// The agent's start and the heartbeat's number in it, from 1.
    pub(crate) sequence: Option<Sequence>,
    /// Could not be delivered when it was made.
    pub(crate) replayed: bool,
    pub(crate) reading: Reading,
    /// What the board is, as JSON, if it says so.
    pub(crate) board: Option<String>,
    /// The document as it came.
    pub(crate) text: String,
}

/// Where a heartbeat stands among those of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sequence {
    pub(crate) boot: u64,
    pub(crate) number: u64,
}

/// What one heartbeat says that lists, alerts and history need.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reading {
    pub(crate) values: Values,
    /// Latitude and longitude in hundred-thousandths of a degree: about a metre.
    pub(crate) position: Option<(i32, i32)>,
    pub(crate) streaming: bool,
    pub(crate) tracking: bool,
    pub(crate) recording: bool,
    /// The firmware's mask; see [`THROTTLED`].
    pub(crate) throttled: Option<u32>,
    /// The filesystem cannot be written; `None` if the agent does not say.
    pub(crate) read_only: Option<bool>,
    /// The agent says that its clock is synchronized, or not.
    pub(crate) clock_synchronized: Option<bool>,
    pub(crate) app_version: Option<String>,
    /// How it reaches the server: `ethernet`, `wifi`, `4g`.
    pub(crate) link: Option<&'static str>,
}

/// Bits of `diagnostics.throttled` that hold now, and what they mean; 16 bits higher each means "since boot".
pub(crate) const THROTTLED: [(u32, &str); 4] =
    [(1, "under-voltage"), (2, "frequency capped"), (4, "throttled"), (8, "soft temperature limit")];

/// The bit of [`THROTTLED`] that means that the supply is too weak now.
pub(crate) const UNDER_VOLTAGE: u32 = 1;

/// The document with all its parts, for the page of one device.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    pub(crate) hardwareid: String,
    #[serde(deserialize_with = "present")]
    pub(crate) cpu: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) mem: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) temp: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) power: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) fan_rpm: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub(crate) disk: Option<Disk>,
    pub(crate) connection: Connection,
    #[serde(deserialize_with = "present")]
    pub(crate) timestamp: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) app_version: Option<String>,
    pub(crate) streaming_active: bool,
    pub(crate) tracking_active: bool,
    pub(crate) recording_active: bool,
    #[serde(deserialize_with = "present")]
    pub(crate) recording_file_size_mb: Option<f64>,
    #[serde(deserialize_with = "present")]
    pub(crate) recording_file_path: Option<String>,
    pub(crate) uptime_s: Option<u64>,
    pub(crate) diagnostics: Option<Diagnostics>,
    pub(crate) board: Option<Board>,
    pub(crate) boot_id: Option<String>,
    pub(crate) seq: Option<u64>,
    pub(crate) replayed: Option<bool>,
}

impl Beat {
    /// Reads a body.
    ///
    /// # Errors
    /// What keeps it from being a document of version 1.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, DocumentError> {
        if body.len() > DOCUMENT_MAX {
            return Err(DocumentError::TooLarge);
        }
        let text = std::str::from_utf8(body).map_err(|_| DocumentError::NotUtf8)?;
        let document = Document::parse(text)?;
        if depth(text) > NESTING_MAX {
            return Err(DocumentError::NotVersion1(format!("nested more than {NESTING_MAX} levels deep")));
        }
        let sequence = match (&document.boot_id, document.seq) {
            (Some(boot), Some(number)) => Some(Sequence { boot: boot_number(boot)?, number }),
            (None, None) => None,
            _ => return Err(DocumentError::NotVersion1("boot_id and seq come together".to_owned())),
        };
        Ok(Self {
            sampled_at: document.sampled_at(),
            sequence,
            replayed: document.replayed == Some(true),
            reading: document.reading(),
            board: document.board.as_ref().and_then(|board| serde_json::to_string(board).ok()),
            hardware_id: document.hardwareid,
            text: text.to_owned(),
        })
    }
}

/// How deep arrays and objects of a JSON text are nested. Unknown keys are kept as they came, and others read them.
fn depth(text: &str) -> usize {
    let (mut depth, mut most, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl Document {
    /// Reads the text of a document and checks ranges and lengths.
    ///
    /// # Errors
    /// What is wrong, with the name of the key.
    pub(crate) fn parse(text: &str) -> Result<Self, DocumentError> {
        let document: Self = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                DocumentError::NotVersion1(error.to_string())
            } else {
                DocumentError::NotJson(error.to_string())
            }
        })?;
        document.check()?;
        Ok(document)
    }

    fn sampled_at(&self) -> Option<UnixMs> {
        let ms = self.timestamp? * 1000.0;
        #[expect(clippy::cast_possible_truncation, reason = "within 53 bits")]
        (ms < 9e15).then_some(UnixMs(ms as i64))
    }

    fn reading(&self) -> Reading {
        let mut values = Values::default();
        let diagnostics = self.diagnostics.as_ref();
        let wifi = self.connection.wifi.as_ref();
        let mobile = self.connection.mobile.as_ref();
        let link = self.link();
        let signal = match link {
            Some("wifi") => wifi.and_then(|wifi| wifi.signal_percent),
            Some("4g") => mobile.and_then(|mobile| mobile.signal_percent),
            _ => None,
        };
        let numbers = [
            (Value::Cpu, self.cpu),
            (Value::Mem, self.mem),
            (Value::Temp, self.temp),
            (Value::Power, self.power),
            (Value::Fan, self.fan_rpm.map(f64::from)),
            (Value::Disk, self.disk.as_ref().map(|disk| disk.percent)),
            (Value::Signal, signal.map(f64::from)),
            (Value::Recording, self.recording_file_size_mb.filter(|_| self.recording_active)),
            (Value::Ups, diagnostics.and_then(|d| d.ups.as_ref()).and_then(|ups| ups.percent)),
        ];
        for (value, number) in numbers {
            values.set(value, number.and_then(|number| value.stored(number)));
        }
        Reading {
            values,
            position: self.connection.gps.as_ref().and_then(Gps::position),
            streaming: self.streaming_active,
            tracking: self.tracking_active,
            recording: self.recording_active,
            throttled: diagnostics.and_then(|diagnostics| diagnostics.throttled),
            read_only: diagnostics.and_then(Diagnostics::read_only),
            clock_synchronized: diagnostics.and_then(|diagnostics| diagnostics.clock_synchronized),
            app_version: self.app_version.clone(),
            link,
        }
    }

    /// Why this key has no value although its source is there, in the agent's word.
    pub(crate) fn unread(&self, key: &str) -> Option<&str> {
        self.diagnostics.as_ref()?.unread.as_ref()?.get(key).map(String::as_str)
    }

    /// The kind of the interface with the default route, or of the only one that there is.
    fn link(&self) -> Option<&'static str> {
        let connection = &self.connection;
        let kinds = [
            ("ethernet", connection.ethernet.as_ref().map(|ethernet| Some(ethernet.interface.as_str()))),
            ("wifi", connection.wifi.as_ref().map(|wifi| Some(wifi.interface.as_str()))),
            ("4g", connection.mobile.as_ref().map(|mobile| mobile.interface.as_deref())),
        ];
        let default = connection.default_interface.as_deref();
        let with_route = kinds.iter().find(|(_, there)| default.is_some() && *there == Some(default));
        with_route.or_else(|| kinds.iter().find(|(_, there)| there.is_some())).map(|(kind, _)| *kind)
    }
}

/// The number of a start: 16 hexadecimal digits.
///
/// # Errors
/// When it is something else.
pub(crate) fn boot_number(text: &str) -> Result<u64, DocumentError> {
    let lower = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() != 16 || !text.chars().all(lower) {
        return Err(DocumentError::NotVersion1("boot_id has 16 hexadecimal digits".to_owned()));
    }
    u64::from_str_radix(text, 16).map_err(|error| DocumentError::NotVersion1(error.to_string()))
}

/// A document for tests: what an agent sends, with `changes` applied to it.
#[cfg(test)]
pub(crate) fn sample(changes: serde_json::Value) -> serde_json::Value {
    let mut document = serde_json::json!({
        "hardwareid": "10000000a1b2c3d4", "cpu": 12.5, "mem": 41.2, "temp": 48.8, "power": 3.46, "fan_rpm": 1200,
        "disk": {"percent": 61.0, "used_gb": 17.6, "total_gb": 28.9},
        "connection": {"default_interface": "wlan0", "ethernet": null,
            "wifi": {"interface": "wlan0", "ip": "192.168.1.20", "mode": "client", "ssid": "shed",
                "signal_dbm": -61, "signal_percent": 78, "clients": null},
            "4g": null,
            "gps": {"fix": "3d", "latitude": 48.1234567, "longitude": 11.5, "altitude_m": 520.1, "speed_mps": 0.0,
                "heading": null, "satellites": 9}},
        "timestamp": 1_700_000_000.123, "app_version": "2.1", "streaming_active": true, "tracking_active": false,
        "recording_active": true, "recording_file_size_mb": 512.25, "recording_file_path": "/srv/rec.mp4",
        "uptime_s": 86_400, "diagnostics": {"throttled": 327_680, "ups": null},
        "boot_id": "0123456789abcdef", "seq": 7
    });
    if let (Some(document), Some(changes)) = (document.as_object_mut(), changes.as_object()) {
        for (key, value) in changes {
            document.insert(key.clone(), value.clone());
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(changes: serde_json::Value) -> Result<Beat, DocumentError> {
        Beat::parse(sample(changes).to_string().as_bytes())
    }

    #[test]
    fn reads_what_an_agent_sends() {
        let beat = parse(json!({})).unwrap();
        assert_eq!(beat.hardware_id, "10000000a1b2c3d4");
        assert_eq!(beat.sampled_at, Some(UnixMs(1_700_000_000_123)));
        assert_eq!(beat.sequence, Some(Sequence { boot: 0x0123_4567_89ab_cdef, number: 7 }));
        assert_eq!(beat.reading.values.get(Value::Temp), Some(488));
        assert_eq!(beat.reading.values.get(Value::Signal), Some(78));
        assert_eq!(beat.reading.position, Some((4_812_346, 1_150_000)));
        assert_eq!(beat.reading.link, Some("wifi"));
        assert!(!beat.replayed);
    }

    #[test]
    fn keeps_unknown_keys_in_the_text() {
        let beat =
            parse(json!({"cpu_mhz": 1500, "diagnostics": {"throttled": null, "ups": null, "new": [1]}}))
                .unwrap();
        assert!(beat.text.contains("\"cpu_mhz\":1500") && beat.text.contains("\"new\":[1]"));
    }

    #[test]
    fn a_root_filesystem_is_writable_when_the_agent_could_tell_otherwise() {
        let read_only = |diagnostics: serde_json::Value| {
            parse(json!({"diagnostics": diagnostics})).unwrap().reading.read_only
        };
        assert_eq!(read_only(json!({"throttled": null, "ups": null})), None, "an agent that does not say");
        assert_eq!(read_only(json!({"unread": {}})), Some(false));
        assert_eq!(read_only(json!({"unread": {"diagnostics.root_read_only": "denied"}})), None);
        assert_eq!(read_only(json!({"root_read_only": true, "unread": {}})), Some(true));
    }

    #[test]
    fn rejects_what_others_could_not_read_as_json() {
        let nested = |levels: usize| {
            let text = sample(json!({"x": 0, "y": "[[\"[["})).to_string();
            text.replace(
                "\"x\":0",
                &format!("\"x\":{}1{}", "[{\"a\":".repeat(levels / 2), "}]".repeat(levels / 2)),
            )
        };
        // The document itself is one level.
        assert!(Beat::parse(nested(62).as_bytes()).is_ok());
        for levels in [64, 120, 1000] {
            let refused = Beat::parse(nested(levels).as_bytes());
            assert!(
                matches!(&refused, Err(DocumentError::NotVersion1(why)) if why.contains("levels")),
                "{levels}"
            );
        }
        assert_eq!(depth("{\"a\\\"[\":[[]],\"b\":\"{{\\\\\",\"c\":[{}]}"), 3);
        assert_eq!(depth("]]]["), 1);
    }

    #[test]
    fn names_the_key_that_is_wrong() {
        let cases = [
            (json!({"cpu": 101}), "cpu"),
            (json!({"temp": "hot"}), "expected f64"),
            (json!({"hardwareid": ""}), "hardwareid"),
            (json!({"hardwareid": "a\0b"}), "hardwareid"),
            (json!({"hardwareid": "a\nb"}), "hardwareid"),
            (json!({"hardwareid": "\u{1b}[2J"}), "hardwareid"),
            (json!({"hardwareid": "x".repeat(65)}), "hardwareid"),
            (json!({"boot_id": "0123456789ABCDEF"}), "boot_id"),
            (json!({"seq": 0}), "seq"),
            (json!({"seq": null}), "seq"),
            (json!({"replayed": false}), "replayed"),
            (json!({"connection": null}), "Connection"),
            (json!({"diagnostics": {"unread": {"temp": 5}}}), "expected a string"),
            (json!({"diagnostics": {"load": -0.01}}), "diagnostics.load"),
            (json!({"diagnostics": {"swap": 100.1}}), "diagnostics.swap"),
        ];
        for (changes, name) in cases {
            let error = parse(changes.clone()).unwrap_err();
            assert!(matches!(error, DocumentError::NotVersion1(_)), "{changes}: {error}");
            assert!(error.to_string().contains(name), "{changes}: {error}");
        }
    }

    #[test]
    fn refuses_a_missing_key_but_not_a_null() {
        let mut document = sample(json!({"temp": null}));
        assert!(Beat::parse(document.to_string().as_bytes()).is_ok());
        document.as_object_mut().unwrap().remove("temp");
        let error = Beat::parse(document.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("missing field `temp`"), "{error}");
    }

    #[test]
    fn tells_what_is_no_json_from_what_is_no_heartbeat() {
        assert!(matches!(Beat::parse(b"{"), Err(DocumentError::NotJson(_))));
        assert!(matches!(Beat::parse(b""), Err(DocumentError::NotJson(_))));
        assert!(matches!(Beat::parse(b"[]"), Err(DocumentError::NotVersion1(_))));
        assert!(matches!(Beat::parse(b"\xff"), Err(DocumentError::NotUtf8)));
        assert!(matches!(Beat::parse(&vec![b' '; DOCUMENT_MAX + 1]), Err(DocumentError::TooLarge)));
        let deep = format!("{}1{}", "[".repeat(4000), "]".repeat(4000));
        assert!(Beat::parse(deep.as_bytes()).is_err());
    }

    /// What the published schema accepts, the server must take: an agent is never refused for a valid document.
    #[test]
    fn takes_every_edge_that_the_schema_allows() {
        let schema: serde_json::Value = serde_json::from_str(heartbeat_core::SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let edges = [
            json!({"cpu": 0, "mem": 100, "temp": -40, "power": -1000, "fan_rpm": 100_000}),
            json!({"cpu": null, "mem": null, "temp": null, "power": null, "fan_rpm": null, "disk": null}),
            json!({"timestamp": null, "app_version": null, "recording_file_size_mb": null}),
            json!({"hardwareid": "ü".repeat(64), "app_version": "v".repeat(64)}),
            json!({"replayed": true, "seq": u64::MAX}),
            json!({"diagnostics": {"throttled": u32::MAX, "ups": {"voltage": null, "percent": 100}}}),
            json!({"diagnostics": {"throttled": null, "ups": null, "load": 0, "swap": 100, "root_read_only": true}}),
            json!({"diagnostics": {"throttled": null, "ups": null, "load": 100_000, "unread": {"temp": "denied", "connection.4g": "silent"}}}),
            json!({"connection": {"default_interface": null, "ethernet": null, "wifi": null, "4g": null, "gps": null}}),
            json!({"connection": {"default_interface": "wwan0", "ethernet": {"interface": "eth0", "ip": null},
                "wifi": null, "4g": {"interface": null, "ip": null, "state": null, "operator": null,
                "technology": null, "signal_percent": null},
                "gps": {"fix": "2d", "latitude": -90, "longitude": 180, "altitude_m": null, "speed_mps": null,
                "heading": 359.9, "satellites": 0}}}),
        ];
        for changes in edges {
            let document = sample(changes);
            assert!(validator.is_valid(&document), "{document}");
            assert!(Beat::parse(document.to_string().as_bytes()).is_ok(), "{document}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Beat::parse(&body);
        }

        #[test]
        fn never_panics_on_broken_documents(cut in 0usize..1200, byte in any::<u8>()) {
            let mut body = sample(json!({})).to_string().into_bytes();
            if let Some(place) = body.get_mut(cut) {
                *place = byte;
            }
            let _ = Beat::parse(&body);
        }
    }
}
