//! Fleets: what keeps them apart, and what brings them back.

#![allow(clippy::expect_used, clippy::panic)]

use heartbeat_core::{
    Config,
    time::{Duration, Instant},
};
use heartbeat_sim::fleet::{Outage, Overload, Plan, Second, Server, Summary, run};

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

#[test]
fn back_off_lets_a_fleet_recover_after_an_outage() {
    let outage = Outage::Unreachable(at(6), at(11));
    let sparing = plan(Overload::KeptFirst, outage);
    let recovery = summary(&sparing).after_outage.expect("an outage");
    assert!(recovery.back[3].is_some_and(|seconds| seconds < 900), "{recovery:?}");
    assert!(recovery.calm.is_some(), "{recovery:?}");
    let config = sparing.config.with_backoff_cap(Duration::ZERO);
    let stubborn = summary(&Plan { config, ..sparing }).after_outage.expect("an outage");
    assert_eq!(stubborn.back[0], None, "{stubborn:?}");
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
