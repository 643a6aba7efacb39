//! Whether files of a directory have changed, without looking at them: inotify(7).

use std::path::Path;

use heartbeat_core::{
    SensorError,
    time::{Duration, Instant},
};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use super::{Currency, sysroot::sensor_error};

/// How long a watch is trusted: that something is mounted over a directory is no change of it. Then another one begins.
const TRUSTED: Duration = Duration::from_secs(60);
/// How often events are read at once. A directory in which more happens counts as changed.
const READS_MAX: u32 = 16;

/// A watch on files that need not exist.
#[derive(Debug)]
pub(super) struct FileWatch {
    inotify: Inotify,
    names: &'static [&'static str],
    since: Instant,
    has_changed: bool,
}

impl FileWatch {
    /// Begins to watch; what happens from now on is noticed. May block, as looking up a path may.
    ///
    /// # Errors
    ///
    /// What the kernel says: no such directory, or too many watches of this user.
    pub(super) fn begin(
        directory: &Path,
        names: &'static [&'static str],
        now: Instant,
    ) -> Result<Self, SensorError> {
        // Of the directory only what comes into being: others may write to files in it all the time.
        let appearing = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        // A file that is removed and still open elsewhere has fewer links, an attribute.
        let changing = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DONT_FOLLOW;
        let begin = || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            inotify.add_watch(directory, appearing)?;
            for name in names {
                match inotify.add_watch(&directory.join(name), changing) {
                    Ok(_) | Err(Errno::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(inotify)
        };
        let inotify = begin().map_err(sensor_error)?;
        Ok(Self { inotify, names, since: now, has_changed: false })
    }

    /// Whether all files are as they were when it began: those that were there, and those that were not. Never waits. Once
    /// they have changed, that stays so.
    pub(super) fn currency(&mut self, now: Instant) -> Currency {
        self.has_changed |= self.take_events();
        if self.has_changed { Currency::Unknown } else { Currency::at_age(now.since(self.since), TRUSTED) }
    }

    /// Whether an event concerns the files.
    fn take_events(&self) -> bool {
        for _ in 0..READS_MAX {
            match self.inotify.read_events() {
                Ok(events) => {
                    // One without a name is about a watched file or the directory, or says that others were lost.
                    let concerns = |name: &std::ffi::OsString| self.names.iter().any(|known| name == known);
                    if events.iter().any(|event| event.name.as_ref().is_none_or(concerns)) {
                        return true;
                    }
                }
                Err(Errno::EAGAIN) => return false,
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io, path::PathBuf};

    const NAMES: &[&str] = &["a.pid", "b.pid"];

    /// Whether a change of a directory that holds `b.pid` and `other` is noticed.
    fn is_noticed(change: impl Fn(&dyn Fn(&str) -> PathBuf) -> io::Result<()>) -> bool {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["b.pid", "other"] {
            fs::write(at(name), "1").expect("written");
        }
        let mut watch = FileWatch::begin(dir.path(), NAMES, Instant::ZERO).expect("watched");
        assert_eq!(watch.currency(Instant::ZERO), Currency::Current);
        change(&at).expect("changed");
        let currency = watch.currency(Instant::ZERO);
        assert_eq!(watch.currency(Instant::ZERO), currency, "it stays so");
        currency == Currency::Unknown
    }

    #[test]
    fn notices_each_change_of_a_named_file_and_no_other() {
        assert!(is_noticed(|at| fs::write(at("a.pid"), "1")), "created");
        assert!(is_noticed(|at| fs::write(at("b.pid"), "2")), "written in place");
        assert!(is_noticed(|at| fs::rename(at("b.pid"), at("c"))), "renamed");
        assert!(is_noticed(|at| fs::rename(at("other"), at("a.pid"))), "put in the place of nothing");
        assert!(is_noticed(|at| fs::rename(at("other"), at("b.pid"))), "put in its place");
        assert!(is_noticed(|at| fs::hard_link(at("other"), at("a.pid"))), "linked");
        assert!(is_noticed(|at| fs::remove_file(at("b.pid"))), "removed");
        assert!(is_noticed(|at| {
            let _open = fs::File::open(at("b.pid"))?;
            fs::remove_file(at("b.pid"))
        }));
        assert!(!is_noticed(|at| fs::write(at("other"), "2")));
        assert!(!is_noticed(|at| fs::write(at("another"), "1")));
        assert!(!is_noticed(|at| fs::remove_file(at("other"))));
    }

    #[test]
    fn notices_that_the_directory_is_moved_or_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let (tmp, moved) = (parent.path().join("tmp"), parent.path().join("moved"));
        let currency_after = |change: &dyn Fn() -> io::Result<()>| {
            fs::create_dir(&tmp).expect("made");
            let mut watch = FileWatch::begin(&tmp, NAMES, Instant::ZERO).expect("watched");
            change().expect("changed");
            watch.currency(Instant::ZERO)
        };
        assert_eq!(currency_after(&|| fs::rename(&tmp, &moved)), Currency::Unknown);
        assert_eq!(currency_after(&|| fs::remove_dir(&tmp)), Currency::Unknown);
    }

    #[test]
    fn a_watch_is_not_trusted_for_longer_than_a_minute() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut watch = FileWatch::begin(dir.path(), NAMES, Instant::ZERO).expect("watched");
        let at = |secs| Instant::ZERO + Duration::from_secs(secs);
        let currencies = [59, 60, 69, 70].map(|secs| watch.currency(at(secs)));
        assert_eq!(currencies, [Currency::Current, Currency::Due, Currency::Due, Currency::Unknown]);
        let missing = FileWatch::begin(&dir.path().join("none"), NAMES, Instant::ZERO);
        assert_eq!(missing.err(), Some(SensorError::Absent));
    }

    #[test]
    fn more_events_than_are_kept_count_as_a_change() {
        assert!(is_noticed(|at| {
            let name = |number: u32| at(&format!("{number}-{}", "x".repeat(200)));
            (0..1_000).try_for_each(|number| fs::write(name(number), ""))
        }));
    }
}
