//! Precedence, ranges, and what complaints say.

use super::*;
use std::path::Path;

fn file(text: &str) -> Layers {
    let mut layers = Layers::default();
    layers.add_text(Path::new("c.toml"), text).expect("a configuration");
    layers
}

fn flags(flags: &[(Key, &str)]) -> Layers {
    let mut layers = Layers::default();
    for (key, text) in flags {
        layers.add_flag(*key, Some(text));
    }
    layers
}

fn refused(layers: &Layers) -> String {
    Settings::new(layers).expect_err("refused").to_string()
}

fn millis(config: Config) -> (u64, u64) {
    (config.interval().as_millis(), config.timeout().as_millis())
}

#[test]
fn the_later_source_wins() {
    let mut layers = file("interval = 10\ntimeout = 3\nurl = 'https://file.example/'\n");
    let variables = |name: &str| match name {
        "HEARTBEAT_INTERVAL" => Some("20".to_owned()),
        "REQUEST_TIMEOUT" => Some("4.5".to_owned()),
        "PIDFILE" => Some(String::new()),
        _ => None,
    };
    layers.add_environment(variables);
    layers.add_flag(Key::Interval, Some("0.2e2"));
    layers.add_flag(Key::Timeout, Some("6"));
    layers.add_flag(Key::Url, None);
    let settings = Settings::new(&layers).expect("settings");
    assert_eq!(millis(settings.rhythm), (20_000, 6_000));
    assert_eq!(settings.endpoint.to_string(), "https://file.example/");
    assert_eq!(settings.pidfile.as_deref(), Some(Path::new(DEFAULT_PIDFILE)), "an empty variable is none");
    assert_eq!(layers.origin(Key::Timeout).to_string(), "--timeout");
    assert_eq!(layers.origin(Key::Url).to_string(), "c.toml:3");
    assert_eq!(layers.origin(Key::Method), Origin::Default);
}

#[test]
fn without_anything_it_is_what_the_python_service_was() {
    let settings = Settings::new(&Layers::default()).expect("settings");
    assert_eq!(settings.endpoint.to_string(), DEFAULT_URL);
    assert_eq!(millis(settings.rhythm), (5_000, 2_000));
    assert_eq!(settings.warnings(), Vec::<String>::new());
}

#[test]
fn intervals_that_cannot_be_kept_are_refused() {
    for bad in ["0", "-1", "0.049", "86401", "1e300", "nan", "inf", "-inf"] {
        let message = refused(&flags(&[(Key::Interval, bad)]));
        assert!(
            message.starts_with("--interval: interval: expected from 0.05 to 86400 seconds, found "),
            "{message}"
        );
    }
    for bad in ["", "5s", "five", "0x10"] {
        let message = refused(&flags(&[(Key::Interval, bad)]));
        assert_eq!(message, format!("--interval: interval: expected a number of seconds, found {bad:?}"));
    }
    assert!(refused(&file("interval = nan")).starts_with("c.toml:1: interval: expected from 0.05"));
}

#[test]
fn the_timeout_may_not_exceed_the_interval() {
    let mut layers = file("\ntimeout = 2\n");
    layers.add_flag(Key::Interval, Some("0.2"));
    assert_eq!(
        refused(&layers),
        "c.toml:2: timeout: expected at most the interval of 0.2 seconds (--interval), found 2"
    );
    let settings = Settings::new(&flags(&[(Key::Interval, "0.2")])).expect("the default timeout shrinks");
    assert_eq!(millis(settings.rhythm), (200, 200));
    for bad in ["0", "-1", "nan"] {
        assert!(refused(&flags(&[(Key::Timeout, bad)])).contains("expected from 0.001"), "{bad}");
    }
}

