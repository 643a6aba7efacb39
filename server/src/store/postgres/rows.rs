//! Rows of one commit other than heartbeats: one statement for each table, with an array for each column.

use std::collections::BTreeMap;

use tokio_postgres::{Transaction, types::ToSql};

use super::{
    arrays,
    beats::columns,
    schema::{Table, add_summaries},
    session::Statements,
    storable,
};
use crate::{
    model::{
        DeviceId,
        boot::Boot,
        ledger::hour_of,
        reading::{Summary, VALUES},
    },
    store::{AlertRow, EventRow, MessageRow, Result, Writes},
};

pub(super) async fn latest(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    writes: &Writes,
) -> Result<()> {
    if writes.latest.is_empty() {
        return Ok(());
    }
    // A statement changes a row once: the last of each device.
    let last: BTreeMap<i64, (i64, &str)> =
        writes.latest.iter().map(|(device, at, text)| (device.0, (at.0, text.as_str()))).collect();
    let sql = "INSERT INTO latest SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])
               ON CONFLICT (device) DO UPDATE SET at = excluded.at, document = excluded.document";
    let statement = statements.get(transaction, sql).await?;
    let devices: Vec<_> = last.keys().copied().collect();
    let times: Vec<_> = last.values().map(|(at, _)| *at).collect();
    let documents: Vec<_> = last.values().map(|(_, text)| *text).collect();
    transaction.execute(&statement, &[&devices, &times, &documents]).await?;
    Ok(())
}

pub(super) async fn boards(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    boards: &[(DeviceId, String)],
) -> Result<()> {
    if boards.is_empty() {
        return Ok(());
    }
    // A statement changes a row once: the last of each device.
    let last: BTreeMap<i64, String> =
        boards.iter().map(|(device, text)| (device.0, storable(text))).collect();
    let sql = "INSERT INTO board SELECT * FROM unnest($1::bigint[], $2::text[])
               ON CONFLICT (device) DO UPDATE SET text = excluded.text";
    let statement = statements.get(transaction, sql).await?;
    let (devices, texts): (Vec<i64>, Vec<String>) = last.into_iter().unzip();
    transaction.execute(&statement, &[&devices, &texts]).await?;
    Ok(())
}

pub(super) async fn boots(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    boots: &[(DeviceId, Boot)],
) -> Result<()> {
    if boots.is_empty() {
        return Ok(());
    }
    let last: BTreeMap<(i64, i64), &Boot> =
        boots.iter().map(|(device, boot)| ((device.0, boot.ordinal), boot)).collect();
    let rows: Vec<Vec<Option<i64>>> = last
        .iter()
        .map(|((device, ordinal), boot)| {
            let state = [boot.base, boot.max, boot.window, boot.received].map(|n| Some(n.cast_signed()));
            [Some(*device), Some(*ordinal), Some(boot.last_at.0)].into_iter().chain(state).collect()
        })
        .collect();
    let sql = format!(
        "UPDATE boot SET last_at = u.last_at, base = u.base, max = u.max, bits = u.bits, received = u.received
         FROM unnest({}) AS u(device, ordinal, last_at, base, max, bits, received)
         WHERE boot.device = u.device AND boot.ordinal = u.ordinal",
        arrays(7)
    );
    execute_rows(transaction, statements, &sql, &rows, 7).await
}

pub(super) async fn events(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    events: &[EventRow],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO event (at, device, kind, detail)
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[])";
    let statement = statements.get(transaction, sql).await?;
    let times: Vec<_> = events.iter().map(|row| row.at.0).collect();
    let devices: Vec<_> = events.iter().map(|row| row.device.0).collect();
    let kinds: Vec<_> = events.iter().map(|row| row.kind.as_str()).collect();
    let details: Vec<_> = events.iter().map(|row| storable(&row.detail)).collect();
    transaction.execute(&statement, &[&times, &devices, &kinds, &details]).await?;
    Ok(())
}

pub(super) async fn summaries(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    writes: &Writes,
) -> Result<()> {
    if writes.summaries.is_empty() {
        return Ok(());
    }
    for table in [Table::Minute, Table::Hour] {
        // A statement changes a row once, so that what goes into the same row is added up before.
        let mut sums: BTreeMap<(i64, i64), Summary> = BTreeMap::new();
        for row in &writes.summaries {
            let at = if table == Table::Minute { row.minute } else { hour_of(row.minute) };
            sums.entry((row.device.0, at.0)).or_default().merge(&row.summary);
        }
        let rows: Vec<_> =
            sums.iter().map(|((device, at), summary)| summary_row(*device, *at, summary)).collect();
        execute_rows(transaction, statements, &add_summaries(table), &rows, 3 + 3 * VALUES).await?;
    }
    Ok(())
}

