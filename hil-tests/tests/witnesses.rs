//! Each value of a heartbeat beside a witness that does not share our code.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use heartbeat_hil::{compared, sample, skipped, witness};
use serde_json::Value;

fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

#[test]
#[ignore = "about this machine"]
fn memory_is_what_free_says() {
    let table = match witness("free", &["-k"]) {
        Ok(table) => table,
        Err(reason) => return skipped("mem", reason),
    };
    let ours = number(&sample().expect("a sample"), "/mem").expect("every Linux machine has memory");
    // Mem: total used free shared buff/cache available
    let row: Vec<f64> = table
        .lines()
        .find_map(|line| line.strip_prefix("Mem:"))
        .expect("a row of free")
        .split_whitespace()
        .map(|field| field.parse().expect("a number"))
        .collect();
    let theirs = (row[0] - row[5]) / row[0] * 100.0;
    compared("mem", format!("{ours} %"), format!("{theirs:.1} %"), "free");
    // Memory moves between two looks.
    assert!((ours - theirs).abs() <= 5.0);
}

#[test]
#[ignore = "about this machine"]
fn disk_is_what_df_says() {
    let table = match witness("df", &["--block-size=1", "--output=size,used,pcent", "/"]) {
        Ok(table) => table,
        Err(reason) => return skipped("disk", reason),
    };
    let sample = sample().expect("a sample");
    let ours = ["percent", "used_gb", "total_gb"]
        .map(|key| number(&sample, &format!("/disk/{key}")).expect("a number"));
    let row: Vec<f64> = table
        .lines()
        .nth(1)
        .expect("a row of df")
        .split_whitespace()
        .map(|field| field.trim_end_matches('%').parse().expect("a number"))
        .collect();
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    compared("disk percent", ours[0], format!("{} %", row[2]), "df, which rounds up");
    compared("disk used", ours[1], format!("{:.1} GiB", gib(row[1])), "df");
    compared("disk total", ours[2], format!("{:.1} GiB", gib(row[0])), "df");
    assert!((-0.1..=1.1).contains(&(row[2] - ours[0])));
    assert!((ours[1] - gib(row[1])).abs() <= 0.2);
    assert!((ours[2] - gib(row[0])).abs() <= 0.1);
}

#[test]
#[ignore = "about this machine"]
fn the_network_is_what_ip_says() {
    let ask = |args: &[&str]| {
        witness("ip", args).map(|json| serde_json::from_str::<Value>(&json).expect("ip prints JSON"))
    };
    let (routes, links) = match (ask(&["-json", "route", "show", "default"]), ask(&["-json", "address"])) {
        (Ok(routes), Ok(links)) => (routes, links),
        (Err(reason), _) | (_, Err(reason)) => return skipped("connection", reason),
    };
    let sample = sample().expect("a sample");
    let ours = sample.pointer("/connection/default_interface").and_then(Value::as_str);
    // The kernel's order: the first is the one with the lowest metric.
    let theirs = routes.get(0).and_then(|route| route["dev"].as_str());
    compared("default interface", ours.unwrap_or("none"), theirs.unwrap_or("none"), "ip route");
    if theirs.is_some() {
        assert_eq!(ours, theirs);
    }
    for kind in ["ethernet", "wifi", "4g"] {
        let Some(interface) = sample["connection"][kind]["interface"].as_str() else { continue };
        let ip = sample["connection"][kind]["ip"].as_str();
        let link = links.as_array().expect("a list").iter().find(|link| link["ifname"] == interface);
        let addresses: Vec<_> = link.expect("the interface exists")["addr_info"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|address| address["local"].as_str())
            .collect();
        compared(kind, format!("{interface} {}", ip.unwrap_or("-")), addresses.join(" "), "ip address");
        assert_eq!(ip.is_some(), !addresses.is_empty());
        assert!(ip.is_none_or(|ip| addresses.contains(&ip)));
    }
}

#[test]
#[ignore = "about this machine"]
fn the_temperature_is_the_zones() {
    let zones = std::fs::read_dir("/sys/class/thermal").into_iter().flatten().flatten();
    let temperatures: Vec<f64> = zones
        .filter_map(|zone| std::fs::read_to_string(zone.path().join("temp")).ok()?.trim().parse::<f64>().ok())
        .map(|millidegrees| millidegrees / 1000.0)
        .collect();
    if temperatures.is_empty() {
        return skipped("temp", "this machine has no thermal zone");
    }
    let ours = number(&sample().expect("a sample"), "/temp").expect("there is a zone");
    compared("temp", ours, format!("{temperatures:?}"), "the thermal zones");
    // It moves while we look.
    assert!(temperatures.iter().any(|theirs| (ours - theirs).abs() <= 5.0));
}

#[test]
#[ignore = "about this machine"]
fn the_firmware_says_the_same() {
    let ask = |command| witness("vcgencmd", &[command]);
    let (temp, throttled) = match (ask("measure_temp"), ask("get_throttled")) {
        (Ok(temp), Ok(throttled)) => (temp, throttled),
        (Err(reason), _) | (_, Err(reason)) => return skipped("temp and throttled", reason),
    };
    let sample = sample().expect("a sample");
    let ours = sample["diagnostics"]["throttled"].as_u64().map(|mask| format!("throttled={mask:#x}"));
    compared("throttled", ours.as_deref().unwrap_or("null"), throttled.trim(), "vcgencmd");
    assert_eq!(ours.as_deref(), Some(throttled.trim()));
    let theirs: f64 =
        temp.trim().trim_start_matches("temp=").trim_end_matches("'C").parse().expect("a temperature");
    let ours = number(&sample, "/temp").expect("the firmware answers");
    compared("temp", ours, theirs, "vcgencmd");
    assert!((ours - theirs).abs() <= 5.0, "it moves while we look");
}

#[test]
#[ignore = "about this machine"]
fn the_hardware_id_is_the_device_trees() {
    let ours = sample().expect("a sample")["hardwareid"].as_str().expect("text").to_owned();
    match std::fs::read_to_string("/proc/device-tree/serial-number") {
        Ok(serial) => {
            let theirs = serial.trim_end_matches('\0');
            let model = std::fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
            compared(
                "hardwareid",
                &ours,
                theirs,
                &format!("the device tree of a {}", model.trim_end_matches('\0')),
            );
            assert_eq!(ours, theirs);
        }
        Err(error) => {
            skipped("hardwareid", format!("this is no Pi: /proc/device-tree/serial-number: {error}"))
        }
    }
    let again = sample().expect("a sample")["hardwareid"].as_str().expect("text").to_owned();
    assert_eq!(ours, again, "it never changes");
}

#[test]
#[ignore = "about this machine"]
fn the_timestamp_is_dates() {
    let before: f64 = match witness("date", &["+%s.%3N"]) {
        Ok(text) => text.trim().parse().expect("a number"),
        Err(reason) => return skipped("timestamp", reason),
    };
    match number(&sample().expect("a sample"), "/timestamp") {
        Some(ours) => {
            compared("timestamp", ours, before, "date, just before");
            // A sample takes half a second, a second at most.
            assert!((0.0..=30.0).contains(&(ours - before)));
        }
        None => skipped("timestamp", "this machine's clock has not been set"),
    }
}
