//! What is too old, and what is stored of a removed device that is to be forgotten: deleted in steps of bounded size, between
//! which the writer commits heartbeats.

use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Sqlite, count};
use crate::{
    limits::{BOOTS_IN_MEMORY, RETENTION_DEVICES, RETENTION_EVENTS, RETENTION_ROWS, STARTS_MAX},
    model::DeviceId,
    store::{Purge, Result, Retained, Retention},
    time::UnixMs,
};

impl Sqlite {
    /// A step: until as many rows are deleted as one may be, or `time` has passed. It does something in any case.
    pub(super) fn retain_step(
        &mut self,
        now: UnixMs,
        retention: &Retention,
        time: Duration,
    ) -> Result<Retained> {
        let began = Instant::now();
        let transaction = self.connection.transaction()?;
        let devices: Vec<i64> = {
            let mut select =
                transaction.prepare_cached("SELECT id FROM device WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let rows =
                select.query_map(params![self.retained, count(RETENTION_DEVICES)], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let mut left = RETENTION_ROWS;
        let mut retained = self.retained;
        let mut more = devices.len() == RETENTION_DEVICES;
        for device in &devices {
            left -= retain_device(&transaction, *device, now, retention, left)?;
            if left > 0 {
                retained = *device;
            }
            if left == 0 || began.elapsed() >= time {
                more = true;
                break;
            }
        }
        // If something is left of them, the next step comes back to the events: no device is left.
        while !more {
            let sql =
                "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE at < ?1 ORDER BY at LIMIT ?2)";
            let deleted = transaction
                .prepare_cached(sql)?
                .execute(params![now.plus(-retention.events).0, count(RETENTION_EVENTS)])?;
            if deleted < RETENTION_EVENTS {
                break;
            }
            more = began.elapsed() >= time;
        }
        transaction.commit()?;
        self.retained = if more { retained } else { 0 };
        Ok(if more { Retained::More } else { Retained::Over })
    }

    pub(super) fn purge_step(&mut self) -> Result<Purge> {
        let transaction = self.connection.transaction()?;
        let sql = "SELECT device FROM purge LIMIT 1";
        let Some(device) = transaction.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()? else {
            return Ok(Purge::Nothing);
        };
        let mut left = RETENTION_ROWS;
        for table in ["beat", "minute", "hour"] {
            left -= delete_before(&transaction, table, device, i64::MAX, left)?;
        }
        let sql = "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE device = ?1 LIMIT ?2)";
        left -= transaction.execute(sql, params![device, count(left)])?;
        if left > 0 {
            for table in ["boot", "latest", "board", "alert", "purge"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE device = ?1"), [device])?;
            }
        }
        transaction.commit()?;
        Ok(if left > 0 { Purge::Done(DeviceId(device)) } else { Purge::More })
    }
}

/// Deletes at most `left` rows of a device; how many.
fn retain_device(
    transaction: &Transaction<'_>,
    device: i64,
    now: UnixMs,
    retention: &Retention,
    left: usize,
) -> rusqlite::Result<usize> {
    let newest: Option<i64> = transaction
        .prepare_cached("SELECT max(at) FROM beat WHERE device = ?1")?
        .query_row([device], |row| row.get(0))?;
    // The open minute of a device is summed up from its last heartbeats after a start: they stay.
    let open = newest.map_or(i64::MAX, |newest| newest.saturating_sub(60_000));
    let mut deleted = 0;
    for (table, before) in [
        ("beat", now.plus(-retention.beats).0.min(open)),
        ("minute", now.plus(-retention.minutes).0),
        ("hour", now.plus(-retention.hours).0),
    ] {
        deleted += delete_before(transaction, table, device, before, left - deleted)?;
    }
    deleted += delete_starts(transaction, device, now.plus(-retention.events), left - deleted)?;
    Ok(deleted)
}

/// Deletes the oldest starts of a device, at most `left`: those of before a time, and those beyond [`STARTS_MAX`], but not the
/// latest, which its ledger needs.
fn delete_starts(
    transaction: &Transaction<'_>,
    device: i64,
    before: UnixMs,
    left: usize,
) -> rusqlite::Result<usize> {
    let sql = "SELECT max(ordinal) FROM boot WHERE device = ?1";
    let newest: Option<i64> = transaction.prepare_cached(sql)?.query_row([device], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(0) };
    let mut last = None;
    {
        let sql =
            "SELECT ordinal, last_at FROM boot WHERE device = ?1 AND ordinal <= ?2 ORDER BY ordinal LIMIT ?3";
        let mut oldest = transaction.prepare_cached(sql)?;
        let mut rows = oldest.query(params![device, newest - count(BOOTS_IN_MEMORY), count(left)])?;
        while let Some(row) = rows.next()? {
            let (ordinal, last_at): (i64, i64) = (row.get(0)?, row.get(1)?);
            if last_at >= before.0 && ordinal > newest - count(STARTS_MAX) {
                break;
            }
            last = Some(ordinal);
        }
    }
    let sql = "DELETE FROM boot WHERE device = ?1 AND ordinal <= ?2";
    last.map_or(Ok(0), |last| transaction.prepare_cached(sql)?.execute(params![device, last]))
}

/// Deletes the oldest rows of a device before a time, at most `left`; how many. They lie side by side: one range of the key.
fn delete_before(
    transaction: &Transaction<'_>,
    table: &str,
    device: i64,
    before: i64,
    left: usize,
) -> rusqlite::Result<usize> {
    if left == 0 {
        return Ok(0);
    }
    let sql = format!("SELECT at FROM {table} WHERE device = ?1 AND at < ?2 ORDER BY at LIMIT 1 OFFSET ?3");
    let beyond: Option<i64> = transaction
        .prepare_cached(&sql)?
        .query_row(params![device, before, count(left)], |row| row.get(0))
        .optional()?;
    let sql = format!("DELETE FROM {table} WHERE device = ?1 AND at < ?2");
    transaction.prepare_cached(&sql)?.execute(params![device, beyond.unwrap_or(before)])
}
