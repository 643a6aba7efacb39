//! A PostgreSQL database (15 or later), which several processes may share.
//!
//! No process owns a device. Each keeps ledgers in memory to save questions, and the row of a device in `state` has a
//! version that rises with each commit: a commit that was drafted on an older version changes nothing
//! ([`Applied::Stale`](super::Applied)), and the engine reads the ledger again. So a device may be received by another
//! process at each heartbeat, and is stored once. One process holds an advisory lock, and leads
//! ([`Store::lead`](super::Store::lead)).
//!
//! Heartbeats, minutes and hours are partitioned by time: what is too old goes with its partition.
//!
//! - [`session`][]: the connection, made again when it was lost, with a limit for each question
//! - [`schema`][]: tables and partitions
//! - [`mod@write`], [`beats`][], [`rows`][]: [`super::Store`], what the engine changes
//! - [`known`][]: whether a heartbeat is there already
//! - [`lead`][]: which process leads
//! - [`mod@retain`][]: what is too old
//! - [`load`][]: the state that the engine starts with, and what other processes have changed
//! - [`read`][]: [`super::Read`], history and events
//! - [`admin`][]: [`super::Admin`], tokens, logins and labels

mod admin;
mod beats;
mod known;
mod lead;
mod load;
mod read;
mod retain;
mod rows;
mod schema;
mod session;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use tokio_postgres::error::SqlState;

use super::{Result, StoreError};
use crate::model::{DeviceId, reading::Value};
use retain::Sweeper;
use schema::Partition;
use session::Line;
pub(crate) use session::Server;

/// A connection to the database.
pub(crate) struct Postgres {
    line: Line,
    sweeper: Sweeper,
    versions: HashMap<DeviceId, Version>,
    /// The connection on which the lock of the leading process was taken.
    leads_on: Option<u64>,
    /// The term in which this process leads, or led last.
    term: Option<i64>,
    /// Partitions that are there.
    partitions: HashSet<Partition>,
    /// When all versions were compared.
    compared_at: Option<Instant>,
    #[cfg(test)]
    loses_next_answer: bool,
}

/// What this process knows of a device.
#[derive(Debug, Clone, Copy, Default)]
struct Version {
    /// Version of the ledger that the engine has.
    ledger: i64,
    /// Version that was seen last.
    seen: i64,
}

impl Postgres {
    /// Connects for changes, and makes the tables if there are none.
    ///
    /// # Errors
    /// The server does not answer or refuses the login, or the database is none of this program.
    pub(crate) fn open(server: &Arc<Server>) -> Result<Self> {
        let mut this = Self::on(server, false);
        this.line.run(async |session| schema::prepare(session).await)?;
        Ok(this)
    }

    /// Connects for changes if there are tables.
    ///
    /// # Errors
    /// As of [`Postgres::open`].
    pub(crate) fn open_made(server: &Arc<Server>) -> Result<Option<Self>> {
        let mut this = Self::on(server, false);
        let made = this.line.run(async |session| schema::is_made(session).await)?;
        if made { Self::open(server).map(Some) } else { Ok(None) }
    }

    /// For questions only. Connects when it is asked.
    pub(crate) fn open_reader(server: &Arc<Server>) -> Self {
        Self::on(server, true)
    }

    fn on(server: &Arc<Server>, reads_only: bool) -> Self {
        Self {
            line: Line::new(Arc::clone(server), reads_only),
            sweeper: Sweeper::new(Arc::clone(server)),
            versions: HashMap::new(),
            leads_on: None,
            term: None,
            partitions: HashSet::new(),
            compared_at: None,
            #[cfg(test)]
            loses_next_answer: false,
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        match error.code() {
            Some(code) if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) => {
                Self::Damaged(text)
            }
            _ => Self::Unavailable(text),
        }
    }
}

/// Names of the columns of a summary: of each value how often it was read, its sum and its largest.
fn summary_names() -> Vec<String> {
    let parts = |value: Value| ["n", "sum", "max"].map(|part| format!("{}_{part}", value.name()));
    Value::ALL.into_iter().flat_map(parts).collect()
}

/// `$1::bigint[], $2::bigint[]` and so on.
fn arrays(count: usize) -> String {
    let places: Vec<_> = (1..=count).map(|place| format!("${place}::bigint[]")).collect();
    places.join(", ")
}

/// Text that PostgreSQL can hold.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
