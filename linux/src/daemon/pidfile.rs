//! One instance at a time, by a locked file that holds the pid.
//!
//! The default place is in a directory where anybody may create files. So: no link is followed, no file of somebody
//! else is written, nothing is truncated before its lock is held. The lock, not the pid, says that an instance
//! lives; it ends with the process, so a stale file never keeps anybody away.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

/// Tries to get hold of the file while others remove it.
const ATTEMPTS: u32 = 10;

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

impl Pidfile {
    /// Creates the pidfile, or takes over one that nobody holds.
    ///
    /// # Errors
    ///
    /// [`PidfileError::Running`] with the pid of the instance that holds it; [`PidfileError::Unusable`] when there is
    /// something else in its place.
    pub fn acquire(path: &Path) -> Result<Self, PidfileError> {
        let unusable = |problem: String| PidfileError::Unusable { path: path.to_owned(), problem };
        for _ in 0..ATTEMPTS {
            let mut file = open(path).map_err(|error| unusable(describe(&error)))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(PidfileError::Running { pid: read_pid(&mut file), path: path.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error.to_string())),
            }
            // The previous holder may have removed the file between our opening and our locking it.
            if !is_same(path, &file) {
                continue;
            }
            check(&file).map_err(|problem| unusable(problem.to_owned()))?;
            write_pid(&mut file).map_err(|error| unusable(error.to_string()))?;
            return Ok(Self { path: path.to_owned(), file });
        }
        Err(unusable("it is removed again and again".to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Only our own: somebody may have put another one in its place. The lock ends after that, with the file.
        if is_same(&self.path, &self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Creates the file exclusively, or opens what is there without following a link, waiting or truncating.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags).mode(0o644);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path),
        created => created,
    }
}

/// A regular file of our own with one name: writing to anything else would write to somebody else's.
fn check(file: &File) -> Result<(), &'static str> {
    let metadata = file.metadata().map_err(|_| "cannot be examined")?;
    if !metadata.is_file() {
        return Err("is not a regular file");
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err("belongs to another user");
    }
    if metadata.nlink() != 1 {
        return Err("has more than one name");
    }
    Ok(())
}

fn is_same(path: &Path, file: &File) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let named = path.symlink_metadata().map(identity);
    named.ok().is_some_and(|named| file.metadata().map(identity).is_ok_and(|ours| named == ours))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    // One write, so that a reader sees a whole pid or none.
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(16).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) => pid.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

fn describe(error: &io::Error) -> String {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ELOOP) => "is a symbolic link, which is not followed".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn problem(path: &Path) -> String {
        match Pidfile::acquire(path).expect_err("refused") {
            PidfileError::Unusable { problem, .. } => problem,
            PidfileError::Running { pid, .. } => format!("running: {pid}"),
        }
    }

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("pid");
        let held = Pidfile::acquire(&path).expect("the first");
        assert_eq!(fs::read_to_string(&path).expect("read"), format!("{}\n", std::process::id()));
        assert_eq!(problem(&path), format!("running: {}", std::process::id()));
        drop(held);
        assert!(!path.exists(), "removed");
    }

    #[test]
    fn a_stale_file_is_taken_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("pid");
        fs::write(&path, "1234567890 and more than a new pid has digits\n").expect("written");
        let _held = Pidfile::acquire(&path).expect("taken over");
        assert_eq!(fs::read_to_string(&path).expect("read"), format!("{}\n", std::process::id()));
    }

    #[test]
    fn what_somebody_planted_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("target");
        fs::write(&target, "precious").expect("written");
        let path = dir.path().join("pid");

        symlink(&target, &path).expect("linked");
        assert_eq!(problem(&path), "is a symbolic link, which is not followed");
        fs::remove_file(&path).expect("removed");

        fs::hard_link(&target, &path).expect("linked");
        assert_eq!(problem(&path), "has more than one name");
        fs::remove_file(&path).expect("removed");

        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(problem(&path), "is not a regular file");
        fs::remove_file(&path).expect("removed");

        fs::create_dir(&path).expect("created");
        assert!(problem(&path).contains("directory"), "{}", problem(&path));
        assert_eq!(fs::read_to_string(&target).expect("read"), "precious");
    }

    #[test]
    fn a_file_that_replaced_ours_is_not_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("pid");
        let held = Pidfile::acquire(&path).expect("the first");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "somebody else's").expect("written");
        drop(held);
        assert_eq!(fs::read_to_string(&path).expect("still there"), "somebody else's");
    }
}
