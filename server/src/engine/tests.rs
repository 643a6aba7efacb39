//! The engine on a real database, with time as an argument.

use std::sync::{
    Arc,
    mpsc::{Receiver, channel},
};

use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::{
    config::Config,
    model::document::sample,
    store::{
        Read, Step, StoreError,
        database::Database,
        sqlite::path_in,
        tests::{both, file},
    },
};

pub(super) const T0: UnixMs = UnixMs(1_700_000_000_000);

pub(super) struct Rig {
    database: Database,
    pub(super) engine: Engine,
    pub(super) messages: Receiver<MessageRow>,
    config: Config,
}

impl Rig {
    pub(super) fn new(database: &Database, config: &str) -> Self {
        Self::begun(database, config, T0.into())
    }

    pub(super) fn begun(database: &Database, config: &str, now: Now) -> Self {
        let config: Config = toml::from_str(config).unwrap();
        let (engine, messages) = start(database, &config, now);
        Self { database: database.clone(), engine, messages, config }
    }

    /// As after a kill: nothing is written on the way.
    pub(super) fn restart(&mut self, now: UnixMs) {
        let now = now.into();
        // The lead is free when the database has noticed that the old engine is gone.
        let elsewhere = tempfile::tempdir().unwrap();
        self.engine = start(&file(&elsewhere), &self.config, now).0;
        for _ in 0..3000 {
            (self.engine, self.messages) = start(&self.database, &self.config, now);
            if self.engine.leads() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the lead did not become free");
    }

    pub(super) fn commit(&mut self, now: impl Into<Now>, documents: &[serde_json::Value]) -> Vec<Verdict> {
        let mut answers = Vec::new();
        let batch = documents.iter().map(|document| {
            let (answer, verdict) = oneshot::channel();
            answers.push(verdict);
            let beat = Beat::parse(document.to_string().as_bytes()).unwrap();
            Incoming { beat, group: None, answer }
        });
        let batch = batch.collect();
        self.engine.commit(now.into(), batch);
        answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
    }

    pub(super) fn device(&self, hardware_id: &str) -> Device {
        read(&self.engine.fleet()).find(hardware_id).unwrap().clone()
    }

    pub(super) fn reader(&self) -> Box<dyn Read> {
        self.database.open_reader().unwrap()
    }

    pub(super) fn stored(&self, hardware_id: &str, step: Step) -> i64 {
        let id = self.device(hardware_id).id;
        let points = self.reader().history(id, step, UnixMs(0), UnixMs(i64::MAX), 100_000).unwrap();
        points.iter().map(|point| point.beats).sum()
    }

    pub(super) fn events(&self, hardware_id: &str) -> Vec<String> {
        let id = self.device(hardware_id).id;
        let events = self.reader().events(Some(id), 100).unwrap();
        events.into_iter().rev().map(|event| event.kind).collect()
    }

    /// Time passes, a second at a time; `each` says what comes in each.
    pub(super) fn pass(
        &mut self,
        from: UnixMs,
        seconds: i64,
        mut each: impl FnMut(&mut Self, UnixMs),
    ) -> Vec<MessageRow> {
        let mut messages = Vec::new();
        for second in 0..seconds {
            let now = from.plus(second * 1000);
            each(self, now);
            self.engine.tick(now.into()).unwrap();
            while let Ok(message) = self.messages.try_recv() {
                self.engine.attempted(message.id, Attempt::Delivered);
                messages.push(message);
            }
        }
        messages
    }
}

fn start(database: &Database, config: &Config, now: Now) -> (Engine, Receiver<MessageRow>) {
    let (delivery, messages) = channel();
    let store = database.open().unwrap();
    let (tokens, lease) = (Arc::default(), Lease::default());
    let engine = Engine::new(store, Rules::of(config), now, tokens, delivery, lease).unwrap();
    (engine, messages)
}

/// A document whose clock is right at `now`.
pub(super) fn document(id: &str, number: u64, now: UnixMs) -> serde_json::Value {
    sample(json!({"hardwareid": id, "seq": number, "timestamp": now.0 / 1000}))
}

pub(super) const CHANNEL: &str = "[channels.me]\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/\"\n";

both!(
    a_heartbeat_is_stored_once_however_often_it_comes,
    a_late_heartbeat_is_stored_once_and_changes_nothing_that_is_shown,
    a_heartbeat_that_was_stored_live_is_not_stored_again_when_it_comes_late,
    minutes_hold_every_heartbeat_across_kills,
    a_restart_a_gap_and_a_new_device_are_events,
    new_devices_are_taken_up_to_the_limit,
    new_devices_are_refused_if_they_are_not_wanted,
    one_message_when_a_device_goes_and_one_when_it_comes_back,
    a_fleet_that_goes_at_once_is_one_message,
    a_restart_of_the_server_raises_no_alert,
    an_offline_device_is_not_announced_as_back_by_a_restart,
    an_alert_that_was_not_delivered_is_sent_after_a_kill,
    a_message_is_tried_until_it_arrives_and_says_if_it_may_be_a_repetition,
    a_hot_device_is_told_with_its_temperature,
    text_of_a_device_stays_in_its_line_of_a_message
);

fn a_heartbeat_is_stored_once_however_often_it_comes(database: &Database) {
    let mut rig = Rig::new(database, "");
    let beat = document("pi1", 1, T0);
    assert_eq!(rig.commit(T0, &[beat.clone(), beat.clone()]), [Verdict::Stored, Verdict::Repeated]);
    assert_eq!(rig.commit(T0.plus(1), std::slice::from_ref(&beat)), [Verdict::Repeated]);
    rig.restart(T0.plus(2));
    assert_eq!(rig.commit(T0.plus(3), &[beat]), [Verdict::Repeated]);
    assert_eq!(rig.stored("pi1", Step::Beat), 1);
}

fn a_late_heartbeat_is_stored_once_and_changes_nothing_that_is_shown(database: &Database) {
    let mut rig = Rig::new(database, "");
    rig.commit(T0, &[document("pi1", 500, T0)]);
    let before = rig.device("pi1");
    let mut late = document("pi1", 12, T0.plus(-3_600_000));
    late["replayed"] = true.into();
    late["temp"] = 99.into();
    assert_eq!(rig.commit(T0.plus(5), &[late.clone(), late.clone()]), [Verdict::Stored, Verdict::Repeated]);
    rig.restart(T0.plus(6));
    assert_eq!(rig.commit(T0.plus(7), &[late]), [Verdict::Repeated]);
    let after = rig.device("pi1");
    assert_eq!((after.seen_at, &after.reading), (before.seen_at, &before.reading));
    assert_eq!(rig.stored("pi1", Step::Beat), 2);
}

fn a_heartbeat_that_was_stored_live_is_not_stored_again_when_it_comes_late(database: &Database) {
    let mut rig = Rig::new(database, "");
    for number in [1, 2, 3, 80] {
        let now = T0.plus(5000 * i64::from(number));
        rig.commit(now, &[document("pi1", u64::try_from(number).unwrap(), now)]);
    }
    let late = |number: u64| {
        let mut late = document("pi1", number, T0.plus(5000 * number.cast_signed()));
        late["replayed"] = true.into();
        late
    };
    let now = T0.plus(500_000);
    assert_eq!(rig.commit(now, &[late(2), late(4)]), [Verdict::Repeated, Verdict::Stored]);
    // In one commit, before the database knows it.
    let live: Vec<_> = [81, 82, 200].map(|number| document("pi1", number, now)).into();
    assert_eq!(rig.commit(now.plus(1), &[live, vec![late(81)]].concat())[3], Verdict::Repeated);
    rig.restart(now.plus(2));
    assert_eq!(rig.commit(now.plus(3), &[late(2), late(4), late(82)]), [Verdict::Repeated; 3]);
    assert_eq!(rig.stored("pi1", Step::Beat), 8);
    rig.engine.tick((now.plus(1_000_000)).into()).unwrap();
    assert_eq!(rig.stored("pi1", Step::Minute), 8);
}

fn minutes_hold_every_heartbeat_across_kills(database: &Database) {
    let mut rig = Rig::new(database, "");
    for number in 1..=60u64 {
        let now = T0.plus(number.cast_signed() * 5000);
        rig.commit(now, &[document("pi1", number, now)]);
        if number.is_multiple_of(7) {
            rig.restart(now.plus(1));
        }
    }
    rig.engine.tick(T0.plus(1_000_000).into()).unwrap();
    assert_eq!(rig.stored("pi1", Step::Minute), 60);
    assert_eq!(rig.stored("pi1", Step::Hour), 60);
    rig.restart(T0.plus(1_000_001));
    rig.engine.tick(T0.plus(2_000_000).into()).unwrap();
    assert_eq!(rig.stored("pi1", Step::Minute), 60, "an idle minute is written once");
}

#[test]
fn what_cannot_be_stored_is_not_acknowledged_counted_or_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(&file(&directory), "");
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let path = path_in(directory.path());
    let aside = directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(rig.commit(T0.plus(5000), &[document("pi1", 2, T0)]), [Verdict::Unavailable]);
    assert_eq!(rig.device("pi1").seen_at, Some(T0));
    assert!(read(&rig.engine.fleet()).trouble.is_some());
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(
        rig.commit(T0.plus(6000), &[document("pi1", 2, T0)]),
        [Verdict::Stored],
        "not taken for a repetition"
    );
    assert!(read(&rig.engine.fleet()).trouble.is_none());
}

