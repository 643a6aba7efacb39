//! The id that was once chosen for a board without a serial, kept in the state directory with marks of the board.
//!
//! What such a board is known by can go away: a USB adapter is unplugged, a driver comes late. A file can also come to another
//! board: with a card that is moved, or an image that is cloned. Two boards with the same id are worse than one that changes it, so
//! the kept id counts only for the board that it was chosen for. That has one of the built-in addresses of then; or it shows no
//! built-in address, and has the storage or the adapter of then. The storage is known by its own number, which no clone has.
//! A board that shows nothing of all that yet, because its drivers come late, has only the machine-id beside the kept id, which
//! a clone has too: there the kept id is the better one.
//! A serial comes before what is kept, because it never goes away.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use heartbeat_core::{SensorError, limits::HARDWARE_ID_MAX};
use serde::{Deserialize, Serialize};

use super::IdSource;
use crate::{
    files::{self, Durability, Links},
    sources::{network::permanent_address, placeholder::is_placeholder, sysroot::Sysroot},
};

/// Where systemd makes the service's (`StateDirectory=`, systemd.exec(5)).
const OF_THE_SERVICE: &str = "/var/lib/heartbeat-daemon";
const NAME: &str = "hardware-id";
/// Several times what a board with many interfaces needs.
const SIZE_MAX: u64 = 16 * 1024;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(super) id: String,
    /// What it was chosen from.
    pub(super) from: IdSource,
    marks: Marks,
}

/// What tells a board without a serial from others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Permanent addresses of interfaces that stay on the board.
    built_in: Vec<String>,
    /// Those of interfaces on USB.
    adapters: Vec<String>,
    /// Numbers of cards and drives.
    storage: Vec<String>,
}

impl Marks {
    /// Those that the board shows now.
    ///
    /// # Errors
    ///
    /// When an address cannot be read: without it the board may look like another one.
    pub(super) fn read(root: &Sysroot) -> Result<Self, SensorError> {
        let (built_in, adapters) = permanent_address::all(root)?;
        Ok(Self { built_in, adapters, storage: storage(root) })
    }

    /// Whether a board that shows these is the one that showed the others. Nothing contradicts a board that shows none.
    fn are_of(&self, then: &Self) -> bool {
        *self == Self::default()
            || common(&self.built_in, &then.built_in)
            || self.built_in.is_empty()
                && (common(&self.storage, &then.storage) || common(&self.adapters, &then.adapters))
    }

    /// These, with those of then in the place of what is not shown.
    fn or(self, then: &Self) -> Self {
        let or = |now: Vec<String>, then: &Vec<String>| if now.is_empty() { then.clone() } else { now };
        Self {
            built_in: or(self.built_in, &then.built_in),
            adapters: or(self.adapters, &then.adapters),
            storage: or(self.storage, &then.storage),
        }
    }
}

fn common(some: &[String], others: &[String]) -> bool {
    some.iter().any(|one| others.contains(one))
}

/// The numbers of cards (`cid`, Documentation/driver-api/mmc/mmc-dev-attrs.rst) and of NVMe drives
/// (`drivers/nvme/host/sysfs.c`). Without noting them: they are private, and no part of a captured tree.
fn storage(root: &Sysroot) -> Vec<String> {
    let cards = |host: String| {
        let cards = root.list(format!("/sys/class/mmc_host/{host}")).unwrap_or_default();
        let cards = cards.into_iter().filter(|card| card.contains(':'));
        cards.map(|card| format!("/sys/class/mmc_host/{host}/{card}/cid")).collect::<Vec<_>>()
    };
    let hosts = root.list("/sys/class/mmc_host").unwrap_or_default();
    let drives = root.list("/sys/class/nvme").unwrap_or_default();
    let drives = drives.into_iter().map(|drive| format!("/sys/class/nvme/{drive}/serial"));
    let numbers = hosts.into_iter().flat_map(cards).chain(drives).filter_map(|path| {
        let number = root.read_unnoted(Path::new(&path), 256).ok()?;
        let number = str::from_utf8(&number).ok()?.trim().to_owned();
        // Of a whole series, or of a drive that has none.
        let is_number = number.len() >= 8 && number.bytes().any(|byte| byte != b'0' && byte != b' ');
        is_number.then_some(number)
    });
    numbers.collect()
}

/// Where the id is kept: in the directory that systemd made for this process; on the running system else in the service's.
pub(super) fn path(root: &Sysroot) -> Option<PathBuf> {
    own_path().or_else(|| root.is_live().then(|| Path::new(OF_THE_SERVICE).join(NAME)))
}

/// Where this process may keep it.
fn own_path() -> Option<PathBuf> {
    // Several are separated by colons; ours is one.
    path_in(Path::new(&env::var_os("STATE_DIRECTORY")?))
}

/// Where it is in a directory for the state, if that is one.
fn path_in(directory: &Path) -> Option<PathBuf> {
    (directory.is_absolute() && directory.is_dir()).then(|| directory.join(NAME))
}

/// What is kept there. Nothing if that is no kept id, or this user may not read it.
///
/// # Errors
///
/// When it cannot be read now.
pub(super) fn load(path: &Path) -> Result<Option<Kept>, SensorError> {
    let bytes = match files::read(path, SIZE_MAX, Links::Refuse) {
        Ok((bytes, _)) => bytes,
        // Of the system's errors only those of the storage; that of a strange file has no number.
        Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => return Err(SensorError::Io),
        Err(_) => return Ok(None),
    };
    Ok(parse(&bytes))
}

