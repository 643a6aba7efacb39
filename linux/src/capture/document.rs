//! The heartbeat of the machine, with stand-ins.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    config::Settings,
    sensors::hardware_id,
    sources::{stand_ins::StandIns, sysroot::Sysroot},
};

/// The document, a key per line; with stand-ins if there are `names`, as a heartbeat of the `tree` has them.
pub(super) fn rewrite(body: &[u8], tree: &Path, settings: &Settings, names: Option<&mut StandIns>) -> String {
    let mut document: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(names) = names {
        replace(&mut document, names);
        if let Some(id) = document.get_mut("hardwareid") {
            let of_tree = || Some(hardware_id::find(&Sysroot::new(tree).ok()?).ok()?.0);
            *id = match &settings.hardware_id {
                Some(configured) => names.serial(configured),
                None => of_tree().unwrap_or_default(),
            }
            .into();
        }
    }
    // Of a value that was read as JSON.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

fn replace(value: &mut Value, names: &mut StandIns) {
    match value {
        Value::Object(object) => {
            position(object, names);
            for (key, value) in object {
                match (key.as_str(), &*value) {
                    ("ssid", Value::String(ssid)) => {
                        let stand_in = names.ssid(ssid.as_bytes());
                        *value = String::from_utf8_lossy(&stand_in).into();
                    }
                    ("recording_file_path", Value::String(path)) => {
                        *value = names.recording(Path::new(path)).display().to_string().into();
                    }
                    _ => replace(value, names),
                }
            }
        }
        Value::String(text) => {
            *text = String::from_utf8_lossy(&names.text(text.as_bytes())).into_owned();
        }
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, names)),
        _ => {}
    }
}

/// Latitude, longitude and height of an object that has them.
fn position(object: &mut Map<String, Value>, names: &mut StandIns) {
    const KEYS: [&str; 3] = ["latitude", "longitude", "altitude_m"];
    let mut numbers = KEYS.map(|key| object.get(key).and_then(Value::as_f64));
    let [latitude, longitude, altitude] = &mut numbers;
    names.position(latitude, longitude, [altitude, &mut None]);
    for (key, number) in KEYS.into_iter().zip(numbers) {
        if let (Some(place), Some(number)) = (object.get_mut(key), number) {
            *place = number.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use serde_json::json;

    #[test]
    fn nothing_private_stays_in_the_document() {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = Settings::new(&Layers::default()).expect("the defaults");
        std::fs::create_dir(dir.path().join("proc")).expect("created");
        std::fs::write(dir.path().join("proc/cpuinfo"), "Serial: 1000000000000001\n").expect("written");
        let body = json!({
            "hardwareid": "10000000a1b2c3d4",
            "cpu": 12.5,
            "connection": {
                "default_interface": "enxdca632000001",
                "wifi": { "ip": "10.1.2.3", "ssid": "Our House" },
                "gps": { "latitude": 52.5, "longitude": 13.4, "altitude_m": 34.0, "speed_mps": 1.5 },
            },
            "later": ["10.1.2.3", { "ssid": "Inn" }],
            "recording_file_path": "/home/pi/beach.mp4",
        })
        .to_string();
        let mut names = StandIns::new(Path::new("/tmp"));
        let rewritten = rewrite(body.as_bytes(), dir.path(), &settings, Some(&mut names));
        let expected = json!({
            "hardwareid": "1000000000000001",
            "cpu": 12.5,
            "connection": {
                "default_interface": "enx00005e005301",
                "wifi": { "ip": "192.0.2.101", "ssid": "xxx xxxxx" },
                "gps": { "latitude": 51.4778, "longitude": -0.0014, "altitude_m": 46.0, "speed_mps": 1.5 },
            },
            "later": ["192.0.2.101", { "ssid": "xxx" }],
            "recording_file_path": "/recordings/recording-1.mp4",
        });
        assert_eq!(serde_json::from_str::<Value>(&rewritten).expect("JSON"), expected);
        let raw = rewrite(body.as_bytes(), dir.path(), &settings, None);
        assert_eq!(serde_json::from_str::<Value>(&raw).expect("JSON").to_string(), body);
    }
}
