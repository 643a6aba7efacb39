//! Writes a recording as a tree.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::sources::{
    recording::Entry,
    stand_ins::StandIns,
    sysroot::{error_file, size_file},
};

/// How many files of how many bytes were written, and what could not be read.
type Written = (usize, usize, Vec<(PathBuf, String)>);

/// Writes every entry below `directory`, with stand-ins if there are `names`.
///
/// # Errors
///
/// With the path that could not be written.
pub(super) fn write(
    directory: &Path,
    entries: &BTreeMap<PathBuf, Entry>,
    mut names: Option<&mut StandIns>,
) -> Result<Written, (PathBuf, io::Error)> {
    let (mut files, mut bytes, mut unread) = (0, 0, Vec::new());
    for (path, entry) in entries {
        let shown = match (&mut names, entry) {
            (Some(names), Entry::Size(_)) => names.recording(path),
            (Some(names), _) => names.path(path),
            (None, _) => path.clone(),
        };
        let (shown, content, modified) = match entry {
            Entry::Present { is_directory: true } => {
                let place = below(directory, &shown);
                fs::create_dir_all(&place).map_err(|error| (place, error))?;
                continue;
            }
            Entry::Present { is_directory: false } => (shown, Vec::new(), None),
            Entry::File { content, modified, rewrite } => {
                let content = match (&mut names, rewrite) {
                    (Some(names), Some(rewrite)) => rewrite(content, names),
                    (Some(names), None) => names.content(path, content),
                    (None, _) => content.clone(),
                };
                (shown, content, *modified)
            }
            Entry::Size(size) => (size_file(&shown), format!("{size}\n").into_bytes(), None),
            Entry::Failed(error) => {
                unread.push((shown.clone(), error.to_string()));
                let (shown, text) = error_file(&shown, *error);
                (shown, text.into(), None)
            }
        };
        let place = below(directory, &shown);
        let written = || {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&place, &content)?;
            match modified {
                Some(time) => fs::File::options().write(true).open(&place)?.set_modified(time),
                None => Ok(()),
            }
        };
        written().map_err(|error| (place.clone(), error))?;
        files += 1;
        bytes += content.len();
    }
    Ok((files, bytes, unread))
}

/// `path` below `directory`, even if it is absolute or has `..`.
fn below(directory: &Path, path: &Path) -> PathBuf {
    let plain = path.components().filter(|component| matches!(component, Component::Normal(_)));
    directory.join(plain.collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::sysroot::Sysroot;
    use heartbeat_core::SensorError;
    use std::time::{Duration, SystemTime};

    fn file(content: &[u8]) -> Entry {
        Entry::File { content: content.to_vec(), modified: None, rewrite: None }
    }

    #[test]
    fn a_tree_answers_as_what_was_recorded() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_464_000);
        let entries = BTreeMap::from([
            ("/sys/class/net".into(), Entry::Present { is_directory: true }),
            ("/sys/class/net/eth0".into(), Entry::Present { is_directory: true }),
            ("/sys/class/net/eth0/carrier".into(), Entry::Failed(SensorError::Invalid)),
            ("/sys/class/net/eth0/type".into(), file(b"1\n")),
            ("/sys/class/net/eth0/wireless".into(), Entry::Present { is_directory: false }),
            ("/tmp/video.mp4".into(), Entry::Size(42)),
            (
                "/tmp/../etc/x.pid".into(),
                Entry::File { content: b"1".to_vec(), modified: Some(modified), rewrite: None },
            ),
        ]);
        let dir = tempfile::tempdir().expect("a directory");
        let (files, bytes, unread) = write(dir.path(), &entries, None).expect("written");
        assert_eq!((files, bytes), (5, 2 + 17 + 3 + 1));
        assert_eq!(unread, [("/sys/class/net/eth0/carrier".into(), "not a valid reading".to_owned())]);
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(root.list("/sys/class/net"), Ok(vec!["eth0".to_owned()]));
        assert_eq!(root.read_integer("/sys/class/net/eth0/carrier"), Err(SensorError::Invalid));
        assert_eq!(root.read_integer("/sys/class/net/eth0/type"), Ok(1));
        assert!(root.exists("/sys/class/net/eth0/wireless"));
        assert_eq!(root.file_size(Path::new("/tmp/video.mp4")), Ok(42));
        let kept = root.open("/tmp/etc/x.pid").expect("it never leaves the directory");
        assert_eq!(kept.metadata().and_then(|metadata| metadata.modified()).expect("a time"), modified);
    }

    #[test]
    fn what_is_private_is_replaced_everywhere_by_the_same() {
        let entries = BTreeMap::from([
            ("/etc/machine-id".into(), file(b"8a7d5c1e0f3b4a2d9c6e5f4a3b2c1d0e\n")),
            ("/proc/cpuinfo".into(), file(b"Serial\t\t: 10000000a1b2c3d4\nModel\t\t: Raspberry Pi 4\n")),
            ("/proc/device-tree/serial-number".into(), file(b"10000000a1b2c3d4\0")),
            ("/proc/net/pppoe".into(), file(b"Id Address Device\n0000A12B dc:a6:32:00:00:01      eth0\n")),
            ("/sys/class/net/enxdca632000001/address".into(), file(b"DC:A6:32:00:00:01\n")),
            ("/tmp/gps-tracker.pid".into(), file(b"7:alice:example.org:42\n")),
            ("/tmp/relay-ffmpeg-record-webcam.pid".into(), file(b"7:/tmp/holiday/beach.mp4\n")),
            ("/tmp/holiday/beach.mp4".into(), Entry::Size(42)),
            (
                "/ip/address".into(),
                file(br#"[{"addr_info":[{"local":"10.1.2.3"},{"local":"2a02:8109::7"}]}]"#),
            ),
        ]);
        let dir = tempfile::tempdir().expect("a directory");
        let mut names = StandIns::new(Path::new("/tmp"));
        write(dir.path(), &entries, Some(&mut names)).expect("written");
        let read = |path: &str| {
            let content = fs::read(dir.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            String::from_utf8(content).expect("text")
        };
        let serial = "1000000000000001";
        assert_eq!(read("proc/cpuinfo"), format!("Serial\t\t: {serial}\nModel\t\t: Raspberry Pi 4\n"));
        assert_eq!(read("proc/device-tree/serial-number"), format!("{serial}\0"));
        assert_eq!(read("etc/machine-id"), "c0ffee00000000000000000000000001\n");
        assert_eq!(read("sys/class/net/enx00005e005301/address"), "00:00:5e:00:53:01\n");
        assert_eq!(read("proc/net/pppoe"), "Id Address Device\n0000A12B 00:00:5e:00:53:01      eth0\n");
        assert_eq!(read("tmp/gps-tracker.pid"), "7:account-1:account-2:account-3\n");
        assert_eq!(read("tmp/relay-ffmpeg-record-webcam.pid"), "7:/tmp/recording-1.mp4\n");
        assert_eq!(read("tmp/recording-1.mp4.size"), "42\n");
        assert_eq!(
            read("ip/address"),
            r#"[{"addr_info":[{"local":"192.0.2.101"},{"local":"2001:db8::66"}]}]"#
        );
    }
}
