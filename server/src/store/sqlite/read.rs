//! History and events.

use rusqlite::{OptionalExtension, params};

use super::{
    Sqlite, count,
    load::{boot_of_row, values_of_row},
    summary_columns, value_columns,
    write::REPLAYED,
};
use crate::{
    model::{DeviceId, boot::Boot, reading::VALUES},
    store::{BeatDetail, EventRow, Point, Read, Result, Step, mean_of},
    time::UnixMs,
};

impl Read for Sqlite {
    fn history(
        &mut self,
        device: DeviceId,
        step: Step,
        from: UnixMs,
        to: UnixMs,
        limit: usize,
    ) -> Result<Vec<Point>> {
        let columns = match step {
            Step::Beat => format!("at, skew, boot, seq, flags, lat, lon, {}", value_columns()),
            Step::Minute | Step::Hour => format!("at, beats, {}", summary_columns().replace(" INTEGER", "")),
        };
        let sql = format!(
            "SELECT {columns} FROM {} WHERE device = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT ?4",
            step.table()
        );
        let mut select = self.connection.prepare_cached(&sql)?;
        let point = if step == Step::Beat { beat_point } else { summary_point };
        let rows = select.query_map(params![device.0, from.0, to.0, count(limit)], point)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn place(
        &mut self,
        device: DeviceId,
        step: Step,
        from: UnixMs,
        to: UnixMs,
        before: usize,
    ) -> Result<Option<UnixMs>> {
        let sql = format!(
            "SELECT at FROM {} WHERE device = ?1 AND at >= ?2 AND at < ?3 ORDER BY at LIMIT 1 OFFSET ?4",
            step.table()
        );
        let mut select = self.connection.prepare_cached(&sql)?;
        let at = select.query_row(params![device.0, from.0, to.0, count(before)], |row| row.get(0));
        Ok(at.optional()?.map(UnixMs))
    }

    fn boots(&mut self, device: DeviceId, limit: usize) -> Result<Vec<Boot>> {
        let mut select = self.connection.prepare_cached(
            "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received FROM boot
             WHERE device = ?1 ORDER BY ordinal DESC LIMIT ?2",
        )?;
        let rows =
            select.query_map(params![device.0, i64::try_from(limit).unwrap_or(i64::MAX)], boot_of_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn events(&mut self, device: Option<DeviceId>, limit: usize) -> Result<Vec<EventRow>> {
        let place = if device.is_some() { "WHERE device = ?1" } else { "WHERE ?1 IS NULL" };
        let sql =
            format!("SELECT at, device, kind, detail FROM event {place} ORDER BY at DESC, id DESC LIMIT ?2");
        let mut select = self.connection.prepare_cached(&sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![device.map(|device| device.0), limit], |row| {
            Ok(EventRow {
                at: UnixMs(row.get(0)?),
                device: DeviceId(row.get(1)?),
                kind: row.get(2)?,
                detail: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn beat_point(row: &rusqlite::Row<'_>) -> rusqlite::Result<Point> {
    let at = UnixMs(row.get(0)?);
    let values = values_of_row(row, 7)?;
    let position = row.get::<_, Option<i32>>(5)?.zip(row.get::<_, Option<i32>>(6)?);
    Ok(Point {
        at,
        beats: 1,
        mean: values.0.map(|value| value.map(f64::from)),
        max: values.0,
        beat: Some(BeatDetail {
            sampled_at: row.get::<_, Option<i64>>(1)?.map(|skew| at.plus(skew)),
            boot: row.get(2)?,
            number: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            replayed: row.get::<_, i64>(4)? & REPLAYED != 0,
            position,
        }),
    })
}

fn summary_point(row: &rusqlite::Row<'_>) -> rusqlite::Result<Point> {
    let mut mean = [None; VALUES];
    let mut max = [None; VALUES];
    for (place, (mean, max)) in mean.iter_mut().zip(&mut max).enumerate() {
        let count: Option<i64> = row.get(2 + 3 * place)?;
        let sum: Option<i64> = row.get(3 + 3 * place)?;
        *max = row.get(4 + 3 * place)?;
        *mean = count.zip(sum).and_then(|(count, sum)| mean_of(count, sum));
    }
    Ok(Point { at: UnixMs(row.get(0)?), beats: row.get(1)?, mean, max, beat: None })
}
