//! A locked file that holds the pid, so that one instance at a time runs.
//!
//! Its directory may be one where any user may create files. So the type and the owner are checked first: no link is
//! followed, and a file of another user neither stops this program nor is written. Then the lock is tried: it, not the
//! pid, shows that an instance runs, and the kernel releases it when the process ends, so that a stale file does not
//! prevent a start.
//!
//! Every user who can open a file can lock it. So a lock counts only on a file that other users cannot open, as this
//! program makes it. On a file that they can open (of the Python service, or of an older version) the process counts
//! whose pid it holds.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::process;
use crate::files::{self, Links};

/// Tries to get hold of the file while others remove it.
const ATTEMPTS: u32 = 10;
/// The pid and a line about the instance.
const SIZE_MAX: u64 = 512;

/// Why there is no pidfile.
#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    /// Another instance holds it.
    #[error("another instance is running (pid {pid}, {})", path.display())]
    Running {
        /// The other's pid as it wrote it.
        pid: String,
        /// Path of the pidfile.
        path: PathBuf,
        /// What it says about itself.
        about: String,
    },
    /// It cannot be used; the program can go on without it.
    #[error("{}: {problem}", path.display())]
    Unusable {
        /// Path of the pidfile.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// The lock on the pidfile; removed when dropped.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: File,
}

/// What stands in a pidfile.
#[derive(Debug, Default)]
struct Contents {
    pid: Option<u32>,
    about: String,
    /// Whether it is no pidfile: somebody has named a wrong file. An empty one is one, also of NULs, which a file that
    /// was written before a power cut can hold.
    is_something_else: bool,
}

