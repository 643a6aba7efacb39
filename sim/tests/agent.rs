//! The seven properties that hold in every frontend, shown on the real agent in virtual time.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod devices;

use devices::any_device;
use heartbeat_core::{
    Config, Identity, Sensor, SensorError, Wake,
    payload::BODY_MAX,
    readings::{Activity, Board, CpuTimes, Recording, System},
    time::{Duration, Instant},
    units::{Celsius, Load, Percent, Rpm, UnixTime},
};
use heartbeat_sim::{
    fake::{FakeDevice, FakeSensor},
    faults::{FaultyHal, NetworkFault, SensorFault},
    rig::Rig,
    schema::Schema,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn rig(device: impl Into<FaultyHal<FakeDevice>>) -> Rig<'static> {
    Rig::new(Config::default(), device)
}

fn last_detail(rig: &Rig<'_>) -> String {
    rig.agent.stats().last.as_ref().expect("ended").outcome.detail.to_string()
}

fn document(rig: &Rig<'_>) -> Value {
    Schema::new().check(&rig.uplink.sent.last().expect("a beat").body).expect("fits the schema")
}

/// What a network may do with requests, and after which time.
type Trouble = (Option<NetworkFault>, Duration);

fn trouble() -> impl Strategy<Value = Trouble> {
    let fault = prop_oneof![
        2 => Just(None),
        2 => prop_oneof![Just(302u16), Just(404), Just(503), any::<u16>()]
            .prop_map(|status| Some(NetworkFault::Status(status))),
        1 => (any::<bool>(), 0u64..700).prop_map(|(busy, secs)| {
            Some(NetworkFault::Busy(if busy { 503 } else { 429 }, Duration::from_secs(secs)))
        }),
        4 => prop_oneof![
            Just(NetworkFault::NoRoute),
            Just(NetworkFault::NameSilent),
            Just(NetworkFault::Refused),
            Just(NetworkFault::HandshakeFails),
            Just(NetworkFault::BreaksAfter),
            Just(NetworkFault::RequestLost),
            Just(NetworkFault::ReplyLost),
        ]
        .prop_map(Some),
    ];
    (fault, (0u64..9_000_000).prop_map(Duration::from_micros))
}

/// Start of each beat's slot: the first beat, and the grid after the first gap.
fn assert_on_grid(rig: &Rig<'_>, first: Instant, first_gap: Duration, interval: Duration, grace: Duration) {
    let mut slots = Vec::new();
    for sent in &rig.uplink.sent {
        let slot = match sent.at.since(first + first_gap).as_micros() {
            0 if sent.at < first + first_gap => 0,
            after => 1 + after / interval.as_micros(),
        };
        let start = match slot {
            0 => first,
            k => first + first_gap + Duration::from_micros((k - 1) * interval.as_micros()),
        };
        assert!(sent.at.since(start) <= grace, "{:?} is {:?} after its slot", sent.at, sent.at.since(start));
        slots.push(slot);
    }
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "a slot has two beats: {slots:?}");
}

// Property 1.
proptest! {
    #[test]
    fn beats_stay_on_their_grid(
        device in any_device(),
        troubles in prop::collection::vec((trouble(), 0u64..12_000), 1..12),
        interval in 50u64..20_000,
        phase: u32,
    ) {
        let interval = MS(interval);
        let config = Config::new(interval, interval).expect("in range").with_phase(phase);
        let mut rig = Rig::new(config, device);
        let first = rig.now();
        rig.poll();
        for ((fault, delay), stall) in troubles {
            rig.uplink.inner.set(fault, delay);
            rig.run_for(interval * 3);
            rig.stall(MS(stall));
        }
        assert_on_grid(&rig, first, config.first_gap(), interval, config.lateness_limit());
        prop_assert_eq!(rig.uplink.overlapping, 0);
    }
}

/// The unread keys of the last document.
fn unread(rig: &Rig<'_>) -> Value {
    document(rig)["diagnostics"]["unread"].clone()
}

