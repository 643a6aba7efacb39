//! Heartbeats beside the deletion of old rows: a database in which as much is too old as a large fleet makes in minutes.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    cluster::Cluster,
    device::{Load, device},
    page::{announce, room_for},
    server::Server,
};

/// How long the server waits after its start before it deletes, seconds: `RETENTION_AFTER`.
const BEFORE_DELETION: u64 = 60;
/// Longest deletion that is waited for.
const DELETION_MAX: Duration = Duration::from_secs(900);
const DAY_MS: i64 = 86_400_000;

/// What is done, and how large.
pub(crate) struct Plan<'a> {
    /// Devices that are in the database.
    pub(crate) stored: u64,
    /// Those of them that send heartbeats meanwhile.
    pub(crate) beating: u64,
    pub(crate) interval: Duration,
    /// Old heartbeats of each device.
    pub(crate) old_beats: u64,
    pub(crate) postgres: bool,
    pub(crate) config: &'a str,
}

/// The database, as this program fills it and looks into it.
enum Database {
    Sqlite(PathBuf),
    Postgres(Cluster, String),
}

impl Database {
    /// What a statement says, one line a row, columns with `|` between them.
    fn sql(&self, sql: &str) -> String {
        match self {
            Self::Postgres(cluster, url) => cluster.sql(url, sql),
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the database");
                connection.busy_timeout(Duration::from_secs(60)).expect("a timeout");
                connection.execute_batch("PRAGMA synchronous = OFF").expect("a setting");
                if !sql.starts_with("SELECT") {
                    connection.execute_batch(sql).expect("a statement");
                    return String::new();
                }
                let value: rusqlite::types::Value =
                    connection.query_row(sql, [], |row| row.get(0)).expect("a row");
                match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                }
            }
        }
    }

    /// Makes rows that are too old: heartbeats of 5 s, each minute of them, an hour and an event of each device.
    fn fill(&self, old_beats: u64, now: i64) {
        // A whole day lies between each horizon and these rows, so that partitions of a day are too old.
        let beats = (now - 4 * DAY_MS) / DAY_MS * DAY_MS;
        let minutes = (now - 33 * DAY_MS) / DAY_MS * DAY_MS;
        let hours = (now - 800 * DAY_MS) / (30 * DAY_MS) * (30 * DAY_MS);
        let values = "480, 1, n, 0, 305, 412, 550, 35, 1200, 610, 78, NULL, NULL, 4812346, 1150000";
        let numbers = |count: u64| match self {
            Self::Sqlite(_) => format!(
                "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < {count}) SELECT n FROM c) AS c"
            ),
            Self::Postgres(..) => format!("generate_series(0, {count} - 1) AS c(n)"),
        };
        let part = |table: &str, from: i64, days: i64| match self {
            Self::Sqlite(_) => (table.to_owned(), String::new(), String::new()),
            Self::Postgres(..) => (
                format!("{table}_old"),
                format!(
                    "CREATE TABLE {table}_old (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);"
                ),
                format!(
                    "ALTER TABLE {table} ATTACH PARTITION {table}_old FOR VALUES FROM ({from}) TO ({});",
                    from + days * DAY_MS
                ),
            ),
        };
        for (table, from, days, count, columns) in [
            ("beat", beats, 1, old_beats, format!("id, {beats} + n * 5000 + id % 5000, {values}")),
            ("minute", minutes, 1, old_beats.div_ceil(12), sums(minutes, 60_000, 12)),
            ("hour", hours, 30, 1, sums(hours, 3_600_000, 720)),
        ] {
            let (name, make, attach) = part(table, from, days);
            let numbers = numbers(count);
            self.sql(&format!(
                "{make} INSERT INTO {name} SELECT {columns} FROM device CROSS JOIN {numbers}; {attach}"
            ));
        }
        self.sql(&format!(
            "INSERT INTO event (at, device, kind, detail)
             SELECT {now} - {}, id, 'restarted', 'the agent has started again' FROM device",
            800 * DAY_MS
        ));
        if matches!(self, Self::Postgres(..)) {
            // With the name that the server gives it.
            let date = format!("to_char(to_timestamp({now} / 1000) AT TIME ZONE 'UTC', 'YYYYMMDD')");
            let (name, from) =
                (format!("minute_{}", self.sql(&format!("SELECT {date}"))), now / DAY_MS * DAY_MS);
            self.sql(&format!(
                "CREATE TABLE {name} (LIKE minute INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
                 ALTER TABLE minute ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({})",
                from + DAY_MS
            ));
        }
        // The minutes of the announcement are written already, or the server would do that in its first minute.
        self.sql(&format!(
            "INSERT INTO minute SELECT device, max(at) / 60000 * 60000, 1, {} FROM beat WHERE at > {beats} + {DAY_MS}
             GROUP BY device ON CONFLICT DO NOTHING",
            ["1, 305, 305"; 9].join(", ")
        ));
        if matches!(self, Self::Postgres(..)) {
            self.sql("VACUUM ANALYZE");
            self.sql("CHECKPOINT");
        }
    }

    /// Rows that are too old.
    fn old_rows(&self, now: i64) -> u64 {
        let horizons = [("beat", 3), ("minute", 31), ("hour", 731), ("event", 731)];
        let count = |(table, days): (&str, i64)| {
            let sql = format!("SELECT count(*) FROM {table} WHERE at < {now} - {}", days * DAY_MS);
            self.sql(&sql).parse::<u64>().expect("a number")
        };
        horizons.into_iter().map(count).sum()
    }

    /// Whether a round is over: it comes to the last device, and to the events, at its end.
    fn is_clean(&self, now: i64) -> bool {
        let old = |table: &str, days: i64, more: &str| {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE at < {now} - {} {more} LIMIT 1) AS t",
                days * DAY_MS
            );
            self.sql(&sql) != "0"
        };
        let last = "AND device = (SELECT max(id) FROM device)";
        !(old("hour", 731, last) || old("minute", 31, last) || old("beat", 3, last) || old("event", 731, ""))
    }
}

