//! The id under which the server knows this device: what the Python program has sent, which is not always what this
//! program finds.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::geteuid;

use super::{FILE_MAX, Sysroot, own_id, processes::runs_here, read, read_whole};
use crate::config::is_hardware_id;

/// Where the Python program leaves what it sends, at each heartbeat.
const STATE_FILE: &str = "/tmp/rpi_streamer_heartbeat.json";
/// Prefix of the id that it makes up when it finds none: a different id at each heartbeat, so there is none to keep.
const MADE_UP: &str = "fallback-";
/// `addr_assign_type` of such an address (`NET_ADDR_RANDOM`, linux/netdevice.h).
const NET_ADDR_RANDOM: i64 = 1;
const NO_ADDRESS: &str = "00:00:00:00:00:00";

/// The older service's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldId {
    pub(super) id: String,
    /// How it is known.
    pub(super) origin: String,
    /// Whether it was chance which of several interfaces the program took.
    pub(super) by_chance: bool,
    /// Whether it is an address that the kernel made up, and that is another one after the next boot.
    is_random: bool,
}

/// The id that the Python program has sent. `uid` is the user that it ran as.
pub(super) fn sent(root: &Sysroot, uid: u32) -> Option<OldId> {
    let sent = state_file(root, uid).map(|id| OldId {
        id,
        origin: STATE_FILE.to_owned(),
        by_chance: false,
        is_random: false,
    });
    sent.or_else(|| computed(root)).filter(|old| !old.id.starts_with(MADE_UP) && !old.id.is_empty())
}

/// This program's own.
pub(super) fn ours(root: &Sysroot) -> Option<String> {
    own_id::find(root).ok().map(|(id, _)| id)
}

/// Why an id is not one under which the server knows this device.
pub(super) fn doubt(root: &Sysroot, old: &OldId) -> Option<&'static str> {
    if !is_hardware_id(&old.id) {
        Some("which has characters or a length that this program does not send")
    } else if root.is_live() && !runs_here(root) {
        Some("which may be that of the machine on which this image is made")
    } else if old.is_random {
        Some("which the kernel made up at this boot")
    } else {
        None
    }
}

/// From the file in `/tmp`, in which any user may create files: only one that the service itself can have written
/// counts.
fn state_file(root: &Sysroot, uid: u32) -> Option<String> {
    let file = root.open_untrusted(STATE_FILE).ok()?;
    let owner = file.metadata().ok()?.uid();
    if ![uid, geteuid().as_raw()].contains(&owner) {
        return None;
    }
    let document: serde_json::Value = serde_json::from_slice(&read_whole(file, FILE_MAX).ok()?).ok()?;
    Some(document.get("hardwareid")?.as_str()?.to_owned())
}

/// As the Python program computes it: the serial as it stands, else the address of the first interface that has one, in
/// the order of the directory.
fn computed(root: &Sysroot) -> Option<OldId> {
    let cpuinfo = read(root, Path::new("/proc/cpuinfo")).unwrap_or_default();
    if let Some(id) = serial(&cpuinfo) {
        return Some(OldId {
            id,
            origin: "Serial in /proc/cpuinfo".to_owned(),
            by_chance: false,
            is_random: false,
        });
    }
    // In the kernel's order, not sorted.
    let interfaces = fs::read_dir(root.host_path(Path::new("/sys/class/net"))).ok()?;
    let mut addresses = interfaces.filter_map(|interface| {
        let name = interface.ok()?.file_name().into_string().ok()?;
        let mut buffer = [0; 64];
        let address = root.read_text(format!("/sys/class/net/{name}/address"), &mut buffer).ok()?.to_owned();
        (address != NO_ADDRESS).then_some((name, address))
    });
    let (name, address) = addresses.next()?;
    Some(OldId {
        id: address.replace(':', ""),
        origin: format!("address of {name}, which the Python program takes"),
        by_chance: addresses.next().is_some(),
        is_random: root.read_integer(format!("/sys/class/net/{name}/addr_assign_type"))
            == Ok(NET_ADDR_RANDOM),
    })
}

fn serial(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("Serial"))?;
    let serial = line.split_once(':')?.1.trim();
    (!serial.is_empty() && serial != "0000000000000000").then(|| serial.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_serial_as_it_stands() {
        assert_eq!(serial("x\nSerial\t\t: 10000000DEADBEEF\n").as_deref(), Some("10000000DEADBEEF"));
        assert_eq!(serial("Serial : 00000000\n").as_deref(), Some("00000000"));
        assert_eq!(serial("Serial : 0000000000000000\n"), None);
        assert_eq!(serial("Serial\n"), None);
    }

    #[test]
    fn believes_the_state_file_first() {
        let dir = tempfile::tempdir().expect("a directory");
        for directory in ["tmp", "sys/class/net/eth0", "sys/class/net/lo"] {
            fs::create_dir_all(dir.path().join(directory)).expect("created");
        }
        let root = Sysroot::new(dir.path()).expect("opened");
        fs::write(dir.path().join("sys/class/net/lo/address"), "00:00:00:00:00:00\n").expect("written");
        fs::write(dir.path().join("sys/class/net/eth0/address"), "dc:a6:32:01:02:03\n").expect("written");
        let id = || sent(&root, 0).map(|old| (old.id, old.by_chance));
        assert_eq!(id(), Some(("dca632010203".to_owned(), false)));
        fs::create_dir(dir.path().join("sys/class/net/docker0")).expect("created");
        fs::write(dir.path().join("sys/class/net/docker0/address"), "02:42:00:00:00:01\n").expect("written");
        assert_eq!(id().map(|id| id.1), Some(true), "two to choose from");
        let state = dir.path().join("tmp/rpi_streamer_heartbeat.json");
        fs::write(&state, r#"{"hardwareid": "024200000001", "cpu": 1}"#).expect("written");
        assert_eq!(id(), Some(("024200000001".to_owned(), false)));
        fs::write(&state, r#"{"hardwareid": "fallback-1795656481"}"#).expect("written");
        assert_eq!(id(), None, "a made-up id is not kept");
        fs::remove_file(&state).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", &state).expect("linked");
        assert_eq!(id().map(|id| id.1), Some(true), "a link is not followed");
    }
}
