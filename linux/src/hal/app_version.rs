//! Version of the streaming application, looked up rarely.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use heartbeat_core::{SensorError, limits::APP_VERSION_MAX, text::Text};
use jiff::Timestamp;

use super::{sysroot::Sysroot, time_zone};
use crate::setting_types::VersionSource;

/// How long a version is kept before it is looked up again: an update shows within ten minutes, and a folder on
/// an SD card is not walked at every beat.
const KEEP: Duration = Duration::from_secs(600);
/// Files that are looked at in the application's folder.
const FILES_MAX: usize = 20_000;
/// Folders inside folders.
const DEPTH_MAX: u32 = 12;

/// Looks the version up, and keeps it for a while.
#[derive(Debug)]
pub(super) struct AppVersion {
    source: VersionSource,
    kept: Option<(Instant, Result<Text<APP_VERSION_MAX>, SensorError>)>,
}

impl AppVersion {
    pub(super) const fn new(source: VersionSource) -> Self {
        Self { source, kept: None }
    }

    pub(super) fn read(&mut self, root: &Sysroot) -> Result<Text<APP_VERSION_MAX>, SensorError> {
        if let Some((since, version)) = &self.kept
            && since.elapsed() < KEEP
        {
            return version.clone();
        }
        let version = match &self.source {
            VersionSource::Unknown => Err(SensorError::Absent),
            VersionSource::Fixed(version) => Ok(Text::new(version)),
            VersionSource::File(path) => first_line(root, path),
            VersionSource::Folder(path) => newest_change(&root.host_path(path)).map(|time| {
                Text::new(
                    &time
                        .to_zoned_datetime(time_zone::local_zone(root))
                        .strftime("%Y-%m-%d %H:%M")
                        .to_string(),
                )
            }),
        };
        self.kept = Some((Instant::now(), version.clone()));
        version
    }
}

fn first_line(root: &Sysroot, path: &Path) -> Result<Text<APP_VERSION_MAX>, SensorError> {
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
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(unix_secs)).expect("set");
    }

    #[test]
    fn the_newest_file_of_the_application_in_local_time() {
        let dir = tempfile::tempdir().expect("a directory");
        touch(&dir.path().join("opt/app/main.py"), 1_700_000_000);
        touch(&dir.path().join("opt/app/static/logo.png"), 1_795_464_000);
        touch(&dir.path().join("opt/app/cache.db"), 1_800_000_000);
        touch(&dir.path().join("etc/none"), 0);
        fs::write(dir.path().join("etc/localtime"), cet()).expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut version = AppVersion::new(VersionSource::Folder("/opt/app".into()));
        assert_eq!(version.read(&root), Ok("2026-11-23 21:00".into()));
        touch(&dir.path().join("opt/app/main.py"), 1_795_500_000);
        assert_eq!(version.read(&root), Ok("2026-11-23 21:00".into()), "kept");
    }

    #[test]
    fn files_and_fixed_texts() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("VERSION"), "2.4.1 \nsecond line\n").expect("written");
        fs::write(dir.path().join("EMPTY"), " \n").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let read = |source| AppVersion::new(source).read(&root);
        assert_eq!(read(VersionSource::File("/VERSION".into())), Ok("2.4.1".into()));
        assert_eq!(read(VersionSource::File("/EMPTY".into())), Err(SensorError::Invalid));
        assert_eq!(read(VersionSource::File("/NONE".into())), Err(SensorError::Absent));
        assert_eq!(read(VersionSource::Fixed("x".into())), Ok("x".into()));
        assert_eq!(read(VersionSource::Folder("/nothing".into())), Err(SensorError::Absent));
        assert_eq!(read(VersionSource::Unknown), Err(SensorError::Absent));
    }
}
