//! Exact bytes, the schema, and the size of the largest document.

use super::*;
#[cfg(feature = "board")]
use crate::readings::{PreEol, Wear};
use crate::{
    limits::{MODEM_WORD_MAX, OPERATOR_MAX, SSID_MAX},
    readings::{Fix, Ip, SensorError, Throttled, Ups, Uptime, WifiMode},
    units::{Dbm, Degrees, Heading, Load, Megahertz, Metres, MetresPerSecond, SignalPercent, Volts},
};
use std::{borrow::ToOwned, string::String};

fn encode(heartbeat: &Heartbeat<'_>) -> String {
    let mut buffer = [0; BODY_MAX];
    let len = heartbeat.encode(&mut buffer).expect("fits");
    let body = core::str::from_utf8(&buffer[..len]).expect("UTF-8").to_owned();
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let value = serde_json::from_str(&body).expect("the body is JSON");
    if let Err(error) = validator.validate(&value) {
        panic!("{error} at {} in {body}", error.instance_path());
    }
    body
}

fn nothing(id: &Text<HARDWARE_ID_MAX>) -> Heartbeat<'_> {
    Heartbeat {
        hardwareid: id,
        cpu: None,
        mem: None,
        temp: None,
        power: None,
        fan_rpm: None,
        disk: None,
        connection: Connection {
            default_interface: None,
            ethernet: None,
            wifi: None,
            cellular: None,
            gps: None,
        },
        timestamp: None,
        app_version: None,
        streaming_active: false,
        tracking_active: false,
        recording_active: false,
        recording_file_size_mb: Some(Mebibytes::ZERO),
        recording_file_path: None,
        uptime_s: None,
        diagnostics: None,
        #[cfg(feature = "board")]
        board: None,
        boot_id: None,
        seq: None,
    }
}

#[test]
fn longest_ssid_is_not_cut() {
    assert_eq!(Text::<SSID_MAX>::from_bytes(&[1; 32]).as_str().len(), 32);
}

