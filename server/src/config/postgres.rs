//! `[postgres]`, or a file in the state directory: where everything is kept.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::Config;
use crate::store::{self, StoreError, database::Database, postgres::Server};

impl Config {
    /// Where everything is kept. Nothing is made.
    ///
    /// # Errors
    /// A file that the configuration names for PostgreSQL cannot be read.
    pub(crate) fn database(&self) -> store::Result<Database> {
        match &self.postgres {
            Some(postgres) => {
                Ok(Database::Postgres(Arc::new(postgres.server().map_err(StoreError::Unavailable)?)))
            }
            None => Ok(Database::in_directory(&self.state)),
        }
    }
}

/// `[postgres]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    /// `postgresql://USER@HOST/NAME`, or `postgresql://USER@/NAME?host=/run/postgresql` for a socket.
    url: String,
    /// File with the password.
    password_file: Option<PathBuf>,
    /// File of the authorities that may sign the certificate of the database server; default: those of the system.
    ca_file: Option<PathBuf>,
}

impl Postgres {
    /// Refuses an address that is none, and one that holds the password: the configuration may be read by others.
    pub(super) fn check(&self) -> Result<(), String> {
        let parsed = self.url.parse::<tokio_postgres::Config>();
        if parsed.is_ok_and(|config| config.get_password().is_some()) {
            return Err("expected no password here: put it into a file, postgres.password_file".to_owned());
        }
        Server::new(&self.url, None, None).map(drop)
    }

    /// Files that it names, each with its key.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [("password_file", &self.password_file), ("ca_file", &self.ca_file)];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)))
    }

    fn server(&self) -> Result<Server, String> {
        let password = match &self.password_file {
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => None,
        };
        let server = Server::new(&self.url, password.as_deref(), self.ca_file.as_deref());
        server.map_err(|error| format!("postgres: {error}"))
    }

    /// The address, which holds no password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
