//! The seven properties that hold in every frontend, shown on the real agent in virtual time.

// Helpers of tests may say what they expect, as tests may.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod devices;

use devices::{any_device, healthy_device};
use heartbeat_core::{
    Config, SendError, Wake,
    hal::CpuTimes,
    limits::BODY_MAX,
    time::{Duration, Instant},
    units::{Celsius, UnixTime},
};
use heartbeat_sim::{
    fake::{Behaviour, FakeDevice, FakeServer, Response, Rig},
    schema::Schema,
};
use proptest::prelude::*;
use serde_json::Value;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn rig(device: FakeDevice, response: Response) -> Rig {
    Rig::new(Config::default(), device, FakeServer::new(response))
}

fn ok() -> Response {
    Response::Status(MS(30), 200)
}

fn document(rig: &Rig) -> Value {
    Schema::new().check(&rig.server.sent.last().expect("a beat").body).expect("fits the schema")
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        (
            0u64..9_000_000,
            prop_oneof![Just(200u16), Just(204), Just(302), Just(404), Just(503), any::<u16>()]
        )
            .prop_map(|(after, status)| Response::Status(Duration::from_micros(after), status)),
        (
            0u64..9_000_000,
            prop_oneof![Just(SendError::Refused), Just(SendError::Timeout), Just(SendError::Name)]
        )
            .prop_map(|(after, error)| Response::Fails(Duration::from_micros(after), error)),
        Just(Response::Silence),
    ]
}

/// Start of each beat's slot: the first beat, and the grid after the first gap.
fn assert_on_grid(rig: &Rig, first: Instant, first_gap: Duration, interval: Duration, grace: Duration) {
    let mut slots = Vec::new();
    for sent in &rig.server.sent {
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
        responses in prop::collection::vec((response(), 0u64..12_000), 1..12),
        interval in 50u64..20_000,
        phase: u32,
    ) {
        let interval = MS(interval);
        let config = Config::new(interval, interval).expect("in range").with_phase(phase);
        let mut rig = Rig::new(config, device, FakeServer::default());
        let first = rig.now();
        rig.poll();
        // The grid's own origin, from the outside: when the agent would be up next with nothing else to do.
        let mut idle = Rig::new(config, FakeDevice::default(), FakeServer::new(Response::Status(MS(0), 200)));
        idle.poll();
        let Wake::At(second) = idle.wake() else { panic!("stopped") };
        let first_gap = second.since(first);
        for (response, stall) in responses {
            rig.server.response = response;
            rig.run_for(interval * 3);
            rig.stall(MS(stall));
        }
        assert_on_grid(&rig, first, first_gap, interval, config.lateness_limit());
        prop_assert_eq!(rig.server.overlapping, 0);
    }
}

#[test]
fn an_overrun_skips_to_the_next_slot() {
    let mut rig = rig(healthy_device(), ok());
    let first = rig.now();
    rig.poll();
    rig.run_for(MS(5_000));
    rig.stall(MS(12_300)); // until 17.3 s: the slots at 10 s and 15 s pass
    rig.poll();
    rig.run_for(MS(5_000));
    let starts: Vec<_> = rig.server.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [0, 5_000, 20_000], "neither shifted nor caught up");
    let stats = rig.agent.stats();
    assert_eq!((stats.slots, stats.skipped, stats.attempted, stats.delivered), (5, 2, 3, 3));
}

// Property 2.
proptest! {
    #[test]
    fn one_request_at_a_time_and_none_beyond_its_deadline(
        device in any_device(),
        responses in prop::collection::vec((response(), 0u64..12_000), 1..12),
        timeout in 1u64..5_000,
    ) {
        let config = Config::new(MS(5_000), MS(timeout)).expect("in range");
        let mut rig = Rig::new(config, device, FakeServer::default());
        for (response, stall) in responses {
            rig.server.response = response;
            rig.run_for(MS(11_000));
            rig.stall(MS(stall));
            let stats = *rig.agent.stats();
            let in_flight = u64::from(rig.server.is_busy());
            prop_assert!(stats.attempted >= stats.delivered + stats.failed);
            prop_assert!(stats.attempted - stats.delivered - stats.failed <= in_flight.max(1));
            prop_assert_eq!(stats.attempted, rig.server.sent.len() as u64);
        }
        prop_assert_eq!(rig.server.overlapping, 0);
        for sent in &rig.server.sent {
            prop_assert!(sent.timeout <= MS(timeout));
        }
    }
}

#[test]
fn a_silent_server_costs_its_own_beat_only() {
    let mut rig = rig(healthy_device(), Response::Silence);
    let first = rig.now();
    rig.run_for(MS(4_000));
    assert_eq!(rig.server.sent[0].cancelled, Some(first + MS(2_000)));
    assert_eq!(rig.agent.stats().last.expect("ended").result, Err(SendError::Timeout));
    rig.server.response = ok();
    rig.run_for(MS(2_000));
    let stats = rig.agent.stats();
    assert_eq!((stats.attempted, stats.delivered, stats.failed, stats.consecutive_failures), (2, 1, 1, 0));
}