fn a_restart_a_gap_and_a_new_device_are_events(database: &Database) {
    let mut rig = Rig::new(database, "");
    rig.commit(T0, &[document("pi1", 1, T0)]);
    rig.commit(T0.plus(100_000), &[document("pi1", 21, T0.plus(100_000))]);
    let mut restarted = document("pi1", 1, T0.plus(200_000));
    restarted["boot_id"] = "feedfeedfeedfeed".into();
    rig.commit(T0.plus(200_000), &[restarted]);
    assert_eq!(rig.events("pi1"), ["added", "gap", "restarted"]);
    assert_eq!(rig.device("pi1").lost, 19);
}

fn new_devices_are_taken_up_to_the_limit(database: &Database) {
    let mut rig = Rig::new(database, "[receive]\ndevices = 1");
    let verdicts = rig.commit(T0, &[document("pi1", 1, T0), document("pi2", 1, T0)]);
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Unknown]);
}

fn new_devices_are_refused_if_they_are_not_wanted(database: &Database) {
    let mut rig = Rig::new(database, "[receive]\nnew_devices = false");
    assert_eq!(rig.commit(T0, &[document("pi1", 1, T0)]), [Verdict::Unknown]);
}

fn one_message_when_a_device_goes_and_one_when_it_comes_back(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    let messages = rig.pass(T0, 600, |rig, now| {
        let second = now.since(T0) / 1000;
        if second % 5 == 0 && !(100..300).contains(&second) {
            let number = u64::try_from(second).unwrap() / 5 + 1;
            rig.commit(now, &[document("pi1", number, now)]);
        }
    });
    let subjects: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["pi1: offline", "pi1: back"]);
    assert!(rig.device("pi1").alerts.is_empty());
}

