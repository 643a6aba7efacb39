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
fn shows_the_board_as_it_was_said_last() {
    let mut device = Device::new(DeviceId(1), "pi", Labels::default(), UnixMs(0));
    let mut document = crate::model::document::sample(serde_json::json!({
        "board": {"model": "Raspberry Pi 4 Model B Rev 1.4", "os": "Debian GNU/Linux 12, 6.6.51",
                  "wear": {"life_used": 30, "pre_eol": "warning"}},
        "diagnostics": {"throttled": 0, "ups": null, "clock_synchronized": false,
                        "unread": {"diagnostics.clock_synchronized": "failed", "board.wear": "denied"}},
    }));
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    device.board = beat.board.map(Into::into);
    device.reading = beat.reading;
    document.as_object_mut().unwrap().remove("board");
    device.document = document.to_string().into();
    let page = present(&device).into_string();
    for words in [
        "<li>Raspberry Pi 4 Model B Rev 1.4</li>",
        "<li>Debian GNU/Linux 12, 6.6.51</li>",
        "30 % of its life used",
        "80 % of the storage's reserve used",
        "not set, not synchronized",
        "Synchronization of the clock: reading failed",
        "Wear of the storage: the agent has no permission",
    ] {
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
    document["board"] = serde_json::json!({"model": script, "os": script, "wear": null});
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    let mut device = Device::new(
        DeviceId(1),
        script,
        Labels { name: Some(script.into()), ..Labels::default() },
        UnixMs(0),
    );
    device.board = beat.board.map(Into::into);
    device.reading = beat.reading;
    device.document = beat.text.into();
    let page = present(&device).into_string();
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.matches("&lt;script&gt;").count() >= 4, "{page}");
}

#[test]
fn the_size_of_a_recording_is_said_once_and_exactly() {
    let document = crate::model::document::sample(serde_json::json!({"recording_file_size_mb": 1.5}));
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    let mut device = Device::new(DeviceId(1), "pi", Labels::default(), UnixMs(0));
    device.reading = beat.reading;
    device.document = beat.text.into();
    let page = present(&device).into_string();
    assert!(page.contains(", 1.5 MiB") && page.matches("MiB").count() == 1, "{page}");
}

#[test]
fn offers_a_day_and_a_month_of_history() {
    let links = export("pi 1", UnixMs(40 * crate::time::DAY_MS)).into_string();
    for link in [
        "api/v1/devices/pi%201/history?step=minute&amp;from=3369600000&amp;format=csv",
        "api/v1/devices/pi%201/history?step=hour&amp;from=864000000&amp;format=csv",
    ] {
        assert!(links.contains(link), "{link}: {links}");
    }
}

#[test]
fn what_an_offline_device_does_now_is_not_known() {
    let document = crate::model::document::sample(serde_json::json!({"recording_active": true}));
    let beat = crate::model::document::Beat::parse(document.to_string().as_bytes()).unwrap();
    let mut device = Device::new(DeviceId(1), "pi", Labels::default(), UnixMs(0));
    device.reading = beat.reading;
    let shown = |presence| {
        let mut device = device.clone();
        device.presence = presence;
        layout::activities(&device).into_string().contains("recording")
    };
    assert!(shown(crate::presence::Presence::Online) && !shown(crate::presence::Presence::Offline));
}
