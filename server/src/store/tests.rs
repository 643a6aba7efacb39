//! What every store must do, tested with each of them.

use super::{
    AlertRow, Applied, BeatRow, EventRow, Known, Labels, MessageRow, Read, Retained, Retention, Revision,
    Step, SummaryRow, TokenRow, TokenUse, Writes, cluster::Cluster, database::Database, postgres::Server,
    sqlite::path_in,
};
use crate::{
    limits::{BOOTS_IN_MEMORY, STARTS_MAX},
    model::{
        DeviceId,
        document::Reading,
        ledger::Minute,
        reading::{Summary, Value, Values},
    },
    time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs},
};

pub(super) const T0: UnixMs = UnixMs(1_700_000_000_000);

/// Runs each test with a file of SQLite, and with a database of PostgreSQL.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                let directory = tempfile::tempdir().unwrap();
                super::$name(&crate::store::tests::file(&directory));
            })*
        }
        mod postgres {
            $(#[test]
            #[ignore = "needs postgresql-15: server/check"]
            fn $name() {
                super::$name(&crate::store::tests::shared());
            })*
        }
    };
}
pub(crate) use both;

/// A database of SQLite in a directory.
pub(crate) fn file(directory: &tempfile::TempDir) -> Database {
    Database::Sqlite(path_in(directory.path()))
}

/// A new database of PostgreSQL.
pub(crate) fn shared() -> Database {
    shared_at(&Cluster::shared().database())
}

/// The database of PostgreSQL at an address.
pub(crate) fn shared_at(url: &str) -> Database {
    Database::Postgres(std::sync::Arc::new(Server::new(url, None, None).unwrap()))
}

both!(
    a_device_keeps_its_number_and_its_first_group,
    what_was_written_is_there_after_the_file_was_opened_again,
    a_start_is_found_again_and_a_new_one_is_the_next,
    summaries_add_up_in_minutes_and_hours,
    a_heartbeat_is_known_whether_it_came_live_or_late,
    alerts_and_messages_last_until_they_are_over,
    an_outage_of_a_large_fleet_is_one_commit,
    tokens_logins_and_labels_raise_the_revision,
    a_token_that_is_only_added_is_told_from_other_changes,
    old_starts_go_and_the_latest_stay,
    the_first_value_of_a_setting_stays,
);

pub(super) fn values(temp: i32) -> Values {
    let mut values = Values::default();
    values.set(Value::Temp, Some(temp));
    values
}

pub(super) fn beat(device: DeviceId, at: UnixMs, temp: i32) -> BeatRow {
    let reading =
        Reading { values: values(temp), position: Some((4_800_000, -1_150_000)), ..Reading::default() };
    BeatRow {
        device,
        at,
        sampled_at: Some(at.plus(-40)),
        boot: Some(1),
        number: Some(7),
        replayed: false,
        reading,
    }
}

pub(super) fn summary(device: DeviceId, minute: UnixMs, temps: &[i32]) -> SummaryRow {
    let mut summary = Summary::default();
    for temp in temps {
        summary.add(&values(*temp));
    }
    SummaryRow { device, minute, summary }
}

fn a_device_keeps_its_number_and_its_first_group(database: &Database) {
    let mut store = database.open().unwrap();
    let ids = store.device_ids(T0, &[("pi1", Some("north")), ("pi2", None)]).unwrap();
    assert!(ids.iter().all(|(_, new)| *new));
    let again = store.device_ids(T0, &[("pi2", Some("south")), ("pi1", None)]).unwrap();
    assert_eq!(again, [(ids[1].0, false), (ids[0].0, false)]);
    let labels = store.labels().unwrap();
    assert_eq!(labels[0].2.group.as_deref(), Some("north"));
    assert_eq!(labels[1].2.group, None);
}

