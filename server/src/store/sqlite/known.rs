//! Whether a heartbeat is in the history already.
//!
//! An index over the numbers of all heartbeats would make each a fifth larger. Late ones, which are rare, have one. Live
//! ones of a device rise with their place in history, by start and number, so that one is found by halving.

use rusqlite::{OptionalExtension, params};

use super::Sqlite;
use crate::{
    model::DeviceId,
    store::{Known, OUT_OF_ORDER, Result},
    time::UnixMs,
};

impl Sqlite {
    pub(super) fn has_beat(&self, asked: &Known) -> Result<bool> {
        let Known { device, boot, newest, .. } = *asked;
        let number = asked.number.cast_signed();
        let sql = "SELECT 1 FROM beat INDEXED BY beat_late
                   WHERE flags & 1 AND device = ?1 AND boot = ?2 AND seq = ?3";
        let mut late = self.connection.prepare_cached(sql)?;
        Ok(late.exists(params![device.0, boot, number])? || self.has_live(device, boot, number, newest)?)
    }

    fn has_live(&self, device: DeviceId, boot: i64, number: i64, newest: UnixMs) -> Result<bool> {
        let sql = "SELECT (SELECT min(at) FROM beat WHERE device = ?1),
                   (SELECT max(at) FROM beat WHERE device = ?1 AND at <= ?2)";
        let mut ends = self.connection.prepare_cached(sql)?;
        let ends: (Option<i64>, Option<i64>) =
            ends.query_row([device.0, newest.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(mut low), Some(newest)) = ends else { return Ok(false) };
        let mut high = newest.saturating_add(1);
        let sql = "SELECT at, (boot, seq) < (?4, ?5) FROM beat
                   WHERE device = ?1 AND at >= ?2 AND at < ?3 AND NOT flags & 1 AND boot IS NOT NULL ORDER BY at LIMIT 1";
        let mut first = self.connection.prepare_cached(sql)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let found: Option<(i64, bool)> = first
                .query_row(params![device.0, middle, high, boot, number], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            match found {
                Some((at, true)) => low = at + 1,
                _ => high = middle,
            }
        }
        let near = |side: &str| {
            format!(
                "SELECT 1 FROM (SELECT boot, seq FROM beat WHERE device = ?1 AND NOT flags & 1 AND at {side} LIMIT ?5)
                 WHERE boot = ?3 AND seq = ?4"
            )
        };
        for side in [">= ?2 ORDER BY at", "< ?2 ORDER BY at DESC"] {
            let mut select = self.connection.prepare_cached(&near(side))?;
            if select.exists(params![device.0, low, boot, number, OUT_OF_ORDER])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
