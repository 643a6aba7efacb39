//! Whether heartbeats are in the history already. See `store/sqlite/known.rs` for the way.

use super::session::Session;
use crate::store::{Known, OUT_OF_ORDER, Result};

/// Each step halves the span in which a heartbeat can be, for all that were asked at once.
const SQL: &str = "
WITH RECURSIVE search(place, device, boot, seq, low, high) AS (
    SELECT place, device, boot, seq,
           coalesce((SELECT min(at) FROM beat WHERE beat.device = u.device), 0),
           coalesce((SELECT max(at) FROM beat WHERE beat.device = u.device AND beat.at <= u.newest) + 1, 0)
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $5::bigint[])
         WITH ORDINALITY AS u(device, boot, seq, newest, place)
    UNION ALL
    SELECT s.place, s.device, s.boot, s.seq,
           CASE WHEN found.before THEN found.at + 1 ELSE s.low END,
           CASE WHEN found.before THEN s.high ELSE s.low + (s.high - s.low) / 2 END
    FROM search s LEFT JOIN LATERAL (
        SELECT at, (boot, beat.seq) < (s.boot, s.seq) AS before FROM beat
        WHERE device = s.device AND at >= s.low + (s.high - s.low) / 2 AND at < s.high
              AND flags & 1 = 0 AND boot IS NOT NULL
        ORDER BY at LIMIT 1) found ON true
    WHERE s.low < s.high)
SELECT EXISTS (SELECT 1 FROM beat
               WHERE flags & 1 = 1 AND device = s.device AND boot = s.boot AND seq = s.seq)
    OR EXISTS (SELECT 1 FROM (SELECT boot, seq FROM beat WHERE device = s.device AND flags & 1 = 0 AND at >= s.low
                              ORDER BY at LIMIT $4) near WHERE near.boot = s.boot AND near.seq = s.seq)
    OR EXISTS (SELECT 1 FROM (SELECT boot, seq FROM beat WHERE device = s.device AND flags & 1 = 0 AND at < s.low
                              ORDER BY at DESC LIMIT $4) near WHERE near.boot = s.boot AND near.seq = s.seq)
FROM search s WHERE s.low >= s.high ORDER BY s.place";

pub(super) async fn known(session: &mut Session, asked: &[Known]) -> Result<Vec<bool>> {
    let statement = session.statements.get(&session.client, SQL).await?;
    let devices: Vec<_> = asked.iter().map(|known| known.device.0).collect();
    let boots: Vec<_> = asked.iter().map(|known| known.boot).collect();
    let numbers: Vec<_> = asked.iter().map(|known| known.number.cast_signed()).collect();
    let newest: Vec<_> = asked.iter().map(|known| known.newest.0).collect();
    let rows =
        session.client.query(&statement, &[&devices, &boots, &numbers, &OUT_OF_ORDER, &newest]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
