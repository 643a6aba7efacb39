//! One file in the state directory, in SQLite.
//!
//! One connection writes, in write-ahead mode with a sync at each commit (`synchronous=FULL`), so that what was
//! committed survives a power cut. Readers have connections of their own and see the last commit.
//!
//! - [`mod@write`]: [`super::Store`], what the engine changes
//! - [`known`][]: whether a heartbeat is there already
//! - [`load`][]: the state that the engine starts with
//! - [`read`][]: [`super::Read`], history and events
//! - [`admin`][]: [`super::Admin`], tokens, logins and labels, which the command line changes too
//! - [`backup`][]: a copy while all that goes on
//! - [`contents`][]: how much is in such a copy
//! - [`mod@retain`][]: what is too old, and removed devices that are to be forgotten
//! - [`restore`][]: such a copy in place of the database

mod admin;
pub(crate) mod backup;
pub(crate) mod contents;
mod known;
mod load;
mod read;
pub(crate) mod restore;
mod retain;
#[cfg(test)]
mod tests;
mod write;

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Result, StoreError};
use crate::model::reading::Value;

/// Version of the tables, in `user_version`. A newer file is refused.
const SCHEMA_VERSION: i64 = 1;
/// Marks a file as one of this program (`application_id`): "hbsv".
const APPLICATION_ID: i64 = 0x6862_7376;
/// Tables that version 1 did not have from the beginning. A program that does not know them is not disturbed by them.
const ADDED: &str = "
    -- What the board of each device is, as JSON: it comes once an hour.
    CREATE TABLE IF NOT EXISTS board (device INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
    -- Removed devices of which everything is to be deleted.
    CREATE TABLE IF NOT EXISTS purge (device INTEGER PRIMARY KEY) STRICT;";
/// How long one connection waits for another.
const BUSY: Duration = Duration::from_secs(10);

/// A number for a statement.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A connection to the database.
pub(crate) struct Sqlite {
    connection: Connection,
    /// The last device that the round of the retention has done.
    retained: i64,
    /// Path, device and inode of the file, by which a writer knows that it is still the one at its path.
    file: Option<(PathBuf, u64, u64)>,
}

impl Sqlite {
    /// Opens the file for writing, and makes it if there is none. Only its owner can read it.
    ///
    /// # Errors
    /// The file cannot be opened, is damaged, is none of this program, or was made by a newer one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let was_there = path.exists();
        make_file(path).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        let (mut this, has_tables) = Self::connect(path)?;
        if !has_tables {
            this.create().map_err(|error| at(path, error))?;
            // A crash of the file system may have emptied the file, and with it the password and all tokens are gone.
            if was_there {
                log::warn!("{}: the file was empty, a new database was made", path.display());
            } else {
                log::info!("{}: a new database", path.display());
            }
        }
        this.finish(path)
    }

    /// Opens the file for writing if it is there and has tables; nothing is made.
    ///
    /// # Errors
    /// As of [`Sqlite::open`].
    pub(crate) fn open_made(path: &Path) -> Result<Option<Self>> {
        let is_there = path.try_exists();
        if !is_there.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))? {
            return Ok(None);
        }
        let (this, has_tables) = Self::connect(path)?;
        if has_tables { this.finish(path).map(Some) } else { Ok(None) }
    }

    /// Opens a file that is there, and says whether it has tables, which are of this program then.
    fn connect(path: &Path) -> Result<(Self, bool)> {
        let at_path = |error| at(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(at_path)?;
        connection.busy_timeout(BUSY).map_err(at_path)?;
        let this = Self { connection, retained: 0, file: None };
        this.prepare().map_err(at_path)?;
        let version: i64 = this.pragma("user_version").map_err(at_path)?;
        let application: i64 = this.pragma("application_id").map_err(at_path)?;
        let tables: i64 = this
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(at_path)?;
        match (version, application, tables) {
            (0, 0, 0) => Ok((this, false)),
            (SCHEMA_VERSION, APPLICATION_ID, _) => Ok((this, true)),
            (newer, APPLICATION_ID, _) => {
                let text = format!(
                    "{}: tables of version {newer}, this program knows {SCHEMA_VERSION}",
                    path.display()
                );
                Err(StoreError::Damaged(text))
            }
            _ => Err(StoreError::Damaged(format!("{}: not a database of heartbeat-server", path.display()))),
        }
    }

    /// Makes the tables that later programs have, and remembers which file it is.
    fn finish(mut self, path: &Path) -> Result<Self> {
        self.connection.execute_batch(ADDED).map_err(|error| at(path, error))?;
        self.file = fs::metadata(path).ok().map(|file| (path.to_owned(), file.dev(), file.ino()));
        Ok(self)
    }

    /// Commits to a file that was removed or replaced are lost: SQLite goes on writing to the one that is gone.
    fn check_file(&self) -> Result<()> {
        let Some((path, device, inode)) = &self.file else { return Ok(()) };
        match fs::metadata(path) {
            Ok(file) if (file.dev(), file.ino()) == (*device, *inode) => Ok(()),
            Ok(_) => {
                let text =
                    format!("{} was replaced; restart heartbeat-server to use the new one", path.display());
                Err(StoreError::Unavailable(text))
            }
            Err(error) => Err(StoreError::Unavailable(format!("{}: {error}", path.display()))),
        }
    }

    /// Opens the file for reading only.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open_reader(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| at(path, error))?;
        connection.busy_timeout(BUSY).map_err(|error| at(path, error))?;
        Ok(Self { connection, retained: 0, file: None })
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        // The cache bounds the memory; the log is checkpointed after 16 MiB, so that a commit seldom waits for it.
        self.connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA foreign_keys = OFF;",
        )?;
        self.connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    }

    fn create(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(&tables())?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    }

    /// Bytes that a table takes in the file.
    #[cfg(test)]
    pub(crate) fn bytes_of(&self, table: &str) -> Result<u64> {
        // `dbstat` is not compiled in: what the file has less without the table.
        let pages =
            |this: &Self| this.pragma("page_count").and_then(|all| Ok(all - this.pragma("freelist_count")?));
        let before = pages(self)?;
        self.connection.execute_batch(&format!("BEGIN; DELETE FROM {table}"))?;
        let after = pages(self)?;
        self.connection.execute_batch("ROLLBACK")?;
        Ok((before - after).cast_unsigned() * 4096)
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, name, |row| row.get(0))
    }
}

