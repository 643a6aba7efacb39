//! Precedence, ranges, what goes together, and what errors say.

use std::{os::unix::fs::PermissionsExt, path::Path};

use heartbeat_core::Config;
use proptest::{prelude::*, sample::select};
use toml::Value;

use super::*;

mod proofs;

fn file(text: &str) -> Layers {
    let mut layers = Layers::default();
    layers.add_text(Path::new("c.toml"), text).expect("a configuration");
    layers
}

fn flag(name: &str, text: &str) -> Layers {
    let mut layers = Layers::default();
    layers.add_flag(name, text);
    layers
}

fn refused(layers: &Layers) -> String {
    Settings::new(layers).expect_err("refused").to_string()
}

/// Refused when it is read, or for what does not go together.
fn refused_file(text: &str) -> String {
    let mut layers = Layers::default();
    layers.add_text(Path::new("c.toml"), text).map_or_else(|error| error.to_string(), |()| refused(&layers))
}

fn millis(config: Config) -> (u64, u64) {
    (config.interval().as_millis(), config.timeout().as_millis())
}

#[test]
fn warns_where_the_environment_overrides_the_file() {
    let mut layers = file("interval = 5\npidfile = '/run/a'\n");
    let environment = |name: &str| match name {
        "HEARTBEAT_INTERVAL" => Some("5.0".to_owned()),
        "PIDFILE" => Some("/run/b".to_owned()),
        "HEARTBEAT_URL" => Some("http://127.0.0.1/".to_owned()),
        _ => None,
    };
    let warnings = layers.add_environment(environment);
    assert_eq!(warnings.len(), 1, "neither the same value nor what the file does not set: {warnings:?}");
    let warning = warnings.first().expect("one");
    assert!(warning.starts_with("PIDFILE in the environment overrides pidfile of "), "{warning}");
    assert!(warning.ends_with(":2"), "{warning}");
}

#[test]
fn later_layer_wins() {
    let mut layers = file("interval = 10\ntimeout = 3\nurl = 'https://file.example/'\n");
    let variables = |name: &str| match name {
        "HEARTBEAT_INTERVAL" => Some("20".to_owned()),
        "REQUEST_TIMEOUT" => Some("4.5".to_owned()),
        "PIDFILE" => Some(String::new()),
        _ => None,
    };
    layers.add_environment(variables);
    layers.add_flag("interval", "0.2e2");
    layers.add_flag("timeout", " 6");
    let settings = Settings::new(&layers).expect("settings");
    assert_eq!(millis(settings.rhythm), (20_000, 6_000));
    assert_eq!(settings.endpoint.to_string(), "https://file.example/");
    assert_eq!(settings.pidfile.as_deref(), Some(Path::new("/tmp/heartbeat_daemon.pid")), "empty: not set");
    assert_eq!(layers.origin("timeout").to_string(), "--timeout");
    assert_eq!(layers.origin("url").to_string(), "c.toml:3");
    assert_eq!(layers.origin("method"), Origin::Default);
}

#[test]
fn defaults_are_those_of_the_python_service() {
    let settings = Settings::new(&Layers::default()).expect("settings");
    assert_eq!(settings.endpoint.to_string(), "https://streamer.lambda-tek.com/heartbeat.php");
    assert_eq!(millis(settings.rhythm), (5_000, 2_000));
    assert_eq!(settings.warnings(), Vec::<String>::new());
}

#[test]
fn rejects_interval_out_of_range() {
    for bad in ["0", "-1", "0.049", "86401", "1e300", "nan", "inf", "-inf"] {
        let message = refused(&flag("interval", bad));
        assert!(
            message.starts_with("--interval: interval: expected from 0.05 to 86400 seconds, found "),
            "{message}"
        );
    }
    for bad in ["", "5s", "five", "0x10"] {
        let message = refused(&flag("interval", bad));
        assert_eq!(
            message,
            format!("--interval: interval: expected a number of seconds, found string {bad:?}")
        );
    }
    assert!(refused_file("interval = nan").starts_with("c.toml:1: interval: expected from 0.05"));
}