#[test]
fn unread_names_what_fails_until_it_is_read_again_and_nothing_that_is_absent() {
    let device = FakeDevice { fan: FakeSensor::new(Rpm(3_000)), ..FakeDevice::healthy() };
    let mut rig = rig(device);
    rig.poll();
    assert_eq!(unread(&rig), json!({}), "most sensors are absent");
    for (sensor, fault) in [
        (Sensor::Temperature, SensorFault::Fails(SensorError::Denied)),
        (Sensor::Memory, SensorFault::Fails(SensorError::Io)),
        (Sensor::Fan, SensorFault::Implausible),
        (Sensor::Ethernet, SensorFault::Hangs),
        (Sensor::Activity, SensorFault::Hangs),
        (Sensor::Wifi, SensorFault::Fails(SensorError::Absent)),
    ] {
        rig.device.set(sensor, Some(fault));
    }
    rig.run_for(MS(6_000));
    let activities = json!({"mem": "failed", "temp": "denied", "fan_rpm": "invalid", "streaming_active": "silent",
        "tracking_active": "silent", "recording_active": "silent"});
    assert_eq!(unread(&rig), activities, "the last value of what hangs is still sent");
    assert!(document(&rig)["connection"]["ethernet"].is_object());
    rig.run_for(MS(15_000));
    assert_eq!(unread(&rig)["connection.ethernet"], "silent");
    assert!(document(&rig)["connection"]["ethernet"].is_null());
    rig.device.heal();
    rig.run_for(MS(10_000));
    assert_eq!(unread(&rig), json!({}));
}

#[test]
fn a_part_of_the_activity_that_cannot_be_read_leaves_the_others_right() {
    let mut device = FakeDevice::healthy();
    let recording = Recording { path: "/srv/a.mp4".into(), size: Err(SensorError::Denied) };
    device.activity = FakeSensor::new(Activity {
        streaming: Err(SensorError::Denied),
        tracking: Ok(true),
        recording: Ok(Some(recording)),
    });
    let mut rig = rig(device);
    rig.poll();
    let document = document(&rig);
    let keys = ["streaming_active", "tracking_active", "recording_active", "recording_file_size_mb"];
    assert_eq!(keys.map(|key| document[key].clone()), [json!(false), json!(true), json!(true), json!(null)]);
    assert_eq!(
        document["diagnostics"]["unread"],
        json!({"streaming_active": "denied", "recording_file_size_mb": "denied"})
    );
}

#[test]
fn parts_of_the_system_are_left_out_when_there_is_nothing_to_say() {
    let document_of = |system| {
        let mut rig = rig(FakeDevice { system: FakeSensor::new(system), ..FakeDevice::healthy() });
        rig.poll();
        document(&rig)["diagnostics"].clone()
    };
    let healthy =
        System { load: Ok(Load::from_raw(52)), swap: Err(SensorError::Absent), root_read_only: Ok(false) };
    let nothing = json!({"throttled": null, "cpu_mhz": null, "ups": null, "load": 0.52, "unread": {}});
    assert_eq!(document_of(healthy), nothing);
    let ill = System {
        load: Ok(Load::from_raw(10_000_001)),
        swap: Ok(Percent::from_raw(1_000)),
        root_read_only: Ok(true),
    };
    let diagnostics = document_of(ill);
    assert_eq!((&diagnostics["swap"], &diagnostics["root_read_only"]), (&json!(100.0), &json!(true)));
    assert_eq!(
        (diagnostics.get("load"), &diagnostics["unread"]),
        (None, &json!({"diagnostics.load": "invalid"}))
    );
}

