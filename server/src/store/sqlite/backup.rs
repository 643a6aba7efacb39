//! A copy of the database while the server goes on writing.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, backup::Backup};

use super::{Sqlite, contents::Contents};
use crate::store::{Result, StoreError};

/// Copies the database at `from` to a new file, in steps between which the writer has its turn, and checks the copy.
/// Returns what is in it.
///
/// # Errors
/// The target exists or cannot be written; the copy is not whole.
pub(crate) fn backup(from: &Path, to: &Path) -> Result<Contents> {
    if to.exists() {
        return Err(StoreError::Refused(format!("{} exists already", to.display())));
    }
    let source = Sqlite::open_reader(from)?;
    // Beside the target first, so that what has the target's name is whole.
    let unfinished = to.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    let result = copy(&source, &unfinished);
    if result.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    let contents = result?;
    fs::rename(&unfinished, to)
        .map_err(|error| StoreError::Unavailable(format!("{}: {error}", to.display())))?;
    Ok(contents)
}

fn copy(source: &Sqlite, to: &Path) -> Result<Contents> {
    // A transaction holds one state of the source; otherwise each commit of the writer would begin the copy anew.
    source.connection.execute_batch("BEGIN; SELECT 1 FROM setting")?;
    let file = fs::OpenOptions::new();
    let _ = {
        use std::os::unix::fs::OpenOptionsExt;
        file.clone().write(true).create_new(true).mode(0o600).open(to)
    }
    .map_err(|error| StoreError::Refused(format!("{}: {error}", to.display())))?;
    let mut target = Connection::open(to)?;
    Backup::new(&source.connection, &mut target)?.run_to_completion(2_000, Duration::from_millis(5), None)?;
    let verdict: String = target.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(verdict));
    }
    target.execute_batch("PRAGMA journal_mode = DELETE")?;
    let contents = Contents::of(&target)?;
    target.close().map_err(|(_, error)| error)?;
    Ok(contents)
}
