//! What a copy holds, for who made it or brings it back.

use std::fmt;

use rusqlite::Connection;

use crate::time::UnixMs;

/// How much is in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contents {
    devices: i64,
    beats: i64,
    /// When the last live heartbeat came.
    last: Option<UnixMs>,
}

impl Contents {
    /// Counts. It reads an index of all heartbeats.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let sql =
            "SELECT (SELECT count(*) FROM device), (SELECT count(*) FROM beat), (SELECT max(at) FROM latest)";
        connection.query_row(sql, [], |row| {
            let last: Option<i64> = row.get(2)?;
            Ok(Self { devices: row.get(0)?, beats: row.get(1)?, last: last.map(UnixMs) })
        })
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: i64| if count == 1 { "" } else { "s" };
        let Self { devices, beats, last } = self;
        write!(f, "{devices} device{}, {beats} heartbeat{}", many(*devices), many(*beats))?;
        last.map_or(Ok(()), |last| write!(f, ", the last of {} UTC", last.readable()))
    }
}
