//! Metrics in the text format of Prometheus.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    engine::read,
    fleet::{Device, Fleet},
    limits::METRICS_DEVICES_MAX,
    model::reading::Value,
    presence::Presence,
    time::Now,
};

/// The metrics of the server and of each device.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = render(&read(&app.fleet), app.clock.now());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn render(fleet: &Fleet, now: Now) -> String {
    let mut text = String::new();
    let counts = fleet.counts();
    head(&mut text, "heartbeat_devices", "gauge", "Devices by state");
    for (state, count) in [("online", counts.online), ("late", counts.late), ("offline", counts.offline)] {
        let _ = writeln!(text, "heartbeat_devices{{state=\"{state}\"}} {count}");
    }
    for (name, help, count) in [
        ("heartbeat_received_total", "Live heartbeats that were stored since the start", fleet.beats),
        ("heartbeat_repeated_total", "Heartbeats that had come already, since the start", fleet.repeated),
        ("heartbeat_failed_total", "Heartbeats that could not be stored, since the start", fleet.failed),
    ] {
        head(&mut text, name, "counter", help);
        let _ = writeln!(text, "{name} {count}");
    }
    head(&mut text, "heartbeat_messages_waiting", "gauge", "Messages that have not been delivered yet");
    let _ = writeln!(text, "heartbeat_messages_waiting {}", fleet.messages);
    let devices: Vec<&Device> = fleet.devices().iter().filter(|device| !device.labels.removed).collect();
    if devices.len() <= METRICS_DEVICES_MAX {
        of_devices(&mut text, &devices, now);
    }
    text
}

fn of_devices(text: &mut String, devices: &[&Device], now: Now) {
    let labels: Vec<String> = devices.iter().map(|device| labels(device)).collect();
    let with_labels = || devices.iter().zip(&labels);
    head(text, "heartbeat_device_up", "gauge", "1 while heartbeats come");
    for (device, labels) in with_labels() {
        let _ = writeln!(
            text,
            "heartbeat_device_up{{{labels}}} {}",
            u8::from(device.presence == Presence::Online)
        );
    }
    head(text, "heartbeat_device_age_seconds", "gauge", "Time since the last live heartbeat");
    for (device, labels) in with_labels() {
        if let Some(silence) = device.silence(now) {
            let _ = writeln!(text, "heartbeat_device_age_seconds{{{labels}}} {}", silence / 1000);
        }
    }
    head(
        text,
        "heartbeat_device_lost",
        "gauge",
        "Heartbeats that did not come, of the latest starts of the agent",
    );
    for (device, labels) in with_labels() {
        let _ = writeln!(text, "heartbeat_device_lost{{{labels}}} {}", device.lost);
    }
    for value in Value::ALL {
        let name = format!("heartbeat_device_{}", metric(value));
        head(text, &name, "gauge", value.label());
        for (device, labels) in with_labels() {
            if let Some(stored) = device.reading.values.get(value) {
                let _ = writeln!(text, "{name}{{{labels}}} {}", value.in_units(f64::from(stored)));
            }
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Names end in their unit.
fn metric(value: Value) -> &'static str {
    match value {
        Value::Cpu => "cpu_percent",
        Value::Mem => "memory_percent",
        Value::Temp => "temperature_celsius",
        Value::Power => "power_watts",
        Value::Fan => "fan_rpm",
        Value::Disk => "disk_percent",
        Value::Signal => "signal_percent",
        Value::Recording => "recording_mebibytes",
        Value::Ups => "battery_percent",
    }
}

fn labels(device: &Device) -> String {
    let mut text = format!("hardwareid=\"{}\"", escape(&device.hardware_id));
    for (key, label) in [("name", &device.labels.name), ("group", &device.labels.group)] {
        if let Some(label) = label {
            let _ = write!(text, ",{key}=\"{}\"", escape(label));
        }
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::DeviceId, store::Labels};

    #[test]
    fn text_of_devices_cannot_break_out_of_its_label() {
        let mut fleet = Fleet::default();
        let mut device =
            Device::new(DeviceId(1), "a\"} 1\nevil 2", Labels::default(), crate::time::UnixMs(0));
        device.reading.values.set(Value::Temp, Some(488));
        fleet.add(device);
        let text = render(&fleet, crate::time::UnixMs(0).into());
        assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
        assert!(
            text.contains("heartbeat_device_temperature_celsius{hardwareid=\"a\\\"} 1\\nevil 2\"} 48.8"),
            "{text}"
        );
    }
}
