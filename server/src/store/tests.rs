//! What every store must do. The function that makes one is the only thing that knows which it is.

use std::path::Path;

use super::{
    Admin, AlertRow, BeatRow, EventRow, Labels, MessageRow, Read, Retention, Step, Store, StoreError,
    SummaryRow, TokenRow, TokenUse, Writes,
    sqlite::{Sqlite, backup::backup, path_in},
};
use crate::{
    model::{
        DeviceId,
        document::Reading,
        ledger::Minute,
        reading::{Summary, Value, Values},
    },
    time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs},
};

const T0: UnixMs = UnixMs(1_700_000_000_000);

fn open(directory: &Path) -> Sqlite {
    Sqlite::open(&path_in(directory)).unwrap()
}

fn reader(directory: &Path) -> Sqlite {
    Sqlite::open_reader(&path_in(directory)).unwrap()
}

fn values(temp: i32) -> Values {
    let mut values = Values::default();
    values.set(Value::Temp, Some(temp));
    values
}

fn beat(device: DeviceId, at: UnixMs, temp: i32) -> BeatRow {
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

fn summary(device: DeviceId, minute: UnixMs, temps: &[i32]) -> SummaryRow {
    let mut summary = Summary::default();
    for temp in temps {
        summary.add(&values(*temp));
    }
    SummaryRow { device, minute, summary }
}

#[test]
fn a_device_keeps_its_number_and_its_first_group() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let ids = store.device_ids(T0, &[("pi1", Some("north")), ("pi2", None)]).unwrap();
    assert!(ids.iter().all(|(_, new)| *new));
    let again = store.device_ids(T0, &[("pi2", Some("south")), ("pi1", None)]).unwrap();
    assert_eq!(again, [(ids[1].0, false), (ids[0].0, false)]);
    let labels = store.labels().unwrap();
    assert_eq!(labels[0].2.group.as_deref(), Some("north"));
    assert_eq!(labels[1].2.group, None);
}

#[test]
fn what_was_written_is_there_after_the_file_was_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let device = {
        let mut store = open(directory.path());
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
    let mut store = open(directory.path());
    let loaded = store.load().unwrap();
    let row = &loaded[0];
    assert_eq!(row.latest, Some((T0, "{\"x\": 1}".to_owned())));
    assert_eq!((row.ledger.boots[0].max, row.ledger.boots[0].window), (u64::MAX, u64::MAX));
    assert_eq!(row.ledger.last_at, T0.plus(5000));
    let mut summed = Summary::default();
    summed.add(&values(480));
    summed.add(&values(500));
    assert_eq!(row.ledger.minute, Minute::Open(T0.floor(MINUTE_MS), summed));

    let mut reader = reader(directory.path());
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
    assert_eq!(reader.events(Some(device), 5).unwrap()[0].kind, "added");
    assert_eq!(reader.boots(device, 5).unwrap()[0].received, 9);
}

#[test]
fn a_start_is_found_again_and_a_new_one_is_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let boots = store.open_boots(T0, &[(device, 5), (device, 6), (device, 5)]).unwrap();
    let ordinals: Vec<_> = boots.iter().map(|boot| boot.ordinal).collect();
    assert_eq!(ordinals, [1, 2, 1]);
}

#[test]
fn summaries_add_up_in_minutes_and_hours() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
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
    let mut reader = reader(directory.path());
    let minutes = reader.history(device, Step::Minute, minute, minute.plus(HOUR_MS), 10).unwrap();
    let temp = Value::Temp as usize;
    assert_eq!((minutes[0].beats, minutes[0].mean[temp], minutes[0].max[temp]), (3, Some(500.0), Some(520)));
    let hours = reader.history(device, Step::Hour, minute, minute.plus(1), 10).unwrap();
    assert_eq!((hours[0].beats, hours[0].mean[temp], hours[0].max[temp]), (4, Some(475.0), Some(520)));
    assert_eq!(hours[0].mean[Value::Cpu as usize], None);
}

#[test]
fn late_heartbeats_are_known_and_live_ones_are_not_late() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let late = BeatRow { replayed: true, number: Some(3), ..beat(device, T0, 480) };
    // Two at the same place: both are kept.
    let other = BeatRow { number: Some(4), ..late.clone() };
    store
        .apply(&Writes { beats: vec![late, other, beat(device, T0.plus(1), 1)], ..Writes::default() })
        .unwrap();
    let known = store.late_known(&[(device, 1, 3), (device, 1, 4), (device, 1, 7), (device, 2, 3)]).unwrap();
    assert_eq!(known, [true, true, false, false]);
}

#[test]
fn alerts_and_messages_last_until_they_are_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
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

