//! Several engines on one database of PostgreSQL.

use serde_json::json;

use super::{
    tests::{CHANNEL, Rig, T0, document},
    *,
};
use crate::store::{
    Labels, Step,
    cluster::Cluster,
    tests::{shared, shared_at},
};

/// The first one leads.
fn two(config: &str) -> (Rig, Rig) {
    let database = shared();
    let (one, other) = (Rig::new(&database, config), Rig::new(&database, config));
    assert!(one.engine.leads() && !other.engine.leads());
    (one, other)
}

/// A second passes in both.
fn tick(one: &mut Rig, other: &mut Rig, now: UnixMs) {
    one.engine.tick(now.into()).unwrap();
    other.engine.tick(now.into()).unwrap();
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_heartbeat_that_comes_again_to_another_process_is_repeated() {
    let (mut one, mut other) = two("");
    for number in 1..=20 {
        let now = T0.plus(i64::try_from(number).unwrap() * 5000);
        let beat = document("pi1", number, now);
        // Without a turn in between: what another one has stored is found out at the commit.
        assert_eq!(one.commit(now, std::slice::from_ref(&beat)), [Verdict::Stored]);
        assert_eq!(other.commit(now.plus(1), std::slice::from_ref(&beat)), [Verdict::Repeated]);
        let mut late = document("pi1", number + 1000, now.plus(-900_000));
        late["replayed"] = true.into();
        assert_eq!(other.commit(now.plus(2), std::slice::from_ref(&late)), [Verdict::Stored]);
        assert_eq!(one.commit(now.plus(3), &[late]), [Verdict::Repeated]);
    }
    assert_eq!(one.stored("pi1", Step::Beat), 40);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn minutes_hold_every_heartbeat_of_a_device_that_changes_between_processes() {
    let (mut one, mut other) = two("");
    for number in 1..=60u64 {
        let now = T0.plus(number.cast_signed() * 5000);
        let rig = if number % 3 == 0 { &mut one } else { &mut other };
        assert_eq!(rig.commit(now, &[document("pi1", number, now)]), [Verdict::Stored]);
        if number % 7 == 0 {
            tick(&mut one, &mut other, now);
        }
    }
    // The last minute is closed by the one that leads, although another one received it.
    for second in 0..600 {
        tick(&mut one, &mut other, T0.plus(300_000 + second * 1000));
    }
    for step in [Step::Beat, Step::Minute, Step::Hour] {
        assert_eq!(one.stored("pi1", step), 60, "{step:?}");
    }
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn each_process_shows_what_the_others_store() {
    let (mut one, mut other) = two("");
    other.commit(T0, &[document("pi1", 1, T0)]);
    tick(&mut one, &mut other, T0.plus(1000));
    assert_eq!(one.device("pi1").seen_at, Some(T0));
    let mut hotter = document("pi1", 2, T0.plus(5000));
    hotter["temp"] = json!(61.5);
    other.commit(T0.plus(5000), &[hotter]);
    tick(&mut one, &mut other, T0.plus(6000));
    let device = one.device("pi1");
    assert_eq!(device.reading, other.device("pi1").reading);
    assert_eq!((device.seen_at, device.presence), (Some(T0.plus(5000)), Presence::Online));
    assert_eq!(read(&one.engine.fleet()).counts().total(), 1);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_device_that_was_removed_elsewhere_before_it_was_seen_here_is_refused() {
    let database = shared();
    let mut one = Rig::new(&database, "");
    let mut other = Rig::new(&database, "");
    one.commit(T0, &[document("pi1", 1, T0)]);
    let removed = Labels { removed: true, ..Labels::default() };
    assert!(database.open().unwrap().set_labels("pi1", &removed).unwrap());
    assert_eq!(other.commit(T0.plus(5000), &[document("pi1", 2, T0)]), [Verdict::Removed]);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn an_alert_is_raised_once_whichever_process_receives_the_device() {
    let (mut one, mut other) = two(CHANNEL);
    let mut messages = Vec::new();
    for second in 0..200 {
        let now = T0.plus(second * 1000);
        if second % 5 == 0 {
            let number = u64::try_from(second).unwrap() / 5 + 1;
            let mut hot = document("pi1", number, now);
            hot["temp"] = json!(83.2);
            // It is received by the one that does not lead, or by both in turn.
            let rig = if second < 100 || number % 2 == 0 { &mut other } else { &mut one };
            rig.commit(now, &[hot]);
        }
        tick(&mut one, &mut other, now);
        messages.extend(one.messages.try_iter().chain(other.messages.try_iter()));
        for message in &messages {
            one.engine.attempted(message.id, Attempt::Delivered);
        }
    }
    let subjects: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["pi1: hot"]);
    assert_eq!(one.events("pi1"), ["added", "hot"]);
    assert_eq!(other.device("pi1").alerts, one.device("pi1").alerts);
    assert_eq!(other.device("pi1").alerts.len(), 1);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn another_process_takes_the_duties_of_one_that_is_gone() {
    let (mut one, mut other) = two(CHANNEL);
    one.commit(T0, &[document("pi1", 1, T0)]);
    let mut first = None;
    for second in 0..200 {
        tick(&mut one, &mut other, T0.plus(second * 1000));
        first = first.or_else(|| one.messages.try_recv().ok());
    }
    let first = first.unwrap();
    // It ends while the message is on its way: it may have arrived.
    drop(one);
    let mut now = T0.plus(200_000);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !other.engine.leads() {
        assert!(std::time::Instant::now() < deadline);
        other.engine.tick(now.into()).unwrap();
    }
    let mut messages = Vec::new();
    for _ in 0..300 {
        now = now.plus(1000);
        other.engine.tick(now.into()).unwrap();
        while let Ok(message) = other.messages.try_recv() {
            other.engine.attempted(message.id, Attempt::Delivered);
            messages.push((message.id, message.doubtful));
        }
    }
    assert_eq!(messages, [(first.id, true)], "the same message, which says that it may be a repetition");
    assert_eq!(other.events("pi1"), ["added", "offline"], "raised once");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_device_that_is_forgotten_is_forgotten_by_all() {
    let (mut one, mut other) = two("");
    other.commit(T0, &[document("pi1", 1, T0)]);
    tick(&mut one, &mut other, T0.plus(1000));
    let removed = Labels { removed: true, ..Labels::default() };
    other.engine.store.set_labels("pi1", &removed).unwrap();
    assert!(other.engine.store.purge_device("pi1").unwrap());
    tick(&mut one, &mut other, T0.plus(2000));
    assert!(one.engine.is_purging() && !other.engine.is_purging(), "the leading one does it");
    while one.engine.is_purging() {
        one.engine.purge().unwrap();
    }
    tick(&mut one, &mut other, T0.plus(3000));
    for rig in [&one, &other] {
        let device = rig.device("pi1");
        assert_eq!((device.seen_at, device.labels.removed), (None, true));
    }
    other.engine.store.set_labels("pi1", &Labels::default()).unwrap();
    tick(&mut one, &mut other, T0.plus(4000));
    let beat = document("pi1", 1, T0);
    assert_eq!(other.commit(T0.plus(5000), std::slice::from_ref(&beat)), [Verdict::Stored]);
    assert_eq!(one.commit(T0.plus(5001), &[beat]), [Verdict::Repeated]);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn ledgers_that_others_change_hold_up_no_alert() {
    let (mut one, mut other) = two(CHANNEL);
    let mut messages = Vec::new();
    // In each second another device comes back after minutes of silence, to the process that does not lead: the minutes that
    // the leading one would close are stale in each turn.
    let silent: Vec<_> = (0..200).map(|n| format!("pi{n}")).collect();
    let first: Vec<_> = silent.iter().map(|id| document(id, 1, T0)).collect();
    one.commit(T0, &first);
    one.commit(T0, &[document("hot", 1, T0)]);
    for second in 200..400i64 {
        let now = T0.plus(second * 1000);
        let id = &silent[usize::try_from(second).unwrap() - 200];
        one.engine.store.changes().unwrap();
        other.commit(now, &[document(id, 2, now)]);
        if second % 5 == 0 {
            let mut hot = document("hot", u64::try_from(second).unwrap(), now);
            hot["temp"] = json!(83.2);
            one.commit(now, &[hot]);
        }
        tick(&mut one, &mut other, now);
        messages.extend(one.messages.try_iter());
        for message in &messages {
            one.engine.attempted(message.id, Attempt::Delivered);
        }
    }
    assert!(messages.iter().any(|message| message.subject.contains("hot")), "{messages:?}");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_process_that_was_frozen_sends_nothing_when_it_wakes_up() {
    let url = Cluster::shared().database();
    let database = shared_at(&url);
    let (mut one, mut other) = (Rig::new(&database, CHANNEL), Rig::new(&database, CHANNEL));
    one.commit(T0, &[document("pi1", 1, T0)]);
    for second in 0..100 {
        tick(&mut one, &mut other, T0.plus(second * 1000));
    }
    assert_eq!(one.device("pi1").alerts.len(), 1);
    assert!(one.messages.try_recv().is_err(), "it is still being gathered");
    // It is frozen with its connection open; another one ends that, and takes over.
    Cluster::shared().sql(
        &url,
        "UPDATE setting SET value = '1 ' || (split_part(value, ' ', 2)::bigint - 16000) WHERE key = 'lead'",
    );
    let mut now = T0.plus(100_000);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !other.engine.leads() {
        assert!(std::time::Instant::now() < deadline);
        other.engine.tick(now.into()).unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..30 {
        now = now.plus(1000);
        other.engine.tick(now.into()).unwrap();
        for message in other.messages.try_iter() {
            other.engine.attempted(message.id, Attempt::Delivered);
            told.push((message.subject, message.doubtful));
        }
    }
    assert_eq!(told, [("pi1: offline".to_owned(), false)], "what the first one had raised");
    // It wakes up in the middle of a turn, and then has one after the other.
    for _ in 0..100 {
        now = now.plus(1000);
        let _ = one.engine.tick(now.into());
        assert!(one.messages.try_recv().is_err(), "sent twice");
    }
    assert!(!one.engine.leads() && other.engine.leads());
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_commit_whose_answer_is_lost_tells_nothing_twice() {
    let mut one = Rig::new(&shared(), CHANNEL);
    one.commit(T0, &[document("pi1", 1, T0)]);
    // Those that raise the alert, make the message, and begin to send it.
    let (mut lost, mut said) = (0, Vec::new());
    for second in 1..400 {
        let now = T0.plus(second * 1000);
        if second > 80 && lost < 3 {
            one.engine.store.lose_next_answer();
        }
        lost += i32::from(one.engine.tick(now.into()).is_err());
        for message in one.messages.try_iter() {
            one.engine.attempted(message.id, Attempt::Delivered);
            said.push(message.subject);
        }
    }
    assert_eq!(lost, 3);
    assert_eq!(said, ["pi1: offline"]);
    assert_eq!(one.events("pi1"), ["added", "offline"]);
    assert_eq!(one.device("pi1").alerts.len(), 1);
    assert!(one.engine.store.duties().unwrap().messages.is_empty());
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn each_process_says_how_many_messages_wait() {
    let (mut one, mut other) = two(CHANNEL);
    one.commit(T0, &[document("pi1", 1, T0)]);
    let waiting = |rig: &Rig| read(&rig.engine.fleet()).messages;
    for second in 0..120 {
        tick(&mut one, &mut other, T0.plus(second * 1000));
    }
    assert_eq!((waiting(&one), waiting(&other)), (1, 1));
    let message = one.messages.try_recv().unwrap();
    one.engine.attempted(message.id, Attempt::Delivered);
    tick(&mut one, &mut other, T0.plus(120_000));
    assert_eq!((waiting(&one), waiting(&other)), (0, 0));
}
