//! Heartbeats that were not delivered and are sent late: the live one first, then the oldest, never twice.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use heartbeat_core::{
    Agent, Config, Identity,
    agent::backlog::{Counts, Storage},
    time::Duration,
};
use heartbeat_sim::{
    fake::{FakeDevice, Sent},
    faults::NetworkFault,
    rig::Rig,
    schema::Schema,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Runs a rig whose agent keeps ten heartbeats and sends two late ones in an interval.
fn with_backlog(test: impl FnOnce(Rig<'_>)) {
    let mut memory = Storage::<65_536>::new();
    let config = Config::default().with_backlog(10, 2);
    let agent = Agent::new(Identity::new("x").with_boot_id(1), config).with_backlog(memory.as_mut_view());
    test(Rig::around(agent, FakeDevice::healthy()));
}

/// `seq` of each request, negative for late ones, and its time since the first in milliseconds.
fn sequence(rig: &Rig<'_>) -> Vec<(i64, u64)> {
    let schema = Schema::new();
    let first = rig.uplink.sent[0].at;
    let numbered = |sent: &Sent| {
        let body = schema.check(&sent.body).expect("fits the schema");
        let seq = body["seq"].as_i64().expect("a number");
        let late = body.get("replayed").is_some();
        (if late { -seq } else { seq }, sent.at.since(first).as_millis())
    };
    rig.uplink.sent.iter().map(numbered).collect()
}

#[test]
fn a_delivery_lets_queued_heartbeats_go_at_once() {
    with_backlog(|mut rig| {
        rig.run_for(MS(1_000));
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(16_000));
        rig.uplink.inner.fault = None;
        // The outage has ended; one is left.
        rig.run_for(MS(6_000));
        assert!(rig.agent.stats().consecutive_failures == 0 && rig.agent.backlog().len() == 1);
        rig.stall_until(rig.agent.next_beat());
        rig.poll();
        assert_eq!(rig.agent.wake_unless_failed(), None);
    });
}

#[test]
fn after_an_outage_live_goes_first_then_the_oldest() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(11_000));
        let failed: Vec<_> = rig.uplink.sent.iter().map(|sent| sent.body.clone()).collect();
        rig.uplink.inner.fault = None;
        rig.run_for(MS(10_000));
        let expected = [
            (1, 0),
            (2, 5_000),
            (3, 10_000),
            (4, 15_000),
            (-1, 15_030),
            (-2, 15_060),
            (5, 20_000),
            (-3, 20_030),
        ];
        assert_eq!(sequence(&rig), expected);
        let [late, first] = [&rig.uplink.sent[4].body, &failed[0]].map(|body| String::from_utf8_lossy(body));
        let unmarked = first.strip_suffix('}').expect("a document");
        assert_eq!(late, format!(r#"{unmarked},"replayed":true}}"#), "as it was, but for the mark");
        assert_eq!(rig.agent.backlog().counts(), Counts { queued: 3, replayed: 3, dropped: 0 });
        let stats = rig.agent.stats();
        assert_eq!((stats.attempted, stats.delivered, stats.failed), (5, 2, 3), "live ones only");
    });
}

#[test]
fn late_heartbeat_never_delays_a_live_one() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(5_000));
        // The answer to the late one never comes; neither does it delay the next live one.
        rig.uplink.inner.set(None, MS(1_900));
        rig.run_for(MS(6_900));
        rig.uplink.inner.fault = Some(NetworkFault::ReplyLost);
        rig.run_for(MS(10_000));
        let live: Vec<_> = sequence(&rig).into_iter().filter(|(seq, _)| *seq > 0).map(|(_, at)| at).collect();
        assert_eq!(live, [0, 5_000, 10_000, 15_000, 20_000]);
        assert_eq!(rig.uplink.overlapping, 0);
    });
}

#[test]
fn drops_a_heartbeat_that_may_have_arrived() {
    for (fault, kept) in [
        (NetworkFault::ReplyLost, 0),
        (NetworkFault::RequestLost, 0),
        (NetworkFault::BreaksAfter, 0),
        (NetworkFault::NotHttp, 0),
        (NetworkFault::NoRoute, 2),
        (NetworkFault::ConnectSilent, 2),
        (NetworkFault::HandshakeSilent, 2),
        (NetworkFault::WrongCertificate, 2),
        (NetworkFault::NoResources, 2),
        (NetworkFault::Status(404), 2),
        (NetworkFault::Status(503), 2),
    ] {
        with_backlog(|mut rig| {
            rig.uplink.inner.fault = Some(fault);
            rig.run_for(MS(9_000));
            assert_eq!(rig.agent.backlog().counts().queued, kept, "{fault}");
        });
    }
}

#[test]
fn unanswered_late_heartbeat_is_dropped_and_unsent_one_waits() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(6_000));
        rig.uplink.inner.fault = None;
        rig.run_for(MS(4_000));
        rig.uplink.inner.fault = Some(NetworkFault::NameFails);
        rig.run_for(MS(20));
        assert_eq!(rig.agent.backlog().counts(), Counts { queued: 2, replayed: 0, dropped: 0 });
        rig.run_for(MS(20));
        assert_eq!(rig.agent.backlog().len(), 2, "it has not left");
        rig.uplink.inner.fault = None;
        rig.run_for(MS(4_960));
        rig.uplink.inner.fault = Some(NetworkFault::ReplyLost);
        rig.run_for(MS(3_000));
        assert_eq!(rig.agent.backlog().counts(), Counts { queued: 2, replayed: 0, dropped: 1 });
    });
}

#[test]
fn retry_after_applies_to_late_heartbeats() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(6_000));
        rig.uplink.inner.fault = None;
        rig.run_for(MS(4_010));
        rig.uplink.inner.fault = Some(NetworkFault::Busy(429, Duration::from_secs(30)));
        rig.run_for(MS(60_000));
        let sent = sequence(&rig);
        assert_eq!(sent[..4], [(1, 0), (2, 5_000), (3, 10_000), (-1, 10_030)]);
        assert!(sent[4].1 >= 40_030, "{sent:?}");
    });
}

#[test]
fn stop_cancels_the_late_heartbeat_in_flight() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(6_000));
        rig.uplink.inner.fault = None;
        rig.run_for(MS(4_040));
        assert!(rig.uplink.is_busy());
        rig.agent.stop();
        rig.poll();
        assert!(!rig.uplink.is_busy());
        assert_eq!(rig.agent.backlog().counts(), Counts { queued: 2, replayed: 0, dropped: 1 });
    });
}

#[test]
fn smaller_backlog_drops_the_oldest() {
    with_backlog(|mut rig| {
        rig.uplink.inner.fault = Some(NetworkFault::NoRoute);
        rig.run_for(MS(26_000));
        assert_eq!(rig.agent.backlog().len(), 6);
        rig.agent.reconfigure(Identity::new("x"), Config::default().with_backlog(2, 2));
        rig.uplink.inner.fault = None;
        rig.run_for(MS(8_000));
        let late: Vec<_> =
            sequence(&rig).into_iter().filter(|(seq, _)| *seq < 0).map(|(seq, _)| -seq).collect();
        assert_eq!(late, [5, 6]);
    });
}