fn what_was_written_is_there_after_the_file_was_opened_again(database: &Database) {
    let device = {
        let mut store = database.open().unwrap();
        let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
        let mut boot = store.open_boots(T0, &[(device, u64::MAX)]).unwrap()[0];
        assert_eq!((boot.ordinal, boot.max), (1, 0));
        (boot.max, boot.window, boot.received) = (u64::MAX, u64::MAX, 9);
        let writes = Writes {
            latest: vec![(device, T0, "{\"x\": 1}".to_owned())],
            beats: vec![beat(device, T0, 480), beat(device, T0.plus(5000), 500)],
            boots: vec![(device, boot)],
            events: vec![EventRow { at: T0, device, kind: "added".into(), detail: "d".into() }],
            ..Writes::default()
        };
        store.apply(&writes).unwrap();
        device
    };
    let mut store = database.open().unwrap();
    assert_eq!(store.seen().unwrap(), [(device, T0)]);
    let loaded = store.load().unwrap();
    let row = &loaded[0];
    assert_eq!(row.latest, Some((T0, "{\"x\": 1}".to_owned())));
    assert_eq!((row.ledger.boots[0].max, row.ledger.boots[0].window), (u64::MAX, u64::MAX));
    assert_eq!(row.ledger.last_at, T0.plus(5000));
    let mut summed = Summary::default();
    summed.add(&values(480));
    summed.add(&values(500));
    assert_eq!(row.ledger.minute, Minute::Open(T0.floor(MINUTE_MS), summed));

    let mut reader = database.open_reader().unwrap();
    let points = reader.history(device, Step::Beat, T0, T0.plus(5001), 10).unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!(points[0].mean[Value::Temp as usize], Some(480.0));
    let detail = points[0].beat.as_ref().unwrap();
    assert_eq!((detail.sampled_at, detail.number), (Some(T0.plus(-40)), Some(7)));
    assert_eq!(detail.position, Some((4_800_000, -1_150_000)));
    assert_eq!(
        reader.history(device, Step::Beat, T0, T0.plus(5000), 10).unwrap().len(),
        1,
        "the end is exclusive"
    );
    let place =
        |reader: &mut dyn Read, before| reader.place(device, Step::Beat, T0, T0.plus(5001), before).unwrap();
    assert_eq!(place(&mut *reader, 1), Some(T0.plus(5000)));
    assert_eq!(place(&mut *reader, 2), None, "there are two");
    assert_eq!(reader.events(Some(device), 5).unwrap()[0].kind, "added");
    assert_eq!(reader.boots(device, 5).unwrap()[0].received, 9);
}

fn a_start_is_found_again_and_a_new_one_is_the_next(database: &Database) {
    let mut store = database.open().unwrap();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let boots = store.open_boots(T0, &[(device, 5), (device, 6), (device, 5)]).unwrap();
    let ordinals: Vec<_> = boots.iter().map(|boot| boot.ordinal).collect();
    assert_eq!(ordinals, [1, 2, 1]);
}

fn summaries_add_up_in_minutes_and_hours(database: &Database) {
    let mut store = database.open().unwrap();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let minute = T0.floor(HOUR_MS);
    let parts = [
        summary(device, minute, &[480, 500]),
        summary(device, minute, &[520]),
        summary(device, minute.plus(MINUTE_MS), &[400]),
    ];
    for part in parts {
        store.apply(&Writes { summaries: vec![part], ..Writes::default() }).unwrap();
    }
    let mut reader = database.open_reader().unwrap();
    let minutes = reader.history(device, Step::Minute, minute, minute.plus(HOUR_MS), 10).unwrap();
    let temp = Value::Temp as usize;
    assert_eq!((minutes[0].beats, minutes[0].mean[temp], minutes[0].max[temp]), (3, Some(500.0), Some(520)));
    let hours = reader.history(device, Step::Hour, minute, minute.plus(1), 10).unwrap();
    assert_eq!((hours[0].beats, hours[0].mean[temp], hours[0].max[temp]), (4, Some(475.0), Some(520)));
    assert_eq!(hours[0].mean[Value::Cpu as usize], None);
}

fn a_heartbeat_is_known_whether_it_came_live_or_late(database: &Database) {
    let mut store = database.open().unwrap();
    let ids = store.device_ids(T0, &[("pi1", None), ("pi2", None)]).unwrap();
    let (device, other) = (ids[0].0, ids[1].0);
    let row = |boot: i64, number: u64, at: i64| BeatRow {
        boot: Some(boot),
        number: Some(number),
        ..beat(device, T0.plus(at), 480)
    };
    let mut beats = vec![beat(other, T0, 480)];
    // A start of which every third number is missing and two came in the wrong order; then a second start; late ones of
    // both among them, two at the same place.
    beats.extend((1..400u64).filter(|n| n % 3 != 0).map(|n| row(1, n, 5000 * n.cast_signed())));
    for (place, number) in [(20, 40u64), (40, 20)] {
        beats.retain(|row| row.number != Some(number) || row.device == other);
        beats.push(row(1, number, 5000 * place));
    }
    beats.extend((1..100u64).map(|n| row(2, n, 5000 * (400 + n.cast_signed()))));
    beats.push(BeatRow { boot: None, number: None, ..row(1, 0, 2_100_001) });
    let late = |number, at| BeatRow { replayed: true, ..row(1, number, at) };
    beats.extend([late(3, 15_000), late(6, 15_000), late(9, 2_010_001)]);
    // Two that came while the clock was ahead: what is in order is found all the same.
    let newest = T0.plus(2_600_000);
    beats.extend([row(1, 11, 90_000_000), row(1, 13, 90_005_000)]);
    store.apply(&Writes { beats: beats.clone(), ..Writes::default() }).unwrap();
    let ask = |device, boot, number| Known { device, boot, number, newest };
    let asked: Vec<_> =
        (1..=3).flat_map(|boot| (1..420u64).map(move |number| ask(device, boot, number))).collect();
    let known = store.known(&asked).unwrap();
    assert_eq!(known.len(), asked.len());
    for (Known { boot, number, .. }, known) in asked.iter().zip(known) {
        let there = beats
            .iter()
            .any(|row| row.device == device && row.boot == Some(*boot) && row.number == Some(*number));
        assert_eq!(known, there, "start {boot}, number {number}");
    }
    let empty = store.device_ids(T0, &[("pi3", None)]).unwrap()[0].0;
    assert_eq!(store.known(&[ask(empty, 1, 1), ask(other, 1, 7)]).unwrap(), [false, true]);
}

