//! How a reader asks for the status of this moment: it opens the file, which inotify(7) tells the daemon, and waits until
//! the daemon has replaced it. A reader that does not wait gets a status that is a minute old at most.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    thread,
};

use heartbeat_core::time::Duration;
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use super::{NAME, Status, is_running, read};
use crate::clock;

/// A status that is younger answers a request.
pub(super) const FRESH: Duration = Duration::from_millis(200);
/// For how long after a status no request is looked at, so that a reader in a loop does not keep the main loop busy.
pub(super) const HOLD_OFF: Duration = Duration::from_millis(100);
/// How long a reader waits. A daemon that is not stuck answers within milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often a reader looks whether there is an answer.
const LOOK: std::time::Duration = std::time::Duration::from_millis(2);
/// How often events are read at once, so that a program that opens the file again and again does not hold the main loop; what
/// is left is read in a later turn.
const READS_MAX: u32 = 16;

/// What was done with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Request {
    /// Nothing.
    None,
    /// It was opened, which a fresh status answers.
    Opened,
    /// It is gone, or may be.
    Removed,
}

/// A watch on the directory of the file, which lasts when the file is replaced.
#[derive(Debug)]
pub(super) struct Watch(Inotify);

impl Watch {
    /// `None` when this user has too many.
    pub(super) fn new() -> Option<Self> {
        Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok().map(Self)
    }

    /// Watches a directory, if it is not yet watched. May block, as looking up a path may. False when the kernel refuses.
    pub(super) fn begin(&self, directory: &Path) -> bool {
        let events = AddWatchFlags::IN_OPEN
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ONLYDIR;
        self.0.add_watch(directory, events).is_ok()
    }

    /// The most that was done with the file since the last call. Never waits.
    pub(super) fn take(&self) -> Request {
        let mut request = Request::None;
        for _ in 0..READS_MAX {
            match self.0.read_events() {
                Ok(events) => {
                    let requests = events.iter().map(|event| match &event.name {
                        // The watch has ended, or events were lost.
                        None => Request::Removed,
                        Some(name) if name != NAME => Request::None,
                        Some(_) if event.mask.contains(AddWatchFlags::IN_OPEN) => Request::Opened,
                        Some(_) => Request::Removed,
                    });
                    request = requests.fold(request, Request::max);
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return Request::Removed,
            }
        }
        request
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads what a daemon says now. Waits for it, for some seconds at most: of one that is stuck it is what it said last.
///
/// # Errors
///
/// When there is nothing, or something else.
pub fn ask(path: &Path) -> io::Result<Status> {
    ask_within(path, ANSWER_MAX)
}

fn ask_within(path: &Path, timeout: Duration) -> io::Result<Status> {
    let asked = clock::now();
    let before = version(path);
    let status = read(path)?;
    if status.age(asked) < FRESH || !is_running(&status) {
        return Ok(status);
    }
    while clock::now().since(asked) < timeout {
        if version(path) != before {
            return read(path);
        }
        thread::sleep(LOOK);
    }
    Ok(status)
}

/// Another one after each replacement. Does not open the file, which would be another request.
fn version(path: &Path) -> Option<(u64, i64, i64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use heartbeat_core::time::Instant;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::{
        super::{StatusFile, tests::status},
        *,
    };

    /// A published file, with the time at which requests are looked at.
    fn published(dir: &Path) -> (StatusFile, Instant) {
        let mut file = StatusFile::in_directory(dir).expect("a thread");
        let now = clock::now();
        file.publish(&status(), now);
        file.finish();
        assert!(!file.turn(now, false) && file.is_watched());
        assert!(file.requests().is_none() && file.due() == Some(now + HOLD_OFF));
        let later = now + FRESH;
        // Its own writing may be told.
        file.turn(later, true);
        assert!(file.requests().is_some() && file.due().is_none());
        (file, later)
    }

    fn is_readable(file: &StatusFile) -> bool {
        let mut fds = [PollFd::new(file.requests().expect("watched"), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("polled") == 1
    }

    #[test]
    fn opening_or_removing_the_file_is_a_request_and_other_files_are_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut file, now) = published(dir.path());
        assert!(!is_readable(&file));
        File::create(dir.path().join("other")).expect("created");
        assert!(is_readable(&file) && !file.turn(now, true), "another file");
        File::open(file.path()).expect("opened");
        assert!(is_readable(&file) && file.turn(now, true), "opened");
        assert!(!is_readable(&file), "once");
        fs::remove_file(file.path()).expect("removed");
        assert!(is_readable(&file) && file.turn(now, true), "removed");
    }

    #[test]
    fn what_a_fresh_status_has_answered_is_no_request_any_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut file, now) = published(dir.path());
        file.publish(&status(), now);
        file.finish();
        File::open(file.path()).expect("opened");
        let end = file.due().expect("it is held off");
        assert!(!file.turn(end, false), "its end, in time");
        assert!(!file.turn(end, true) && !is_readable(&file), "and forgotten");
        File::open(file.path()).expect("opened");
        assert!(file.turn(now + FRESH, true));
        file.publish(&status(), now);
        file.finish();
        fs::remove_file(file.path()).expect("removed");
        assert!(file.turn(now + HOLD_OFF, true), "that is no answer any more");
    }

    #[test]
    fn a_directory_that_cannot_be_watched_is_said() {
        let watch = Watch::new().expect("the kernel has one");
        assert!(!watch.begin(Path::new("/nonexistent")));
        assert_eq!(watch.take(), Request::None);
    }

    #[test]
    fn a_reader_gets_what_the_daemon_says_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut file, now) = published(dir.path());
        let path = file.path().to_owned();
        let daemon = thread::spawn(move || {
            loop {
                let mut fds = [PollFd::new(file.requests().expect("watched"), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::NONE).expect("polled");
                if file.turn(now, true) {
                    file.publish(&Status { delivered: 4, ..status() }, now);
                    file.finish();
                    return;
                }
            }
        });
        // What is there was written long ago, and its process runs.
        assert_eq!(ask(&path).expect("published").delivered, 4);
        daemon.join().expect("ended");
        let (asked, timeout) = (clock::now(), Duration::from_millis(20));
        assert_eq!(ask_within(&path, timeout).expect("published").delivered, 4, "it answers no more");
        assert!(clock::now().since(asked) >= timeout);
    }

    #[test]
    fn nothing_is_awaited_from_a_daemon_that_has_ended_or_has_just_said_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        let hour = Duration::from_secs(3600);
        let write = |status: &Status| {
            fs::write(&path, serde_json::to_vec(status).expect("JSON")).expect("written");
        };
        for done in [
            Status { running: false, ..status() },
            Status { pid: 0x7fff_fff0, ..status() },
            Status {
                written_at_s: core::time::Duration::from_micros(clock::now().as_micros()).as_secs_f64(),
                ..status()
            },
        ] {
            write(&done);
            assert_eq!(ask_within(&path, hour).expect("read").pid, done.pid);
        }
        fs::remove_file(&path).expect("removed");
        assert!(ask(&path).is_err());
    }
}
