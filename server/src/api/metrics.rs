//! Metrics in the text format of Prometheus.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    engine::read,
    fleet::{Device, Fleet},
    limits::METRICS_DEVICES_MAX,
    model::reading::{Value, Values},
    presence::Presence,
    refused::{Counts, Reason},
    time::Now,
};

/// The metrics of the server and of each device. Rendered on a thread of its own: those of a large fleet have megabytes.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let rendered = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let now = app.clock.now();
        // A line that is written while the fleet is locked holds up commits.
        let devices = {
            let fleet = read(&app.fleet);
            of_server(&mut text, &fleet);
            samples(&fleet, now)
        };
        of_refusals(&mut text, app.refused.counts());
        of_devices(&mut text, &devices);
        text
    });
    match rendered.await {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn of_server(text: &mut String, fleet: &Fleet) {
    let counts = fleet.counts();
    head(text, "heartbeat_devices", "gauge", "Devices by state");
    for (state, count) in [("online", counts.online), ("late", counts.late), ("offline", counts.offline)] {
        let _ = writeln!(text, "heartbeat_devices{{state=\"{state}\"}} {count}");
    }
    for (name, help, count) in [
        ("heartbeat_received_total", "Live heartbeats that were stored since the start", fleet.beats),
        ("heartbeat_repeated_total", "Heartbeats that had come already, since the start", fleet.repeated),
        ("heartbeat_failed_total", "Heartbeats that could not be stored, since the start", fleet.failed),
    ] {
        head(text, name, "counter", help);
        let _ = writeln!(text, "{name} {count}");
    }
    head(text, "heartbeat_messages_waiting", "gauge", "Messages that have not been delivered yet");
    let _ = writeln!(text, "heartbeat_messages_waiting {}", fleet.messages);
}

fn of_refusals(text: &mut String, counts: Counts) {
    let name = "heartbeat_refused_total";
    head(text, name, "counter", "Heartbeats and connections that were not taken, since the start");
    for (reason, count) in Reason::ALL.into_iter().zip(counts) {
        let _ = writeln!(text, "{name}{{reason=\"{}\"}} {count}", reason.word());
    }
}

/// What is told of one device.
struct Sample {
    hardware_id: Arc<str>,
    name: Option<String>,
    group: Option<String>,
    up: bool,
    silence_ms: Option<i64>,
    lost: u64,
    values: Values,
}

/// Nothing of a fleet that is too large to be told one by one.
fn samples(fleet: &Fleet, now: Now) -> Vec<Sample> {
    let devices = || fleet.devices().iter().filter(|device| !device.labels.removed);
    if devices().count() > METRICS_DEVICES_MAX {
        return Vec::new();
    }
    let sample = |device: &Device| Sample {
        hardware_id: Arc::clone(&device.hardware_id),
        name: device.labels.name.clone(),
        group: device.labels.group.clone(),
        up: device.presence == Presence::Online,
        silence_ms: device.silence(now),
        lost: device.lost,
        values: device.reading.values,
    };
    devices().map(sample).collect()
}

fn of_devices(text: &mut String, devices: &[Sample]) {
    if devices.is_empty() {
        return;
    }
    let labels: Vec<String> = devices.iter().map(labels).collect();
    let with_labels = || devices.iter().zip(&labels);
    head(text, "heartbeat_device_up", "gauge", "1 while heartbeats come");
    for (device, labels) in with_labels() {
        let _ = writeln!(text, "heartbeat_device_up{{{labels}}} {}", u8::from(device.up));
    }
    head(text, "heartbeat_device_age_seconds", "gauge", "Time since the last live heartbeat");
    for (device, labels) in with_labels() {
        if let Some(silence) = device.silence_ms {
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
            if let Some(stored) = device.values.get(value) {
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

fn labels(device: &Sample) -> String {
    let mut text = format!("hardwareid=\"{}\"", escape(&device.hardware_id));
    for (key, label) in [("name", &device.name), ("group", &device.group)] {
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
        let mut text = String::new();
        of_devices(&mut text, &samples(&fleet, crate::time::UnixMs(0).into()));
        assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
        assert!(
            text.contains("heartbeat_device_temperature_celsius{hardwareid=\"a\\\"} 1\\nevil 2\"} 48.8"),
            "{text}"
        );
    }
}
