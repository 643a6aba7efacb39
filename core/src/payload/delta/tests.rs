//! Exact bytes, the schema, and that a delta and its full document are the new document.

use super::*;
use crate::{
    payload::{BODY_MAX, DELTA_SCHEMA, Key, Reason, SCHEMA},
    readings::{Fix, SensorError},
    units::{Degrees, Percent, Volts},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    string::{String, ToString},
    vec::Vec,
};

/// A document with this number in which nothing could be read.
fn values(seq: u64) -> Values {
    Values {
        boot_id: BootId(0x0123_4567_89ab_cdef),
        seq,
        has_diagnostics: true,
        timestamp: None,
        cpu: None,
        mem: None,
        temp: None,
        power: None,
        fan_rpm: None,
        disk: None,
        default_interface: None,
        ethernet: None,
        wifi: None,
        cellular: None,
        gps: None,
        app_version: None,
        streaming_active: false,
        tracking_active: false,
        recording_active: false,
        recording_file_size_mb: Some(Mebibytes::ZERO),
        recording_file_path: None,
        uptime_s: None,
        throttled: None,
        cpu_mhz: None,
        ups: None,
        load: None,
        swap: None,
        root_read_only: None,
        #[cfg(feature = "board")]
        clock_synchronized: None,
        unread: Unread::default(),
    }
}

fn delta(new: &Values, base: &Values) -> String {
    let mut buffer = [0; BODY_MAX];
    let len = new.encode_since(base, &mut buffer).expect("it fits");
    let text = String::from_utf8(buffer[..len].to_vec()).expect("UTF-8");
    let parsed = |schema| -> Value { serde_json::from_str(schema).expect("the schema is JSON") };
    let registry = jsonschema::Registry::new()
        .add("urn:heartbeat:v1", parsed(SCHEMA))
        .and_then(jsonschema::RegistryBuilder::prepare)
        .expect("a resource");
    let validator = jsonschema::options()
        .with_registry(&registry)
        .build(&parsed(DELTA_SCHEMA))
        .expect("the schema is a schema");
    let value = serde_json::from_str(&text).expect("the delta is JSON");
    if let Err(error) = validator.validate(&value) {
        panic!("{error} at {} in {text}", error.instance_path());
    }
    text
}

const HEAD: &str = r#"{"boot_id":"0123456789abcdef","seq":13,"base":12"#;

#[test]
fn without_a_change_there_is_only_the_reference() {
    assert_eq!(delta(&values(13), &values(12)), std::format!("{HEAD}}}"));
}

#[test]
fn what_has_changed_has_exact_bytes() {
    let base = values(12);
    let mut unread = Unread::default();
    let _ = unread.note(Key::FanRpm, Reason::of(SensorError::Io).map_or(Ok(()), |reason| Err(Some(reason))));
    let new = Values {
        timestamp: Some(UnixTime::from_millis(1_795_464_005_123)),
        temp: Some(Celsius::from_raw(488)),
        ethernet: Some(Ethernet { interface: "eth0".into(), ip: None }),
        streaming_active: true,
        load: Some(Load::from_raw(52)),
        root_read_only: Some(Fact),
        unread,
        ..values(13)
    };
    let changes = concat!(
        r#","timestamp":1795464005.123,"temp":48.8,"connection.ethernet":{"interface":"eth0","ip":null},"#,
        r#""streaming_active":true,"diagnostics.load":0.52,"diagnostics.root_read_only":true,"#,
        r#""diagnostics.unread":{"fan_rpm":"failed"}}"#
    );
    assert_eq!(delta(&new, &base), std::format!("{HEAD}{changes}"));
    let new = Values { seq: 12, ..new };
    let back = concat!(
        r#","timestamp":null,"temp":null,"connection.ethernet":null,"streaming_active":false,"#,
        r#""diagnostics.load":null,"diagnostics.root_read_only":null,"diagnostics.unread":{}}"#
    );
    assert_eq!(delta(&values(13), &new), std::format!("{HEAD}{back}"));
}