fn an_outage_of_a_large_fleet_is_one_commit(database: &Database) {
    let mut store = database.open().unwrap();
    assert!(store.lead().unwrap().is_some());
    let alert = |device: i64, raised| AlertRow {
        device: DeviceId(device),
        kind: "offline".into(),
        since: T0,
        raised,
        unannounced: false,
        detail: String::new(),
    };
    // A statement a row would take longer than a question may.
    let alerts: Vec<_> = (0..60_000).map(|device| alert(device, true)).collect();
    assert_eq!(store.apply(&Writes { alerts, ..Writes::default() }).unwrap(), Applied::Done);
    // Of two changes of one alert the last one holds.
    let alerts = (0..60_000).flat_map(|device| [alert(device, device == 7), alert(device, device == 8)]);
    store.apply(&Writes { alerts: alerts.collect(), ..Writes::default() }).unwrap();
    assert_eq!(store.duties().unwrap().alerts, [alert(8, true)]);
}

fn alerts_and_messages_last_until_they_are_over(database: &Database) {
    let mut store = database.open().unwrap();
    assert!(store.lead().unwrap().is_some());
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let alert = AlertRow {
        device,
        kind: "hot".into(),
        since: T0,
        raised: true,
        unannounced: true,
        detail: "83 °C".into(),
    };
    let message = MessageRow {
        id: 5,
        channel: "me".into(),
        created_at: T0,
        next_at: T0,
        attempts: 1,
        doubtful: true,
        subject: "s".into(),
        body: "b".into(),
    };
    let writes = Writes { alerts: vec![alert.clone()], messages: vec![message.clone()], ..Writes::default() };
    store.apply(&writes).unwrap();
    let loaded = store.duties().unwrap();
    assert_eq!((loaded.alerts, loaded.messages), (vec![alert.clone()], vec![message]));
    let over = AlertRow { raised: false, unannounced: false, ..alert };
    store.apply(&Writes { alerts: vec![over], messages_done: vec![5], ..Writes::default() }).unwrap();
    let loaded = store.duties().unwrap();
    assert!(loaded.alerts.is_empty() && loaded.messages.is_empty());
}

fn tokens_logins_and_labels_raise_the_revision(database: &Database) {
    let mut store = database.open().unwrap();
    store.device_ids(T0, &[("pi1", None)]).unwrap();
    let before = store.revision().unwrap();
    let token = TokenRow {
        id: 0,
        hash: vec![1; 32],
        purpose: TokenUse::Device("pi1".into()),
        group: None,
        created_at: T0,
        expires_at: Some(T0.plus(5)),
    };
    let first = store.add_token(&token).unwrap();
    let second = store.add_token(&TokenRow { hash: vec![2; 32], ..token.clone() }).unwrap();
    let tokens = store.tokens(0).unwrap();
    assert_eq!(tokens, [TokenRow { id: second, hash: vec![2; 32], ..token }], "a device has one token");
    assert!(!store.revoke_token(first).unwrap());
    assert!(store.revoke_token(second).unwrap());
    let labels =
        Labels { name: Some("shed".into()), tags: vec!["a".into(), "b".into()], ..Labels::default() };
    assert!(store.set_labels("pi1", &labels).unwrap());
    assert!(!store.set_labels("pi2", &labels).unwrap());
    assert_eq!(store.labels().unwrap()[0].2, labels);
    assert!(store.revision().unwrap().all > before.all);
    store.add_session(&[7; 32], T0, T0.plus(10)).unwrap();
    assert!(store.has_session(&[7; 32], T0.plus(9)).unwrap());
    assert!(!store.has_session(&[7; 32], T0.plus(10)).unwrap());
    assert!(!store.has_session(&[8; 32], T0).unwrap());
    store.add_session(&[8; 32], T0, T0.plus(20)).unwrap();
    store.add_session(&[9; 32], T0, T0.plus(20)).unwrap();
    store.end_session(&[9; 32]).unwrap();
    assert!(!store.has_session(&[9; 32], T0).unwrap() && store.has_session(&[7; 32], T0).unwrap());
    assert_eq!(store.end_sessions(T0.plus(10)).unwrap(), 1, "one had expired");
    assert!(!store.has_session(&[8; 32], T0).unwrap());
}

