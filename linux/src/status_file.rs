//! What the running daemon last did, in a file for `status`: replaced as a whole, in a directory that is memory and not
//! storage.
//!
//! It is written when something has changed, once a minute, and when a reader asks for it by opening it (`asking`): to
//! write it after each heartbeat would cost more than to sample and encode the heartbeat.

mod asking;

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use heartbeat_core::time::Instant as Moment;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::asking::ask;
use self::asking::{FRESH, HOLD_OFF, Request, Watch};
use crate::{
    files::{self, Durability, Links},
    runtime_directory,
    side_thread::SideThread,
};

/// Name of the file in a runtime directory.
pub(crate) const NAME: &str = "status.json";
/// A status has about two kilobytes.
const SIZE_MAX: u64 = 64 * 1024;
/// How long the end of the program waits for the last status.
const LAST_STATUS_MAX: Duration = Duration::from_millis(500);

/// What the daemon last did. Times are seconds on the clock that counts since boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Whether it still runs; false after an orderly stop.
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
    /// Of those, in the back-off in progress, which lasts until a heartbeat is delivered; `None` without one.
    pub backing_off: Option<u64>,
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
    /// Its outcome, for people.
    pub outcome: String,
    /// Time from its sending to its end.
    pub round_trip_ms: f64,
    /// When it ended.
    pub ended_at_s: f64,
    /// The document as it was sent.
    pub document: Box<RawValue>,
}

impl Status {
    /// How old it is.
    fn age(&self, now: Moment) -> heartbeat_core::time::Duration {
        let written = Duration::try_from_secs_f64(self.written_at_s.max(0.0)).unwrap_or_default();
        now.since(Moment::ZERO + written.into())
    }

    /// The most important in one line. `next` is the time of day of the next heartbeat.
    pub fn headline(&self, next: &str) -> String {
        let mut counts = format!("{} delivered, {} failed", self.delivered, self.failed);
        if let Some(withheld) = self.backing_off {
            counts.push_str(&format!("; backing off until {next}, {withheld} withheld"));
        }
        match &self.last {
            None => "taking the first sample".to_owned(),
            Some(last) if last.delivered => {
                format!("last heartbeat delivered in {:.1} ms; {counts}", last.round_trip_ms)
            }
            Some(last) => format!("last heartbeat {}; {counts}", last.outcome),
        }
    }
}

/// The file. A thread of its own writes it, so that the main loop waits for no filesystem.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    writer: SideThread<Vec<u8>, bool>,
    /// The latest status, when it came while an earlier one was being written.
    next: Option<Vec<u8>>,
    /// When it was made.
    published: Moment,
    /// Whether that is so short a time ago that requests are not looked at.
    is_held_off: bool,
    /// `None` where the kernel has no watch for it.
    watch: Option<Arc<Watch>>,
    /// Whether the kernel tells that the file is opened.
    is_watched: bool,
}

