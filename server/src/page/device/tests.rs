//! Tests of the page of a device.

use super::*;
use crate::store::Labels;

#[test]
fn tells_what_is_unread_from_what_is_not_there() {
    let page = |unread: serde_json::Value| {
        let document = crate::model::document::sample(serde_json::json!({
            "fan_rpm": null, "streaming_active": false,
            "diagnostics": {"throttled": null, "ups": null, "unread": unread},
        }));
        let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
        let mut device = Device::new(DeviceId(1), "pi", Labels::default(), UnixMs(0));
        device.reading = beat.reading;
        device.document = beat.text.into();
        present(&device).into_string()
    };
    let absent = page(serde_json::json!({}));
    assert!(absent.contains("Not streaming") && !absent.contains("Not read"), "{absent}");
    let unread = page(serde_json::json!({"fan_rpm": "failed", "streaming_active": "denied", "new": "odd"}));
    for words in
        ["<h2>Not read</h2>", "Fan: reading failed", "Streaming: the agent has no permission", "new: odd"]
    {
        assert!(unread.contains(words), "{words}: {unread}");
    }
    assert!(unread.contains("<li>Not known</li>") && !unread.contains("Not streaming"), "{unread}");
}

#[test]
fn shows_the_state_of_the_system() {
    let document = crate::model::document::sample(serde_json::json!({
        "diagnostics": {"throttled": 0, "ups": null, "load": 0.5, "swap": 12.5, "root_read_only": true, "unread": {}},
    }));
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    let mut device = Device::new(DeviceId(1), "pi", Labels::default(), UnixMs(0));
    device.reading = beat.reading;
    device.document = beat.text.into();
    let page = present(&device).into_string();
    for words in ["<dt>Load</dt><dd>0.50</dd>", "<dt>Swap space</dt><dd>12.5 %</dd>", ">read-only</span>"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn nothing_of_a_device_runs_as_html() {
    let script = "<script>alert(1)</script>\"'>";
    let mut document = crate::model::document::sample(serde_json::json!({
        "app_version": script, "recording_file_path": script,
        "diagnostics": {"throttled": null, "ups": null, "unread": {(script): script}},
    }));
    document["connection"]["wifi"]["ssid"] = script.into();
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    let mut device = Device::new(
        DeviceId(1),
        script,
        Labels { name: Some(script.into()), ..Labels::default() },
        UnixMs(0),
    );
    device.reading = beat.reading;
    device.document = beat.text.into();
    let page = present(&device).into_string();
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.matches("&lt;script&gt;").count() >= 4, "{page}");
}