#[test]
fn old_rows_go_in_bounded_steps_and_the_last_minute_of_a_device_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let ids = store.device_ids(T0, &[("gone", None), ("alive", None)]).unwrap();
    let now = T0.plus(10 * DAY_MS);
    let mut writes = Writes::default();
    for n in 0..6000 {
        writes.beats.push(beat(ids[0].0, T0.plus(n * 5000), 480));
    }
    writes.beats.push(beat(ids[1].0, T0, 480));
    writes.beats.push(beat(ids[1].0, now, 480));
    writes.summaries.push(summary(ids[1].0, T0.floor(MINUTE_MS), &[1]));
    writes.events.push(EventRow { at: T0, device: ids[1].0, kind: "k".into(), detail: "d".into() });
    store.apply(&writes).unwrap();
    let retention =
        Retention { beats: 2 * DAY_MS, minutes: 5 * DAY_MS, hours: 20 * DAY_MS, events: 5 * DAY_MS };
    let mut steps = 1;
    while store.retain(now, &retention).unwrap() {
        steps += 1;
        assert!(steps < 10);
    }
    assert!(steps > 1, "6000 rows are more than one step");
    let mut reader = reader(directory.path());
    let mut left =
        |device, step| reader.history(device, step, UnixMs(0), UnixMs(i64::MAX), 10_000).unwrap().len();
    assert_eq!(left(ids[0].0, Step::Beat), 13, "the last minute");
    assert_eq!(left(ids[1].0, Step::Beat), 1);
    assert_eq!(left(ids[1].0, Step::Minute), 0);
    assert_eq!(left(ids[1].0, Step::Hour), 1);
    assert!(reader.events(None, 10).unwrap().is_empty());
}

#[test]
fn tokens_logins_and_labels_raise_the_revision() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
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
    let tokens = store.tokens().unwrap();
    assert_eq!(tokens, [TokenRow { id: second, hash: vec![2; 32], ..token }], "a device has one token");
    assert!(!store.revoke_token(first).unwrap());
    assert!(store.revoke_token(second).unwrap());
    let labels =
        Labels { name: Some("shed".into()), tags: vec!["a".into(), "b".into()], ..Labels::default() };
    assert!(store.set_labels("pi1", &labels).unwrap());
    assert!(!store.set_labels("pi2", &labels).unwrap());
    assert_eq!(store.labels().unwrap()[0].2, labels);
    assert!(store.revision().unwrap() > before);
    store.add_session(&[7; 32], T0, T0.plus(10)).unwrap();
    assert!(store.has_session(&[7; 32], T0.plus(9)).unwrap());
    assert!(!store.has_session(&[7; 32], T0.plus(10)).unwrap());
    assert!(!store.has_session(&[8; 32], T0).unwrap());
    store.end_sessions(None).unwrap();
    assert!(!store.has_session(&[7; 32], T0).unwrap());
}

#[test]
fn a_backup_is_whole_while_the_writer_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let write = |store: &mut Sqlite, from: i64| {
        let beats = (from..from + 5000).map(|n| beat(device, T0.plus(n), 480)).collect();
        store.apply(&Writes { beats, ..Writes::default() }).unwrap();
    };
    write(&mut store, 0);
    let copies = tempfile::tempdir().unwrap();
    let copy = path_in(copies.path());
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| backup(&path_in(directory.path()), &copy));
        for n in 1..10 {
            write(&mut store, n * 5000);
        }
        copying.join().unwrap().unwrap();
    });
    let mut reader = reader(copies.path());
    let copied = reader.history(device, Step::Beat, UnixMs(0), UnixMs(i64::MAX), 100_000).unwrap().len();
    assert!(copied >= 5000 && copied.is_multiple_of(5000), "{copied}: a commit is in it or not");
    assert!(backup(&path_in(directory.path()), &copy).is_err(), "nothing is overwritten");
}

#[test]
fn a_damaged_or_foreign_file_is_refused_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(directory.path());
    std::fs::write(&path, "this is no database, it is a text of more than a hundred bytes ".repeat(20))
        .unwrap();
    let error = Sqlite::open(&path).err().unwrap();
    assert!(
        matches!(error, StoreError::Damaged(_)) && error.to_string().contains("restore a backup"),
        "{error}"
    );
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let error = Sqlite::open(&path).err().unwrap();
    assert!(error.to_string().contains("not a database of heartbeat-server"), "{error}");
}

#[test]
fn a_file_that_was_removed_or_replaced_takes_no_commits() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let writes = Writes { beats: vec![beat(device, T0, 480)], ..Writes::default() };
    let (path, aside) = (path_in(directory.path()), directory.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(store.apply(&writes), Err(StoreError::Unavailable(_))));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(store.apply(&writes), Err(StoreError::Unavailable(_))));
    std::fs::rename(&aside, &path).unwrap();
    store.apply(&writes).unwrap();
}

/// The budget of `doc/server.md`: 80 bytes a heartbeat.
#[test]
fn a_heartbeat_takes_80_bytes_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let names: Vec<String> = (0..20).map(|n| format!("pi{n}")).collect();
    let names: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let ids = store.device_ids(T0, &names).unwrap();
    let mut number = 0;
    for step in 0..300i64 {
        let mut writes = Writes::default();
        for (device, _) in &ids {
            number += 1;
            let mut row = beat(*device, T0.plus(step * 5000 + device.0 * 13), 480);
            row.number = Some(100_000 + number);
            for (n, value) in Value::ALL.into_iter().enumerate().take(8) {
                row.reading.values.set(value, Some(300 + i32::try_from(n * 37).unwrap()));
            }
            writes.beats.push(row);
        }
        store.apply(&writes).unwrap();
    }
    let pages = store.bytes_of("beat").unwrap();
    let each = pages / (20 * 300);
    assert!(each <= 80, "{each} bytes a heartbeat");
    println!("{each} bytes a heartbeat");
}
