//! `hardwareid`: identifies this board, by the same string for as long as the board is used.
//!
//! Its candidates are asked in one go: one that is there and cannot be read at the moment is no reason to take the next,
//! which would be another id.

pub(crate) mod kept;

use std::path::PathBuf;

use heartbeat_core::{SensorError, limits::HARDWARE_ID_MAX, text::Text, time::Duration};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Candidate, Configured, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{
        REPROBE, Source,
        network::permanent_address,
        placeholder::is_placeholder,
        sysroot::{Sysroot, read_whole},
    },
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Text<HARDWARE_ID_MAX>;
    type Config = Option<String>;
    const NAME: &'static str = "hardwareid";
    const KEYS: &'static [&'static str] = &["hardwareid"];

    fn config(settings: &Settings) -> Self::Config {
        settings.hardware_id.clone()
    }

    fn candidates(shared: &Shared, configured: &Self::Config) -> Vec<Candidate<Self::Reading>> {
        vec![match configured {
            Some(id) => shared.prompt(Configured(Text::new(id))),
            None => shared.blocking(Board::default()),
        }]
    }

    fn show(id: &Self::Reading) -> String {
        id.to_string()
    }

    fn advice(problem: Problem, _: &Self::Config) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent)).then_some("set hardware_id")
    }
}

/// The first of the board's sources that identifies it.
#[derive(Default)]
struct Board {
    /// Where it was found, or what could not be read.
    place: Option<String>,
}

impl Source for Board {
    type Reading = Text<HARDWARE_ID_MAX>;

    fn place(&self) -> String {
        self.place.clone().unwrap_or_else(|| "serial, network interfaces, machine-id".to_owned())
    }

    fn read(&mut self, root: &Sysroot) -> Result<Self::Reading, SensorError> {
        match of_board(root) {
            Ok(chosen) => {
                self.place = Some(chosen.place());
                Ok(Text::new(&chosen.id))
            }
            Err(NoIdentity::Unreadable(source)) => {
                self.place = Some(source.place().to_owned());
                Err(SensorError::Io)
            }
            Err(NoIdentity::Unidentified(error)) => Err(error),
        }
    }

    /// An id holds for good, and what is wrong is not looked at again at each turn of the main loop.
    fn holds(&self, outcome: &Result<Self::Reading, SensorError>) -> Duration {
        if outcome.is_ok() { Duration::from_micros(u64::MAX) } else { REPROBE }
    }
}

/// `/proc/cpuinfo` of a Pi has 2 KiB; of a server with hundreds of cores more, but no serial.
const CPUINFO_MAX: u64 = 64 * 1024;

/// Identifies this program to [`machine_specific`]: random, never to change.
const APPLICATION_ID: [u8; 16] =
    [0x7a, 0x0e, 0x5c, 0x3b, 0x91, 0x64, 0x4d, 0x2f, 0xa8, 0x57, 0x1c, 0xe3, 0x42, 0x9b, 0xd0, 0x86];

/// Where a hardware id came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdSource {
    /// The firmware's serial in `/proc/cpuinfo`.
    Cpuinfo,
    /// The serial in the device tree.
    DeviceTree,
    /// The permanent address of a network interface.
    Mac,
    /// Derived from `/etc/machine-id`: survives reboots, but not a new system on the same board.
    MachineId,
    /// The id that was kept, of which it could not be found out what it was chosen from.
    Kept,
}

impl IdSource {
    /// Its place, for people.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Cpuinfo => "Serial in /proc/cpuinfo",
            Self::DeviceTree => "/proc/device-tree/serial-number",
            Self::Mac => "/sys/class/net/*/address",
            Self::MachineId => "/etc/machine-id",
            Self::Kept => "the hardware id in the state directory",
        }
    }

    fn read(self, root: &Sysroot) -> Result<String, SensorError> {
        match self {
            Self::Cpuinfo => cpuinfo(root),
            Self::DeviceTree => device_tree(root),
            Self::Mac => permanent_address::find(root).map(|mac| mac.replace(':', "")),
            Self::MachineId => machine_specific(root),
            Self::Kept => Err(SensorError::Absent),
        }
    }
}

/// Why there is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// A source could not be read: a transient error.
    #[error("{}: {}", .0.place(), SensorError::Io)]
    Unreadable(IdSource),
    /// Nothing identifies this board; what is wrong with the last resort.
    #[error(
        "no serial in /proc/cpuinfo or /proc/device-tree/serial-number, no network interface with a permanent address, \
         /etc/machine-id: {0}"
    )]
    Unidentified(SensorError),
}

/// The board's own id and where it was found: the first that answers of the firmware's serial, the device tree's,
/// the permanent address of a network interface, and a hash of `/etc/machine-id`.
///
/// Serials that vendors put into all boards of a series are no ids.
///
/// # Errors
///
/// When none answers, or one cannot be read.
pub fn find(root: &Sysroot) -> Result<(String, IdSource), NoIdentity> {
    match first(root, SERIALS)? {
        Ok(found) => Ok(found),
        Err(_) => first(root, OTHERS)?.map_err(NoIdentity::Unidentified),
    }
}

