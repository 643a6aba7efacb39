//! Version of the streaming application, from its files.

use std::{
    ffi::{CStr, OsStr},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use heartbeat_core::{SensorError, readings::AppVersion, text::Text, time::Duration};
use jiff::Timestamp;
use nix::{
    dir::{Dir, Type},
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat},
    sys::stat::{Mode, fstatat},
};

use super::{
    REPROBE, Source,
    sysroot::{Sysroot, is_regular, sensor_error},
    time_zone,
};

/// How long a version is kept before it is looked up again: an update shows within ten minutes, and a folder on
/// an SD card is not walked at every beat.
const KEEP: Duration = Duration::from_secs(600);
/// Files that are looked at in the application's folder.
const FILES_MAX: usize = 20_000;
/// Folders inside folders.
const DEPTH_MAX: u32 = 12;

/// The first line of a file.
pub(crate) struct FirstLine(pub(crate) PathBuf);

impl Source for FirstLine {
    type Reading = AppVersion;

    fn place(&self) -> String {
        self.0.display().to_string()
    }

    fn read(&mut self, root: &Sysroot) -> Result<AppVersion, SensorError> {
        first_line(root, &self.0)
    }

    fn holds(&self, outcome: &Result<AppVersion, SensorError>) -> Duration {
        holds(outcome)
    }
}

/// The time of the newest file of the application in a folder and those below, as `YYYY-MM-DD HH:MM`.
pub(crate) struct NewestFile(pub(crate) PathBuf);

impl Source for NewestFile {
    type Reading = AppVersion;

    fn place(&self) -> String {
        self.0.join("**/*.{py,html,png}").display().to_string()
    }

    fn read(&mut self, root: &Sysroot) -> Result<AppVersion, SensorError> {
        let changed = newest_change(root.reach(&self.0)?.as_ref())?;
        let local = changed.to_zoned_datetime(time_zone::local_zone(root));
        Ok(Text::new(&local.strftime("%Y-%m-%d %H:%M").to_string()))
    }

    fn holds(&self, outcome: &Result<AppVersion, SensorError>) -> Duration {
        holds(outcome)
    }
}

fn holds(outcome: &Result<AppVersion, SensorError>) -> Duration {
    if outcome.is_ok() { KEEP } else { REPROBE }
}

fn first_line(root: &Sysroot, path: &Path) -> Result<AppVersion, SensorError> {
    let mut buffer = [0; 1024];
    let line = root.read_text(path, &mut buffer)?.lines().next().unwrap_or_default().trim_end();
    if line.is_empty() { Err(SensorError::Invalid) } else { Ok(Text::new(line)) }
}

/// Newest modification time of the application's own files: `*.py`, `*.html`, `*.png`. Links are not followed.
fn newest_change(folder: &Path) -> Result<Timestamp, SensorError> {
    let mut walk = Walk { files: 0, newest: None };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    walk.folder(openat(AT_FDCWD, folder, flags, Mode::empty()), 0).map_err(sensor_error)?;
    walk.newest.and_then(|(secs, nanos)| Timestamp::new(secs, nanos).ok()).ok_or(SensorError::Absent)
}

/// A walk through a folder. By descriptors: a folder may be replaced by a link meanwhile.
struct Walk {
    files: usize,
    /// Seconds and nanoseconds since 1970.
    newest: Option<(i64, i32)>,
}

impl Walk {
    fn folder(&mut self, folder: nix::Result<OwnedFd>, depth: u32) -> nix::Result<()> {
        let folder = folder?;
        let mut entries = Dir::from_fd(folder.try_clone().map_err(|_| Errno::EMFILE)?)?;
        for entry in entries.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.files = self.files.saturating_add(1);
            if self.files > FILES_MAX {
                break;
            }
            // Some filesystems do not say the type.
            let kind = entry.file_type();
            if matches!(kind, Some(Type::Directory) | None) && depth < DEPTH_MAX {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                // A folder below that cannot be read hides its own files only.
                let _ = self.folder(openat(&folder, name, flags, Mode::empty()), depth + 1);
            }
            if matches!(kind, Some(Type::File) | None)
                && is_of_the_application(name)
                && let Ok(stat) = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                && is_regular(&stat)
            {
                // 32 bits wide on some 32-bit targets.
                #[allow(clippy::useless_conversion)]
                let changed = (i64::from(stat.st_mtime), i32::try_from(stat.st_mtime_nsec).unwrap_or(0));
                self.newest = self.newest.max(Some(changed));
            }
        }
        Ok(())
    }
}