fn a_token_that_is_only_added_is_told_from_other_changes(database: &Database) {
    let (mut store, mut other) = (database.open().unwrap(), database.open().unwrap());
    store.device_ids(T0, &[("pi1", None)]).unwrap();
    let token = |n: u8, purpose| TokenRow {
        id: 0,
        hash: vec![n; 32],
        purpose,
        group: None,
        created_at: T0,
        expires_at: None,
    };
    let before = store.revision().unwrap();
    let first = other.add_token(&token(1, TokenUse::Devices)).unwrap();
    let second = other.add_token(&token(2, TokenUse::Device("pi1".into()))).unwrap();
    let added = store.revision().unwrap();
    assert!(added != before && added.only_adds_tokens_to(before), "{before:?} {added:?}");
    let numbers: Vec<_> = store.tokens(first).unwrap().iter().map(|token| token.id).collect();
    assert_eq!(numbers, [second]);
    // Who enrols takes no token's place.
    assert!(!other.enrol("pi1", &token(9, TokenUse::Device("pi1".into()))).unwrap());
    assert_eq!(store.revision().unwrap(), added);
    assert!(other.enrol("pi2", &token(9, TokenUse::Device("pi2".into()))).unwrap());
    let added = store.revision().unwrap();
    assert_eq!(store.tokens(second).unwrap()[0].purpose, TokenUse::Device("pi2".into()));
    let third = other.add_token(&token(3, TokenUse::Device("pi1".into()))).unwrap();
    let replaced = store.revision().unwrap();
    assert!(!replaced.only_adds_tokens_to(added), "{added:?} {replaced:?}");
    other.revoke_token(third).unwrap();
    let fourth = other.add_token(&token(4, TokenUse::Devices)).unwrap();
    assert!(fourth > first && !store.revision().unwrap().only_adds_tokens_to(replaced));
    assert!(!added.only_adds_tokens_to(Revision::default()), "what is asked for at the start is everything");
}

fn old_starts_go_and_the_latest_stay(database: &Database) {
    let mut store = database.open().unwrap();
    assert!(store.lead().unwrap().is_some());
    let ids = store.device_ids(T0, &[("pi1", None), ("pi2", None), ("pi3", None)]).unwrap();
    let [old, young, many] = [0, 1, 2].map(|n| ids[n].0);
    let day = |n: i64| T0.plus(n * DAY_MS);
    for n in 0..10u64 {
        store.open_boots(day(n.cast_signed()), &[(old, n + 1)]).unwrap();
    }
    store.open_boots(day(9), &[(young, 1), (young, 2)]).unwrap();
    let starts: Vec<_> = (1..=1250).map(|n| (many, n)).collect();
    // PostgreSQL numbers so many of one device at once.
    for starts in starts.chunks(10) {
        store.open_boots(day(9), starts).unwrap();
    }
    let retention =
        Retention { beats: i64::MAX / 4, minutes: i64::MAX / 4, hours: i64::MAX / 4, events: 8 * DAY_MS };
    let mut kept = |now, expected: [usize; 3]| {
        let mut steps = 0;
        loop {
            match store.retain(now, &retention).unwrap() {
                Retained::Over => break,
                Retained::Underway => std::thread::yield_now(),
                Retained::More => steps += 1,
            }
            assert!(steps < 100);
        }
        let mut reader = database.open_reader().unwrap();
        let mut starts = |device| reader.boots(device, usize::MAX).unwrap();
        assert_eq!([old, young, many].map(|device| starts(device).len()), expected);
        assert_eq!([old, many].map(|device| starts(device)[0].ordinal), [10, 1250]);
    };
    kept(day(11), [7, 2, STARTS_MAX]);
    // However old, the ledger needs the latest.
    kept(day(100), [BOOTS_IN_MEMORY, 2, BOOTS_IN_MEMORY]);
    // A new one is numbered on.
    assert_eq!(store.open_boots(day(100), &[(old, 99)]).unwrap()[0].ordinal, 11);
}

fn the_first_value_of_a_setting_stays(database: &Database) {
    let (mut one, mut other) = (database.open().unwrap(), database.open().unwrap());
    assert_eq!(one.setting_or("k", "first").unwrap(), "first");
    assert_eq!(other.setting_or("k", "second").unwrap(), "first");
    other.set_setting("k", "third").unwrap();
    assert_eq!(one.setting_or("k", "fourth").unwrap(), "third");
}
