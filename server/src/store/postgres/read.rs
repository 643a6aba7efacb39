//! History and events.

use tokio_postgres::Row;

use super::{
    Postgres,
    beats::REPLAYED,
    load::{boot_of_row, values_of_row},
    summary_names,
};
use crate::{
    model::{
        DeviceId,
        boot::Boot,
        reading::{VALUES, Value},
    },
    store::{BeatDetail, EventRow, Point, Read, Result, Step, mean_of},
    time::UnixMs,
};

impl Read for Postgres {
    fn history(
        &mut self,
        device: DeviceId,
        step: Step,
        from: UnixMs,
        to: UnixMs,
        limit: usize,
    ) -> Result<Vec<Point>> {
        let columns = match step {
            Step::Beat => {
                format!("at, skew, boot, seq, flags, lat, lon, {}", Value::ALL.map(Value::name).join(", "))
            }
            Step::Minute | Step::Hour => format!("at, beats, {}", summary_names().join(", ")),
        };
        let sql = format!(
            "SELECT {columns} FROM {} WHERE device = $1 AND at >= $2 AND at < $3 ORDER BY at LIMIT $4",
            step.table()
        );
        self.line.run(async |session| {
            let select = session.statements.get(&session.client, &sql).await?;
            let rows = session.client.query(&select, &[&device.0, &from.0, &to.0, &bound(limit)]).await?;
            rows.iter().map(if step == Step::Beat { beat_point } else { summary_point }).collect()
        })
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
            "SELECT at FROM {} WHERE device = $1 AND at >= $2 AND at < $3 ORDER BY at LIMIT 1 OFFSET $4",
            step.table()
        );
        self.line.run(async |session| {
            let select = session.statements.get(&session.client, &sql).await?;
            let row = session.client.query_opt(&select, &[&device.0, &from.0, &to.0, &bound(before)]).await?;
            row.map(|row| Ok(UnixMs(row.try_get(0)?))).transpose()
        })
    }

    fn boots(&mut self, device: DeviceId, limit: usize) -> Result<Vec<Boot>> {
        self.line.run(async |session| {
            let sql = "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received FROM boot
                       WHERE device = $1 ORDER BY ordinal DESC LIMIT $2";
            let select = session.statements.get(&session.client, sql).await?;
            let rows = session.client.query(&select, &[&device.0, &bound(limit)]).await?;
            rows.iter().map(boot_of_row).collect()
        })
    }

    fn events(&mut self, device: Option<DeviceId>, limit: usize) -> Result<Vec<EventRow>> {
        let place = if device.is_some() { "WHERE device = $1" } else { "WHERE $1::bigint IS NULL" };
        let sql =
            format!("SELECT at, device, kind, detail FROM event {place} ORDER BY at DESC, id DESC LIMIT $2");
        self.line.run(async |session| {
            let select = session.statements.get(&session.client, &sql).await?;
            let device = device.map(|device| device.0);
            let rows = session.client.query(&select, &[&device, &bound(limit)]).await?;
            let rows = rows.iter().map(|row| {
                Ok(EventRow {
                    at: UnixMs(row.try_get(0)?),
                    device: DeviceId(row.try_get(1)?),
                    kind: row.try_get(2)?,
                    detail: row.try_get(3)?,
                })
            });
            rows.collect()
        })
    }
}

fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn beat_point(row: &Row) -> Result<Point> {
    let at = UnixMs(row.try_get(0)?);
    let values = values_of_row(row, 7)?;
    Ok(Point {
        at,
        beats: 1,
        mean: values.0.map(|value| value.map(f64::from)),
        max: values.0,
        beat: Some(BeatDetail {
            sampled_at: row.try_get::<_, Option<i64>>(1)?.map(|skew| at.plus(skew)),
            boot: row.try_get(2)?,
            number: row.try_get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            replayed: row.try_get::<_, i32>(4)? & REPLAYED != 0,
            position: row.try_get::<_, Option<i32>>(5)?.zip(row.try_get::<_, Option<i32>>(6)?),
        }),
    })
}

fn summary_point(row: &Row) -> Result<Point> {
    let mut mean = [None; VALUES];
    let mut max = [None; VALUES];
    for (place, (mean, max)) in mean.iter_mut().zip(&mut max).enumerate() {
        let count: Option<i32> = row.try_get(2 + 3 * place)?;
        let sum: Option<i64> = row.try_get(3 + 3 * place)?;
        *max = row.try_get(4 + 3 * place)?;
        *mean = count.zip(sum).and_then(|(count, sum)| mean_of(i64::from(count), sum));
    }
    let beats: i32 = row.try_get(1)?;
    Ok(Point { at: UnixMs(row.try_get(0)?), beats: i64::from(beats), mean, max, beat: None })
}