/// What a board has for good.
const SERIALS: [IdSource; 2] = [IdSource::Cpuinfo, IdSource::DeviceTree];
/// What it may lose.
const OTHERS: [IdSource; 2] = [IdSource::Mac, IdSource::MachineId];

/// The first of these that answers; the inner error is that of the last.
fn first(
    root: &Sysroot,
    sources: [IdSource; 2],
) -> Result<Result<(String, IdSource), SensorError>, NoIdentity> {
    let mut trouble = SensorError::Absent;
    for source in sources {
        match source.read(root) {
            Ok(id) => return Ok(Ok((id, source))),
            Err(SensorError::Io) => return Err(NoIdentity::Unreadable(source)),
            Err(error) => trouble = error,
        }
    }
    Ok(Err(trouble))
}

/// An id that was chosen for this board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The id.
    pub id: String,
    /// What it was chosen from.
    pub source: IdSource,
    /// The file in which it was kept since.
    kept_in: Option<PathBuf>,
}

impl Chosen {
    /// Where it is from, for people.
    pub fn place(&self) -> String {
        match &self.kept_in {
            Some(path) => format!("{}, kept in {}", self.source.place(), path.display()),
            None => self.source.place().to_owned(),
        }
    }
}

/// As [`find`], and between serials and what a board may lose the id that was once chosen for it (`kept`).
///
/// # Errors
///
/// As [`find`].
pub fn of_board(root: &Sysroot) -> Result<Chosen, NoIdentity> {
    if let Ok((id, source)) = first(root, SERIALS)? {
        return Ok(Chosen { id, source, kept_in: None });
    }
    if let Some(path) = kept::path(root) {
        let kept = kept::load(&path).map_err(|_| NoIdentity::Unreadable(IdSource::Kept))?;
        if let Some(kept) = kept
            && kept.is_of(&kept::Marks::read(root).map_err(|_| NoIdentity::Unreadable(IdSource::Mac))?)
        {
            return Ok(Chosen { id: kept.id, source: kept.from, kept_in: Some(path) });
        }
    }
    let (id, source) = first(root, OTHERS)?.map_err(NoIdentity::Unidentified)?;
    Ok(Chosen { id, source, kept_in: None })
}

/// Keeps the id of a board without a serial for the next start.
pub fn keep(root: &Sysroot, chosen: &Chosen) {
    // Marks that cannot be read now are read at the next start.
    if can_be_lost(chosen.source)
        && let Ok(marks) = kept::Marks::read(root)
    {
        kept::keep(&chosen.id, chosen.source, marks);
    }
}

/// Whether what an id was chosen from may be another thing at the next start.
fn can_be_lost(source: IdSource) -> bool {
    !SERIALS.contains(&source)
}

fn cpuinfo(root: &Sysroot) -> Result<String, SensorError> {
    let text = read_whole(root.open("/proc/cpuinfo")?, CPUINFO_MAX)?;
    parse_cpuinfo(&text).ok_or(SensorError::Absent)
}

/// The line `Serial : 10000000a1b2c3d4`, which only Raspberry Pi kernels have.
pub(crate) fn parse_cpuinfo(text: &[u8]) -> Option<String> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let (key, value) = str::from_utf8(line).ok()?.split_once(':')?;
        if key.trim_end() == "Serial" { serial(value) } else { None }
    })
}

fn device_tree(root: &Sysroot) -> Result<String, SensorError> {
    let mut buffer = [0; 64];
    let bytes = root.read("/proc/device-tree/serial-number", &mut buffer)?;
    // Ends in a NUL (Devicetree Specification 0.4, 2.2.4 "<string>").
    let text = bytes.split(|byte| *byte == 0).next().and_then(|text| str::from_utf8(text).ok());
    text.and_then(serial).ok_or(SensorError::Invalid)
}

/// A serial that means something: 8 to 32 letters and digits, and no placeholder.
pub(crate) fn serial(text: &str) -> Option<String> {
    let text = text.trim();
    let plausible = (8..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plausible && !is_placeholder(text)).then(|| text.to_owned())
}

/// An application-specific machine id as systemd derives it (`sd_id128_get_machine_app_specific(3)`): the
/// machine's own id is confidential and must not leave it.
fn machine_specific(root: &Sysroot) -> Result<String, SensorError> {
    let mut buffer = [0; 64];
    let text = root.read_text("/etc/machine-id", &mut buffer)?;
    let machine = parse_machine_id(text).ok_or(SensorError::Invalid)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &machine);
    let tag = hmac::sign(&key, &APPLICATION_ID);
    // A SHA-256 tag has 32 bytes.
    let mut id: [u8; 16] = *tag.as_ref().first_chunk().ok_or(SensorError::Invalid)?;
    id[6] = (id[6] & 0x0f) | 0x40; // version 4 (RFC 9562, 5.4)
    id[8] = (id[8] & 0x3f) | 0x80; // variant
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a machine-id may have come with the image of a container, which is the same on every board that runs it. The
/// marks are those of Docker and Podman, and a network of virtual interfaces only.
///
/// It is used nevertheless, with a warning: a container with an id of its own looks the same.
pub fn is_container(root: &Sysroot) -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| root.exists(mark))
        || permanent_address::all_are_virtual(root)
}