/// What is kept in the file's bytes.
pub(crate) fn parse(bytes: &[u8]) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    let is_id = (8..=HARDWARE_ID_MAX).contains(&kept.id.len())
        && kept.id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        // It may have been chosen before this number was known to be the same on many boards.
        && !is_placeholder(&kept.id);
    is_id.then_some(kept)
}

impl Kept {
    /// Whether it was kept for the board that shows these marks.
    pub(super) fn is_of(&self, marks: &Marks) -> bool {
        marks.are_of(&self.marks)
    }
}

/// Keeps an id that was chosen for the board that shows these marks, if this process has a place for it.
pub(super) fn keep(id: &str, from: IdSource, marks: Marks) {
    if let Some(path) = own_path() {
        keep_in(&path, id, from, marks);
    }
}

/// Writes only what is not kept yet.
fn keep_in(path: &Path, id: &str, from: IdSource, marks: Marks) {
    let kept = load(path).ok().flatten();
    let marks = match &kept {
        Some(kept) if kept.is_of(&marks) => marks.or(&kept.marks),
        Some(kept) => {
            log::warn!(
                "the hardware id {} in {} was chosen for another board: this one has {id}",
                kept.id,
                path.display()
            );
            marks
        }
        None => marks,
    };
    let new = Kept { id: id.to_owned(), from, marks };
    if new.marks == Marks::default() || kept.as_ref() == Some(&new) {
        return;
    }
    let written = serde_json::to_vec_pretty(&new)
        .map_err(io::Error::from)
        .and_then(|bytes| files::replace(path, &bytes, 0o600, Durability::Synced));
    if let Err(error) = written {
        log::warn!("{}: the hardware id could not be kept: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(built_in: &[&str], adapters: &[&str], storage: &[&str]) -> Marks {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Marks { built_in: owned(built_in), adapters: owned(adapters), storage: owned(storage) }
    }

    #[test]
    fn a_board_is_known_by_what_stays_on_it_and_else_by_its_storage_or_adapter() {
        let wired = marks(&["a", "b"], &["u"], &["card"]);
        assert!(marks(&["b"], &[], &["other card"]).are_of(&wired));
        assert!(!marks(&["c"], &["u"], &["card"]).are_of(&wired), "the card was moved");
        assert!(marks(&[], &[], &["card"]).are_of(&wired), "its drivers come late");
        let bare = marks(&[], &["u"], &["card"]);
        assert!(marks(&[], &[], &["card"]).are_of(&bare), "the adapter was unplugged");
        assert!(marks(&[], &["v"], &["card"]).are_of(&bare), "another adapter");
        assert!(marks(&[], &["u"], &["other card"]).are_of(&bare), "another card");
        assert!(!marks(&[], &["v"], &["other card"]).are_of(&bare), "a clone");
        assert!(!marks(&["a"], &[], &["card"]).are_of(&bare), "the card was moved");
        assert!(Marks::default().are_of(&bare), "its drivers have not been loaded yet");
    }

    #[test]
    fn what_is_not_shown_now_stays_a_mark() {
        let then = marks(&["a"], &["u"], &["card"]);
        assert_eq!(marks(&[], &[], &["card"]).or(&then), then);
        assert_eq!(marks(&["a", "b"], &[], &["other"]).or(&then), marks(&["a", "b"], &["u"], &["other"]));
    }

    #[test]
    fn an_id_is_kept_where_there_is_a_directory_and_written_once() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(path_in(Path::new("src")), None, "relative");
        assert_eq!(path_in(&dir.path().join("none")), None);
        let path = path_in(dir.path()).expect("a place");
        keep_in(&path, "dca632010203", IdSource::Mac, Marks::default());
        assert_eq!(load(&path), Ok(None), "nothing would tell the board from others");
        let keep =
            |adapters: &[&str]| keep_in(&path, "dca632010203", IdSource::Mac, marks(&["a"], adapters, &[]));
        let written = || std::fs::metadata(&path).expect("a file").modified().expect("a time");
        keep(&["b"]);
        let kept = load(&path).expect("read").expect("an id");
        assert_eq!((kept.id.as_str(), &kept.marks), ("dca632010203", &marks(&["a"], &["b"], &[])));
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("opened")
            .set_modified(long_ago)
            .expect("set");
        keep(&["b"]);
        keep(&[]);
        assert_eq!(written(), long_ago, "it is kept already, with the adapter of then");
        keep(&["c"]);
        assert_ne!(written(), long_ago);
    }

    #[test]
    fn a_file_that_is_no_kept_id_keeps_nothing() {
        let kept =
            Kept { id: "dca632010203".to_owned(), from: IdSource::Mac, marks: marks(&["a"], &[], &[]) };
        let written = serde_json::to_vec(&kept).expect("JSON");
        assert_eq!(parse(&written), Some(kept));
        let text = String::from_utf8(written).expect("UTF-8");
        for bad in [
            "",
            "{}",
            "dca632010203",
            &text.replace("dca632010203", "dca6"),
            &text.replace("dca", "\\u001b["),
            &text.replace("dca632010203", "00e04c534458"),
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
