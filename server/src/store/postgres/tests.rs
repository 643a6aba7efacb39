//! What only a database has that several processes share: versions, the lead, partitions, a lost connection.

use std::time::Duration;

use super::*;
use crate::{
    store::{
        Admin, Applied, EventRow, MessageRow, Read, Retained, Retention, Step, Store, Writes,
        cluster::Cluster,
        tests::{T0, beat, summary},
    },
    time::{DAY_MS, MINUTE_MS, UnixMs},
};

/// Ends the connections that hold a lock of this program; other tests have databases of their own in the same cluster.
const END_LOCK_HOLDERS: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

struct Shared {
    url: String,
    server: Arc<Server>,
}

impl Shared {
    fn new() -> Self {
        let url = Cluster::shared().database();
        let server = Arc::new(Server::new(&url, None, None).unwrap());
        Self { url, server }
    }

    fn open(&self) -> Postgres {
        Postgres::open(&self.server).unwrap()
    }

    fn sql(&self, sql: &str) -> String {
        Cluster::shared().sql(&self.url, sql)
    }
}

/// A round of the retention.
fn retain(store: &mut Postgres, now: UnixMs, retention: &Retention) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    while store.retain(now, retention)? != Retained::Over {
        assert!(Instant::now() < until, "a round that does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn beats(beats: Vec<crate::store::BeatRow>) -> Writes {
    Writes { beats, ..Writes::default() }
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_commit_on_an_old_ledger_changes_nothing() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    let device = one.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    other.load().unwrap();
    assert_eq!(one.apply(&beats(vec![beat(device, T0, 1)])).unwrap(), Applied::Done);
    let second = beats(vec![beat(device, T0.plus(1), 2)]);
    assert_eq!(other.apply(&second).unwrap(), Applied::Stale(vec![device]));
    assert_eq!(shared.sql("SELECT count(*) FROM beat"), "1");
    let ledgers = other.ledgers(&[device]).unwrap();
    assert_eq!(ledgers[0].1.last_at, T0);
    assert_eq!(other.apply(&second).unwrap(), Applied::Done);
    // Now the first one is behind.
    assert_eq!(one.apply(&second).unwrap(), Applied::Stale(vec![device]));
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_look_makes_no_tables() {
    let shared = Shared::new();
    assert!(Postgres::open_made(&shared.server).unwrap().is_none());
    assert_eq!(shared.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    drop(shared.open());
    assert!(Postgres::open_made(&shared.server).unwrap().is_some());
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn what_others_store_is_seen_once_with_its_starts() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    other.load().unwrap();
    assert!(other.changes().unwrap().devices.is_empty());
    let device = one.device_ids(T0, &[("pi1", Some("north"))]).unwrap()[0].0;
    let mut boot = one.open_boots(T0, &[(device, 77)]).unwrap()[0];
    (boot.max, boot.received) = (9, 4);
    let writes = Writes {
        latest: vec![(device, T0, "old".to_owned()), (device, T0.plus(1), "{}".to_owned())],
        boots: vec![(device, boot)],
        ..beats(vec![beat(device, T0, 1), beat(device, T0.plus(1), 2)])
    };
    one.apply(&writes).unwrap();
    let changes = other.changes().unwrap();
    let row = &changes.devices[0];
    assert_eq!((row.hardware_id.as_str(), row.labels.group.as_deref()), ("pi1", Some("north")));
    assert_eq!(row.latest, Some((T0.plus(1), "{}".to_owned())), "the last one of the commit");
    assert_eq!(row.ledger.lost(), 5);
    assert_eq!(other.stale(&[device]), [device]);
    assert!(other.changes().unwrap().devices.is_empty());
    assert!(one.changes().unwrap().devices.is_empty(), "its own commits are no news");
    assert!(one.stale(&[device]).is_empty());
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_commit_that_is_older_than_the_window_is_seen_when_all_are_compared() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    other.load().unwrap();
    let device = one.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    one.apply(&beats(vec![beat(device, T0, 1)])).unwrap();
    shared.sql("UPDATE state SET changed_at = now() - interval '1 hour'");
    assert!(other.changes().unwrap().devices.is_empty());
    other.compared_at = None;
    assert_eq!(other.changes().unwrap().devices.len(), 1);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn one_process_leads_until_its_connection_is_gone() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    assert_eq!((one.lead().unwrap(), one.lead().unwrap()), (Some(1), Some(1)));
    assert_eq!(other.lead().unwrap(), None);
    shared.sql(END_LOCK_HOLDERS);
    assert_eq!(until_it_leads(&mut other), 2, "a new term");
    // The first one is told by its connection, which may take a moment.
    let mut waited = 0;
    while one.lead().ok().flatten().is_some() {
        waited += 1;
        assert!(waited < 1000);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn until_it_leads(store: &mut Postgres) -> i64 {
    for _ in 0..1000 {
        if let Some(term) = store.lead().unwrap() {
            return term;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the lead did not become free");
}

fn message(id: i64) -> MessageRow {
    MessageRow {
        id,
        channel: "me".into(),
        created_at: T0,
        next_at: T0,
        attempts: 1,
        doubtful: true,
        subject: "s".into(),
        body: "b".into(),
    }
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_process_that_led_before_writes_no_message_over_a_new_connection() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    let device = one.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    one.lead().unwrap();
    let writes = |id: i64| Writes { messages: vec![message(id)], ..Writes::default() };
    assert_eq!(one.apply(&writes(1)).unwrap(), Applied::Done);
    shared.sql(END_LOCK_HOLDERS);
    until_it_leads(&mut other);
    // It makes a new connection, and has not asked whether it still leads.
    let mut waited = 0;
    let applied = loop {
        match one.apply(&writes(2)) {
            Ok(applied) => break applied,
            Err(_) => waited += 1,
        }
        assert!(waited < 1000);
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert_eq!(applied, Applied::Deposed);
    let done = Writes { messages_done: vec![1], ..Writes::default() };
    assert_eq!(one.apply(&done).unwrap(), Applied::Deposed);
    assert_eq!(shared.sql("SELECT id FROM message"), "1");
    assert_eq!(
        one.apply(&beats(vec![beat(device, T0, 1)])).unwrap(),
        Applied::Done,
        "heartbeats are anybody's"
    );
    assert_eq!(other.apply(&done).unwrap(), Applied::Done);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_leading_process_that_is_silent_is_replaced() {
    let shared = Shared::new();
    let (mut one, mut other) = (shared.open(), shared.open());
    assert_eq!(one.lead().unwrap(), Some(1));
    for _ in 0..3 {
        assert_eq!(other.lead().unwrap(), None, "it has just said that it is there");
    }
    // Frozen for 16 s, with its connection open.
    shared.sql(
        "UPDATE setting SET value = '1 ' || (split_part(value, ' ', 2)::bigint - 16000) WHERE key = 'lead'",
    );
    assert_eq!(until_it_leads(&mut other), 2);
    // It wakes up.
    let mut waited = 0;
    while one.lead().ok().flatten().is_some() {
        waited += 1;
        assert!(waited < 1000);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(other.lead().unwrap(), Some(2));
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn the_time_is_that_of_the_database() {
    let shared = Shared::new();
    let mut store = shared.open();
    let before: i64 =
        shared.sql("SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint").parse().unwrap();
    let now = store.time().unwrap().0;
    let after: i64 =
        shared.sql("SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint").parse().unwrap();
    assert!((before..=after).contains(&now), "{before} {now} {after}");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_lost_connection_is_made_again() {
    let shared = Shared::new();
    let mut store = shared.open();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    shared.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let mut waited = 0;
    while store.apply(&beats(vec![beat(device, T0, 1)])).is_err() {
        waited += 1;
        assert!(waited < 1000);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(shared.sql("SELECT count(*) FROM beat"), "1");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_heartbeat_whose_place_is_taken_goes_behind_the_newest() {
    let shared = Shared::new();
    let mut store = shared.open();
    let device = store.device_ids(T0, &[("pi1", None), ("pi2", None)]).unwrap();
    let (device, other) = (device[0].0, device[1].0);
    store.apply(&beats(vec![beat(device, T0, 1), beat(device, T0.plus(5), 2)])).unwrap();
    let taken = beats(vec![beat(other, T0, 3), beat(device, T0, 4)]);
    assert_eq!(store.apply(&taken).unwrap(), Applied::Done);
    let mut reader = Postgres::open_reader(&shared.server);
    let points = reader.history(device, Step::Beat, UnixMs(0), UnixMs(i64::MAX), 10).unwrap();
    let places: Vec<_> = points.iter().map(|point| point.at).collect();
    assert_eq!(places, [T0, T0.plus(5), T0.plus(6)]);
    assert_eq!(reader.history(other, Step::Beat, UnixMs(0), UnixMs(i64::MAX), 10).unwrap().len(), 1);
    let ledgers = store.ledgers(&[device]).unwrap();
    assert_eq!(ledgers[0].1.last_at, T0.plus(6));
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn old_days_go_with_their_partitions() {
    let shared = Shared::new();
    let mut store = shared.open();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    for day in 0..6 {
        let at = T0.plus(day * DAY_MS);
        let writes = Writes {
            summaries: vec![summary(device, at.floor(MINUTE_MS), &[1])],
            events: vec![EventRow { at, device, kind: "k".into(), detail: "a\0b".into() }],
            ..beats(vec![beat(device, at, 1)])
        };
        store.apply(&writes).unwrap();
    }
    let retention =
        Retention { beats: 2 * DAY_MS, minutes: 3 * DAY_MS, hours: 365 * DAY_MS, events: 4 * DAY_MS };
    let now = T0.plus(5 * DAY_MS);
    retain(&mut store, now, &retention).unwrap();
    let count = |table: &str| shared.sql(&format!("SELECT count(*) FROM {table}"));
    // The day in which the horizon is stays whole.
    assert_eq!([count("beat"), count("minute"), count("hour"), count("event")], ["3", "4", "6", "5"]);
    // A day that was dropped is made again when something comes for it.
    store.apply(&beats(vec![beat(device, T0, 1)])).unwrap();
    assert_eq!(count("beat"), "4");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn heartbeats_are_stored_while_old_rows_are_being_deleted() {
    let shared = Shared::new();
    let mut store = shared.open();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    let events = vec![EventRow { at: T0, device, kind: "k".into(), detail: String::new() }];
    store.apply(&Writes { events, ..Writes::default() }).unwrap();
    // Somebody holds the row that is to be deleted, so that the step cannot end.
    let mut holding = shared.open();
    let hold = async |session: &mut session::Session| {
        Ok(session.client.batch_execute("BEGIN; SELECT * FROM event FOR UPDATE").await?)
    };
    holding.line.run(hold).unwrap();
    let retention = Retention { beats: DAY_MS, minutes: DAY_MS, hours: DAY_MS, events: DAY_MS };
    let now = T0.plus(9 * DAY_MS);
    assert_eq!(store.retain(now, &retention).unwrap(), Retained::Underway);
    for n in 1..20 {
        let writes = beats(vec![beat(device, now.plus(n), 480)]);
        assert_eq!(store.apply(&writes).unwrap(), Applied::Done);
        assert_eq!(store.retain(now, &retention).unwrap(), Retained::Underway);
    }
    drop(holding);
    retain(&mut store, now, &retention).unwrap();
    assert_eq!(shared.sql("SELECT count(*) FROM event"), "0");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_partition_is_made_while_a_copy_of_the_database_is_made() {
    let shared = Shared::new();
    let mut store = shared.open();
    let device = store.device_ids(T0, &[("pi1", None)]).unwrap()[0].0;
    store.apply(&beats(vec![beat(device, T0, 1)])).unwrap();
    // What pg_dump does: it holds all tables for as long as it takes.
    let mut copying = Postgres::open_reader(&shared.server);
    copying
        .line
        .run(async |session| {
            Ok(session.client.batch_execute("BEGIN; LOCK beat IN ACCESS SHARE MODE").await?)
        })
        .unwrap();
    assert_eq!(store.apply(&beats(vec![beat(device, T0.plus(DAY_MS), 1)])).unwrap(), Applied::Done);
    let retention = Retention { beats: 1, minutes: 1, hours: 1, events: 1 };
    let error = retain(&mut store, T0.plus(9 * DAY_MS), &retention).unwrap_err();
    assert!(
        error.to_string().contains("lock timeout"),
        "it gives up, and does not block the others: {error}"
    );
    assert_eq!(store.apply(&beats(vec![beat(device, T0.plus(2 * DAY_MS), 1)])).unwrap(), Applied::Done);
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn a_database_of_another_program_or_version_is_refused() {
    let shared = Shared::new();
    shared.sql("CREATE TABLE setting (k integer)");
    let error = Postgres::open(&shared.server).err().unwrap();
    assert!(error.to_string().contains("not a database of heartbeat-server"), "{error}");
    let shared = Shared::new();
    shared.open();
    shared.sql("UPDATE setting SET value = '2' WHERE key = 'schema'");
    let error = Postgres::open(&shared.server).err().unwrap();
    assert!(error.to_string().contains("tables of version 2"), "{error}");
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn processes_that_begin_at_once_make_the_tables_once() {
    let shared = Shared::new();
    std::thread::scope(|scope| {
        let begun: Vec<_> = (0..6).map(|_| scope.spawn(|| shared.open().revision().unwrap())).collect();
        for one in begun {
            assert_eq!(one.join().unwrap().all, 1);
        }
    });
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let server = Server::new("postgresql://hb@127.0.0.1:1/hb", None, None).unwrap();
    let error = Postgres::open(&Arc::new(server)).err().unwrap();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}
