//! What only a file has: copies, damage, removal, size.

use super::{Sqlite, backup::backup, path_in};
use crate::{
    model::reading::Value,
    store::{
        EventRow, Read, Retained, Retention, Step, Store, StoreError, Writes,
        tests::{T0, beat, summary},
    },
    time::{DAY_MS, MINUTE_MS, UnixMs},
};
use std::{path::Path, time::Duration};

fn open(directory: &Path) -> Sqlite {
    Sqlite::open(&path_in(directory)).unwrap()
}

fn reader(directory: &Path) -> Sqlite {
    Sqlite::open_reader(&path_in(directory)).unwrap()
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
    while store.retain(now, &retention).unwrap() != Retained::Over {
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
    let error = backup(&path_in(directory.path()), &copy).unwrap_err();
    assert_eq!(error.to_string(), format!("{} exists already", copy.display()), "nothing is overwritten");
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

#[test]
fn each_step_of_the_retention_deletes_as_much_as_it_may() {
    const DEVICES: i64 = 500;
    const OLD: i64 = 40;
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let names: Vec<String> = (0..DEVICES).map(|n| format!("pi{n}")).collect();
    let names: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let ids = store.device_ids(T0, &names).unwrap();
    // As it comes: all devices, then all devices again.
    for step in 0..OLD + 20 {
        let beats = ids.iter().map(|(device, _)| beat(*device, T0.plus(step * 5000), 480)).collect();
        store.apply(&Writes { beats, ..Writes::default() }).unwrap();
    }
    let now = T0.plus((OLD + 20) * 5000);
    let retention = Retention { beats: 20 * 5000, minutes: DAY_MS, hours: DAY_MS, events: DAY_MS };
    let mut steps = 1;
    while store.retain_step(now, &retention, Duration::MAX).unwrap() != Retained::Over {
        steps += 1;
    }
    let rows = usize::try_from(DEVICES * OLD).unwrap();
    assert!(steps <= rows / crate::limits::RETENTION_ROWS + 2, "{steps} steps for {rows} rows");
    let mut reader = reader(directory.path());
    for (device, _) in ids {
        let left = reader.history(device, Step::Beat, UnixMs(0), UnixMs(i64::MAX), 100).unwrap();
        assert_eq!((left.len(), left[0].at), (20, T0.plus(OLD * 5000)));
    }
}

#[test]
fn a_step_of_the_retention_ends_in_time_and_the_next_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let names: Vec<String> = (0..20).map(|n| format!("pi{n}")).collect();
    let names: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    let mut writes = Writes::default();
    for (device, _) in store.device_ids(T0, &names).unwrap() {
        for n in 0..50 {
            writes.beats.push(beat(device, T0.plus(n * 5000), 480));
            writes.events.push(EventRow { at: T0.plus(n), device, kind: "k".into(), detail: "d".into() });
        }
    }
    store.apply(&writes).unwrap();
    let retention = Retention { beats: DAY_MS, minutes: DAY_MS, hours: DAY_MS, events: DAY_MS };
    let now = T0.plus(10 * DAY_MS);
    let mut steps = 1;
    while store.retain_step(now, &retention, Duration::ZERO).unwrap() != Retained::Over {
        steps += 1;
        assert!(steps < 100);
    }
    assert_eq!(steps, 20 + 1000 / crate::limits::RETENTION_EVENTS + 1, "a device or a bundle of events each");
    let mut reader = reader(directory.path());
    assert!(reader.events(None, 10).unwrap().is_empty());
    let device = store.device_ids(T0, &[("pi19", None)]).unwrap()[0].0;
    let left = reader.history(device, Step::Beat, UnixMs(0), UnixMs(i64::MAX), 100).unwrap();
    assert_eq!(left.len(), 13, "the last minute of a device stays");
}
