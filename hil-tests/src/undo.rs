//! What a run changes on the machine, and how all of it is undone: at its end, when a signal ends it, when it is killed, and
//! by the next run.
//!
//! The drop-in, the namespaces and the files of the probe have names of their own. What has not, such as the clock, is noted before
//! it is changed: in memory, and for root in a file in `/run`, which outlives this process. A reboot undoes all but the file in a home.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
    unistd::Uid,
};
use serde::{Deserialize, Serialize};

use crate::program;

/// The name of the unit.
pub const UNIT: &str = "heartbeat-daemon.service";
/// What changes the unit for a trial. The last of the drop-ins by its name: `systemctl edit` makes `override.conf`.
pub const DROP_IN: &str = "/run/systemd/system/heartbeat-daemon.service.d/zzz-heartbeat-hil.conf";
/// Files of this run. Root's alone to write, the service's to read.
pub const FOLDER: &str = "/run/heartbeat-hil";
/// What the probe in the service's place prints.
pub const PROBE_OUTPUT: &str = "/run/heartbeat-hil-probe.out";
/// Files that stand for what a user has at home, which the sandbox hides; the first one that can be made is used.
pub const SECRETS: [&str; 2] = ["/home/.heartbeat-hil-secret", "/run/user/.heartbeat-hil-secret"];
/// The network namespaces of the service and of its server.
pub const NAMESPACES: [&str; 2] = ["heartbeat-hil-device", "heartbeat-hil-server"];

const JOURNAL: &str = "/run/heartbeat-hil/changes";

/// A change that has no name of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A folder that was made, with all that is in it.
    Folder(PathBuf),
    /// The clock that was set.
    Clock {
        /// Its time before, since 1970.
        real: Duration,
        /// The time since boot at that moment.
        boot: Duration,
    },
}

impl Change {
    /// The clock as it is, to be noted before it is set.
    ///
    /// # Errors
    ///
    /// When the system has no such clock.
    pub fn clock() -> io::Result<Self> {
        let now = |clock| Ok::<_, io::Error>(Duration::from(clock_gettime(clock)?));
        Ok(Self::Clock { real: now(ClockId::CLOCK_REALTIME)?, boot: now(ClockId::CLOCK_BOOTTIME)? })
    }

    /// Undoes it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be removed, or the clock cannot be set.
    pub fn undo(&self) -> io::Result<()> {
        match self {
            Self::Folder(path) => gone(fs::remove_dir_all(path)),
            Self::Clock { real, boot } => {
                let since = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?).saturating_sub(*boot);
                let now = real.saturating_add(since);
                Ok(clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(now))?)
            }
        }
    }
}

/// What is gone already is what is wanted.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What this process has changed and not yet undone.
static CHANGES: Mutex<Vec<Change>> = Mutex::new(Vec::new());
/// Held by what changes the service or undoes that.
static SERVICE: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    // What a thread that panicked has left is undone like the rest.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set when a signal ends the process: nothing may be changed any more.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Keeps a signal from undoing a change of the service that is half made. Does not return once a signal has come.
pub fn changing() -> impl Drop {
    let guard = lock(&SERVICE);
    if ENDS.load(Ordering::SeqCst) {
        // Lets `at_the_end` work; the process ends with it.
        drop(guard);
        loop {
            thread::park();
        }
    }
    guard
}

/// As [`everything`], and keeps this process from changing anything afterwards.
pub fn at_the_end() -> Vec<String> {
    ENDS.store(true, Ordering::SeqCst);
    everything()
}

/// The directory for files of this run, made if it is not there.
///
/// # Errors
///
/// When this user may not write to `/run`.
pub fn folder() -> io::Result<&'static Path> {
    let folder = Path::new(FOLDER);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // Whatever the umask is: the service reads what is in it.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Notes a change that is about to be made.
///
/// # Errors
///
/// When it cannot be written down for the time after this process: only root writes.
pub fn note(change: Change) -> io::Result<()> {
    let _guard = changing();
    let mut changes = lock(&CHANGES);
    changes.push(change);
    write(&changes)
}

/// Forgets a change that was undone.
pub fn forget(change: &Change) {
    let mut changes = lock(&CHANGES);
    changes.retain(|noted| noted != change);
    // A change that is undone twice does no harm.
    let _ = write(&changes);
}

fn write(changes: &[Change]) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    folder()?;
    let mut file = fs::File::create(JOURNAL)?;
    file.write_all(&serde_json::to_vec(changes).map_err(io::Error::other)?)?;
    Ok(())
}

/// Undoes what this process and, for root, earlier ones have changed. Returns what could not be undone, for people.
pub fn everything() -> Vec<String> {
    let _guard = lock(&SERVICE);
    let mut problems = Vec::new();
    let mut changes = std::mem::take(&mut *lock(&CHANGES));
    let is_root = Uid::effective().is_root();
    let noted = fs::read(JOURNAL).ok().filter(|_| is_root);
    let noted = noted.and_then(|bytes| serde_json::from_slice::<Vec<Change>>(&bytes).ok());
    for change in noted.into_iter().flatten() {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    for change in changes {
        if let Err(error) = change.undo() {
            problems.push(format!("{change:?}: {error}"));
        }
    }
    // Nobody else changes the service.
    if !is_root {
        return problems;
    }
    // Before its namespace goes.
    problems.extend(restore().err());
    for name in NAMESPACES {
        if Path::new("/run/netns").join(name).exists() {
            problems.extend(program::ask("ip", &["netns", "del", name]).err().map(|error| error.to_string()));
        }
    }
    for path in SECRETS.into_iter().chain([PROBE_OUTPUT]) {
        if let Err(error) = gone(fs::remove_file(path)) {
            problems.push(format!("{path}: {error}"));
        }
    }
    if Path::new(FOLDER).exists()
        && let Err(error) = fs::remove_dir_all(FOLDER)
    {
        problems.push(format!("{FOLDER}: {error}"));
    }
    problems
}

/// Takes away the drop-in and starts the service as it was. Returns why that failed.
///
/// # Errors
///
/// What systemd says.
pub fn service() -> Result<(), String> {
    let _guard = lock(&SERVICE);
    restore()
}

fn restore() -> Result<(), String> {
    match fs::remove_file(DROP_IN) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{DROP_IN}: {error}")),
    }
    // It stays if something else has a drop-in there.
    let _ = Path::new(DROP_IN).parent().map(fs::remove_dir);
    let systemctl = |arguments: &[&str]| {
        program::ask("systemctl", arguments).map(drop).map_err(|error| error.to_string())
    };
    systemctl(&["daemon-reload"])?;
    // Fails for a unit that has not failed.
    let _ = systemctl(&["reset-failed", UNIT]);
    systemctl(&["restart", UNIT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_what_is_in_it() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("application");
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("pidfile"), "17").expect("written");
        let change = Change::Folder(folder.clone());
        change.undo().expect("removed");
        assert!(!folder.exists());
        change.undo().expect("it is gone already");
    }

    #[test]
    fn changes_survive_the_journal() {
        let changes = vec![Change::clock().expect("a clock"), Change::Folder("/tmp/x".into())];
        let text = serde_json::to_vec(&changes).expect("JSON");
        assert_eq!(serde_json::from_slice::<Vec<Change>>(&text).expect("JSON"), changes);
    }
}