#[test]
fn rejects_timeout_longer_than_interval() {
    let mut layers = file("\ntimeout = 2\n");
    layers.add_flag("interval", "0.2");
    assert_eq!(
        refused(&layers),
        "c.toml:2: timeout: expected at most the interval of 0.2 seconds (--interval), found 2"
    );
    let settings = Settings::new(&flag("interval", "0.2")).expect("the default timeout shrinks");
    assert_eq!(millis(settings.rhythm), (200, 200));
    for bad in ["0", "-1", "nan"] {
        assert!(refused(&flag("timeout", bad)).contains("expected from 0.001"), "{bad}");
    }
}

#[test]
fn preset_of_a_supply_can_be_adjusted() {
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
            "c.toml:1: ups.positive_current: expected `charges` or `discharges`, found `up`",
        ),
    ] {
        let message = refused_file(bad);
        assert!(message.starts_with(complaint), "{message}");
    }
}

#[test]
fn backlog_is_off_unless_asked_for() {
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
        let message = refused_file(bad);
        assert!(message.starts_with(complaint), "{message}");
    }
}

#[test]
fn rejects_other_values_out_of_range() {
    assert_eq!(refused(&flag("method", "PUT")), "--method: method: expected `post` or `get`, found `PUT`");
    for bad in ["", "a b", "a\"b", "a\\b", "ä", &"a".repeat(65)] {
        let message = refused_file(&format!("hardware_id = {}", Value::String(bad.to_owned())));
        assert!(message.contains("expected 1 to 64 visible ASCII characters"), "{bad}: {message}");
    }
    let longest = file(&format!("hardware_id = '{}'", "a".repeat(64)));
    assert_eq!(Settings::new(&longest).expect("settings").hardware_id.map(|id| id.len()), Some(64));
    assert!(refused_file("disk_path = 'data'").contains("absolute path"));
    assert!(refused(&flag("url", "ftp://x/")).starts_with("--url: url: expected an http or https URL"));
    let settings = Settings::new(&file("pidfile = ''\nurl = 'http://192.0.2.1/'")).expect("settings");
    assert_eq!(settings.pidfile, None);
    assert_eq!(settings.warnings().len(), 1, "unencrypted");
}

#[test]
fn deltas_need_numbers_and_post() {
    let deltas = |text: &str| Settings::new(&file(text)).expect("settings").rhythm.deltas();
    assert!(deltas("wire = 'delta'") && !deltas("wire = 'full'") && !deltas(""));
    assert!(refused_file("wire = 'delta'\nmethod = 'get'").contains("wire: `delta` needs method = \"post\""));
    assert!(refused_file("wire = 'delta'\nsequence = false").contains("wire: `delta` needs sequence = true"));
    assert!(refused_file("wire = 'short'").contains("wire: expected `full` or `delta`, found `short`"));
}

#[test]
fn environment_sets_text_and_numbers() {
    let mut layers = Layers::default();
    layers.add_environment(|name| Some(if name.ends_with("URL") { "http://[::1]/" } else { "5" }.to_owned()));
    let raw = layers.raw().expect_err("app_tmp is no path").to_string();
    assert_eq!(
        raw,
        "environment variable HEARTBEAT_APP_TMP: app_tmp: expected an absolute path, found \"5\""
    );
    layers.add_environment(|name| (name == "HEARTBEAT_APP_TMP").then(|| "/run/tmp".to_owned()));
    let settings = Settings::new(&layers).expect("settings");
    assert_eq!(settings.app_tmp, Path::new("/run/tmp"));
    assert_eq!(settings.pidfile.as_deref(), Some(Path::new("5")), "a text that looks like a number");
    assert_eq!(millis(settings.rhythm), (5_000, 5_000));
}

#[test]
fn every_input_is_a_key() {
    let keys: Vec<_> = raw::RawSettings::default().leaves().into_iter().map(|(key, _)| key).collect();
    // The token is a key that only the environment can set, and that is not shown.
    for input in INPUTS.iter().filter(|input| input.key != "token") {
        assert!(keys.iter().any(|key| key == input.key), "{}", input.key);
    }
}

#[test]
fn rejects_flag_that_is_no_setting() {
    let message = refused(&flag("frequency", "5"));
    assert!(message.starts_with("--frequency: frequency: unknown field `frequency`"), "{message}");
}

#[test]
fn origin_of_a_key_inside_a_setting_is_that_of_the_setting() {
    let layers = file("\nups.preset = 'x120x'\n");
    assert_eq!(layers.origin("ups.preset.x.y").to_string(), "c.toml:2");
    assert_eq!(layers.origin("ups.bus"), Origin::Default);
}

