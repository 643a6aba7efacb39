//! The connection to the server: made when it is needed, made again when it was lost, with a limit for each question.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use tokio_postgres::{
    Client, Config, GenericClient, Statement, Transaction,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::{Result, StoreError};

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After a connection has failed no other is tried for so long: meanwhile devices are told at once to come again.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Time for all that one call asks. Devices wait 20 s for their commit.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(15);
/// The start of a process with a large fleet, and the creation of tables, may take longer.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Where the database is, and who this program is there.
pub(crate) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password.
        write!(f, "{:?} {:?}", self.config.get_hosts(), self.config.get_dbname())
    }
}

impl Server {
    /// From an address such as `postgresql://heartbeat@db.example.org/heartbeat` or
    /// `postgresql:///heartbeat?host=/run/postgresql`, the password, and a file of certificate authorities in place of
    /// those of the system. To another machine the connection is encrypted and the server's certificate verified,
    /// unless the address says `sslmode=disable`.
    ///
    /// # Errors
    /// What is wrong with the address or with the file.
    pub(crate) fn new(
        url: &str,
        password: Option<&str>,
        authorities: Option<&Path>,
    ) -> std::result::Result<Self, String> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            format!("not an address of PostgreSQL{}", source.unwrap_or_default())
        })?;
        if config.get_hosts().is_empty() {
            return Err(
                "the address names no host; for a socket: postgresql:///NAME?host=/run/postgresql".to_owned()
            );
        }
        if let Some(password) = password {
            config.password(password);
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            let local = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
        }
        config.application_name("heartbeat-server");
        config.connect_timeout(CONNECT_TIMEOUT);
        config.tcp_user_timeout(QUESTION_TIMEOUT);
        config.keepalives_idle(Duration::from_secs(30));
        Ok(Self { config, tls: MakeRustlsConnect::new(verifying(authorities)?) })
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// TLS that verifies the server against the authorities of a file, or of the system.
fn verifying(authorities: Option<&Path>) -> std::result::Result<rustls::ClientConfig, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    match authorities {
        Some(path) => {
            let at = |error: String| format!("{}: {error}", path.display());
            let pem = fs::read(path).map_err(|error| at(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| at(error.to_string()))?;
                roots.add(certificate).map_err(|error| at(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Drives all connections of the process. It is never dropped: that must not happen within another runtime.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("postgres").enable_all().build()
    });
    made.as_ref().map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Statements that the server has parsed already.
#[derive(Default)]
pub(super) struct Statements(HashMap<String, Statement>);

impl Statements {
    /// The statement of this text, prepared once.
    pub(super) async fn get(&mut self, client: &impl GenericClient, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.0.get(sql) {
            return Ok(statement.clone());
        }
        let statement = client.prepare(sql).await?;
        self.0.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
}

impl Session {
    async fn open(server: &Server, reads_only: bool) -> Result<Self> {
        let (client, connection) = server.config.connect(server.tls.clone()).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug!("database: {error}");
            }
        });
        // A process that is gone with its machine must not keep its locks for hours. What waits for a lock gives up
        // before the engine does. Times are those of the program, and rows are plans of one shape.
        client
            .batch_execute(
                "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
                 SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s'; SET timezone = 'UTC';
                 SET synchronous_commit = on; SET client_min_messages = warning; SET jit = off",
            )
            .await?;
        if reads_only {
            client
                .batch_execute("SET default_transaction_read_only = on; SET statement_timeout = '14s'")
                .await?;
        }
        Ok(Self { client, statements: Statements::default() })
    }

    /// Begins a transaction; beside it the statements that are prepared already.
    pub(super) async fn begin(&mut self) -> Result<(Transaction<'_>, &mut Statements)> {
        Ok((self.client.transaction().await?, &mut self.statements))
    }
}

/// The way to the server.
pub(super) struct Line {
    server: Arc<Server>,
    reads_only: bool,
    session: Option<Session>,
    /// Counts connections.
    number: u64,
    not_before: Option<Instant>,
}

impl Line {
    pub(super) fn new(server: Arc<Server>, reads_only: bool) -> Self {
        Self { server, reads_only, session: None, number: 0, not_before: None }
    }

    /// The number of the open connection. `None`: there is none.
    pub(super) fn connection(&self) -> Option<u64> {
        self.session.as_ref().filter(|session| !session.client.is_closed()).map(|_| self.number)
    }

    /// Ends the connection, and with it the locks that it holds.
    pub(super) fn give_up(&mut self) {
        self.session = None;
    }

    /// Does `work` over the connection. Blocks, 20 s at most.
    pub(super) fn run<T>(&mut self, work: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        self.run_within(QUESTION_TIMEOUT, work)
    }

    /// Does `work` over the connection. Blocks for `limit` at most, and 5 s for a new connection.
    pub(super) fn run_within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let runtime = runtime()?;
        runtime.block_on(async {
            let mut session = self.connected().await?;
            match tokio::time::timeout(limit, work(&mut session)).await {
                Ok(result) => {
                    self.session = Some(session);
                    result
                }
                // What it was doing cannot be known, so the connection is given up: the server rolls back.
                Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", limit.as_secs()))),
            }
        })
    }

    async fn connected(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take().filter(|session| !session.client.is_closed()) {
            return Ok(session);
        }
        if self.not_before.is_some_and(|not_before| Instant::now() < not_before) {
            return Err(StoreError::Unavailable("no connection".to_owned()));
        }
        let opened =
            tokio::time::timeout(CONNECT_TIMEOUT, Session::open(&self.server, self.reads_only)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer to a connection".to_owned())));
        self.not_before = opened.is_err().then(|| Instant::now() + CONNECT_PAUSE);
        self.number += 1;
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_is_not_encrypted() {
        let mode = |url: &str| Server::new(url, None, None).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgresql:///hb?host=/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("postgresql://hb@127.0.0.1/hb"), SslMode::Disable);
        assert_eq!(mode("postgresql://hb@[::1]/hb"), SslMode::Disable);
        assert_eq!(mode("postgresql://hb@db.example.org/hb"), SslMode::Require);
        assert_eq!(mode("postgresql://hb@127.0.0.1,db.example.org/hb"), SslMode::Require);
        assert_eq!(mode("postgresql://hb@db.example.org/hb?sslmode=disable"), SslMode::Disable);
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for url in ["mysql://x/y", "postgresql://u:secret@h:port/x", "postgresql:///nohost", ""] {
            let error = Server::new(url, None, None).unwrap_err();
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
