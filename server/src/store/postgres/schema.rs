//! Tables, and partitions that are made when the first row for them comes and dropped when all of them is too old.

use super::{arrays, session::Session, summary_names};
use crate::{
    model::reading::Value,
    store::{Result, StoreError},
    time::{DAY_MS, UnixMs},
};

/// Version of the tables, in `setting`. Newer ones are refused.
const SCHEMA_VERSION: &str = "1";
/// Tables that version 1 did not have from the beginning. A program that does not know them is not disturbed by them.
const ADDED: &str = "
    -- What the board of each device is, as JSON: it comes once an hour.
    CREATE TABLE IF NOT EXISTS board (device bigint PRIMARY KEY, text text NOT NULL);
    -- Removed devices of which everything is to be deleted.
    CREATE TABLE IF NOT EXISTS purge (device bigint PRIMARY KEY);";
/// The advisory lock of the process that makes tables or partitions.
const LOCK_SCHEMA: i64 = 0x6862_7376_0001;

/// A table that is partitioned by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Beat,
    Minute,
    Hour,
}

impl Table {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Beat, Self::Minute, Self::Hour];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    /// The span of one partition, milliseconds.
    fn span(self) -> i64 {
        match self {
            Self::Beat | Self::Minute => DAY_MS,
            Self::Hour => 30 * DAY_MS,
        }
    }

    /// The partition into which rows of `at` go.
    pub(super) fn partition(self, at: UnixMs) -> Partition {
        Partition { table: self, from: at.floor(self.span()) }
    }
}

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    table: Table,
    from: UnixMs,
}

impl Partition {
    /// `beat_20261126`; days before 1970 and after 9999 have numbers.
    fn name(self) -> String {
        let date: String = self.from.rfc3339().chars().take_while(|c| *c != 'T').collect();
        let plain = date.len() == 10 && self.from.0 >= 0;
        let day =
            if plain { date.replace('-', "") } else { format!("day{}", self.from.0.div_euclid(DAY_MS)) };
        format!("{}_{}", self.table.name(), day.replace('-', "m"))
    }

    /// Whether it is a part of this table.
    pub(super) fn is_of(self, table: Table) -> bool {
        self.table == table
    }

    /// When its last row will be, exclusive.
    pub(super) fn to(self) -> UnixMs {
        self.from.plus(self.table.span())
    }
}

/// Makes the tables if there are none.
///
/// # Errors
/// They are of a newer program, or of another one.
pub(super) async fn prepare(session: &mut Session) -> Result<()> {
    let (transaction, _) = session.begin().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_SCHEMA]).await?;
    let there = "SELECT to_regclass('setting') IS NOT NULL, to_regclass('device') IS NOT NULL";
    let row = transaction.query_one(there, &[]).await?;
    let (setting, device): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !setting && !device {
        transaction.batch_execute(&tables()).await?;
        transaction.batch_execute(ADDED).await?;
        let version = "INSERT INTO setting VALUES ('schema', $1), ('revision', '1')";
        transaction.execute(version, &[&SCHEMA_VERSION]).await?;
        transaction.commit().await?;
        return Ok(());
    }
    let version = if setting {
        transaction.query_opt("SELECT value FROM setting WHERE key = 'schema'", &[]).await
    } else {
        Ok(None)
    };
    let version = match version.ok().flatten() {
        Some(row) => row.try_get::<_, String>(0)?,
        None => return Err(StoreError::Damaged("not a database of heartbeat-server".to_owned())),
    };
    if version != SCHEMA_VERSION {
        let text = format!("tables of version {version}, this program knows {SCHEMA_VERSION}");
        return Err(StoreError::Damaged(text));
    }
    transaction.batch_execute(ADDED).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether there are tables, of this program or of another one.
pub(super) async fn is_made(session: &mut Session) -> Result<bool> {
    let there = "SELECT to_regclass('setting') IS NOT NULL OR to_regclass('device') IS NOT NULL";
    Ok(session.client.query_one(there, &[]).await?.try_get(0)?)
}

fn tables() -> String {
    let summary: Vec<_> = summary_names()
        .into_iter()
        .map(|name| format!("{name} {}", if name.ends_with("_sum") { "bigint" } else { "integer" }))
        .collect();
    let values = Value::ALL.map(|value| format!("{} integer", value.name()));
    include_str!("schema.sql")
        .replace("{summary}", &summary.join(", "))
        .replace("{values}", &values.join(", "))
}

/// Makes a partition if there is none. Writers and readers of the table go on meanwhile.
pub(super) async fn make(session: &mut Session, partition: Partition) -> Result<()> {
    let (transaction, _) = session.begin().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK_SCHEMA]).await?;
    let (name, table) = (partition.name(), partition.table.name());
    let row = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await?;
    if !row.try_get::<_, bool>(0)? {
        // `PARTITION OF` would lock the whole table against readers; attaching does not.
        let sql = format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({}) TO ({})",
            partition.from.0,
            partition.to().0
        );
        transaction.batch_execute(&sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A partition of `table` all of whose rows are before `horizon`, the oldest first.
pub(super) async fn oldest_before(
    session: &mut Session,
    table: Table,
    horizon: UnixMs,
) -> Result<Option<String>> {
    let sql = "SELECT c.relname::text, (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''?(-?\\d+)''?\\)'))[1]::bigint AS upper
               FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)
               ORDER BY 2 LIMIT 1";
    let Some(row) = session.client.query_opt(sql, &[&table.name()]).await? else { return Ok(None) };
    let to: Option<i64> = row.try_get(1)?;
    Ok(if to.is_some_and(|to| to <= horizon.0) { Some(row.try_get(0)?) } else { None })
}

/// Drops a partition. It waits for its readers for a moment only, because everybody else waits behind it: they go within
/// milliseconds, or stay for as long as a copy of the database takes.
pub(super) async fn drop_partition(session: &mut Session, name: &str) -> Result<()> {
    let (transaction, _) = session.begin().await?;
    let sql = format!("SET LOCAL lock_timeout = '200ms'; DROP TABLE IF EXISTS {name}");
    transaction.batch_execute(&sql).await?;
    transaction.commit().await?;
    Ok(())
}

/// SQL that adds summaries, given as arrays, to the rows of `table`, and makes those that are missing.
pub(super) fn add_summaries(table: Table) -> String {
    let name = table.name();
    let columns = summary_names();
    let sums: Vec<_> = columns
        .iter()
        .map(|column| {
            if column.ends_with("_max") {
                // NULL is passed over.
                format!("{column} = greatest({name}.{column}, excluded.{column})")
            } else {
                format!(
                    "{column} = CASE WHEN excluded.{column} IS NULL THEN {name}.{column}
                     ELSE coalesce({name}.{column}, 0) + excluded.{column} END"
                )
            }
        })
        .collect();
    format!(
        "INSERT INTO {name} (device, at, beats, {}) SELECT * FROM unnest({})
         ON CONFLICT (device, at) DO UPDATE SET beats = {name}.beats + excluded.beats, {}",
        columns.join(", "),
        arrays(3 + columns.len()),
        sums.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_their_first_day() {
        let at = UnixMs(1_700_000_000_000);
        assert_eq!(Table::Beat.partition(at).name(), "beat_20231114");
        assert_eq!(Table::Beat.partition(at.plus(DAY_MS)).name(), "beat_20231115");
        let hours = Table::Hour.partition(at);
        assert_eq!(hours.to().since(hours.from), 30 * DAY_MS);
        assert_eq!(Table::Beat.partition(UnixMs(-1)).name(), "beat_daym1");
    }
}