#[test]
fn noise_is_left_out() {
    let base = Values { temp: Some(Celsius::from_raw(488)), uptime_s: Some(Uptime(100)), ..values(12) };
    let new = |tenths, uptime| Values {
        temp: Some(Celsius::from_raw(tenths)),
        uptime_s: Some(Uptime(uptime)),
        ..values(13)
    };
    assert_eq!(delta(&new(498, 160), &base), std::format!("{HEAD}}}"));
    assert_eq!(delta(&new(499, 191), &base), std::format!(r#"{HEAD},"temp":49.9,"uptime_s":191}}"#));
}

#[test]
fn other_starts_and_settings_have_no_delta() {
    let mut buffer = [0; BODY_MAX];
    let base = values(12);
    assert_eq!(Values { boot_id: BootId(1), ..values(13) }.encode_since(&base, &mut buffer), None);
    assert_eq!(Values { has_diagnostics: false, ..values(13) }.encode_since(&base, &mut buffer), None);
    assert_eq!(values(13).encode_since(&base, &mut [0; 20]), None, "it does not fit");
}

#[test]
fn text_is_escaped_as_in_documents() {
    let new = Values { app_version: Some("a\u{7f}\"\u{1}".into()), ..values(13) };
    assert_eq!(delta(&new, &values(12)), std::format!(r#"{HEAD},"app_version":"a\u007F\"\u0001"}}"#));
}

/// Some of the values, by the keys that deltas have.
fn some_keys(values: &Values) -> Vec<(&'static str, Value)> {
    fn number(number: Option<impl ToString>) -> Value {
        json!(number.map(|number| number.to_string().parse::<f64>().expect("a number")))
    }
    std::vec![
        ("timestamp", number(values.timestamp)),
        ("temp", number(values.temp)),
        ("cpu", number(values.cpu)),
        ("diagnostics.swap", number(values.swap)),
        ("recording_active", json!(values.recording_active)),
        ("app_version", json!(values.app_version.as_ref().map(Text::as_str))),
    ]
}

prop_compose! {
    fn some_values(seq: u64)(
        timestamp in prop::option::of(0i64..1 << 44),
        temp in prop::option::of(-400i64..1250),
        cpu in prop::option::of(0i64..1000),
        recording_active: bool,
        app_version in prop::option::of("[a-c]{1,2}"),
        swap in prop::option::of(0i64..1000),
        voltage in prop::option::of(0i64..1000),
        latitude in prop::option::of(-900_000_000i64..=900_000_000),
    ) -> Values {
        Values {
            timestamp: timestamp.map(UnixTime::from_millis),
            temp: temp.map(Celsius::from_raw),
            cpu: cpu.map(Percent::from_raw),
            recording_active,
            app_version: app_version.as_deref().map(Text::new),
            swap: swap.map(Percent::from_raw),
            ups: voltage.map(|voltage| Ups { voltage: Some(Volts::from_raw(voltage)), percent: None }),
            gps: latitude.map(|latitude| Position {
                fix: Fix::TwoD,
                latitude: Some(Degrees::from_raw(latitude)),
                longitude: Some(Degrees::from_raw(0)),
                altitude_m: None,
                speed_mps: None,
                heading: None,
                satellites: None,
            }),
            ..values(seq)
        }
    }
}

proptest! {
    /// For any two documents: the delta fits the schema, and what it makes of the base is the new one, up to the noise.
    #[test]
    fn base_and_delta_are_the_new_document(base in some_values(12), new in some_values(13)) {
        let delta: Value = serde_json::from_str(&delta(&new, &base)).expect("JSON");
        for ((key, old), (_, new)) in some_keys(&base).into_iter().zip(some_keys(&new)) {
            let view = delta.get(key).unwrap_or(&old);
            let noise = if matches!(key, "temp" | "cpu" | "diagnostics.swap") { 1.0 } else { 0.0 };
            match (view.as_f64(), new.as_f64()) {
                (Some(view), Some(new)) => prop_assert!((view - new).abs() <= noise + 1e-6, "{key}: {view}, {new}"),
                _ => prop_assert_eq!(view, &new, "{}", key),
            }
        }
    }
}
