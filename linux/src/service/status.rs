//! What the running daemon last did, in a file for `status`: replaced as a whole, in a directory that is memory and not
//! storage.

use std::{
    env,
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where systemd puts what a service keeps while it runs (`RuntimeDirectory=`, systemd.exec(5)).
const DIRECTORY: &str = "/run/heartbeat-daemon";
const NAME: &str = "status.json";
/// A status has about two kilobytes.
const SIZE_MAX: u64 = 64 * 1024;

/// What the daemon last did. Times are seconds on the clock that counts since boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether it goes on; not any more when it was stopped in order.
    pub running: bool,
    /// Where heartbeats go.
    pub server: String,
    /// Seconds between heartbeats.
    pub interval_s: f64,
    /// When it was started.
    pub started_at_s: f64,
    /// When this was written.
    pub written_at_s: f64,
    /// When the next beat is due.
    pub next_beat_at_s: f64,
    /// Heartbeats delivered in time since the start.
    pub delivered: u64,
    /// Heartbeats not delivered in time since the start.
    pub failed: u64,
    /// Of those, since the last delivery.
    pub consecutive_failures: u64,
    /// Beats that were skipped because the machine stood still.
    pub skipped: u64,
    /// Beats that were withheld to back off from the server.
    pub withheld: u64,
    /// What became of those that were not delivered; `None` when they are not kept.
    pub late: Option<Late>,
    /// Bytes sent since the start, encryption included, the headers of TCP and IP not.
    pub sent_bytes: u64,
    /// Bytes received since the start, likewise.
    pub received_bytes: u64,
    /// The last heartbeat; `None` before the first has ended.
    pub last: Option<Last>,
    /// Where each value was read, by its key in the document; a dot leads into an object.
    pub sources: Vec<(String, String)>,
}

/// Heartbeats that were kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late {
    /// That wait to be sent.
    pub waiting: u64,
    /// That were delivered late.
    pub delivered: u64,
    /// That were given up.
    pub given_up: u64,
}

/// One heartbeat and its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Last {
    /// Whether it was delivered.
    pub delivered: bool,
    /// What became of it, for people.
    pub outcome: String,
    /// Time from its sending to its end.
    pub round_trip_ms: f64,
    /// The document as it was sent.
    pub document: Box<RawValue>,
}

impl Status {
    /// The most important in one line.
    pub fn headline(&self) -> String {
        let counts = format!("{} delivered, {} failed", self.delivered, self.failed);
        match &self.last {
            None => "taking the first sample".to_owned(),
            Some(last) if last.delivered => {
                format!("last heartbeat delivered in {:.1} ms; {counts}", last.round_trip_ms)
            }
            Some(last) => format!("last heartbeat {}; {counts}", last.outcome),
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    new: PathBuf,
    failing: bool,
}

impl StatusFile {
    /// Where this process may write it: in the directory that systemd has made for it, or in the usual one if that is
    /// there.
    pub fn for_this_process() -> Option<Self> {
        let directory = match env::var_os("RUNTIME_DIRECTORY") {
            // Several are separated by colons; ours is one.
            Some(directory) if !directory.is_empty() => PathBuf::from(directory),
            _ => PathBuf::from(DIRECTORY),
        };
        directory.is_dir().then(|| Self::in_directory(&directory))
    }

    fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join(NAME), new: directory.join(format!("{NAME}.new")), failing: false }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file. A failure is logged once, until it heals.
    pub fn publish(&mut self, status: &Status) {
        let written = serde_json::to_vec(status)
            .map_err(io::Error::from)
            .and_then(|bytes| fs::write(&self.new, bytes))
            // Whatever this process keeps from others, this is for everybody.
            .and_then(|()| fs::set_permissions(&self.new, Permissions::from_mode(0o644)))
            .and_then(|()| fs::rename(&self.new, &self.path));
        match (&written, self.failing) {
            (Err(error), false) => log::warn!("status is not published: {}: {error}", self.path.display()),
            (Ok(()), true) => log::info!("status is published again"),
            _ => {}
        }
        self.failing = written.is_err();
    }
}

/// Where the daemon of this machine publishes.
pub fn default_path() -> PathBuf {
    Path::new(DIRECTORY).join(NAME)
}

/// Reads what a daemon has published.
///
/// # Errors
///
/// When there is nothing, or something else.
pub fn read(path: &Path) -> io::Result<Status> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_MAX).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            version: "1".to_owned(),
            pid: 1,
            running: true,
            server: "https://x.example/".to_owned(),
            interval_s: 5.0,
            started_at_s: 1.0,
            written_at_s: 2.0,
            next_beat_at_s: 7.0,
            delivered: 3,
            failed: 1,
            consecutive_failures: 0,
            skipped: 0,
            withheld: 0,
            late: None,
            sent_bytes: 0,
            received_bytes: 0,
            last: None,
            sources: Vec::new(),
        }
    }

    #[test]
    fn reads_what_is_published_and_rejects_the_rest() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = StatusFile::in_directory(dir.path());
        assert!(read(file.path()).is_err_and(|error| error.kind() == ErrorKind::NotFound));
        file.publish(&status());
        assert_eq!(read(file.path()).expect("published").delivered, 3);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left over");
        for nonsense in ["", "{", "{}", "[1]"] {
            fs::write(file.path(), nonsense).expect("written");
            assert!(
                read(file.path()).is_err_and(|error| error.kind() == ErrorKind::InvalidData),
                "{nonsense}"
            );
        }
        drop(dir);
        file.publish(&status());
        assert!(file.failing, "and nobody panics");
    }

    #[test]
    fn headline_names_the_last_outcome_and_the_counts() {
        let last = |delivered, outcome: &str| {
            Some(Last {
                delivered,
                outcome: outcome.to_owned(),
                round_trip_ms: 44.6,
                document: Box::default(),
            })
        };
        assert_eq!(status().headline(), "taking the first sample");
        let good = Status { last: last(true, "delivered, status 200"), ..status() };
        assert_eq!(good.headline(), "last heartbeat delivered in 44.6 ms; 3 delivered, 1 failed");
        let bad = Status { last: last(false, "not delivered: connection refused"), ..status() };
        assert_eq!(bad.headline(), "last heartbeat not delivered: connection refused; 3 delivered, 1 failed");
    }
}
