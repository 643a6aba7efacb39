//! Which database it is: the one place that knows.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Read, Readers, Result, Store, StoreError,
    postgres::{Postgres, Server},
    sqlite::{self, Sqlite, contents::Contents, restore},
};

/// Where everything is kept.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A file of SQLite in the state directory.
    Sqlite(PathBuf),
    /// A database of PostgreSQL.
    Postgres(Arc<Server>),
}

impl Database {
    /// The file in a state directory.
    pub(crate) fn in_directory(state: &Path) -> Self {
        Self::Sqlite(sqlite::path_in(state))
    }

    /// Whether there is one in a state directory.
    pub(crate) fn is_in(state: &Path) -> bool {
        sqlite::path_in(state).exists()
    }

    /// Opens it for changes, and makes its tables if there are none.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or is none of this program.
    pub(crate) fn open(&self) -> Result<Box<dyn Store>> {
        match self {
            Self::Sqlite(path) => Ok(Box::new(Sqlite::open(path)?)),
            Self::Postgres(server) => Ok(Box::new(Postgres::open(server)?)),
        }
    }

    /// Opens it for changes if it has been made; nothing is made.
    ///
    /// # Errors
    /// It cannot be opened, is damaged, or is none of this program.
    pub(crate) fn open_made(&self) -> Result<Option<Box<dyn Store>>> {
        match self {
            Self::Sqlite(path) => match Sqlite::open_made(path)? {
                Some(store) => Ok(Some(Box::new(store))),
                None => Ok(None),
            },
            Self::Postgres(server) => match Postgres::open_made(server)? {
                Some(store) => Ok(Some(Box::new(store))),
                None => Ok(None),
            },
        }
    }

    /// What to say if it has not been made.
    pub(crate) fn missing(&self) -> StoreError {
        const BY: &str = "the server makes it at its first start";
        StoreError::Refused(match self {
            Self::Sqlite(path) => format!("there is no database {}; {BY}", path.display()),
            Self::Postgres(_) => format!("the PostgreSQL database has no tables of heartbeat-server; {BY}"),
        })
    }

    /// Readers, which connect when they are needed.
    pub(crate) fn readers(&self) -> Readers {
        let this = self.clone();
        Readers::new(move || this.open_reader())
    }

    /// Marks it as in use by a server while the answer lives, and makes the directory of a file. A database of PostgreSQL may
    /// have several.
    ///
    /// # Errors
    /// Another server uses the file.
    pub(crate) fn hold(&self) -> Result<Option<File>> {
        match self {
            Self::Sqlite(path) => restore::hold(path).map(Some),
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Puts a backup in its place, and returns what is in it.
    ///
    /// # Errors
    /// A server runs, or the file is no whole backup.
    pub(crate) fn restore(&self, from: &Path) -> Result<Contents> {
        match self {
            Self::Sqlite(path) => restore::restore(from, path),
            Self::Postgres(_) => {
                Err(StoreError::Refused("a database of PostgreSQL is restored with pg_restore".to_owned()))
            }
        }
    }

    /// Opens it for questions.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open_reader(&self) -> Result<Box<dyn Read>> {
        match self {
            Self::Sqlite(path) => Ok(Box::new(Sqlite::open_reader(path)?)),
            Self::Postgres(server) => Ok(Box::new(Postgres::open_reader(server))),
        }
    }

    /// Copies it to a new file while a server writes. Returns what is in the copy.
    ///
    /// # Errors
    /// The file exists already or cannot be written.
    pub(crate) fn backup(&self, to: &Path) -> Result<Contents> {
        match self {
            Self::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => Err(self.missing()),
            Self::Sqlite(path) => sqlite::backup::backup(path, to),
            Self::Postgres(_) => {
                let text = "this database is PostgreSQL: copy it with pg_dump, while the server runs";
                Err(StoreError::Refused(text.to_owned()))
            }
        }
    }
}