fn a_fleet_that_goes_at_once_is_one_message(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    let documents = |number: u64, now: UnixMs| -> Vec<_> {
        (0..300).map(|n| document(&format!("pi{n}"), number, now)).collect()
    };
    let messages = rig.pass(T0, 400, |rig, now| {
        let second = now.since(T0) / 1000;
        if second % 5 == 0 && second < 100 {
            rig.commit(now, &documents(u64::try_from(second).unwrap() / 5 + 1, now));
        }
    });
    let subjects: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["300 offline"]);
}

fn a_restart_of_the_server_raises_no_alert(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0), document("pi2", 1, T0)]);
    // The server was away for an hour, one device comes back after half a minute.
    let start = T0.plus(3_600_000);
    rig.restart(start);
    let messages = rig.pass(start, 89, |rig, now| {
        let second = now.since(start) / 1000;
        if second >= 30 && second % 5 == 0 {
            rig.commit(now, &[document("pi1", 700 + u64::try_from(second).unwrap(), now)]);
        }
    });
    assert_eq!(messages, []);
    let messages = rig.pass(start.plus(89_000), 60, |_, _| ());
    let subjects: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(subjects, ["pi2: offline"]);
}

fn an_offline_device_is_not_announced_as_back_by_a_restart(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let messages = rig.pass(T0, 200, |_, _| ());
    assert_eq!(messages.len(), 1);
    let start = T0.plus(200_000);
    rig.restart(start);
    assert_eq!(rig.pass(start, 300, |_, _| ()), []);
    assert_eq!(rig.device("pi1").alerts.len(), 1);
}

fn an_alert_that_was_not_delivered_is_sent_after_a_kill(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let mut now = T0;
    while rig.device("pi1").alerts.is_empty() {
        now = now.plus(1000);
        rig.engine.tick(now.into()).unwrap();
    }
    assert!(rig.messages.try_recv().is_err(), "it is still being gathered");
    rig.restart(now);
    let messages = rig.pass(now, 15, |_, _| ());
    assert_eq!(messages.len(), 1);
}

fn a_message_is_tried_until_it_arrives_and_says_if_it_may_be_a_repetition(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let mut now = T0;
    let mut next = |rig: &mut Rig| loop {
        now = now.plus(1000);
        rig.engine.tick(now.into()).unwrap();
        if let Ok(message) = rig.messages.try_recv() {
            return (now, message);
        }
    };
    let (first_at, first) = next(&mut rig);
    assert!(!first.doubtful);
    rig.engine.attempted(first.id, Attempt::Failed("no route".into()));
    let (second_at, second) = next(&mut rig);
    assert!(!second.doubtful, "it has not arrived for sure");
    assert!(second_at.since(first_at) >= 10_000);
    rig.engine.attempted(second.id, Attempt::Doubtful("no answer".into()));
    let (_, third) = next(&mut rig);
    assert!(third.doubtful);
    // Killed while the third attempt was under way.
    rig.restart(second_at.plus(600_000));
    rig.engine.tick((second_at.plus(600_000)).into()).unwrap();
    let fourth = rig.messages.try_recv().unwrap();
    assert_eq!((fourth.id, fourth.doubtful), (first.id, true));
    rig.engine.attempted(fourth.id, Attempt::Delivered);
    rig.engine.tick((second_at.plus(601_000)).into()).unwrap();
    rig.restart(second_at.plus(602_000));
    rig.engine.tick((second_at.plus(602_000)).into()).unwrap();
    assert!(rig.messages.try_recv().is_err());
}