fn is_of_the_application(name: &CStr) -> bool {
    let extension = Path::new(OsStr::from_bytes(name.to_bytes())).extension();
    extension.is_some_and(|extension| extension == "py" || extension == "html" || extension == "png")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::unix::fs::symlink,
        time::SystemTime,
    };

    /// `CET-1`, no summer time: version 2 with no transitions, and the rule in the footer (RFC 9636).
    fn cet() -> Vec<u8> {
        let mut tzif = Vec::new();
        for _ in 0..2 {
            tzif.extend_from_slice(b"TZif2");
            tzif.extend_from_slice(&[0; 15]);
            for count in [0u32, 0, 0, 0, 1, 4] {
                tzif.extend_from_slice(&count.to_be_bytes());
            }
            tzif.extend_from_slice(&3600i32.to_be_bytes());
            tzif.extend_from_slice(&[0, 0]);
            tzif.extend_from_slice(b"CET\0");
        }
        tzif.extend_from_slice(b"\nCET-1\n");
        tzif
    }

    fn touch(path: &Path, unix_secs: u64) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        let file = File::create(path).expect("created");
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(unix_secs)).expect("set");
    }

    #[test]
    fn takes_the_newest_file_of_the_application_in_local_time() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join("opt/app/main.py"), 1_700_000_000);
        touch(&dir.path().join("opt/app/static/logo.png"), 1_795_464_000);
        touch(&dir.path().join("opt/app/cache.db"), 1_800_000_000);
        touch(&dir.path().join("etc/none"), 0);
        fs::write(dir.path().join("etc/localtime"), cet()).expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(NewestFile("/opt/app".into()).read(&root), Ok("2026-11-23 21:00".into()));
        assert_eq!(NewestFile("/nothing".into()).read(&root), Err(SensorError::Absent));
    }

    #[test]
    fn follows_no_link_in_the_folder_nor_out_of_a_tree() {
        let (dir, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
        touch(&outside.path().join("app/new.py"), 1_795_464_000);
        touch(&dir.path().join("opt/app/old.py"), 1_700_000_000);
        fs::create_dir(dir.path().join("opt/app/loop")).expect("created");
        for (to, link) in [
            (outside.path().join("app"), "opt/app/linked"),
            (outside.path().join("app/new.py"), "opt/app/linked.py"),
            (dir.path().join("opt/app"), "opt/app/loop/again"),
            (outside.path().join("app"), "opt/elsewhere"),
            ("/opt/app".into(), "opt/same"),
        ] {
            symlink(to, dir.path().join(link)).expect("linked");
        }
        let root = Sysroot::new(dir.path()).expect("opened");
        let old = Ok("2023-11-14 22:13".into());
        assert_eq!(NewestFile("/opt/app".into()).read(&root), old);
        assert_eq!(NewestFile("/opt/same".into()).read(&root), old, "the folder itself may be a link");
        assert_eq!(NewestFile("/opt/elsewhere".into()).read(&root), Err(SensorError::Absent));
        touch(&dir.path().join("opt/app/a/b/c/d/e/f/g/h/i/j/k/deep.py"), 1_710_000_000);
        touch(&dir.path().join("opt/app/a/b/c/d/e/f/g/h/i/j/k/l/m/deeper.py"), 1_720_000_000);
        assert_eq!(NewestFile("/opt/app".into()).read(&root), Ok("2024-03-09 16:00".into()));
    }

    #[test]
    fn takes_the_first_line_of_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("VERSION"), "2.4.1 \nsecond line\n").expect("written");
        fs::write(dir.path().join("EMPTY"), " \n").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let read = |path: &str| FirstLine(path.into()).read(&root);
        assert_eq!(read("/VERSION"), Ok("2.4.1".into()));
        assert_eq!(read("/EMPTY"), Err(SensorError::Invalid));
        assert_eq!(read("/NONE"), Err(SensorError::Absent));
    }

    #[test]
    fn a_version_holds_longer_than_an_error() {
        assert_eq!(holds(&Ok("1".into())), KEEP);
        assert_eq!(holds(&Err(SensorError::Io)), REPROBE);
    }
}