#[test]
fn most_definite_version_wins() {
    let version = |text: &str| Settings::new(&file(text)).expect("settings").app_version;
    assert_eq!(version(""), VersionSource::Unknown);
    assert_eq!(version("app_dir = '/d'"), VersionSource::Folder("/d".into()));
    assert_eq!(version("app_dir = '/d'\napp_version_file = '/f'"), VersionSource::File("/f".into()));
    let all = "app_dir = '/d'\napp_version_file = '/f'\napp_version = '1'";
    assert_eq!(version(all), VersionSource::Fixed("1".to_owned()));
    let shown: Vec<_> = file(all).in_use().expect("usable").into_iter().map(|entry| entry.key).collect();
    assert!(shown.contains(&"app_version".to_owned()));
    assert!(!shown.contains(&"app_version_file".to_owned()) && !shown.contains(&"app_dir".to_owned()));
}

#[test]
fn settings_in_use_include_what_follows_from_others() {
    let shown = |layers: &Layers| -> Vec<_> {
        layers.in_use().expect("usable").into_iter().map(|entry| entry.to_string()).collect()
    };
    let lines = shown(&flag("interval", "1"));
    assert!(lines.iter().any(|line| line.starts_with("timeout = 1.0 ") && line.ends_with(" # default")));
    assert!(lines.iter().any(|line| line.starts_with("backlog.beats = 0 ")));
    assert!(!lines.iter().any(|line| line.starts_with("backlog.per_interval")));
    let lines = shown(&file("[backlog]\nbeats = 1\n[ups]\npreset = 'waveshare-c'"));
    for start in [
        "backlog.per_interval = 4 ",
        "ups.bus = 1 ",
        "ups.address = 0x43 ",
        "ups.shunt_ohms = 0.01 ",
        "ups.positive_current = \"charges\" ",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:?}");
    }
}

/// Lines of a file, of which at most one for each key.
fn any_settings() -> impl Strategy<Value = Vec<String>> {
    let times = |key: &'static str, min: f64| {
        prop::option::of((min..86_400.0).prop_map(move |secs| format!("{key} = {secs:?}")))
    };
    let paths = |key: &'static str| {
        prop::option::of(
            any::<String>().prop_map(move |path| format!("{key} = {}", Value::String(format!("/{path}")))),
        )
    };
    let text = any::<String>().prop_map(|text| format!("app_version = {}", Value::String(text)));
    let backlog = (0..=1000u16, 0..=255u8).prop_map(|(beats, per_interval)| {
        format!("backlog = {{ beats = {beats}, per_interval = {per_interval}, file = '/b' }}")
    });
    let ups = (select(UpsConfig::PRESETS), any::<u8>(), 0.0001..10.0, select(vec!["charges", "discharges"]))
        .prop_map(|(preset, bus, shunt, positive)| match preset {
            "x120x" => format!("ups = {{ preset = 'x120x', bus = {bus} }}"),
            _ => format!(
                "ups = {{ preset = '{preset}', bus = {bus}, shunt_ohms = {shunt:?}, positive_current = '{positive}' }}"
            ),
        });
    let times = (times("interval", 0.05), times("timeout", 0.001), times("backoff_cap", 0.0));
    let paths = (paths("disk_path"), paths("app_tmp"), paths("app_dir"), paths("ca_file"), paths("pidfile"));
    let others = (prop::option::of(text), prop::option::of(backlog), prop::option::of(ups));
    (times, paths, others).prop_map(|((a, b, c), (d, e, f, g, h), (i, j, k))| {
        [a, b, c, d, e, f, g, h, i, j, k].into_iter().flatten().collect()
    })
}

proptest! {
    /// `check-config` prints a file that sets what is in use.
    #[test]
    fn printed_settings_parse_to_the_same(lines in any_settings()) {
        let mut layers = Layers::default();
        let text = lines.join("\n");
        if layers.add_text(Path::new("c.toml"), &text).is_ok() && let Ok(entries) = layers.in_use() {
            let printed: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
            let again = file(&printed).in_use().expect("usable");
            let pairs = |entries: Vec<Entry>| -> Vec<_> {
                entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
            };
            prop_assert_eq!(pairs(again), pairs(entries));
        }
    }
}