#[test]
fn what_the_board_is_is_told_until_it_arrives_once_an_hour_and_when_it_changes() {
    let board = Board {
        model: Ok("Raspberry Pi 4 Model B Rev 1.4".into()),
        os: Ok("Debian, Linux 6.6.51".into()),
        wear: Err(SensorError::Absent),
        clock_synchronized: Ok(false),
    };
    let mut rig = rig(FakeDevice { board: FakeSensor::new(board.clone()), ..FakeDevice::healthy() });
    let told = |rig: &Rig<'_>| {
        let document = document(rig);
        (document.get("board").is_some(), document["diagnostics"].get("clock_synchronized").cloned())
    };
    rig.uplink.inner.set(Some(NetworkFault::NoRoute), Duration::ZERO);
    rig.run_for(MS(10_000));
    assert_eq!(told(&rig), (true, Some(json!(false))), "none was delivered");
    rig.uplink.inner.set(None, Duration::ZERO);
    rig.run_for(MS(5_000));
    assert!(told(&rig).0);
    let delivered_at = rig.uplink.sent.last().expect("a beat").at;
    rig.run_for(MS(5_000));
    assert_eq!(told(&rig), (false, Some(json!(false))), "a clock that is not set is told in each");
    rig.device.inner.board = FakeSensor::new(Board { clock_synchronized: Ok(true), ..board.clone() });
    rig.run_for(MS(5_000));
    assert_eq!(told(&rig), (true, Some(json!(true))));
    rig.run_for(MS(5_000));
    assert_eq!(told(&rig), (false, None));
    rig.uplink.sent.clear();
    rig.run_for(Duration::from_secs(3_610));
    let hourly: Vec<_> = rig
        .uplink
        .sent
        .iter()
        .filter(|sent| sent.body.windows(8).any(|key| key == b"\"board\":"))
        .map(|sent| sent.at.since(delivered_at))
        .collect();
    assert_eq!(hourly, [Duration::from_secs(3_610)], "an hour after it was told last");
    rig.agent.reconfigure(Identity::new("x"), Config::default().with_diagnostics(false));
    rig.run_for(MS(5_000));
    assert!(document(&rig).get("board").is_none());
    rig.agent.reconfigure(Identity::new("x"), Config::default());
    rig.run_for(MS(5_000));
    assert_eq!(told(&rig), (true, Some(json!(true))), "it may be another server");
}

#[test]
fn an_overrun_skips_to_the_next_slot() {
    let mut rig = rig(FakeDevice::healthy());
    let first = rig.now();
    rig.poll();
    rig.run_for(MS(5_000));
    rig.stall(MS(12_300)); // until 17.3 s: the slots at 10 s and 15 s pass
    rig.poll();
    rig.run_for(MS(5_000));
    let starts: Vec<_> = rig.uplink.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [0, 5_000, 20_000], "neither shifted nor caught up");
    let stats = rig.agent.stats();
    assert_eq!((stats.slots, stats.skipped, stats.attempted, stats.delivered), (5, 2, 3, 3));
}

// Property 2.
proptest! {
    #[test]
    fn one_request_at_a_time_and_none_beyond_its_deadline(
        device in any_device(),
        troubles in prop::collection::vec((trouble(), 0u64..12_000), 1..12),
        timeout in 1u64..5_000,
    ) {
        let config = Config::new(MS(5_000), MS(timeout)).expect("in range");
        let mut rig = Rig::new(config, device);
        for ((fault, delay), stall) in troubles {
            rig.uplink.inner.set(fault, delay);
            rig.run_for(MS(11_000));
            rig.stall(MS(stall));
            let stats = rig.agent.stats().clone();
            let in_flight = u64::from(rig.uplink.is_busy());
            prop_assert!(stats.attempted >= stats.delivered + stats.failed);
            prop_assert!(stats.attempted - stats.delivered - stats.failed <= in_flight.max(1));
            prop_assert_eq!(stats.attempted, rig.uplink.sent.len() as u64);
        }
        prop_assert_eq!(rig.uplink.overlapping, 0);
        for sent in &rig.uplink.sent {
            prop_assert!(sent.timeout <= MS(timeout));
        }
    }
}

#[test]
fn a_silent_server_costs_its_own_beat_only() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.fault = Some(NetworkFault::RequestLost);
    let first = rig.now();
    rig.run_for(MS(4_000));
    assert_eq!(rig.uplink.sent[0].cancelled(), Some(first + MS(2_000)));
    assert_eq!(last_detail(&rig), "no complete answer in time");
    rig.uplink.inner.fault = None;
    rig.run_for(MS(2_000));
    let stats = rig.agent.stats();
    assert_eq!((stats.attempted, stats.delivered, stats.failed, stats.consecutive_failures), (2, 1, 1, 0));
}