fn text_of_a_device_stays_in_its_line_of_a_message(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    let messages = rig.pass(T0, 120, |rig, now| {
        let second = now.since(T0) / 1000;
        if second % 5 == 0 {
            let number = u64::try_from(second).unwrap() / 5 + 1;
            let mut forger = document("forger", number, now);
            let version = if second < 80 { "1" } else { "2\0[]\npi9: offline" };
            forger["app_version"] = json!(version);
            let mut other = document("zero", number, now);
            other["diagnostics"]["throttled"] = json!(i32::from(second >= 80));
            rig.commit(now, &[forger, other]);
        }
    });
    assert_eq!(messages.len(), 1);
    let (text, programs) = crate::alerts::digest::parts(&messages[0].body);
    assert!(
        text.starts_with("forger: version changed, from 1 to 2\u{fffd}[]\u{fffd}pi9: offline\n"),
        "{text}"
    );
    assert!(text.contains("\nzero: under-voltage"), "{text}");
    assert_eq!(programs.alerts.len(), 2);
}

fn a_hot_device_is_told_with_its_temperature(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    let messages = rig.pass(T0, 200, |rig, now| {
        let second = now.since(T0) / 1000;
        if second % 5 == 0 {
            let mut hot = document("pi1", u64::try_from(second).unwrap() / 5 + 1, now);
            hot["temp"] = json!(83.2);
            rig.commit(now, &[hot]);
        }
    });
    assert_eq!(messages.len(), 1);
    assert!(messages[0].body.starts_with("pi1: hot, 83.2 °C\n"), "{}", messages[0].body);
    assert_eq!(rig.events("pi1"), ["added", "hot"]);
}

#[test]
fn an_outage_of_the_database_raises_no_alert() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(&file(&directory), CHANNEL);
    let path = path_in(directory.path());
    let aside = directory.path().join("aside");
    let away = 100..400;
    let mut number = 0;
    for second in 0..900i64 {
        let now = T0.plus(second * 1000);
        if second == away.start {
            std::fs::rename(&path, &aside).unwrap();
        } else if second == away.end {
            std::fs::rename(&aside, &path).unwrap();
        }
        // One comes back at once, another one as late as the server's 503 told it; the third has really gone.
        let ids = ["at once", "later", "gone"].into_iter().enumerate();
        let beating = ids.filter(|(n, _)| match n {
            0 => true,
            1 => !(away.start..away.end + 65).contains(&second),
            _ => second < away.start,
        });
        if second % 5 == 0 {
            number += 1;
            let documents: Vec<_> = beating.map(|(_, id)| document(id, number, now)).collect();
            rig.commit(now, &documents);
        }
        let turn = rig.engine.tick(now.into());
        assert!(turn.is_ok() || away.contains(&second), "{turn:?}");
    }
    let messages: Vec<_> = rig.messages.try_iter().map(|message| message.subject).collect();
    assert_eq!(messages, ["gone: offline"]);
}

#[test]
fn an_outage_is_over_when_something_can_be_written_although_no_device_sends_anything() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(&file(&directory), "");
    let (path, aside) = (path_in(directory.path()), directory.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(rig.commit(T0, &[document("pi1", 1, T0)]), [Verdict::Unavailable]);
    let troubled = |rig: &Rig| read(&rig.engine.fleet()).trouble.is_some();
    for second in 1..30 {
        let _ = rig.engine.tick(T0.plus(second * 1000).into());
        assert!(troubled(&rig), "it lasts, after {second} s");
    }
    std::fs::rename(&aside, &path).unwrap();
    for second in 30..40 {
        rig.engine.tick(T0.plus(second * 1000).into()).unwrap();
    }
    assert!(!troubled(&rig));
}

#[test]
fn a_store_that_fails_changes_nothing_in_a_turn() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(&file(&directory), CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let path = path_in(directory.path());
    let aside = directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    for second in 0..120 {
        let outcome = rig.engine.tick(T0.plus(second * 1000).into());
        assert!(matches!(outcome, Ok(()) | Err(StoreError::Unavailable(_))));
    }
    assert!(rig.device("pi1").alerts.is_empty());
    std::fs::rename(&aside, &path).unwrap();
    let messages = rig.pass(T0.plus(120_000), 180, |_, _| ());
    assert_eq!(messages.len(), 1, "told when it could be stored");
}
