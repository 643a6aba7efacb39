//! Heartbeats of one commit: a binary COPY of the live ones, an insertion for those whose place may be taken.

use std::{collections::HashSet, pin::pin};

use tokio_postgres::{
    Transaction,
    binary_copy::BinaryCopyInWriter,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{arrays, session::Statements};
use crate::{
    model::reading::{VALUES, Value},
    store::{BeatRow, Result, StoreError},
    time::UnixMs,
};

/// The bit of a late heartbeat in `beat.flags`.
pub(super) const REPLAYED: i32 = 1;
/// Columns that hold large numbers, and all.
const LARGE: usize = 5;
const COLUMNS: usize = LARGE + 1 + VALUES + 2;
/// Attempts to find a free place behind the newest heartbeat of a device.
const PLACES: usize = 8;

/// How heartbeats get into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Live ones by COPY, which fails if one has the place of another.
    Copy,
    /// All by INSERT, and again behind the newest one where a place is taken.
    Insert,
}

/// Why heartbeats were not added.
pub(super) enum Failure {
    /// One has the place of another, and COPY cannot go on.
    Taken,
    Other(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Taken => Self::Unavailable("two rows with the same key".to_owned()),
            Failure::Other(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
            Self::Taken
        } else {
            Self::Other(error.into())
        }
    }
}

/// Adds heartbeats. The places of those that went elsewhere than they said.
pub(super) async fn add(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    beats: &[BeatRow],
    way: Way,
) -> std::result::Result<Vec<(i64, UnixMs)>, Failure> {
    let (copied, inserted): (Vec<_>, Vec<_>) =
        beats.iter().partition(|beat| way == Way::Copy && !beat.replayed);
    if !copied.is_empty() {
        copy(transaction, &copied).await?;
    }
    let mut moved = Vec::new();
    if inserted.is_empty() {
        return Ok(moved);
    }
    let added = insert(transaction, statements, &inserted).await?;
    let mut added: HashSet<_> = added.into_iter().collect();
    for beat in inserted {
        // Of two with the same place one was added.
        if !added.remove(&(beat.device.0, beat.at.0)) {
            moved.push((beat.device.0, insert_behind(transaction, statements, beat).await?));
        }
    }
    Ok(moved)
}

async fn copy(transaction: &Transaction<'_>, beats: &[&BeatRow]) -> std::result::Result<(), Failure> {
    let sql = format!("COPY beat ({}) FROM STDIN BINARY", names());
    let sink = transaction.copy_in(&sql).await?;
    let mut types = vec![Type::INT8; LARGE];
    types.resize(COLUMNS, Type::INT4);
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for beat in beats {
        let (large, small) = numbers(beat, beat.at);
        let large = large.iter().map(|number| number as &(dyn ToSql + Sync));
        let row: Vec<_> = large.chain(small.iter().map(|number| number as &(dyn ToSql + Sync))).collect();
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Adds those whose place is free; which those were.
async fn insert(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    beats: &[&BeatRow],
) -> Result<Vec<(i64, i64)>> {
    let rows: Vec<_> = beats.iter().map(|beat| row(beat, beat.at)).collect();
    insert_rows(transaction, statements, &rows).await
}

/// Adds a heartbeat behind the newest one of its device.
async fn insert_behind(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    beat: &BeatRow,
) -> Result<UnixMs> {
    let newest = statements.get(transaction, "SELECT max(at) FROM beat WHERE device = $1").await?;
    for _ in 0..PLACES {
        let found = transaction.query_one(&newest, &[&beat.device.0]).await?;
        let at = UnixMs(found.try_get::<_, Option<i64>>(0)?.unwrap_or(beat.at.0)).plus(1);
        if !insert_rows(transaction, statements, &[row(beat, at)]).await?.is_empty() {
            return Ok(at);
        }
    }
    Err(StoreError::Unavailable("a heartbeat has no place in the history".to_owned()))
}

async fn insert_rows(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    rows: &[Vec<Option<i64>>],
) -> Result<Vec<(i64, i64)>> {
    let sql = format!(
        "INSERT INTO beat ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING RETURNING device, at",
        names(),
        arrays(COLUMNS)
    );
    let statement = statements.get(transaction, &sql).await?;
    let columns = columns(rows, COLUMNS);
    let parameters: Vec<_> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
    let added = transaction.query(&statement, &parameters).await?;
    added.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Rows as columns, which PostgreSQL takes as arrays.
pub(super) fn columns(rows: &[Vec<Option<i64>>], count: usize) -> Vec<Vec<Option<i64>>> {
    (0..count).map(|place| rows.iter().map(|row| row.get(place).copied().flatten()).collect()).collect()
}

/// Names of the columns, in the order of [`numbers`].
fn names() -> String {
    format!("device, at, skew, boot, seq, flags, {}, lat, lon", Value::ALL.map(Value::name).join(", "))
}

fn row(beat: &BeatRow, at: UnixMs) -> Vec<Option<i64>> {
    let (large, small) = numbers(beat, at);
    large.into_iter().chain(small.into_iter().map(|number| number.map(i64::from))).collect()
}

/// The numbers of a row: large ones and small ones.
fn numbers(beat: &BeatRow, at: UnixMs) -> ([Option<i64>; LARGE], Vec<Option<i32>>) {
    let reading = &beat.reading;
    let flags = i32::from(beat.replayed) * REPLAYED
        + i32::from(reading.streaming) * 2
        + i32::from(reading.tracking) * 4
        + i32::from(reading.recording) * 8;
    let large = [
        Some(beat.device.0),
        Some(at.0),
        beat.sampled_at.map(|sampled| sampled.since(at)),
        beat.boot,
        beat.number.map(u64::cast_signed),
    ];
    let position = [reading.position.map(|(lat, _)| lat), reading.position.map(|(_, lon)| lon)];
    (large, [Some(flags)].into_iter().chain(reading.values.0).chain(position).collect())
}