#[test]
fn a_delivery_may_wait_for_the_next_slot_when_it_changes_nothing_else() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.delay = MS(100);
    let first = rig.now();
    rig.poll();
    assert_eq!(rig.agent.wake_unless_failed(), None, "the first is news");
    rig.run_for(MS(1_000));
    assert_eq!(rig.agent.wake_unless_failed(), None, "nothing is in flight");
    rig.stall_until(first + MS(5_000));
    assert_eq!(rig.poll(), Wake::At(first + MS(7_000)), "its deadline");
    assert_eq!(rig.agent.wake_unless_failed(), Some(first + MS(10_000)));
    rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
    rig.stall_until(first + MS(10_000));
    rig.poll();
    let stats = rig.agent.stats();
    let last = stats.last.as_ref().expect("ended");
    assert_eq!((stats.delivered, last.round_trip), (2, MS(100)), "and not 5 s");
    assert!(rig.agent.wake_unless_failed().is_some(), "the next one is in flight");
    rig.run_for(MS(1_000));
    assert_eq!(rig.agent.stats().failed, 1);
    rig.uplink.inner.fault = None;
    rig.stall_until(first + MS(15_000));
    rig.poll();
    assert_eq!(rig.agent.wake_unless_failed(), None, "it would end an outage");
}

#[test]
fn a_stop_counts_what_was_delivered_before_it() {
    let mut rig = rig(FakeDevice::healthy());
    rig.run_for(MS(5_000));
    // The reply comes meanwhile.
    rig.stall(MS(1_000));
    rig.agent.stop();
    assert_eq!(rig.poll(), Wake::Stopped);
    let stats = rig.agent.stats();
    assert_eq!((stats.attempted, stats.delivered, stats.failed), (2, 2, 0));
    assert_eq!(last_detail(&rig), "status 200");
}

#[test]
fn reports_when_the_next_beat_is_due() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.fault = Some(NetworkFault::Busy(503, Duration::from_secs(31)));
    rig.run_for(MS(9_000));
    let foretold = rig.agent.next_beat();
    assert_eq!(foretold, rig.now() + MS(26_000), "35 s is the first slot that is not before 31 s");
    let beats = rig.uplink.sent.len();
    rig.run_for(foretold.since(rig.now()));
    assert_eq!(rig.uplink.sent[beats].at, foretold);
}

#[test]
fn back_off_in_progress_counts_what_it_withholds() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.fault = Some(NetworkFault::Busy(503, Duration::from_secs(31)));
    let mut foretold = Vec::new();
    for _ in 0..4 {
        foretold.push(rig.agent.backing_off());
        rig.run_for(MS(9_000));
    }
    assert_eq!(foretold[0], None);
    assert!(foretold[1] >= Some(1) && foretold[3] > foretold[1], "{foretold:?}");
    assert_eq!(rig.agent.backing_off(), Some(rig.agent.stats().withheld));
    rig.uplink.inner.fault = None;
    rig.run_for(MS(60_000));
    assert_eq!(rig.agent.backing_off(), None);
}

/// Every beat is tried in it, so that no next one is withheld.
#[test]
fn outage_of_the_network_ends_the_back_off_before_it() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.fault = Some(NetworkFault::Busy(503, Duration::from_secs(31)));
    rig.run_for(MS(9_000));
    assert!(rig.agent.backing_off().is_some());
    rig.uplink.inner.fault = Some(NetworkFault::Refused);
    rig.run_for(MS(40_000));
    assert_eq!(rig.agent.backing_off(), None);
    let withheld = rig.agent.stats().withheld;
    rig.run_for(MS(20_000));
    assert_eq!(rig.agent.stats().withheld, withheld);
}

#[test]
fn only_a_2xx_is_a_delivery() {
    for (status, expected) in [
        (200, "status 200"),
        (204, "status 204"),
        (302, "the server sent a redirect (302), which is not followed"),
        (404, "the server refused the heartbeat (404)"),
        (500, "the server failed (500)"),
        (99, "the server failed (99)"),
    ] {
        let mut rig = rig(FakeDevice::healthy());
        rig.uplink.inner.fault = Some(NetworkFault::Status(status));
        rig.run_for(MS(100));
        assert_eq!(last_detail(&rig), expected);
        assert_eq!(rig.agent.stats().delivered, u64::from((200..300).contains(&status)));
    }
}

