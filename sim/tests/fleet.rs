//! Fleets: what keeps them apart, and what brings them back.

#![allow(clippy::expect_used, clippy::panic)]

use heartbeat_core::{
    Config,
    time::{Duration, Instant},
};
use heartbeat_sim::fleet::{Forgets, Outage, Overload, Plan, Second, Server, Summary, run};

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u32) -> Instant {
    Instant::ZERO + MINUTE * minutes
}

/// A thousand devices, and a server that can make twenty connections a second and lets 400 wait for that.
fn plan(overload: Overload, outage: Outage) -> Plan {
    Plan {
        devices: 1_000,
        config: Config::default(),
        phases_drawn: true,
        start_within: MINUTE * 5,
        length: MINUTE * 30,
        server: Server::new(20, 400, 400, overload, outage),
        seed: 0,
    }
}

fn summary(plan: &Plan) -> Summary {
    Summary::new(plan, &run(plan, |_| {}))
}

#[test]
fn fleet_is_spread_after_a_common_power_cut() {
    let strong = Server::new(100_000, 100_000, 4_096, Overload::Queue, Outage::None);
    let cut = Plan {
        start_within: Duration::from_millis(200),
        length: MINUTE,
        server: strong,
        ..plan(Overload::Queue, Outage::None)
    };
    let drawn = summary(&cut);
    assert_eq!((drawn.even, drawn.start_peak), (200, 1_000), "the first heartbeats go out at once");
    assert!(drawn.settled_peak < 300, "{drawn}");
    let same = summary(&Plan { phases_drawn: false, ..cut });
    assert_eq!(same.settled_peak, 1_000, "without phases they stay together");
}

/// A server that works for connections that were given up never comes to those that were not, unless they become fewer.
#[test]
fn back_off_lets_a_fleet_recover_where_the_server_works_in_vain() {
    let recovery = |in_vain, cap| {
        let outage = plan(Overload::KeptFirst, Outage::Unreachable(at(6), at(11)));
        let (server, config) = (Server { in_vain, ..outage.server }, outage.config.with_backoff_cap(cap));
        summary(&Plan { server, config, length: MINUTE * 22, ..outage }).after_outage.expect("an outage")
    };
    for in_vain in [false, true] {
        let recovery = recovery(in_vain, MINUTE);
        assert!(recovery.back[3].is_some_and(|seconds| seconds < 600), "{in_vain}: {recovery:?}");
        assert!(recovery.calm.is_some(), "{in_vain}: {recovery:?}");
    }
    let stubborn = recovery(true, Duration::ZERO);
    assert_eq!(stubborn.back[1], None, "{stubborn:?}");
    // 1,000 connections at 20 a second take 50 s.
    let noticed = recovery(false, Duration::ZERO);
    assert!(noticed.back[3].is_some_and(|seconds| seconds < 100), "{noticed:?}");
}

/// All have to connect anew, and the server can make 20 connections a second.
#[test]
fn fleet_follows_a_server_that_moves_and_survives_a_router_that_forgets() {
    for (outage, most) in [
        (Outage::Moved(at(6), 421), 600),
        (Outage::Moved(at(6), 404), 600),
        (Outage::Forgotten(at(6), Forgets::InSilence), 600),
        (Outage::Forgotten(at(6), Forgets::AndResets), 600),
    ] {
        let short = Plan { length: MINUTE * 14, ..plan(Overload::KeptFirst, outage) };
        let recovery = summary(&short).after_outage.expect("it happened");
        assert!(recovery.back[3].is_some_and(|seconds| seconds < most), "{outage:?}: {recovery:?}");
        assert!(recovery.calm.is_some(), "{outage:?}: {recovery:?}");
    }
}

#[test]
fn fleet_obeys_retry_after() {
    let outage = Outage::Failing(at(6), at(11));
    let history = run(&plan(Overload::Shed, outage), |_| {});
    let attempts = |minute: usize| -> u32 {
        history.iter().skip(minute * 60).take(60).map(|second| second.attempts).sum()
    };
    assert!(attempts(9) < attempts(5) / 8, "{} of {}", attempts(9), attempts(5));
    let back = history.iter().skip(11 * 60).position(|second| second.back == 1_000);
    assert!(
        back.is_some_and(|seconds| seconds <= 82),
        "1.25 of the cap, an interval and a timeout: {back:?}"
    );
}

#[test]
fn fleet_run_is_deterministic_and_counts_all_heartbeats() {
    let plan = plan(Overload::Queue, Outage::Unreachable(at(6), at(7)));
    let history = run(&plan, |_| {});
    let sum = |value: fn(&Second) -> u32| history.iter().map(|second| u64::from(value(second))).sum::<u64>();
    let in_flight = sum(|second| second.attempts) - sum(|second| second.delivered + second.failed);
    assert!(in_flight <= 1_000, "{in_flight}");
    assert_eq!(history, run(&plan, |_| {}));
    assert_ne!(history, run(&Plan { seed: 1, ..plan }, |_| {}));
}
