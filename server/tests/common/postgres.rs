//! Debian's PostgreSQL 15 in a temporary directory, on a socket in it, for the life of one test process.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Runs the server until its input ends, which also happens when the test process is killed. PostgreSQL refuses to run
/// as root.
const SUPERVISE: &str = r#"
set -eu
programs=$1
shift
directory=$(mktemp -d)
as=
if [ "$(id -u)" = 0 ]; then
    chown nobody:nogroup "$directory"
    as='setpriv --reuid=nobody --regid=nogroup --clear-groups'
fi
postgres=
trap '[ -z "$postgres" ] || { kill -QUIT "$postgres"; wait "$postgres" || true; }; rm -rf "$directory"' EXIT
cd "$directory"
$as "$programs/initdb" -D "$directory/data" -U heartbeat --auth=trust --no-sync --no-instructions --locale=C \
    --encoding=UTF8 >/dev/null
$as "$programs/postgres" -D "$directory/data" -k "$directory" -h '' -c fsync=off -c shared_buffers=64MB \
    -c max_connections=200 "$@" 2>"$directory/log" &
postgres=$!
until "$programs/pg_isready" -q -h "$directory"; do
    kill -0 "$postgres" || { cat "$directory/log" >&2; exit 1; }
    sleep 0.1
done
echo "$directory"
read -r _ || true
"#;

/// A running server. Dropping it stops it and removes its directory.
pub(crate) struct Cluster {
    directory: PathBuf,
    databases: AtomicU32,
    supervisor: Child,
}

impl Cluster {
    /// Starts a server.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server whose commits survive a power cut, as one does that is not for tests.
    pub(crate) fn start_durable() -> Self {
        Self::start_with(&["-c", "fsync=on"])
    }

    fn start_with(settings: &[&str]) -> Self {
        let mut supervisor = Command::new("/bin/sh")
            .args(["-c", SUPERVISE, "supervise", PROGRAMS])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.trim().is_empty(), "no PostgreSQL; Debian: apt-get install postgresql-15");
        Self { directory: PathBuf::from(line.trim()), databases: AtomicU32::new(0), supervisor }
    }

    /// The one of this process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The address of a new database.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.tool("createdb", &["-U", "heartbeat", &name]);
        self.url(&name)
    }

    /// The address of a database.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgresql://heartbeat@/{name}?host={}", self.directory.display())
    }

    /// What a statement prints, one line a row.
    pub(crate) fn sql(&self, url: &str, sql: &str) -> String {
        self.tool("psql", &["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
    }

    fn tool(&self, tool: &str, arguments: &[&str]) -> String {
        let output = Command::new(format!("{PROGRAMS}/{tool}"))
            .env("PGHOST", &self.directory)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}