// Property 3.
proptest! {
    #[test]
    fn no_set_of_bad_sensors_delays_a_beat_or_spoils_its_neighbours(device in any_device(), bad_temperature in any::<bool>()) {
        let mut device = device;
        // One sensor works, with any faults of the others.
        device.inner.memory = FakeDevice::healthy().memory;
        device.set(Sensor::Memory, None);
        if bad_temperature {
            device.set(Sensor::Temperature, Some(SensorFault::Hangs));
        }
        let mut rig = rig(device);
        let first = rig.now();
        rig.run_for(MS(61_000));
        prop_assert_eq!(rig.uplink.sent.len(), 13, "one beat per slot");
        for (k, sent) in (0u64..).zip(&rig.uplink.sent) {
            let late = sent.at.since(first + MS(k * 5_000));
            prop_assert!(late <= MS(1_000), "beat {} is {:?} late", k, late);
            let value: Value = serde_json::from_slice(&sent.body).expect("JSON");
            prop_assert_eq!(&value["mem"], 25.0);
        }
    }
}

#[test]
fn keeps_the_last_value_of_a_silent_sensor_for_three_intervals() {
    let mut rig = rig(FakeDevice::healthy());
    rig.run_for(MS(4_000));
    rig.device.set(Sensor::Temperature, Some(SensorFault::Hangs));
    rig.run_for(MS(25_000));
    let temperatures: Vec<Value> = rig
        .uplink
        .sent
        .iter()
        .map(|sent| serde_json::from_slice::<Value>(&sent.body).expect("JSON")["temp"].clone())
        .collect();
    // Read at 0 s; still fresh at 15 s, too old at 20 s.
    let expected = [Some(48.8), Some(48.8), Some(48.8), Some(48.8), None, None];
    assert_eq!(temperatures, expected.map(Value::from));
    rig.device.set(Sensor::Temperature, None);
    rig.device.inner.temperature.value = Some(Celsius::from_raw(500));
    rig.run_for(MS(6_000));
    assert_eq!(document(&rig)["temp"], 50.0);
    assert_eq!(rig.device.asked(Sensor::Temperature), 4, "0 s, what hung from 5 s to 29 s, 30 s and 35 s");
}

#[test]
fn a_hanging_sensor_delays_one_beat_and_no_more() {
    let mut device = FaultyHal::new(FakeDevice::healthy());
    device.set(Sensor::Temperature, Some(SensorFault::Hangs));
    let mut rig = rig(device);
    let first = rig.now();
    rig.run_for(MS(16_000));
    let starts: Vec<_> = rig.uplink.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [1_000, 5_000, 10_000, 15_000]);
}

#[test]
fn every_sensor_is_asked_once_per_beat() {
    let mut rig = rig(FakeDevice::default());
    rig.run_for(MS(15_000));
    let asked = Sensor::ALL.map(|sensor| rig.device.asked(sensor));
    assert_eq!(asked, [4; Sensor::COUNT]);
}

#[test]
fn the_optional_keys_can_be_turned_off() {
    let keys = |config: Config| {
        let mut rig = Rig::new(config, FakeDevice::healthy());
        rig.run_for(MS(1_000));
        let value = document(&rig);
        ["uptime_s", "diagnostics"].map(|key| value.get(key).is_some())
    };
    assert_eq!(keys(Config::default()), [true, true]);
    assert_eq!(keys(Config::default().with_diagnostics(false)), [false, false]);
}

#[test]
fn a_late_answer_counts_for_the_next_beat() {
    let mut device = FaultyHal::new(FakeDevice::healthy());
    device.inner.temperature = FakeSensor::new(Celsius::from_raw(321));
    device.set(Sensor::Temperature, Some(SensorFault::Slow(MS(3_000))));
    let mut rig = rig(device);
    rig.run_for(MS(4_000));
    assert_eq!(document(&rig)["temp"], Value::Null);
    rig.device.set(Sensor::Temperature, Some(SensorFault::Hangs));
    rig.run_for(MS(3_000));
    assert_eq!(document(&rig)["temp"], 32.1);
}

#[test]
fn processor_use_is_the_difference_between_beats() {
    let mut rig = rig(FakeDevice::healthy());
    rig.device.inner.cpu = FakeSensor::new(CpuTimes { busy: 100, total: 1_000 });
    rig.run_for(MS(1_000));
    assert_eq!(document(&rig)["cpu"], Value::Null, "nothing to compare with");
    rig.device.inner.cpu = FakeSensor::new(CpuTimes { busy: 325, total: 2_000 });
    rig.run_for(MS(5_000));
    assert_eq!(document(&rig)["cpu"], 22.5);
}

