//! What the engine changes, one transaction at a time.

use rusqlite::{
    CachedStatement, OptionalExtension, Statement, Transaction, params, params_from_iter, types::Value as Sql,
};

use super::{Sqlite, load::boot_of_row, summary_columns, value_columns};
use crate::{
    limits::RETENTION_STEP,
    model::{
        DeviceId,
        boot::Boot,
        ledger::{Ledger, hour_of},
        reading::{Summary, VALUES, Value},
    },
    store::{
        AlertRow, Applied, BeatRow, DeviceRow, Duties, Known, Purge, Result, Retained, Retention, Store,
        SummaryRow, Writes,
    },
    time::UnixMs,
};

/// The bit of a late heartbeat in `beat.flags`.
pub(super) const REPLAYED: i64 = 1;

impl Store for Sqlite {
    fn load(&mut self) -> Result<Vec<DeviceRow>> {
        let mut devices = self.load_devices()?;
        for device in &mut devices {
            device.ledger = self.load_ledger(device.id)?;
        }
        Ok(devices)
    }

    fn duties(&mut self) -> Result<Duties> {
        Ok(Duties { alerts: self.load_alerts()?, messages: self.load_messages()? })
    }

    fn ledgers(&mut self, devices: &[DeviceId]) -> Result<Vec<(DeviceId, Ledger)>> {
        devices.iter().map(|device| Ok((*device, self.load_ledger(*device)?))).collect()
    }

    fn device_ids(
        &mut self,
        now: UnixMs,
        hardware_ids: &[(&str, Option<&str>)],
    ) -> Result<Vec<(DeviceId, bool)>> {
        let transaction = self.connection.transaction()?;
        let mut ids = Vec::with_capacity(hardware_ids.len());
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO device (hardware_id, added_at, grp) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?;
            let mut select = transaction.prepare_cached("SELECT id FROM device WHERE hardware_id = ?1")?;
            for (hardware_id, group) in hardware_ids {
                let new = insert.execute(params![hardware_id, now.0, group])? == 1;
                ids.push((DeviceId(select.query_row([hardware_id], |row| row.get(0))?), new));
            }
        }
        transaction.commit()?;
        Ok(ids)
    }

    fn open_boots(&mut self, now: UnixMs, ids: &[(DeviceId, u64)]) -> Result<Vec<Boot>> {
        let transaction = self.connection.transaction()?;
        let mut boots = Vec::with_capacity(ids.len());
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO boot (device, ordinal, boot_id, first_at, last_at, base, max, bits, received)
                 SELECT ?1, 1 + ifnull(max(ordinal), 0), ?2, ?3, ?3, 0, 0, 0, 0 FROM boot WHERE device = ?1
                 ON CONFLICT DO NOTHING",
            )?;
            let mut select = transaction.prepare_cached(
                "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received FROM boot
                 WHERE device = ?1 AND boot_id = ?2",
            )?;
            for (device, id) in ids {
                insert.execute(params![device.0, id.cast_signed(), now.0])?;
                boots.push(select.query_row(params![device.0, id.cast_signed()], boot_of_row)?);
            }
        }
        transaction.commit()?;
        Ok(boots)
    }

    fn known(&mut self, asked: &[Known]) -> Result<Vec<bool>> {
        asked.iter().map(|known| self.has_beat(known)).collect()
    }

    fn apply(&mut self, writes: &Writes) -> Result<Applied> {
        self.check_file()?;
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        write_beats(&transaction, &writes.beats)?;
        {
            let mut latest =
                transaction.prepare_cached("INSERT OR REPLACE INTO latest VALUES (?1, ?2, ?3)")?;
            for (device, at, document) in &writes.latest {
                latest.execute(params![device.0, at.0, document])?;
            }
            let mut board = transaction.prepare_cached("INSERT OR REPLACE INTO board VALUES (?1, ?2)")?;
            for (device, text) in &writes.boards {
                board.execute(params![device.0, text])?;
            }
            let mut boot = transaction.prepare_cached(
                "UPDATE boot SET last_at = ?3, base = ?4, max = ?5, bits = ?6, received = ?7
                 WHERE device = ?1 AND ordinal = ?2",
            )?;
            for (device, b) in &writes.boots {
                boot.execute(params![
                    device.0,
                    b.ordinal,
                    b.last_at.0,
                    b.base.cast_signed(),
                    b.max.cast_signed(),
                    b.window.cast_signed(),
                    b.received.cast_signed()
                ])?;
            }
            let mut event = transaction
                .prepare_cached("INSERT INTO event (at, device, kind, detail) VALUES (?1, ?2, ?3, ?4)")?;
            for row in &writes.events {
                event.execute(params![row.at.0, row.device.0, row.kind, row.detail])?;
            }
        }
        write_summaries(&transaction, &writes.summaries)?;
        write_alerts(&transaction, &writes.alerts)?;
        write_messages(&transaction, writes)?;
        transaction.commit()?;
        Ok(Applied::Done)
    }

    fn probe(&mut self) -> Result<()> {
        self.check_file()?;
        self.connection.execute("UPDATE setting SET value = value WHERE key = 'revision'", [])?;
        Ok(())
    }

    fn retain(&mut self, now: UnixMs, retention: &Retention) -> Result<Retained> {
        self.retain_step(now, retention, RETENTION_STEP)
    }

    fn purge(&mut self) -> Result<Purge> {
        self.purge_step()
    }
}