#[test]
fn late_documents_are_marked_and_fit() {
    let longest = BODY_MAX - r#","replayed":true"#.len();
    for (len, fits) in [(longest, true), (longest + 1, false)] {
        let mut buffer = [b' '; BODY_MAX];
        buffer[0] = b'{';
        buffer[len - 1] = b'}';
        assert_eq!(can_be_marked(&buffer[..len]), fits);
        assert_eq!(mark_as_replayed(&mut buffer, len), fits.then_some(BODY_MAX));
        assert_eq!(buffer.ends_with(br#","replayed":true}"#), fits);
    }
    assert!(![&b"{"[..], b"}", b"", b"{]", b"[}"].into_iter().any(can_be_marked));
}

#[test]
fn empty_document_has_exact_bytes() {
    assert_eq!(
        encode(&nothing(&"x".into())),
        concat!(
            r#"{"hardwareid":"x","cpu":null,"mem":null,"temp":null,"power":null,"fan_rpm":null,"disk":null,"#,
            r#""connection":{"default_interface":null,"ethernet":null,"wifi":null,"4g":null,"gps":null},"#,
            r#""timestamp":null,"app_version":null,"streaming_active":false,"tracking_active":false,"#,
            r#""recording_active":false,"recording_file_size_mb":0.00,"recording_file_path":null}"#
        )
    );
}

#[test]
fn full_document_has_exact_bytes() {
    let (id, eth, version, path) =
        ("10000000a1b2c3d4".into(), "eth0".into(), "2026-11-01 12:00".into(), "/tmp/a \"b\".mp4".into());
    let ethernet = Ethernet { interface: "eth0".into(), ip: Some("192.0.2.17".into()) };
    let wifi = Wifi {
        interface: "wlan0".into(),
        ip: None,
        mode: Some(WifiMode::Client),
        ssid: Some("Vögel & \u{7}".into()),
        signal_dbm: Some(Dbm(-51)),
        signal_percent: Some(SignalPercent(69)),
        clients: None,
    };
    let cellular = Cellular {
        interface: Some("wwan0".into()),
        ip: None,
        state: Some("connected".into()),
        operator: Some("vodafone.de".into()),
        technology: Some("lte".into()),
        signal_percent: Some(SignalPercent(70)),
    };
    let gps = Position {
        fix: Fix::ThreeD,
        latitude: Some(Degrees::from_raw(521_234_567)),
        longitude: Some(Degrees::from_raw(-45)),
        altitude_m: Some(Metres::from_raw(342)),
        speed_mps: Some(MetresPerSecond::from_raw(105)),
        heading: Some(Heading::from_raw(3599)),
        satellites: Some(9),
    };
    let heartbeat = Heartbeat {
        cpu: Some(Percent::from_raw(123)),
        mem: Some(Percent::FULL),
        temp: Some(Celsius::from_raw(488)),
        power: Some(Watts::from_raw(220)),
        fan_rpm: Some(Rpm(3012)),
        disk: Disk::from_space(DiskSpace { total: 32 << 30, used: 8 << 30, available: 22 << 30 }),
        connection: Connection {
            default_interface: Some(&eth),
            ethernet: Some(&ethernet),
            wifi: Some(&wifi),
            cellular: Some(&cellular),
            gps: Some(&gps),
        },
        timestamp: Some(UnixTime::from_millis(1_795_464_000_123)),
        app_version: Some(&version),
        streaming_active: true,
        tracking_active: true,
        recording_active: true,
        recording_file_size_mb: Some(Mebibytes::from_bytes(1_572_864)),
        recording_file_path: Some(&path),
        uptime_s: Some(Some(Uptime(86_400))),
        diagnostics: Some(Diagnostics {
            throttled: Some(Throttled(0x50005)),
            cpu_mhz: Some(Megahertz(1_500)),
            ups: Some(Ups { voltage: Some(Volts::from_raw(410)), percent: Some(Percent::from_raw(895)) }),
            load: Some(Load::from_raw(52)),
            swap: Some(Percent::ZERO),
            root_read_only: Some(Fact),
            #[cfg(feature = "board")]
            clock_synchronized: None,
            unread: Unread::default(),
        }),
        boot_id: Some(BootId(0x0123_4567_89ab_cdef)),
        seq: Some(17),
        ..nothing(&id)
    };
    assert_eq!(
        encode(&heartbeat),
        concat!(
            r#"{"hardwareid":"10000000a1b2c3d4","cpu":12.3,"mem":100.0,"temp":48.8,"power":2.20,"fan_rpm":3012,"#,
            r#""disk":{"percent":26.7,"used_gb":8.0,"total_gb":32.0},"#,
            r#""connection":{"default_interface":"eth0","#,
            r#""ethernet":{"interface":"eth0","ip":"192.0.2.17"},"#,
            r#""wifi":{"interface":"wlan0","ip":null,"mode":"client","ssid":"Vögel & \u0007","signal_dbm":-51,"#,
            r#""signal_percent":69,"clients":null},"#,
            r#""4g":{"interface":"wwan0","ip":null,"state":"connected","operator":"vodafone.de","#,
            r#""technology":"lte","signal_percent":70},"#,
            r#""gps":{"fix":"3d","latitude":52.1234567,"longitude":-0.0000045,"altitude_m":34.2,"#,
            r#""speed_mps":1.05,"heading":359.9,"satellites":9}},"#,
            r#""timestamp":1795464000.123,"app_version":"2026-11-01 12:00","streaming_active":true,"#,
            r#""tracking_active":true,"recording_active":true,"recording_file_size_mb":1.50,"#,
            r#""recording_file_path":"/tmp/a \"b\".mp4","uptime_s":86400,"#,
            r#""diagnostics":{"throttled":327685,"cpu_mhz":1500,"ups":{"voltage":4.10,"percent":89.5},"load":0.52,"#,
            r#""swap":0.0,"root_read_only":true,"unread":{}},"#,
            r#""boot_id":"0123456789abcdef","seq":17}"#
        )
    );
}

/// What a board that is well sends with each beat beside the keys that came first: the load, the swap space, and that all was read.
#[test]
fn what_was_added_to_diagnostics_costs_a_beat_forty_bytes_at_most() {
    let id = "10000000a1b2c3d4".into();
    let with = |load, swap| {
        let diagnostics = Diagnostics {
            throttled: None,
            cpu_mhz: None,
            ups: None,
            load,
            swap,
            root_read_only: None,
            #[cfg(feature = "board")]
            clock_synchronized: None,
            unread: Unread::default(),
        };
        encode(&Heartbeat { diagnostics: Some(diagnostics), ..nothing(&id) }).len()
    };
    // Without any of them there is no `unread` either, which is always written.
    let before = with(None, None) - r#","unread":{}"#.len();
    let busy = with(Some(Load::from_raw(9_999)), Some(Percent::FULL));
    assert!(busy - before <= 40, "{} bytes", busy - before);
}

#[cfg(feature = "board")]
#[test]
fn a_document_that_tells_the_board_has_exact_bytes() {
    let (id, model, os) =
        ("x".into(), "Raspberry Pi 5 Model B Rev 1.0".into(), "Debian, Linux 6.12.47".into());
    let wear = Wear { life_used: Some(10), pre_eol: Some(PreEol::Normal) };
    let diagnostics = Diagnostics {
        throttled: None,
        cpu_mhz: None,
        ups: None,
        load: None,
        swap: None,
        root_read_only: None,
        clock_synchronized: Some(false),
        unread: Unread::default(),
    };
    let heartbeat = Heartbeat {
        diagnostics: Some(diagnostics),
        board: Some(Board { model: Some(&model), os: Some(&os), wear: Some(wear) }),
        ..nothing(&id)
    };
    let body = encode(&heartbeat);
    assert!(
        body.ends_with(concat!(
            r#""ups":null,"clock_synchronized":false,"unread":{}},"board":{"model":"Raspberry Pi 5 Model B Rev 1.0","#,
            r#""os":"Debian, Linux 6.12.47","wear":{"life_used":10,"pre_eol":"normal"}}}"#
        )),
        "{body}"
    );
    let nothing_known = Board { model: None, os: None, wear: None };
    let body = encode(&Heartbeat { board: Some(nothing_known), ..nothing(&id) });
    assert!(body.ends_with(r#","board":{"model":null,"os":null,"wear":null}}"#), "{body}");
}

/// Every text full of the worst characters, every number at its longest, and each key unread that takes more so; `null` is longer
/// than 255.
#[test]
fn largest_document_fills_the_buffer() {
    fn full<const N: usize>() -> Text<N> {
        Text::new(&"\"".repeat(N / 2))
    }
    let longest_ip = Some(Ip::new("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    let id = full::<HARDWARE_ID_MAX>();
    let version = full();
    let path = full();
    let ethernet = Ethernet { interface: full(), ip: longest_ip.clone() };
    let wifi = Wifi {
        interface: full(),
        ip: longest_ip.clone(),
        mode: Some(WifiMode::Hotspot),
        ssid: Some(full::<SSID_MAX>()),
        signal_dbm: Some(Dbm(i16::MIN)),
        signal_percent: None,
        clients: Some(u16::MAX),
    };
    let cellular = Cellular {
        interface: Some(full()),
        ip: longest_ip.clone(),
        state: Some(full::<MODEM_WORD_MAX>()),
        operator: Some(full::<OPERATOR_MAX>()),
        technology: Some(full()),
        signal_percent: None,
    };
    let gps = Position {
        fix: Fix::None,
        latitude: Some(Degrees::from_raw(i64::MIN)),
        longitude: Some(Degrees::from_raw(i64::MIN)),
        altitude_m: Some(Metres::from_raw(i64::MIN)),
        speed_mps: Some(MetresPerSecond::from_raw(i64::MIN)),
        heading: Some(Heading::from_raw(i64::MIN)),
        satellites: None,
    };
    let mut unread = Unread::default();
    for key in [
        Key::Cpu,
        Key::Mem,
        Key::Temp,
        Key::Power,
        Key::FanRpm,
        Key::DefaultInterface,
        Key::StreamingActive,
        Key::TrackingActive,
        Key::RecordingFileSizeMb,
        Key::UptimeS,
        Key::Throttled,
        Key::CpuMhz,
        Key::Load,
        Key::Swap,
        Key::RootReadOnly,
        #[cfg(feature = "board")]
        Key::ClockSynchronized,
    ] {
        assert_eq!(unread.note::<()>(key, Err(Some(Reason::Invalid))), None);
    }
    let worst = Heartbeat {
        disk: Some(Disk {
            percent: Percent::from_raw(i64::MIN),
            used_gb: Gibibytes::from_raw(i64::MIN),
            total_gb: Gibibytes::from_raw(i64::MIN),
        }),
        connection: Connection {
            default_interface: None,
            ethernet: Some(&ethernet),
            wifi: Some(&wifi),
            cellular: Some(&cellular),
            gps: Some(&gps),
        },
        timestamp: Some(UnixTime::from_millis(i64::MIN)),
        app_version: Some(&version),
        recording_file_size_mb: None,
        recording_file_path: Some(&path),
        uptime_s: Some(None),
        diagnostics: Some(Diagnostics {
            throttled: None,
            cpu_mhz: None,
            ups: Some(Ups {
                voltage: Some(Volts::from_raw(i64::MIN)),
                percent: Some(Percent::from_raw(i64::MIN)),
            }),
            load: None,
            swap: None,
            root_read_only: None,
            #[cfg(feature = "board")]
            clock_synchronized: None,
            unread,
        }),
        #[cfg(feature = "board")]
        board: Some(Board {
            model: Some(&full()),
            os: Some(&full()),
            wear: Some(Wear { life_used: None, pre_eol: Some(PreEol::Warning) }),
        }),
        boot_id: Some(BootId(u64::MAX)),
        seq: Some(u64::MAX),
        ..nothing(&id)
    };
    let mut buffer = [0; BODY_MAX];
    let len = worst.encode(&mut buffer).expect("fits");
    let late = mark_as_replayed(&mut buffer, len).expect("fits");
    assert_eq!(late, BODY_MAX);
    let value = serde_json::from_slice::<serde_json::Value>(&buffer[..late]).expect("valid JSON");
    assert_eq!(value["replayed"], true);
    assert_eq!(mark_as_replayed(&mut buffer[..late - 1], len), None, "one byte less is refused, not cut");
    assert_eq!(worst.encode(&mut buffer[..len - 1]), None, "one byte less is refused, not cut");
}

#[test]
fn unread_keys_are_named_with_the_reason() {
    let mut unread = Unread::default();
    assert_eq!(unread.note(Key::Temp, Ok(5)), Some(5));
    assert_eq!(unread.note::<u8>(Key::FanRpm, Err(None)), None);
    let errors = [SensorError::Denied, SensorError::Io, SensorError::Invalid, SensorError::Absent];
    let keys = [Key::Ups, Key::Gps, Key::Cpu, Key::Disk];
    for (key, error) in keys.into_iter().zip(errors) {
        assert_eq!(unread.note::<u8>(key, Err(Reason::of(error))), None);
    }
    unread.note::<u8>(Key::StreamingActive, Err(Some(Reason::Silent)));
    let diagnostics = Diagnostics {
        throttled: None,
        cpu_mhz: None,
        ups: None,
        load: None,
        swap: None,
        root_read_only: None,
        #[cfg(feature = "board")]
        clock_synchronized: None,
        unread,
    };
    let body = encode(&Heartbeat { diagnostics: Some(diagnostics), ..nothing(&"x".into()) });
    assert!(
        body.ends_with(concat!(
            r#""unread":{"cpu":"invalid","connection.gps":"failed","streaming_active":"silent","#,
            r#""diagnostics.ups":"denied"}}}"#
        )),
        "{body}"
    );
}

#[test]
fn each_key_that_can_be_unread_is_a_key_of_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("JSON");
    for key in Key::ALL {
        let mut part = &schema;
        for step in key.name().split('.') {
            part = &part["properties"][step];
        }
        assert!(part.is_object(), "{key:?}");
        let unread = &schema["properties"]["diagnostics"]["properties"]["unread"]["properties"];
        assert!(unread[key.name()].is_object(), "{key:?}");
    }
}

#[test]
fn disk_of_a_filesystem_without_space_is_none() {
    assert_eq!(Disk::from_space(DiskSpace { total: 0, used: 0, available: 0 }), None);
}