#[test]
fn only_a_2xx_is_a_delivery() {
    for (status, expected) in [
        (200, Ok(200)),
        (204, Ok(204)),
        (302, Err(SendError::Redirect(302))),
        (404, Err(SendError::Rejected(404))),
        (500, Err(SendError::ServerError(500))),
        (99, Err(SendError::ServerError(99))),
    ] {
        let mut rig = rig(healthy_device(), Response::Status(MS(1), status));
        rig.run_for(MS(100));
        assert_eq!(rig.agent.stats().last.expect("ended").result, expected);
    }
}

// Property 3.
proptest! {
    #[test]
    fn no_set_of_bad_sensors_delays_a_beat_or_spoils_its_neighbours(device in any_device(), bad_temperature in any::<bool>()) {
        let mut device = device;
        // One sensor is well, whatever the others do.
        device.memory = healthy_device().memory;
        if bad_temperature {
            device.temperature.behaviour = Behaviour::Hangs;
        }
        let mut rig = rig(device, ok());
        let first = rig.now();
        rig.run_for(MS(61_000));
        prop_assert_eq!(rig.server.sent.len(), 13, "one beat per slot");
        for (k, sent) in (0u64..).zip(&rig.server.sent) {
            let late = sent.at.since(first + MS(k * 5_000));
            prop_assert!(late <= MS(1_000), "beat {} is {:?} late", k, late);
            let value: Value = serde_json::from_slice(&sent.body).expect("JSON");
            prop_assert_eq!(&value["mem"], 25.0);
        }
    }
}

#[test]
fn a_sensor_that_falls_silent_is_believed_for_three_intervals() {
    let mut rig = rig(healthy_device(), ok());
    rig.run_for(MS(4_000));
    rig.device.temperature.behaviour = Behaviour::Hangs;
    rig.run_for(MS(25_000));
    let temperatures: Vec<Value> = rig
        .server
        .sent
        .iter()
        .map(|sent| serde_json::from_slice::<Value>(&sent.body).expect("JSON")["temp"].clone())
        .collect();
    // Read at 0 s; still fresh at 15 s, too old at 20 s.
    let expected = [Some(48.8), Some(48.8), Some(48.8), Some(48.8), None, None];
    assert_eq!(temperatures, expected.map(Value::from));
    rig.device.temperature.behaviour = Behaviour::Answers(Celsius::from_raw(500));
    rig.run_for(MS(6_000));
    assert_eq!(document(&rig)["temp"], 50.0);
    assert_eq!(rig.device.temperature.asked, 3, "0 s, the question that hung, and 30 s");
}

#[test]
fn a_hanging_sensor_delays_one_beat_and_no_more() {
    let mut device = healthy_device();
    device.temperature.behaviour = Behaviour::Hangs;
    let mut rig = rig(device, ok());
    let first = rig.now();
    rig.run_for(MS(16_000));
    let starts: Vec<_> = rig.server.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [1_000, 5_000, 10_000, 15_000]);
}

#[test]
fn every_sensor_is_asked_once_per_beat() {
    let mut rig = rig(FakeDevice::default(), ok());
    rig.run_for(MS(15_000));
    let device = &rig.device;
    let asked = [
        device.cpu.asked,
        device.memory.asked,
        device.temperature.asked,
        device.power.asked,
        device.fan.asked,
        device.disk.asked,
        device.default_interface.asked,
        device.ethernet.asked,
        device.wifi.asked,
        device.cellular.asked,
        device.position.asked,
        device.app_version.asked,
        device.activity.asked,
        device.uptime.asked,
        device.throttled.asked,
        device.ups.asked,
    ];
    assert_eq!(asked, [4; 16]);
}

#[test]
fn the_optional_keys_can_be_turned_off() {
    let keys = |config: Config| {
        let mut rig = Rig::new(config, healthy_device(), FakeServer::default());
        rig.run_for(MS(1_000));
        let value = document(&rig);
        ["uptime_s", "diagnostics"].map(|key| value.get(key).is_some())
    };
    assert_eq!(keys(Config::default()), [true, true]);
    assert_eq!(keys(Config::default().with_diagnostics(false)), [false, false]);
}

#[test]
fn a_late_answer_counts_for_the_next_beat() {
    let mut device = healthy_device();
    device.temperature.behaviour = Behaviour::Takes(MS(3_000), Celsius::from_raw(321));
    let mut rig = rig(device, ok());
    rig.run_for(MS(4_000));
    assert_eq!(document(&rig)["temp"], Value::Null);
    rig.device.temperature.behaviour = Behaviour::Hangs;
    rig.run_for(MS(3_000));
    assert_eq!(document(&rig)["temp"], 32.1);
}