impl StatusFile {
    /// In this directory. `None` when the system has no thread for it, which is logged.
    pub fn in_directory(directory: &Path) -> Option<Self> {
        let path = directory.join(NAME);
        let watch = Watch::new().map(Arc::new);
        match SideThread::start("status", None, writing(path.clone(), watch.clone())) {
            Ok(writer) => {
                let published = Moment::ZERO;
                Some(Self {
                    path,
                    writer,
                    next: None,
                    published,
                    is_held_off: false,
                    watch,
                    is_watched: false,
                })
            }
            Err(error) => {
                log::warn!("status is not published: {error}");
                None
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the file replaced, as soon as an earlier status has been written. Never waits. `now` is the time of the status.
    pub fn publish(&mut self, status: &Status, now: Moment) {
        self.next = serde_json::to_vec(status).ok();
        (self.published, self.is_held_off) = (now, true);
        self.write();
    }

    /// To be called in each turn of the main loop: begins to write the status that had to wait for an earlier one. Says
    /// whether a reader asks for another status. `is_readable` says whether [`Self::requests`] is.
    pub fn turn(&mut self, now: Moment, is_readable: bool) -> bool {
        self.write();
        let age = now.since(self.published);
        self.is_held_off = age < HOLD_OFF;
        // All are taken; those of a reader that finds a fresh status have their answer.
        match self.watch.as_ref().filter(|_| is_readable).map_or(Request::None, |watch| watch.take()) {
            Request::None => false,
            Request::Opened => age >= FRESH,
            Request::Removed => true,
        }
    }

    fn write(&mut self) {
        let Poll::Ready(written) = self.writer.take() else { return };
        self.is_watched = written.unwrap_or(self.is_watched);
        if let Some(bytes) = self.next.take() {
            self.writer.begin(bytes);
        }
    }

    /// Whether readers can ask for the status. Otherwise it must be published whenever it has changed.
    pub const fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// What can be read when a reader may have asked. `None` for a short time after the latest status, and where nothing
    /// tells.
    pub fn requests(&self) -> Option<BorrowedFd<'_>> {
        let watch = self.watch.as_ref().filter(|_| self.is_watched && !self.is_held_off)?;
        Some(watch.as_fd())
    }

    /// When [`Self::turn`] must be called again at the latest, so that requests are looked at again.
    pub fn due(&self) -> Option<Moment> {
        (self.watch.is_some() && self.is_held_off).then(|| self.published + HOLD_OFF)
    }

    /// Waits a little until the latest status has been written.
    pub fn finish(&mut self) {
        let deadline = Instant::now() + LAST_STATUS_MAX;
        while let Poll::Ready(written) = self.writer.wait(deadline) {
            self.is_watched = written.unwrap_or(self.is_watched);
            match self.next.take() {
                Some(bytes) => self.writer.begin(bytes),
                None => return,
            }
        }
    }
}

/// Writes the file and logs when that begins to fail and when it works again. Says whether it was written and is watched:
/// before it is there, so that no reader is missed.
fn writing(path: PathBuf, watch: Option<Arc<Watch>>) -> impl FnMut(Vec<u8>) -> bool {
    let mut failing = false;
    move |bytes| {
        let is_watched = watch.as_ref().is_some_and(|watch| watch.begin(files::directory_of(&path)));
        // Every user may read the status, even if the umask is stricter.
        let written = files::replace(&path, &bytes, 0o644, Durability::Volatile);
        match (&written, failing) {
            (Err(error), false) => log::warn!("status is not published: {}: {error}", path.display()),
            (Ok(()), true) => log::info!("status is published again"),
            _ => {}
        }
        failing = written.is_err();
        is_watched && written.is_ok()
    }
}

/// Where the daemon of this machine publishes: the service, or one that this user has started. Of several the first that
/// runs counts, or else the first that has run.
pub fn default_path() -> PathBuf {
    let places: Vec<_> = runtime_directory::all().iter().map(|directory| directory.join(NAME)).collect();
    let running = places.iter().find(|path| read(path).is_ok_and(|status| is_running(&status)));
    let found = running.or_else(|| places.iter().find(|path| path.exists())).or_else(|| places.first());
    found.cloned().unwrap_or_default()
}

/// Whether the daemon of a status lives.
fn is_running(status: &Status) -> bool {
    status.running && Path::new(&format!("/proc/{}", status.pid)).exists()
}

/// Reads what a daemon has published, which may be a minute old.
///
/// # Errors
///
/// When there is nothing, or something else.
pub fn read(path: &Path) -> io::Result<Status> {
    let (bytes, _) = files::read(path, SIZE_MAX, Links::Refuse)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
    };

    pub(super) fn status() -> Status {
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
            backing_off: None,
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
        let mut file = StatusFile::in_directory(dir.path()).expect("a thread");
        assert!(read(file.path()).is_err_and(|error| error.kind() == ErrorKind::NotFound));
        file.publish(&status(), Moment::ZERO);
        file.publish(&Status { delivered: 4, ..status() }, Moment::ZERO);
        file.finish();
        assert_eq!(read(file.path()).expect("published").delivered, 4, "the latest");
        assert_eq!(file.path().metadata().expect("there").mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left over");
        for nonsense in ["", "{", "{}", "[1]"] {
            fs::write(file.path(), nonsense).expect("written");
            assert!(
                read(file.path()).is_err_and(|error| error.kind() == ErrorKind::InvalidData),
                "{nonsense}"
            );
        }
        drop(dir);
        file.publish(&status(), Moment::ZERO);
        file.finish();
    }

    #[test]
    fn a_planted_link_or_fifo_is_replaced_and_what_it_leads_to_is_not_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let precious = dir.path().join("precious");
        fs::write(&precious, "precious").expect("written");
        let mut file = StatusFile::in_directory(dir.path()).expect("a thread");
        for planted in [file.path().to_owned(), files::beside(file.path(), ".new")] {
            let _ = fs::remove_file(&planted);
            symlink(&precious, &planted).expect("linked");
            file.publish(&status(), Moment::ZERO);
            file.finish();
            assert!(read(file.path()).is_ok(), "{planted:?}");
        }
        assert_eq!(fs::read_to_string(&precious).expect("read"), "precious");
        fs::remove_file(file.path()).expect("removed");
        nix::unistd::mkfifo(file.path(), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let error = read(file.path()).expect_err("refused without waiting").to_string();
        assert_eq!(error, "expected a regular file, found a FIFO");
    }

    #[test]
    fn headline_names_the_last_outcome_and_the_counts() {
        let last = |delivered, outcome: &str| {
            Some(Last {
                delivered,
                outcome: outcome.to_owned(),
                round_trip_ms: 44.6,
                ended_at_s: 2.0,
                document: Box::default(),
            })
        };
        assert_eq!(status().headline("12:00:00"), "taking the first sample");
        let good = Status { last: last(true, "delivered, status 200"), ..status() };
        assert_eq!(good.headline("12:00:00"), "last heartbeat delivered in 44.6 ms; 3 delivered, 1 failed");
        let bad = Status { last: last(false, "not delivered: connection refused"), ..status() };
        assert_eq!(
            bad.headline("12:00:00"),
            "last heartbeat not delivered: connection refused; 3 delivered, 1 failed"
        );
        let backing_off = Status { backing_off: Some(7), ..bad };
        assert_eq!(
            backing_off.headline("12:00:00"),
            "last heartbeat not delivered: connection refused; 3 delivered, 1 failed; backing off until 12:00:00, \
             7 withheld"
        );
    }
}
