//! A backup in place of the database of a stopped server.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension};

use super::{APPLICATION_ID, SCHEMA_VERSION, contents::Contents, make_file, make_state_directory, tables};
use crate::store::{Result, StoreError};

/// Marks the database as in use by a server for as long as the file is open. Makes the state directory if there is none.
///
/// # Errors
/// Another server has it, or the directory cannot be made.
pub(crate) fn hold(path: &Path) -> Result<File> {
    if let Some(state) = path.parent() {
        make_state_directory(state).map_err(|error| failed(state, &error))?;
    }
    let lock = path.with_extension("lock");
    make_file(&lock).map_err(|error| failed(&lock, &error))?;
    let file = OpenOptions::new().append(true).open(&lock).map_err(|error| failed(&lock, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Refused(format!("a heartbeat-server uses {}: stop it first", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(failed(&lock, &error)),
    }
}

/// Puts a copy of the backup `from` in place of the database at `to`. Until the copy is known to be whole, nothing has
/// changed. Returns what is in it.
///
/// # Errors
/// A server runs; `from` is no whole backup of this program; the disk is full.
pub(crate) fn restore(from: &Path, to: &Path) -> Result<Contents> {
    let _held = hold(to)?;
    let unfinished = to.with_extension("restoring");
    let result = bring(from, &unfinished).and_then(|contents| {
        replace(&unfinished, to)?;
        Ok(contents)
    });
    if result.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    result
}

fn bring(from: &Path, to: &Path) -> Result<Contents> {
    if beside(from, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let text = format!("{}: has a log beside it, so `backup` did not make it", from.display());
        return Err(StoreError::Refused(text));
    }
    // Before it is opened: that would wait for the other end of a pipe.
    let unreadable = |error| StoreError::Refused(format!("{}: {error}", from.display()));
    if !fs::metadata(from).map_err(unreadable)?.is_file() {
        return Err(StoreError::Refused(format!("{}: not a regular file", from.display())));
    }
    let mut source = File::open(from).map_err(unreadable)?;
    let _ = fs::remove_file(to);
    make_file(to).map_err(|error| failed(to, &error))?;
    let mut target = OpenOptions::new().append(true).open(to).map_err(|error| failed(to, &error))?;
    io::copy(&mut source, &mut target).map_err(|error| failed(to, &error))?;
    target.sync_all().map_err(|error| failed(to, &error))?;
    check(to).map_err(|error| StoreError::Damaged(format!("{}: {error}", from.display())))
}

/// What is in the file, which must be a whole database of this program.
fn check(path: &Path) -> std::result::Result<Contents, String> {
    let connection = Connection::open(path).map_err(|error| error.to_string())?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(|error| error.to_string())?;
    if application != APPLICATION_ID {
        return Err("not a database of heartbeat-server".to_owned());
    }
    let version = number("user_version").map_err(|error| error.to_string())?;
    if version != SCHEMA_VERSION {
        return Err(format!("tables of version {version}, this program knows {SCHEMA_VERSION}"));
    }
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if verdict != "ok" {
        return Err(verdict);
    }
    check_tables(&connection)?;
    Contents::of(&connection).map_err(|error| error.to_string())
}

/// Whether it has the tables of a new database with all their columns, and nothing that does something by itself.
fn check_tables(connection: &Connection) -> std::result::Result<(), String> {
    let expected = Connection::open_in_memory()
        .and_then(|fresh| {
            fresh.execute_batch(&tables())?;
            columns(&fresh)
        })
        .map_err(|error| error.to_string())?;
    let found = columns(connection).map_err(|error| error.to_string())?;
    if let Some((table, column)) = expected.iter().find(|column| !found.contains(column)) {
        return Err(format!("it has no table {table} with a column {column}"));
    }
    let sql = "SELECT name FROM sqlite_schema WHERE type IN ('view', 'trigger') LIMIT 1";
    let other = connection.query_row(sql, [], |row| row.get::<_, String>(0)).optional();
    match other.map_err(|error| error.to_string())? {
        None => Ok(()),
        Some(name) => Err(format!("{name:?} is a view or a trigger, which no backup has")),
    }
}

/// Tables and their columns.
fn columns(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql =
        "SELECT tables.name, info.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS info
               WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%'";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    // The log of the old database would be played into the new one.
    for end in ["-wal", "-shm"] {
        match fs::remove_file(beside(to, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(to, &error)),
            _ => {}
        }
    }
    fs::rename(from, to).map_err(|error| failed(to, &error))?;
    if let Some(directory) = to.parent() {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| failed(to, &error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

/// The path with something added to its name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
