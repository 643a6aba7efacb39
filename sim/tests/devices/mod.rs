//! Any device at all, for the agent's tests.

use std::net::IpAddr;

use heartbeat_core::{
    Sensor, SensorError,
    readings::{
        Activity, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, Ip, Memory, Position, Recording, Throttled,
        Ups, Uptime, Wifi, WifiMode,
    },
    text::Text,
    time::Duration,
    units::{
        Celsius, Dbm, Degrees, Heading, Mebibytes, Metres, MetresPerSecond, Percent, Rpm, SignalPercent,
        UnixTime, Volts, Watts,
    },
};
use heartbeat_sim::{
    fake::{FakeDevice, FakeSensor},
    faults::{FaultyHal, SensorFault},
};
use proptest::prelude::*;

fn sensor<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<FakeSensor<T>> {
    prop::option::weighted(0.9, value).prop_map(|value| FakeSensor { value, read: 0 }).boxed()
}

fn fault() -> impl Strategy<Value = Option<SensorFault>> {
    let error = prop_oneof![
        Just(SensorError::Absent),
        Just(SensorError::Denied),
        Just(SensorError::Io),
        Just(SensorError::Invalid)
    ];
    prop_oneof![
        4 => Just(None),
        2 => (0u64..9_000_000).prop_map(|micros| Some(SensorFault::Slow(Duration::from_micros(micros)))),
        1 => error.prop_map(|error| Some(SensorFault::Fails(error))),
        1 => Just(Some(SensorFault::Hangs)),
        1 => Just(Some(SensorFault::Lies)),
    ]
}

/// Any text: what operators, access points and file systems come up with.
fn text<const N: usize>() -> BoxedStrategy<Text<N>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| Text::from_bytes(&bytes)),
        "[\\x00-\\x1f\"\\\\äé€𝄞 a-z]{0,300}".prop_map(|text| Text::new(&text)),
    ]
    .boxed()
}

fn ip() -> impl Strategy<Value = Option<Ip>> {
    prop::option::of(any::<IpAddr>().prop_map(|ip| Ip::new(&ip.to_string())))
}

fn wifi() -> impl Strategy<Value = Wifi> {
    let mode = prop::option::of(prop_oneof![Just(WifiMode::Client), Just(WifiMode::Hotspot)]);
    (
        text(),
        ip(),
        mode,
        prop::option::of(text()),
        any::<Option<i16>>(),
        any::<Option<u8>>(),
        any::<Option<u16>>(),
    )
        .prop_map(|(interface, ip, mode, ssid, dbm, percent, clients)| Wifi {
            interface,
            ip,
            mode,
            ssid,
            signal_dbm: dbm.map(Dbm),
            signal_percent: percent.map(SignalPercent),
            clients,
        })
}

fn cellular() -> impl Strategy<Value = Cellular> {
    let text = || prop::option::of(text());
    (
        text(),
        ip(),
        prop::option::of(self::text()),
        prop::option::of(self::text()),
        prop::option::of(self::text()),
        any::<Option<u8>>(),
    )
        .prop_map(|(interface, ip, state, operator, technology, percent)| Cellular {
            interface,
            ip,
            state,
            operator,
            technology,
            signal_percent: percent.map(SignalPercent),
        })
}

fn position() -> impl Strategy<Value = Position> {
    let fix = prop_oneof![Just(Fix::None), Just(Fix::TwoD), Just(Fix::ThreeD)];
    let raw = || any::<Option<i64>>();
    (fix, raw(), raw(), raw(), raw(), raw(), any::<Option<u8>>()).prop_map(
        |(fix, latitude, longitude, altitude, speed, heading, satellites)| Position {
            fix,
            latitude: latitude.map(Degrees::from_raw),
            longitude: longitude.map(Degrees::from_raw),
            altitude_m: altitude.map(Metres::from_raw),
            speed_mps: speed.map(MetresPerSecond::from_raw),
            heading: heading.map(Heading::from_raw),
            satellites,
        },
    )
}

fn activity() -> impl Strategy<Value = Activity> {
    let recording = (text(), any::<Option<u64>>())
        .prop_map(|(path, size)| Recording { path, size: size.map(Mebibytes::from_bytes) });
    (any::<bool>(), any::<bool>(), prop::option::of(recording))
        .prop_map(|(streaming, tracking, recording)| Activity { streaming, tracking, recording })
}

/// Any device: every sensor answers anything, late, never, or fails.
pub(crate) fn any_device() -> impl Strategy<Value = FaultyHal<FakeDevice>> {
    (values(), prop::collection::vec(fault(), Sensor::COUNT)).prop_map(|(device, faults)| {
        let mut device = FaultyHal::new(device);
        for (sensor, fault) in Sensor::ALL.into_iter().zip(faults) {
            device.set(sensor, fault);
        }
        device
    })
}

/// Any values, whether a device can mean them or not.
fn values() -> impl Strategy<Value = FakeDevice> {
    let counters = (
        sensor((any::<u64>(), any::<u64>()).prop_map(|(busy, total)| CpuTimes { busy, total })),
        sensor((any::<u64>(), any::<u64>()).prop_map(|(total, available)| Memory { total, available })),
        sensor((any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(total, used, available)| DiskSpace {
            total,
            used,
            available,
        })),
        sensor(any::<i64>().prop_map(Celsius::from_raw)),
        sensor(any::<i64>().prop_map(Watts::from_raw)),
        sensor(any::<u32>().prop_map(Rpm)),
    );
    let network = (
        sensor(text()),
        sensor((text(), ip()).prop_map(|(interface, ip)| Ethernet { interface, ip })),
        sensor(wifi()),
        sensor(cellular()),
        sensor(position()),
    );
    let ups = (any::<Option<i64>>(), any::<Option<i64>>()).prop_map(|(voltage, percent)| Ups {
        voltage: voltage.map(Volts::from_raw),
        percent: percent.map(Percent::from_raw),
    });
    let diagnostics =
        (sensor(any::<u64>().prop_map(Uptime)), sensor(any::<u32>().prop_map(Throttled)), sensor(ups));
    let application = (sensor(text()), sensor(activity()), any::<Option<i64>>());
    (counters, network, application, diagnostics).prop_map(
        |(
            (cpu, memory, disk, temperature, power, fan),
            (default_interface, ethernet, wifi, cellular, position),
            (app_version, activity, unix_time),
            (uptime, throttled, ups),
        )| FakeDevice {
            unix_time: unix_time.map(UnixTime::from_millis),
            cpu,
            memory,
            disk,
            temperature,
            power,
            fan,
            default_interface,
            ethernet,
            wifi,
            cellular,
            position,
            app_version,
            activity,
            uptime,
            throttled,
            ups,
        },
    )
}