fn write_beats(transaction: &Transaction<'_>, beats: &[BeatRow]) -> rusqlite::Result<()> {
    let places = vec!["?"; 8 + VALUES].join(", ");
    let sql = format!(
        "INSERT INTO beat (device, at, skew, boot, seq, flags, {}, lat, lon) VALUES ({places}) ON CONFLICT DO NOTHING",
        value_columns()
    );
    let mut insert = transaction.prepare_cached(&sql)?;
    for beat in beats {
        if insert_beat(&mut insert, beat, beat.at)? {
            continue;
        }
        // Another one of this device has the place: late heartbeats with the same time.
        let newest: Option<i64> = transaction
            .prepare_cached("SELECT max(at) FROM beat WHERE device = ?1")?
            .query_row([beat.device.0], |row| row.get(0))
            .optional()?
            .flatten();
        insert_beat(&mut insert, beat, UnixMs(newest.unwrap_or(0)).plus(1))?;
    }
    Ok(())
}

fn insert_beat(insert: &mut CachedStatement<'_>, beat: &BeatRow, at: UnixMs) -> rusqlite::Result<bool> {
    let reading = &beat.reading;
    let flags = i64::from(beat.replayed) * REPLAYED
        + i64::from(reading.streaming) * 2
        + i64::from(reading.tracking) * 4
        + i64::from(reading.recording) * 8;
    let integer = |number: Option<i64>| number.map_or(Sql::Null, Sql::Integer);
    let head = [
        Sql::Integer(beat.device.0),
        Sql::Integer(at.0),
        integer(beat.sampled_at.map(|sampled| sampled.since(at))),
        integer(beat.boot),
        integer(beat.number.map(u64::cast_signed)),
        Sql::Integer(flags),
    ];
    let values = reading.values.0.iter().map(|value| integer(value.map(i64::from)));
    let position = [reading.position.map(|(lat, _)| lat), reading.position.map(|(_, lon)| lon)];
    let position = position.iter().map(|degree| integer(degree.map(i64::from)));
    Ok(insert.execute(params_from_iter(head.into_iter().chain(values).chain(position)))? == 1)
}

fn write_summaries(transaction: &Transaction<'_>, rows: &[SummaryRow]) -> rusqlite::Result<()> {
    let mut minute = transaction.prepare_cached(&add_summary("minute"))?;
    let mut hour = transaction.prepare_cached(&add_summary("hour"))?;
    for row in rows {
        add(&mut minute, row.device, row.minute, &row.summary)?;
        add(&mut hour, row.device, hour_of(row.minute), &row.summary)?;
    }
    Ok(())
}

/// SQL that adds a summary to the row of `table`, and makes it if there is none.
fn add_summary(table: &str) -> String {
    let columns = summary_columns().replace(" INTEGER", "");
    let places = vec!["?"; 3 + 3 * VALUES].join(", ");
    let sums = Value::ALL.map(|value| {
        let name = value.name();
        format!(
            "{name}_n = ifnull({name}_n, 0) + ifnull(excluded.{name}_n, 0),
             {name}_sum = ifnull({name}_sum, 0) + ifnull(excluded.{name}_sum, 0),
             {name}_max = ifnull(max({name}_max, excluded.{name}_max), ifnull({name}_max, excluded.{name}_max))"
        )
    });
    format!(
        "INSERT INTO {table} (device, at, beats, {columns}) VALUES ({places})
         ON CONFLICT (device, at) DO UPDATE SET beats = beats + excluded.beats, {}",
        sums.join(", ")
    )
}

fn add(
    statement: &mut Statement<'_>,
    device: DeviceId,
    at: UnixMs,
    summary: &Summary,
) -> rusqlite::Result<()> {
    let head = [Sql::Integer(device.0), Sql::Integer(at.0), Sql::Integer(summary.beats)];
    let stats = summary.stats.iter().flat_map(|stat| {
        // A value that was never read takes a byte for each column.
        let there = |number: i64| if stat.count == 0 { Sql::Null } else { Sql::Integer(number) };
        [there(stat.count), there(stat.sum), there(stat.max.map_or(0, i64::from))]
    });
    statement.execute(params_from_iter(head.into_iter().chain(stats)))?;
    Ok(())
}

fn write_alerts(transaction: &Transaction<'_>, alerts: &[AlertRow]) -> rusqlite::Result<()> {
    let mut keep =
        transaction.prepare_cached("INSERT OR REPLACE INTO alert VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM alert WHERE device = ?1 AND kind = ?2")?;
    for row in alerts {
        if row.raised || row.unannounced {
            keep.execute(params![
                row.device.0,
                row.kind,
                row.since.0,
                row.raised,
                row.unannounced,
                row.detail
            ])?;
        } else {
            delete.execute(params![row.device.0, row.kind])?;
        }
    }
    Ok(())
}

fn write_messages(transaction: &Transaction<'_>, writes: &Writes) -> rusqlite::Result<()> {
    let mut keep = transaction
        .prepare_cached("INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for m in &writes.messages {
        keep.execute(params![
            m.id,
            m.channel,
            m.created_at.0,
            m.next_at.0,
            m.attempts,
            m.doubtful,
            m.subject,
            m.body
        ])?;
    }
    let mut delete = transaction.prepare_cached("DELETE FROM message WHERE id = ?1")?;
    for id in &writes.messages_done {
        delete.execute([id])?;
    }
    Ok(())
}