fn parse_machine_id(text: &str) -> Option<[u8; 16]> {
    // The length and the digits first: from_str_radix would take a sign.
    let plausible = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|id| plausible && *id != 0)?;
    Some(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path};

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }

    #[test]
    fn takes_the_first_source_that_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let id = || find(&root);
        assert_eq!(id(), Err(NoIdentity::Unidentified(SensorError::Absent)));
        write(dir.path(), "etc/machine-id", b"uninitialized\n");
        assert_eq!(id(), Err(NoIdentity::Unidentified(SensorError::Invalid)));
        write(dir.path(), "etc/machine-id", b"8a7d5c1e0f3b4a2d9c6e5f4a3b2c1d0e\n");
        // As Python's hmac module computes it.
        assert_eq!(id(), Ok(("d3d8c7bce012421e8e112233d6809dd8".to_owned(), IdSource::MachineId)));
        write(dir.path(), "sys/class/net/eth0/address", b"dc:a6:32:01:02:03\n");
        write(dir.path(), "sys/class/net/eth0/addr_assign_type", b"0\n");
        write(dir.path(), "sys/class/net/eth0/type", b"1\n");
        assert_eq!(
            id().map(|id| id.1),
            Ok(IdSource::MachineId),
            "a virtual interface does not identify the board"
        );
        assert!(is_container(&root));
        write(dir.path(), "sys/class/net/eth0/device/uevent", b"DRIVER=bcmgenet\n");
        assert_eq!(id(), Ok(("dca632010203".to_owned(), IdSource::Mac)));
        write(dir.path(), "proc/device-tree/serial-number", b"10000000a1b2c3d4\0");
        assert_eq!(id(), Ok(("10000000a1b2c3d4".to_owned(), IdSource::DeviceTree)));
        write(dir.path(), "proc/cpuinfo", b"processor\t: 0\n\nSerial\t\t: 10000000ffffffff\nModel\t: x\n");
        assert_eq!(id(), Ok(("10000000ffffffff".to_owned(), IdSource::Cpuinfo)));
        write(dir.path(), "proc/cpuinfo", b"Serial\t\t: 0000000000000000\n");
        assert_eq!(id().map(|id| id.1), Ok(IdSource::DeviceTree), "zeros are no serial");
        // What the boot loader of a vendor gives to all its Rockchip boards.
        write(dir.path(), "proc/device-tree/serial-number", b"c3d9b8674f4b94f6\0");
        assert_eq!(id().map(|id| id.1), Ok(IdSource::Mac), "the same on many boards");
        fs::remove_dir_all(dir.path().join("sys")).expect("removed");
        assert_eq!(id().map(|id| id.1), Ok(IdSource::MachineId));
        assert!(!is_container(&root));
        write(dir.path(), ".dockerenv", b"");
        assert!(is_container(&root));
    }

    #[test]
    fn what_can_be_lost_is_kept_and_a_serial_is_not() {
        use IdSource::{Cpuinfo, DeviceTree, Kept, Mac, MachineId};
        assert!([Mac, MachineId, Kept].into_iter().all(can_be_lost));
        assert!(![Cpuinfo, DeviceTree].into_iter().any(can_be_lost));
    }

    /// Behind the lines of 64 cores.
    #[test]
    fn a_serial_is_found_at_the_end_of_a_long_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let cores =
            "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n\n".repeat(64);
        write(dir.path(), "proc/cpuinfo", format!("{cores}Serial\t\t: 10000000a1b2c3d4\n").as_bytes());
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(find(&root), Ok(("10000000a1b2c3d4".to_owned(), IdSource::Cpuinfo)));
    }

    #[test]
    fn rejects_serials_and_machine_ids_that_are_none() {
        for bad in [
            "",
            "-1",
            "1234567",
            "00000000",
            "FFFFFFFF",
            "0123456789ABCDEF",
            "Default string",
            "1000 0000",
            "\u{fffd}",
            &"1".repeat(33),
        ] {
            assert_eq!(serial(bad), None, "{bad:?}");
        }
        assert_eq!(parse_machine_id("8a7d"), None);
        assert_eq!(parse_machine_id("+a7d5c1e0f3b4a2d9c6e5f4a3b2c1d0e"), None);
        assert_eq!(parse_machine_id("uninitialized"), None);
        assert_eq!(parse_machine_id(&"0".repeat(32)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse_cpuinfo(&bytes);
        }
    }
}
