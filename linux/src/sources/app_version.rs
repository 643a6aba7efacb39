//! Version of the streaming application, from its files.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use heartbeat_core::{SensorError, readings::AppVersion, text::Text, time::Duration};
use jiff::Timestamp;

use super::{REPROBE, Source, sysroot::Sysroot, time_zone};

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
        let changed = newest_change(&root.host_path(&self.0))?;
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
    let mut newest = None;
    let mut files = 0;
    walk(folder, 0, &mut files, &mut newest).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SensorError::Absent,
        std::io::ErrorKind::PermissionDenied => SensorError::Denied,
        _ => SensorError::Io,
    })?;
    newest.and_then(|time| Timestamp::try_from(time).ok()).ok_or(SensorError::Absent)
}

fn walk(
    folder: &Path,
    depth: u32,
    files: &mut usize,
    newest: &mut Option<SystemTime>,
) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        *files = files.saturating_add(1);
        if *files > FILES_MAX {
            break;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && depth < DEPTH_MAX {
            // A folder below that cannot be read hides its own files only.
            let _ = walk(&path, depth + 1, files, newest);
        } else if kind.is_file()
            && path.extension().is_some_and(|ext| ext == "py" || ext == "html" || ext == "png")
        {
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            *newest = (*newest).max(changed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

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