#[test]
fn a_supply_is_a_preset_that_can_be_adjusted() {
    let ups = |text: &str| Settings::new(&file(text)).expect("settings").ups;
    assert_eq!(ups(""), None);
    assert_eq!(ups("ups.preset = 'x120x'").map(|ups| ups.chip), Some(UpsChip::Max17040));
    let adjusted = "[ups]\npreset = 'waveshare-b'\nbus = 3\naddress = 0x45\nshunt_ohms = 0.1\npositive_current = 'discharges'\n";
    let Some(UpsConfig { bus: 3, chip: UpsChip::Ina219 { address, shunt_uohm, positive_charges, .. } }) =
        ups(adjusted)
    else {
        panic!("{:?}", ups(adjusted));
    };
    assert_eq!((address, shunt_uohm, positive_charges), (0x45, 100_000, false));
    for (bad, complaint) in [
        ("ups.preset = 'waveshare-z'", "c.toml:1: ups.preset: expected one of waveshare, "),
        ("ups.bus = 1", "c.toml:1: ups.bus: needs ups.preset beside it"),
        (
            "ups = { preset = 'x120x', address = 0x36 }",
            "c.toml:1: ups.address: the chip of x120x has no such setting",
        ),
        (
            "ups = { preset = 'waveshare-b', address = 0x36 }",
            "c.toml:1: ups.address: expected 0x40 to 0x4f, found 0x36",
        ),
        (
            "ups = { preset = 'waveshare-b', address = 66.5 }",
            "c.toml:1: ups.address: expected a whole number from 0 to 255, found 66.5",
        ),
        (
            "ups = { preset = 'waveshare-b', shunt_ohms = 0 }",
            "c.toml:1: ups.shunt_ohms: expected from 0.0001 to 10 ohms, found 0",
        ),
        (
            "ups = { preset = 'waveshare-b', positive_current = 'up' }",
            "c.toml:1: ups.positive_current: expected charges or discharges",
        ),
    ] {
        let message = refused(&file(bad));
        assert!(message.starts_with(complaint), "{message}");
    }
}

#[test]
fn a_backlog_is_a_number_and_what_belongs_to_it() {
    let settings = Settings::new(&file("[backlog]\nbeats = 720\nfile = '/var/lib/x'\n")).expect("settings");
    assert_eq!((settings.rhythm.backlog(), settings.rhythm.late_per_interval()), (720, 4));
    assert_eq!(settings.backlog_file.as_deref(), Some(Path::new("/var/lib/x")));
    let none = Settings::new(&Layers::default()).expect("settings");
    assert_eq!((none.rhythm.backlog(), none.backlog_file), (0, None), "off unless asked for");
    for (bad, complaint) in [
        (
            "backlog.beats = 1001",
            "c.toml:1: backlog.beats: expected a whole number from 0 to 1000, found 1001",
        ),
        ("backlog.beats = -1", "c.toml:1: backlog.beats: expected a whole number from 0 to 1000, found -1"),
        ("backlog.file = '/x'", "c.toml:1: backlog.file: needs backlog.beats beside it"),
        (
            "backlog = { beats = 1, file = 'x' }",
            "c.toml:1: backlog.file: expected an absolute path, found \"x\"",
        ),
        (
            "backlog = { beats = 1, per_interval = 256 }",
            "c.toml:1: backlog.per_interval: expected a whole number",
        ),
    ] {
        let message = refused(&file(bad));
        assert!(message.starts_with(complaint), "{message}");
    }
}

#[test]
fn other_values_are_checked_too() {
    assert_eq!(
        refused(&flags(&[(Key::Method, "PUT")])),
        "--method: method: expected post or get, found \"PUT\""
    );
    assert!(refused(&file("hardware_id = ''")).contains("1 to 64 visible"));
    assert!(refused(&file("disk_path = 'data'")).contains("absolute path"));
    assert!(
        refused(&flags(&[(Key::Url, "ftp://x/")])).starts_with("--url: url: expected an http or https URL")
    );
    let settings = Settings::new(&file("pidfile = ''\nurl = 'http://192.0.2.1/'")).expect("settings");
    assert_eq!(settings.pidfile, None);
    assert_eq!(settings.warnings().len(), 1, "unencrypted");
}