// Property 4.
proptest! {
    #[test]
    fn every_body_is_small_and_valid(device in any_device(), (fault, delay) in trouble()) {
        let schema = Schema::new();
        let mut rig = rig(device);
        rig.uplink.inner.set(fault, delay);
        rig.run_for(MS(21_000));
        for sent in &rig.uplink.sent {
            prop_assert!(sent.body.len() <= BODY_MAX);
            let checked = schema.check(&sent.body);
            prop_assert!(checked.is_ok(), "{:?}: {}", checked, String::from_utf8_lossy(&sent.body));
        }
    }
}

// Property 5.
proptest! {
    #[test]
    fn stop_ends_everything_at_once(device in any_device(), (fault, delay) in trouble(), steps in 0usize..60, at in 0u64..20_000) {
        let mut rig = rig(device);
        rig.uplink.inner.set(fault, delay);
        for _ in 0..steps {
            rig.step();
        }
        if steps > 0 {
            rig.run_for(MS(at));
        }
        let sent = rig.uplink.sent.len();
        rig.agent.stop();
        prop_assert_eq!(rig.poll(), Wake::Stopped);
        prop_assert!(!rig.uplink.is_busy(), "a request is still in flight");
        rig.stall(MS(100_000));
        prop_assert_eq!(rig.poll(), Wake::Stopped);
        prop_assert_eq!(rig.uplink.sent.len(), sent, "a beat after the stop");
        let stats = rig.agent.stats();
        prop_assert_eq!(stats.slots, stats.attempted + stats.skipped + stats.withheld);
        prop_assert_eq!(stats.attempted, stats.delivered + stats.failed);
    }
}

// Property 6.
proptest! {
    #[test]
    fn polling_without_news_changes_nothing(device in any_device(), (fault, delay) in trouble(), extra in prop::collection::vec(1u64..3, 40)) {
        let [mut calm, mut nervous] = [device.clone(), device].map(rig);
        for rig in [&mut calm, &mut nervous] {
            rig.uplink.inner.set(fault, delay);
        }
        for polls in extra {
            calm.step();
            nervous.step();
            for _ in 0..polls {
                let (stats, wake) = (nervous.agent.stats().clone(), nervous.wake());
                nervous.poll();
                prop_assert_eq!(nervous.agent.stats(), &stats);
                prop_assert_eq!(nervous.wake(), wake);
            }
        }
        prop_assert_eq!(&calm.uplink.sent, &nervous.uplink.sent);
    }
}

#[test]
fn jumps_of_the_wall_clock_change_the_timestamp_and_nothing_else() {
    let mut steady = rig(FakeDevice::healthy());
    let mut jumping = rig(FakeDevice::healthy());
    for millis in [Some(0), None, Some(1_795_464_000_000), Some(5), Some(4_000_000_000_000)] {
        jumping.device.inner.unix_time = millis.map(UnixTime::from_millis);
        steady.run_for(MS(5_000));
        jumping.run_for(MS(5_000));
    }
    let starts = |rig: &Rig<'_>| rig.uplink.sent.iter().map(|sent| sent.at).collect::<Vec<_>>();
    assert_eq!(starts(&steady), starts(&jumping));
    assert_eq!(steady.agent.stats().delivered, jumping.agent.stats().delivered);
}

#[test]
fn a_new_configuration_keeps_the_beat_in_flight() {
    let mut rig = rig(FakeDevice::healthy());
    rig.uplink.inner.delay = MS(1_000);
    let first = rig.now();
    rig.run_for(MS(500));
    let faster = Config::new(MS(1_000), MS(1_000)).expect("in range");
    rig.agent.reconfigure(heartbeat_core::Identity::new("another"), faster);
    rig.poll();
    rig.uplink.inner.delay = MS(30);
    rig.run_for(MS(7_000));
    assert_eq!(rig.agent.stats().failed, 0);
    let starts: Vec<_> = rig.uplink.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [0, 5_000, 6_000, 7_000], "the new interval counts from the next slot on");
    assert_eq!(document(&rig)["hardwareid"], "another");
}
