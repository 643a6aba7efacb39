//! What the engine reads at its start.

use rusqlite::params;

use super::{Sqlite, value_columns};
use crate::{
    limits::BOOTS_IN_MEMORY,
    model::{
        DeviceId,
        boot::Boot,
        ledger::{Ledger, Minute},
        reading::{Summary, Value, Values},
    },
    store::{AlertRow, DeviceRow, Labels, MessageRow, Result},
    time::{MINUTE_MS, UnixMs},
};

impl Sqlite {
    pub(super) fn load_devices(&self) -> Result<Vec<DeviceRow>> {
        let mut select = self.connection.prepare(
            "SELECT id, hardware_id, added_at, name, grp, tags, removed, at, document, text
             FROM device LEFT JOIN latest ON latest.device = device.id LEFT JOIN board ON board.device = device.id
             ORDER BY id",
        )?;
        let rows = select.query_map([], |row| {
            let latest = row.get::<_, Option<i64>>(7)?.zip(row.get::<_, Option<String>>(8)?);
            Ok(DeviceRow {
                id: DeviceId(row.get(0)?),
                hardware_id: row.get(1)?,
                added_at: UnixMs(row.get(2)?),
                labels: labels_of(row.get(3)?, row.get(4)?, &row.get::<_, String>(5)?, row.get(6)?),
                latest: latest.map(|(at, document)| (UnixMs(at), document)),
                board: row.get(9)?,
                ledger: Ledger::default(),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn load_ledger(&self, device: DeviceId) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        let mut select = self.connection.prepare_cached(
            "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received FROM boot
             WHERE device = ?1 ORDER BY ordinal DESC LIMIT ?2",
        )?;
        let boots = select.query_map(params![device.0, super::count(BOOTS_IN_MEMORY)], boot_of_row)?;
        for boot in boots {
            ledger.remember(boot?);
        }
        let sql = "SELECT max(at) FROM beat WHERE device = ?1";
        let last: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([device.0], |row| row.get(0))?;
        if let Some(last) = last {
            ledger.last_at = UnixMs(last);
            ledger.minute = self.load_minute(device, UnixMs(last).floor(MINUTE_MS))?;
        }
        Ok(ledger)
    }

    /// The last minute of a device: written, or summed up from its heartbeats.
    fn load_minute(&self, device: DeviceId, minute: UnixMs) -> Result<Minute> {
        let written = self
            .connection
            .prepare_cached("SELECT 1 FROM minute WHERE device = ?1 AND at = ?2")?
            .exists(params![device.0, minute.0])?;
        if written {
            return Ok(Minute::Written(minute));
        }
        let sql = format!(
            "SELECT {} FROM beat WHERE device = ?1 AND at >= ?2 AND at < ?2 + 60000",
            value_columns()
        );
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut summary = Summary::default();
        let mut rows = select.query(params![device.0, minute.0])?;
        while let Some(row) = rows.next()? {
            summary.add(&values_of_row(row, 0)?);
        }
        Ok(Minute::Open(minute, summary))
    }

    pub(super) fn load_alerts(&self) -> Result<Vec<AlertRow>> {
        let mut select =
            self.connection.prepare("SELECT device, kind, since, raised, unannounced, detail FROM alert")?;
        let rows = select.query_map([], |row| {
            Ok(AlertRow {
                device: DeviceId(row.get(0)?),
                kind: row.get(1)?,
                since: UnixMs(row.get(2)?),
                raised: row.get(3)?,
                unannounced: row.get(4)?,
                detail: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn load_messages(&self) -> Result<Vec<MessageRow>> {
        let mut select = self.connection.prepare(
            "SELECT id, channel, created_at, next_at, attempts, doubtful, subject, body FROM message ORDER BY id",
        )?;
        let rows = select.query_map([], |row| {
            Ok(MessageRow {
                id: row.get(0)?,
                channel: row.get(1)?,
                created_at: UnixMs(row.get(2)?),
                next_at: UnixMs(row.get(3)?),
                attempts: row.get(4)?,
                doubtful: row.get(5)?,
                subject: row.get(6)?,
                body: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Labels from their columns.
pub(super) fn labels_of(name: Option<String>, group: Option<String>, tags: &str, removed: bool) -> Labels {
    Labels { name, group, tags: tags.split_whitespace().map(str::to_owned).collect(), removed }
}

/// Values from nine columns, the first of which is `first`.
pub(super) fn values_of_row(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Values> {
    let mut values = Values::default();
    for (place, value) in Value::ALL.into_iter().enumerate() {
        values.set(value, row.get(first + place)?);
    }
    Ok(values)
}

pub(super) fn boot_of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Boot> {
    Ok(Boot {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        ordinal: row.get(1)?,
        first_at: UnixMs(row.get(2)?),
        last_at: UnixMs(row.get(3)?),
        base: row.get::<_, i64>(4)?.cast_unsigned(),
        max: row.get::<_, i64>(5)?.cast_unsigned(),
        window: row.get::<_, i64>(6)?.cast_unsigned(),
        received: row.get::<_, i64>(7)?.cast_unsigned(),
    })
}