fn summary_row(device: i64, at: i64, summary: &Summary) -> Vec<Option<i64>> {
    let stats = summary.stats.iter().flat_map(|stat| {
        let there = |number: i64| (stat.count > 0).then_some(number);
        [there(stat.count), there(stat.sum), stat.max.map(i64::from)]
    });
    [Some(device), Some(at), Some(summary.beats)].into_iter().chain(stats).collect()
}

/// Executes `sql` with one array for each column.
async fn execute_rows(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    sql: &str,
    rows: &[Vec<Option<i64>>],
    count: usize,
) -> Result<()> {
    let statement = statements.get(transaction, sql).await?;
    let columns = columns(rows, count);
    let parameters: Vec<_> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
    transaction.execute(&statement, &parameters).await?;
    Ok(())
}

pub(super) async fn alerts(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    alerts: &[AlertRow],
) -> Result<()> {
    // A statement changes a row once: the last of each device and kind.
    let last: BTreeMap<(i64, &str), &AlertRow> =
        alerts.iter().map(|row| ((row.device.0, row.kind.as_str()), row)).collect();
    let (kept, over): (Vec<_>, Vec<_>) = last.into_values().partition(|row| row.raised || row.unannounced);
    let keys = |rows: &[&AlertRow]| -> (Vec<i64>, Vec<String>) {
        rows.iter().map(|row| (row.device.0, row.kind.clone())).unzip()
    };
    if !kept.is_empty() {
        let sql = "INSERT INTO alert (device, kind, since, raised, unannounced, detail)
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[], $5::boolean[], $6::text[])
                   ON CONFLICT (device, kind) DO UPDATE SET since = excluded.since, raised = excluded.raised,
                   unannounced = excluded.unannounced, detail = excluded.detail";
        let keep = statements.get(transaction, sql).await?;
        let (devices, kinds) = keys(&kept);
        let since: Vec<_> = kept.iter().map(|row| row.since.0).collect();
        let raised: Vec<_> = kept.iter().map(|row| row.raised).collect();
        let unannounced: Vec<_> = kept.iter().map(|row| row.unannounced).collect();
        let details: Vec<_> = kept.iter().map(|row| storable(&row.detail)).collect();
        transaction.execute(&keep, &[&devices, &kinds, &since, &raised, &unannounced, &details]).await?;
    }
    if !over.is_empty() {
        let sql = "DELETE FROM alert USING unnest($1::bigint[], $2::text[]) AS u(device, kind)
                   WHERE alert.device = u.device AND alert.kind = u.kind";
        let delete = statements.get(transaction, sql).await?;
        let (devices, kinds) = keys(&over);
        transaction.execute(&delete, &[&devices, &kinds]).await?;
    }
    Ok(())
}

pub(super) async fn messages(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    messages: &[MessageRow],
    done: &[i64],
) -> Result<()> {
    if !messages.is_empty() {
        let last: BTreeMap<i64, &MessageRow> = messages.iter().map(|m| (m.id, m)).collect();
        let sql = "INSERT INTO message (id, channel, created_at, next_at, attempts, doubtful, subject, body)
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
                                        $6::boolean[], $7::text[], $8::bytea[])
                   ON CONFLICT (id) DO UPDATE SET channel = excluded.channel, created_at = excluded.created_at,
                   next_at = excluded.next_at, attempts = excluded.attempts, doubtful = excluded.doubtful,
                   subject = excluded.subject, body = excluded.body";
        let keep = statements.get(transaction, sql).await?;
        let ids: Vec<_> = last.keys().copied().collect();
        let channels: Vec<_> = last.values().map(|m| m.channel.as_str()).collect();
        let created: Vec<_> = last.values().map(|m| m.created_at.0).collect();
        let next: Vec<_> = last.values().map(|m| m.next_at.0).collect();
        let attempts: Vec<_> = last.values().map(|m| i64::from(m.attempts)).collect();
        let doubtful: Vec<_> = last.values().map(|m| m.doubtful).collect();
        let subjects: Vec<_> = last.values().map(|m| storable(&m.subject)).collect();
        let bodies: Vec<_> = last.values().map(|m| m.body.as_bytes()).collect();
        let row: [&(dyn ToSql + Sync); 8] =
            [&ids, &channels, &created, &next, &attempts, &doubtful, &subjects, &bodies];
        transaction.execute(&keep, &row).await?;
    }
    if !done.is_empty() {
        let delete = statements.get(transaction, "DELETE FROM message WHERE id = ANY($1)").await?;
        transaction.execute(&delete, &[&done]).await?;
    }
    Ok(())
}