impl Pidfile {
    /// Creates the pidfile, or takes over one that no instance holds. `about` is a line about this instance, which another
    /// one finds in [`PidfileError::Running`]; an empty one is not written.
    ///
    /// # Errors
    ///
    /// [`PidfileError::Running`] with the pid of the instance that holds it; [`PidfileError::Unusable`] when there is
    /// something else in its place.
    pub fn acquire(path: &Path, about: &str) -> Result<Self, PidfileError> {
        let unusable = |problem: String| PidfileError::Unusable { path: path.to_owned(), problem };
        for _ in 0..ATTEMPTS {
            let mut file = match files::create_new(path, 0o600) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => match open(path) {
                    Err(Refused::Gone) => continue,
                    Err(Refused::Unusable(problem)) => return Err(unusable(problem)),
                    Ok(file) => file,
                },
                created => created.map_err(|error| unusable(error.to_string()))?,
            };
            let metadata = file.metadata().map_err(|error| unusable(error.to_string()))?;
            let contents = read(&mut file);
            if contents.is_something_else || metadata.len() > SIZE_MAX {
                return Err(unusable("holds something else than a pid, and stays as it is".to_owned()));
            }
            let running = |contents: Contents| PidfileError::Running {
                pid: contents.pid.map_or("unknown".to_owned(), |pid| pid.to_string()),
                path: path.to_owned(),
                about: contents.about,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if is_private(&metadata) || contents.is_alive(&metadata) => {
                    return Err(running(contents));
                }
                Err(TryLockError::WouldBlock) => {
                    // A process that may read it has locked it, and is no instance.
                    fs::remove_file(path)
                        .map_err(|_| unusable("is locked, but not by a daemon".to_owned()))?;
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error.to_string())),
            }
            // The previous holder may have removed the file between our opening and our locking it.
            if !is_same(path, &file) {
                continue;
            }
            // The Python service locks nothing.
            if !is_private(&metadata) && contents.is_alive(&metadata) {
                return Err(running(contents));
            }
            write(&mut file, about).map_err(|error| unusable(error.to_string()))?;
            return Ok(Self { path: path.to_owned(), file });
        }
        Err(unusable("it is removed again and again".to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Only our own: another process may have replaced the file. The lock ends after that, with the file.
        if is_same(&self.path, &self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An instance of the Python service that lives and whose pidfile this is, if it was started by this user or by root.
///
/// # Errors
///
/// [`PidfileError::Running`] when there is one; [`PidfileError::Unusable`] when something else stands in its place.
pub(super) fn check_old_service(path: &Path) -> Result<(), PidfileError> {
    if let Err(Refused::Unusable(problem)) = open(path) {
        check_old_contents(path)?;
        return Err(PidfileError::Unusable { path: path.to_owned(), problem });
    }
    check_old_contents(path)
}

/// As [`check_old_service`], of a file that may be readable only. What cannot be read says nothing.
fn check_old_contents(path: &Path) -> Result<(), PidfileError> {
    let Ok(mut file) = files::open(path, OpenOptions::new().read(true), Links::Refuse) else { return Ok(()) };
    let Ok(metadata) = file.metadata() else { return Ok(()) };
    let contents = read(&mut file);
    match contents.pid {
        Some(pid) if contents.is_alive(&metadata) && process::is_old_service(pid) => {
            Err(PidfileError::Running { pid: pid.to_string(), path: path.to_owned(), about: contents.about })
        }
        _ => Ok(()),
    }
}

impl Contents {
    /// Whether the pid is that of a daemon which the file's owner or root has started, and the owner is trusted.
    fn is_alive(&self, file: &fs::Metadata) -> bool {
        let own = geteuid().as_raw();
        let is_trusted = [own, 0].contains(&file.uid());
        is_trusted
            && self.pid.is_some_and(|pid| pid != std::process::id() && process::is_daemon_of(pid, &[own, 0]))
    }
}

/// Why a file that exists is not opened.
enum Refused {
    /// It has just been removed.
    Gone,
    /// Why it cannot be used.
    Unusable(String),
}

/// Opens a pidfile that is there, if it is a regular file, with one name, of this user, of root or of the directory's
/// owner. Writing to any other file would change another user's data.
fn open(path: &Path) -> Result<File, Refused> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Refused::Gone,
        _ => Refused::Unusable(error.to_string()),
    };
    // The contents are read for any owner, because they tell what to do about the file.
    let about = |path: &Path| {
        let file = files::open(path, OpenOptions::new().read(true), Links::Refuse);
        let pid = file.ok().and_then(|mut file| read(&mut file).pid).filter(|pid| process::is_daemon(*pid));
        pid.map_or(String::new(), |pid| format!(", and process {pid} there is a heartbeat daemon, too"))
    };
    let check = |metadata: &fs::Metadata| {
        let directory = files::directory_of(path).metadata().map(|directory| directory.uid());
        let is_trusted = [geteuid().as_raw(), 0].contains(&metadata.uid())
            || directory.is_ok_and(|owner| owner == metadata.uid());
        if metadata.is_file() && !is_trusted {
            let problem = format!("belongs to another user ({}){}", metadata.uid(), about(path));
            return Err(Refused::Unusable(problem));
        }
        if metadata.is_file() && metadata.nlink() != 1 {
            return Err(Refused::Unusable("has more than one name".to_owned()));
        }
        Ok(())
    };
    check(&path.symlink_metadata().map_err(failed)?)?;
    let file = files::open(path, OpenOptions::new().read(true).write(true), Links::Refuse).map_err(failed)?;
    check(&file.metadata().map_err(failed)?)?;
    Ok(file)
}

/// Whether only its owner and root can open it, and so lock it.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o077 == 0
}

fn is_same(path: &Path, file: &File) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let named = path.symlink_metadata().map(identity);
    named.ok().is_some_and(|named| file.metadata().map(identity).is_ok_and(|ours| named == ours))
}

fn write(file: &mut File, about: &str) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    file.rewind()?;
    let about = if about.is_empty() { String::new() } else { format!("{about}\n") };
    // One write, so that a reader sees a whole pid or none.
    file.write_all(format!("{}\n{about}", std::process::id()).as_bytes())
}

fn read(file: &mut File) -> Contents {
    let mut bytes = Vec::new();
    let is_read = file.take(SIZE_MAX).read_to_end(&mut bytes).is_ok();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let pid: Option<u32> = lines.next().and_then(|line| line.trim().parse().ok());
    let is_empty = bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
    Contents {
        pid,
        about: lines.next().unwrap_or_default().to_owned(),
        is_something_else: !is_read || !is_empty && pid.is_none(),
    }
}

#[cfg(test)]
mod tests;
