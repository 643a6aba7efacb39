//! What the engine reads: at its start, and of devices that another process has changed.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio_postgres::{GenericClient, IsolationLevel, Row, Transaction, types::ToSql};

use super::{Version, session::Session};
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

/// How often the versions of all devices are compared.
pub(super) const COMPARE_ALL_EVERY: Duration = Duration::from_secs(60);

/// A state of the database that stays the same for several questions.
async fn snapshot(session: &mut Session) -> Result<Transaction<'_>> {
    let builder = session.client.build_transaction();
    Ok(builder.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?)
}

/// All devices with their ledgers and versions.
pub(super) async fn all(session: &mut Session) -> Result<Vec<(DeviceRow, i64)>> {
    let transaction = snapshot(session).await?;
    let mut rows = devices(&transaction, None).await?;
    let ids: Vec<_> = rows.iter().map(|(row, _)| row.id.0).collect();
    // In parts: the open minutes of a large fleet are many rows.
    for part in ids.chunks(5_000) {
        let mut ledgers = ledgers_of(&transaction, part).await?;
        for (row, _) in &mut rows {
            if let Some((ledger, _)) = ledgers.remove(&row.id.0) {
                row.ledger = ledger;
            }
        }
    }
    Ok(rows)
}

/// Ledgers and versions of these devices.
pub(super) async fn ledgers(
    session: &mut Session,
    devices: &[DeviceId],
) -> Result<Vec<(DeviceId, Ledger, i64)>> {
    let transaction = snapshot(session).await?;
    let ids: Vec<_> = devices.iter().map(|device| device.0).collect();
    let ledgers = ledgers_of(&transaction, &ids).await?;
    Ok(ledgers.into_iter().map(|(id, (ledger, version))| (DeviceId(id), ledger, version)).collect())
}

/// Devices whose version is not the one that was seen last, with their starts.
pub(super) async fn changed(
    session: &mut Session,
    versions: &HashMap<DeviceId, Version>,
    all: bool,
) -> Result<Vec<(DeviceRow, i64)>> {
    let transaction = snapshot(session).await?;
    let lately = if all { "" } else { "WHERE changed_at > now() - interval '20 seconds'" };
    let mut ids: Vec<i64> = Vec::new();
    for row in transaction.query(&format!("SELECT device, version FROM state {lately}"), &[]).await? {
        let (device, version): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if versions.get(&DeviceId(device)).is_none_or(|known| known.seen != version) {
            ids.push(device);
        }
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = devices(&transaction, Some(&ids)).await?;
    let mut boots = boots(&transaction, &ids).await?;
    for (row, _) in &mut rows {
        row.ledger.boots = boots.remove(&row.id.0).unwrap_or_default();
    }
    Ok(rows)
}

async fn devices(client: &impl GenericClient, ids: Option<&[i64]>) -> Result<Vec<(DeviceRow, i64)>> {
    let sql = format!(
        "SELECT id, hardware_id, added_at, name, grp, tags, removed, latest.at, document, version, text
         FROM device JOIN state ON state.device = id LEFT JOIN latest ON latest.device = id
         LEFT JOIN board ON board.device = id {} ORDER BY id",
        if ids.is_some() { "WHERE id = ANY($1)" } else { "" }
    );
    let parameters: Vec<&(dyn ToSql + Sync)> = match &ids {
        Some(ids) => vec![ids],
        None => Vec::new(),
    };
    let rows = client.query(&sql, &parameters).await?;
    let rows = rows.iter().map(|row| {
        let latest = row.try_get::<_, Option<i64>>(7)?.zip(row.try_get::<_, Option<String>>(8)?);
        let device = DeviceRow {
            id: DeviceId(row.try_get(0)?),
            hardware_id: row.try_get(1)?,
            added_at: UnixMs(row.try_get(2)?),
            labels: labels_of_row(row, 3)?,
            latest: latest.map(|(at, document)| (UnixMs(at), document)),
            board: row.try_get(10)?,
            ledger: Ledger::default(),
        };
        Ok((device, row.try_get(9)?))
    });
    rows.collect()
}

async fn ledgers_of(transaction: &Transaction<'_>, ids: &[i64]) -> Result<BTreeMap<i64, (Ledger, i64)>> {
    let mut boots = boots(transaction, ids).await?;
    let sql = "SELECT device, version, last_at, EXISTS (SELECT 1 FROM minute
               WHERE minute.device = state.device AND minute.at = state.last_at - state.last_at % 60000)
               FROM state WHERE device = ANY($1)";
    let mut ledgers = BTreeMap::new();
    for row in transaction.query(sql, &[&ids]).await? {
        let device: i64 = row.try_get(0)?;
        let mut ledger = Ledger { boots: boots.remove(&device).unwrap_or_default(), ..Ledger::default() };
        let last_at = UnixMs(row.try_get(2)?);
        if last_at.0 > 0 {
            ledger.last_at = last_at;
            let minute = last_at.floor(MINUTE_MS);
            let written: bool = row.try_get(3)?;
            ledger.minute =
                if written { Minute::Written(minute) } else { Minute::Open(minute, Summary::default()) };
        }
        ledgers.insert(device, (ledger, row.try_get(1)?));
    }
    sum_up_open_minutes(transaction, &mut ledgers).await?;
    Ok(ledgers)
}