/// Where the database is in a state directory.
pub(crate) fn path_in(state: &Path) -> PathBuf {
    state.join("heartbeat.db")
}

/// Makes the state directory, for its owner only.
///
/// # Errors
/// Those of the file system.
pub(crate) fn make_state_directory(state: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)
}

/// Makes the file if there is none, for its owner only: the owner of the directory, so that a command of root leaves
/// nothing that the service cannot write. (SQLite does the same for its log.)
fn make_file(path: &Path) -> std::io::Result<()> {
    let is_new = !path.exists();
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if let (true, Some(directory)) = (is_new, path.parent()) {
        let directory = fs::metadata(directory)?;
        // Only root may; for others it is theirs already.
        let _ = chown(path, Some(directory.uid()), Some(directory.gid()));
    }
    Ok(())
}

fn at(path: &Path, error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{}: {text}", path.display())),
        refused @ StoreError::Refused(_) => refused,
        StoreError::Damaged(text) => StoreError::Damaged(format!(
            "{}: {text}; restore a backup (`heartbeat-server restore FILE`)",
            path.display()
        )),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Makes the tables of a new database, but those of [`ADDED`].
fn tables() -> String {
    include_str!("schema.sql").replace("{summary}", &summary_columns())
}

/// Columns of a summary: of each value how often it was read, its sum and its largest.
fn summary_columns() -> String {
    let columns = Value::ALL.map(|value| {
        let name = value.name();
        format!("{name}_n INTEGER, {name}_sum INTEGER, {name}_max INTEGER")
    });
    columns.join(",\n    ")
}

/// Names of the columns of all values.
fn value_columns() -> String {
    Value::ALL.map(Value::name).join(", ")
}
