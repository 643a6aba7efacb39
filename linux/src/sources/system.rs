//! The state of the system as a whole, from `/proc`: its load, its swap space, whether its root filesystem can be written.

use heartbeat_core::{
    SensorError,
    readings::System,
    time::Duration,
    units::{Load, Percent},
};

use super::{
    REPROBE, Source,
    procfs::{loadavg, mountinfo, swaps},
    sysroot::{Reread, Sysroot, read_whole},
};

/// Greatest length of the list of mounts that is read; a mount takes a line of 100 bytes as a rule.
const MOUNTS_MAX: u64 = 64 * 1024;
/// Room for the table of swap space: a line of some 80 bytes for each, and a header.
const SWAPS_MAX: usize = 2048;
/// For how long it is known whether the root filesystem can be written. The kernel makes the whole list of mounts for it,
/// and does not tell that a fault of the card has changed it; after one it stays read-only.
const MOUNT_HOLDS: Duration = Duration::from_secs(15);

/// Load and swap space: files of `/proc` that are kept open and never block.
pub(crate) struct SystemState {
    loadavg: Reread,
    swaps: Reread,
}

impl Default for SystemState {
    fn default() -> Self {
        let swaps = Reread::new(swaps::PATH).rewritten_by(|swaps, _| swaps::without_names(swaps));
        Self { loadavg: Reread::new(loadavg::PATH), swaps }
    }
}

impl SystemState {
    /// Where it looks, and where [`RootMount`] does.
    pub(crate) fn place() -> String {
        [loadavg::PATH, swaps::PATH, mountinfo::PATH].join(", ")
    }

    /// Reads each part for itself, and puts the state of the root filesystem beside them. Where there is none of all, that
    /// is one error.
    pub(crate) fn read(
        &mut self,
        root: &Sysroot,
        root_read_only: Result<bool, SensorError>,
    ) -> Result<System, SensorError> {
        let system = System { load: self.load(root), swap: self.swap(root), root_read_only };
        match system {
            System { load: Err(error), swap: Err(_), root_read_only: Err(_) } => Err(error),
            system => Ok(system),
        }
    }

    fn load(&mut self, root: &Sysroot) -> Result<Load, SensorError> {
        let mut buffer = [0; 64];
        loadavg::parse(self.loadavg.read(root, &mut buffer)?).ok_or(SensorError::Invalid)
    }

    fn swap(&mut self, root: &Sysroot) -> Result<Percent, SensorError> {
        let mut buffer = [0; SWAPS_MAX];
        let table = self.swaps.read(root, &mut buffer)?;
        // Of a longer one the sums would be wrong.
        if table.len() < SWAPS_MAX { swaps::parse(table) } else { Err(SensorError::Invalid) }
    }
}

/// Whether the root filesystem is read-only. The kernel may wait for others that mount.
pub(crate) struct RootMount;

impl Source for RootMount {
    type Reading = bool;

    fn place(&self) -> String {
        mountinfo::PATH.to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<bool, SensorError> {
        let file = root
            .open(mountinfo::PATH)?
            .rewritten_by(|mountinfo, _| mountinfo::lines_of_root(mountinfo).collect::<Vec<_>>().concat());
        mountinfo::root_read_only(&read_whole(file, MOUNTS_MAX)?).ok_or(SensorError::Invalid)
    }

    fn holds(&self, outcome: &Result<bool, SensorError>) -> Duration {
        match outcome {
            Ok(_) => MOUNT_HOLDS,
            Err(SensorError::Absent) => REPROBE,
            Err(_) => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::units::Load;
    use std::{fs, path::Path};

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Sysroot) {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, content).expect("written");
        }
        let root = Sysroot::new(dir.path()).expect("opened");
        (dir, root)
    }

    fn read(root: &Sysroot) -> Result<System, SensorError> {
        SystemState::default().read(root, RootMount.read(root))
    }

    #[test]
    fn a_part_that_cannot_be_read_does_not_hide_the_others() {
        let (_dir, root) = tree(&[
            ("proc/loadavg", "0.52 0.58 0.59 1/467 12345\n"),
            ("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
            ("proc/self/mountinfo", "22 1 179:2 / / rw - ext4 /dev/root row\n"),
        ]);
        let expected = System {
            load: Ok(Load::from_raw(52)),
            swap: Err(SensorError::Absent),
            root_read_only: Err(SensorError::Invalid),
        };
        assert_eq!(read(&root), Ok(expected));
        let (_dir, root) =
            tree(&[("proc/swaps", "Filename Type Size Used Priority\n/var/swap file 200 50 -2\n")]);
        let read = read(&root).expect("one part");
        assert_eq!((read.load, read.swap), (Err(SensorError::Absent), Ok(Percent::from_raw(250))));
    }

    #[test]
    fn a_system_without_any_of_the_files_has_none() {
        let (_dir, root) = tree(&[]);
        assert_eq!(read(&root), Err(SensorError::Absent));
        let (_dir, root) = tree(&[("proc/loadavg", "x"), ("proc/swaps", "x")]);
        assert_eq!(read(&root), Err(SensorError::Invalid));
    }

    #[test]
    fn a_table_that_is_too_long_is_invalid() {
        let table = format!("Filename Type Size Used Priority\n{}", "/var/swap file 200 50 -2\n".repeat(100));
        let (_dir, root) = tree(&[("proc/loadavg", "0.52 0.58 0.59 1/467 12345\n"), ("proc/swaps", &table)]);
        assert_eq!(read(&root).expect("the load").swap, Err(SensorError::Invalid));
    }

    #[test]
    fn only_a_known_state_of_the_root_holds() {
        assert_eq!([Ok(true), Ok(false)].map(|known| RootMount.holds(&known)), [MOUNT_HOLDS; 2]);
        assert_eq!(RootMount.holds(&Err(SensorError::Io)), Duration::ZERO);
    }

    #[test]
    fn reads_this_machine() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let system = read(&root).expect("a system");
        assert!(system.load.is_ok() && system.root_read_only.is_ok(), "{system:?}");
    }
}
