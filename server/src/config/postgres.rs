//! `[postgres]`: the database of a fleet.

use std::{fs, path::PathBuf};

use serde::Deserialize;

use crate::store::postgres::Server;

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
            return Err(
                "postgres.url holds a password: put it into a file, postgres.password_file".to_owned()
            );
        }
        Server::new(&self.url, None, None).map(drop).map_err(|error| format!("postgres.url: {error}"))
    }

    /// Where the database is, with the password.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn server(&self) -> Result<Server, String> {
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