/// Columns of a summary row.
fn sums(from: i64, span: i64, beats: i64) -> String {
    let values = vec![format!("{beats}, {}, 305", beats * 300); 9].join(", ");
    format!("id, {from} + n * {span}, {beats}, {values}")
}

/// Fills a database, and measures heartbeats before its old rows are deleted and meanwhile.
pub(crate) fn measure(plan: &Plan<'_>) {
    let mut config = format!("{}\n[expect]\noffline_after_s = 86400\n", plan.config);
    let cluster = plan.postgres.then(|| {
        let cluster = Cluster::start_durable();
        let url = cluster.database();
        config = format!("{config}\n[postgres]\nurl = {url:?}\n");
        (cluster, url)
    });
    let config = room_for(plan.stored, &config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let mut server = Server::start(&config, false);
    runtime.block_on(announce(&load(&server, None), plan.stored));
    server.stop();
    let database = match cluster {
        Some((cluster, url)) => Database::Postgres(cluster, url),
        None => Database::Sqlite(server.database()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let now = i64::try_from(now).expect("before the end of time");
    database.fill(plan.old_beats, now);
    let rows = database.old_rows(now);

    server.restart();
    let started = Instant::now();
    let load = load(&server, Some(plan.interval));
    println!("{rows} rows are too old; {} devices of {} send heartbeats", plan.beating, plan.stored);
    println!("| | beats/s | p50, p99, longest ms |");
    println!("|---|---|---|");
    let database = Arc::new(database);
    runtime.block_on(async {
        for id in 0..plan.beating {
            tokio::spawn(device(Arc::clone(&load), id, plan.beating));
        }
        while load.ready.load(Ordering::Relaxed) < plan.beating {
            assert!(started.elapsed() < Duration::from_secs(BEFORE_DELETION - 20), "the devices are slow");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        phase(&load, "before", || async {
            let until = started + Duration::from_secs(BEFORE_DELETION - 2);
            tokio::time::sleep_until(until.into()).await;
        })
        .await;
        phase(&load, "while they are deleted", || async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let database = Arc::clone(&database);
                let clean = tokio::task::spawn_blocking(move || database.is_clean(now)).await;
                if clean.expect("no panic") || started.elapsed() > DELETION_MAX {
                    return;
                }
            }
        })
        .await;
        let deleted = started.elapsed().saturating_sub(Duration::from_secs(BEFORE_DELETION + 1));
        phase(&load, "afterwards", || tokio::time::sleep(Duration::from_secs(30))).await;
        println!("deleted within {:.0} s", deleted.as_secs_f64());
    });
    assert_eq!(database.old_rows(now), 0, "old rows are left");
    assert_eq!(load.failed.load(Ordering::Relaxed), 0, "heartbeats or connections failed");
}

fn load(server: &Server, interval: Option<Duration>) -> Arc<Load> {
    Arc::new(Load::new(server.address, None, interval, "/heartbeat.php".to_owned()))
}

/// Measures heartbeats for as long as `during` takes, and prints a row of the table.
async fn phase<F: Future<Output = ()>>(load: &Load, name: &str, during: impl FnOnce() -> F) {
    let began = Instant::now();
    load.measuring.store(true, Ordering::Relaxed);
    during().await;
    load.measuring.store(false, Ordering::Relaxed);
    let took = began.elapsed();
    // What began in time counts, too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut times = std::mem::take(&mut *load.times.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_unstable();
    let ms = |place: usize| times.get(place).copied().unwrap_or_default().as_secs_f64() * 1000.0;
    println!(
        "| {name}, {:.0} s | {:.0} | {:.1}, {:.1}, {:.1} |",
        took.as_secs_f64(),
        times.len() as f64 / took.as_secs_f64(),
        ms(times.len() / 2),
        ms(times.len() * 99 / 100),
        ms(times.len().saturating_sub(1))
    );
}