/// Open minutes are summed up from their heartbeats.
async fn sum_up_open_minutes(
    transaction: &Transaction<'_>,
    ledgers: &mut BTreeMap<i64, (Ledger, i64)>,
) -> Result<()> {
    let open = ledgers.iter().filter_map(|(device, (ledger, _))| match ledger.minute {
        Minute::Open(minute, _) => Some((*device, minute.0)),
        Minute::Written(_) => None,
    });
    let (devices, minutes): (Vec<i64>, Vec<i64>) = open.unzip();
    if devices.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT {}, u.device FROM unnest($1::bigint[], $2::bigint[]) AS u(device, minute)
         JOIN beat ON beat.device = u.device AND beat.at >= u.minute AND beat.at < u.minute + 60000
         AND beat.at >= $3 AND beat.at < $4",
        Value::ALL.map(|value| format!("beat.{}", value.name())).join(", ")
    );
    // The bounds of all let the planner leave out partitions.
    let from = minutes.iter().copied().min().unwrap_or(0);
    let to = minutes.iter().copied().max().unwrap_or(0) + MINUTE_MS;
    for row in transaction.query(&sql, &[&devices, &minutes, &from, &to]).await? {
        let device: i64 = row.try_get(Value::ALL.len())?;
        let values = values_of_row(&row, 0)?;
        if let Some((Ledger { minute: Minute::Open(_, summary), .. }, _)) = ledgers.get_mut(&device) {
            summary.add(&values);
        }
    }
    for (ledger, _) in ledgers.values_mut() {
        // Its heartbeats were deleted because they were too old.
        if let Minute::Open(minute, Summary { beats: 0, .. }) = ledger.minute {
            ledger.minute = Minute::Written(minute);
        }
    }
    Ok(())
}

/// The latest starts of each device, the oldest first.
async fn boots(client: &impl GenericClient, ids: &[i64]) -> Result<HashMap<i64, Vec<Boot>>> {
    let sql = "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received, u.device
               FROM unnest($1::bigint[]) AS u(device) CROSS JOIN LATERAL
               (SELECT * FROM boot WHERE boot.device = u.device ORDER BY ordinal DESC LIMIT $2) AS b
               ORDER BY u.device, ordinal";
    let limit = i64::try_from(BOOTS_IN_MEMORY).unwrap_or(i64::MAX);
    let mut boots: HashMap<i64, Vec<Boot>> = HashMap::new();
    for row in client.query(sql, &[&ids, &limit]).await? {
        boots.entry(row.try_get(8)?).or_default().push(boot_of_row(&row)?);
    }
    Ok(boots)
}

/// Alerts that are raised, or over and not announced.
pub(super) async fn alerts(session: &mut Session) -> Result<Vec<AlertRow>> {
    let sql = "SELECT device, kind, since, raised, unannounced, detail FROM alert";
    let rows = session.client.query(sql, &[]).await?;
    let rows = rows.iter().map(|row| {
        Ok(AlertRow {
            device: DeviceId(row.try_get(0)?),
            kind: row.try_get(1)?,
            since: UnixMs(row.try_get(2)?),
            raised: row.try_get(3)?,
            unannounced: row.try_get(4)?,
            detail: row.try_get(5)?,
        })
    });
    rows.collect()
}

/// Messages that have not arrived.
pub(super) async fn messages(session: &mut Session) -> Result<Vec<MessageRow>> {
    let sql =
        "SELECT id, channel, created_at, next_at, attempts, doubtful, subject, body FROM message ORDER BY id";
    let rows = session.client.query(sql, &[]).await?;
    let rows = rows.iter().map(|row| {
        Ok(MessageRow {
            id: row.try_get(0)?,
            channel: row.try_get(1)?,
            created_at: UnixMs(row.try_get(2)?),
            next_at: UnixMs(row.try_get(3)?),
            attempts: u32::try_from(row.try_get::<_, i64>(4)?).unwrap_or(u32::MAX),
            doubtful: row.try_get(5)?,
            subject: row.try_get(6)?,
            body: String::from_utf8_lossy(row.try_get(7)?).into_owned(),
        })
    });
    rows.collect()
}

/// How many messages have not arrived.
pub(super) async fn messages_waiting(session: &mut Session) -> Result<usize> {
    let row = session.client.query_one("SELECT count(*) FROM message", &[]).await?;
    Ok(usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX))
}

/// Labels from four columns, the first of which is `first`.
pub(super) fn labels_of_row(row: &Row, first: usize) -> Result<Labels> {
    let tags: String = row.try_get(first + 2)?;
    Ok(Labels {
        name: row.try_get(first)?,
        group: row.try_get(first + 1)?,
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        removed: row.try_get(first + 3)?,
    })
}

/// Values from nine columns, the first of which is `first`.
pub(super) fn values_of_row(row: &Row, first: usize) -> Result<Values> {
    let mut values = Values::default();
    for (place, value) in Value::ALL.into_iter().enumerate() {
        values.set(value, row.try_get(first + place)?);
    }
    Ok(values)
}

/// A start of an agent from the first eight columns.
pub(super) fn boot_of_row(row: &Row) -> Result<Boot> {
    let unsigned = |place: usize| row.try_get::<_, i64>(place).map(i64::cast_unsigned);
    Ok(Boot {
        id: unsigned(0)?,
        ordinal: row.try_get(1)?,
        first_at: UnixMs(row.try_get(2)?),
        last_at: UnixMs(row.try_get(3)?),
        base: unsigned(4)?,
        max: unsigned(5)?,
        window: unsigned(6)?,
        received: unsigned(7)?,
    })
}