#[test]
fn processor_use_is_the_difference_between_beats() {
    let mut rig = rig(healthy_device(), ok());
    rig.device.cpu.behaviour = Behaviour::Answers(CpuTimes { busy: 100, total: 1_000 });
    rig.run_for(MS(1_000));
    assert_eq!(document(&rig)["cpu"], Value::Null, "nothing to compare with");
    rig.device.cpu.behaviour = Behaviour::Answers(CpuTimes { busy: 325, total: 2_000 });
    rig.run_for(MS(5_000));
    assert_eq!(document(&rig)["cpu"], 22.5);
}

// Property 4.
proptest! {
    #[test]
    fn every_body_is_small_and_valid(device in any_device(), response in response()) {
        let schema = Schema::new();
        let mut rig = rig(device, response);
        rig.run_for(MS(21_000));
        for sent in &rig.server.sent {
            prop_assert!(sent.body.len() <= BODY_MAX);
            let checked = schema.check(&sent.body);
            prop_assert!(checked.is_ok(), "{:?}: {}", checked, String::from_utf8_lossy(&sent.body));
        }
    }
}

// Property 5.
proptest! {
    #[test]
    fn stop_ends_everything_at_once(device in any_device(), response in response(), steps in 0usize..60, at in 0u64..20_000) {
        let mut rig = rig(device, response);
        for _ in 0..steps {
            rig.step();
        }
        if steps > 0 {
            rig.run_for(MS(at));
        }
        let sent = rig.server.sent.len();
        rig.agent.stop();
        prop_assert_eq!(rig.poll(), Wake::Stopped);
        prop_assert!(!rig.server.is_busy(), "a request is still in flight");
        rig.stall(MS(100_000));
        prop_assert_eq!(rig.poll(), Wake::Stopped);
        prop_assert_eq!(rig.server.sent.len(), sent, "a beat after the stop");
        let stats = rig.agent.stats();
        prop_assert_eq!(stats.slots, stats.attempted + stats.skipped + stats.held_back);
        prop_assert_eq!(stats.attempted, stats.delivered + stats.failed);
    }
}

// Property 6.
proptest! {
    #[test]
    fn polling_without_news_changes_nothing(device in any_device(), response in response(), extra in prop::collection::vec(1u64..3, 40)) {
        let mut calm = rig(device.clone(), response);
        let mut nervous = rig(device, response);
        for polls in extra {
            calm.step();
            nervous.step();
            for _ in 0..polls {
                let (stats, wake) = (*nervous.agent.stats(), nervous.wake());
                nervous.poll();
                prop_assert_eq!(nervous.agent.stats(), &stats);
                prop_assert_eq!(nervous.wake(), wake);
            }
        }
        prop_assert_eq!(&calm.server.sent, &nervous.server.sent);
    }
}

// Property 7.
#[test]
fn the_agent_has_a_fixed_small_size() {
    let size = size_of::<heartbeat_core::Agent<'_>>();
    assert!(size <= 4096, "{size} bytes: the microcontroller has 4 KiB of static memory for it");
}

#[test]
fn jumps_of_the_wall_clock_change_the_timestamp_and_nothing_else() {
    let mut steady = rig(healthy_device(), ok());
    let mut jumping = rig(healthy_device(), ok());
    for millis in [Some(0), None, Some(1_795_464_000_000), Some(5), Some(4_000_000_000_000)] {
        jumping.device.unix_time = millis.map(UnixTime::from_millis);
        steady.run_for(MS(5_000));
        jumping.run_for(MS(5_000));
    }
    let starts = |rig: &Rig| rig.server.sent.iter().map(|sent| sent.at).collect::<Vec<_>>();
    assert_eq!(starts(&steady), starts(&jumping));
    assert_eq!(steady.agent.stats().delivered, jumping.agent.stats().delivered);
}

#[test]
fn a_new_configuration_keeps_the_beat_in_flight() {
    let mut rig = rig(healthy_device(), Response::Status(MS(1_000), 200));
    let first = rig.now();
    rig.run_for(MS(500));
    let faster = Config::new(MS(1_000), MS(1_000)).expect("in range");
    rig.agent.reconfigure(heartbeat_core::Identity::new("another"), faster);
    rig.poll();
    rig.server.response = ok();
    rig.run_for(MS(7_000));
    assert_eq!(rig.agent.stats().failed, 0);
    let starts: Vec<_> = rig.server.sent.iter().map(|sent| sent.at.since(first).as_millis()).collect();
    assert_eq!(starts, [0, 5_000, 6_000, 7_000], "the new interval counts from the next slot on");
    assert_eq!(document(&rig)["hardwareid"], "another");
}
