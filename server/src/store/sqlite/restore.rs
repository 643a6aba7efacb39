//! A backup in place of the database of a stopped server.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{APPLICATION_ID, SCHEMA_VERSION, make_file};
use crate::store::{Result, StoreError};

/// Marks the database as in use by a server for as long as the file is open.
///
/// # Errors
/// Another server has it.
pub(crate) fn hold(path: &Path) -> Result<File> {
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
/// changed.
///
/// # Errors
/// A server runs; `from` is no whole backup of this program; the disk is full.
pub(crate) fn restore(from: &Path, to: &Path) -> Result<()> {
    let _held = hold(to)?;
    let unfinished = to.with_extension("restoring");
    let result = bring(from, &unfinished).and_then(|()| replace(&unfinished, to));
    if result.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    result
}

fn bring(from: &Path, to: &Path) -> Result<()> {
    if beside(from, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        let text = format!("{}: has a log beside it, so `backup` did not make it", from.display());
        return Err(StoreError::Refused(text));
    }
    let mut source = File::open(from).map_err(|error| failed(from, &error))?;
    let _ = fs::remove_file(to);
    make_file(to).map_err(|error| failed(to, &error))?;
    let mut target = OpenOptions::new().append(true).open(to).map_err(|error| failed(to, &error))?;
    io::copy(&mut source, &mut target).map_err(|error| failed(to, &error))?;
    target.sync_all().map_err(|error| failed(to, &error))?;
    check(to).map_err(|error| StoreError::Damaged(format!("{}: {error}", from.display())))
}

/// Whether the file is a whole database of this program.
fn check(path: &Path) -> std::result::Result<(), String> {
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
    if verdict == "ok" { Ok(()) } else { Err(verdict) }
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
