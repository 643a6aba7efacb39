//! The state of the system as a whole, from `/proc`: its load, its swap space, whether its root filesystem can be written.

use heartbeat_core::{SensorError, readings::System, units::Percent};

use super::{
    Source,
    procfs::{loadavg, mountinfo, swaps},
    sysroot::{Reread, Sysroot, read_whole},
};

/// Greatest length of a file that is read; a mount takes a line of 100 bytes as a rule.
const READ_MAX: u64 = 64 * 1024;

/// Files of `/proc`, each for itself.
pub(crate) struct SystemState {
    loadavg: Reread,
}

impl Default for SystemState {
    fn default() -> Self {
        Self { loadavg: Reread::new(loadavg::PATH) }
    }
}

impl Source for SystemState {
    type Reading = System;

    fn place(&self) -> String {
        [loadavg::PATH, swaps::PATH, mountinfo::PATH].join(", ")
    }

    /// Reads each part for itself. Where none can be read, that is one error of the source.
    fn read(&mut self, root: &Sysroot) -> Result<System, SensorError> {
        let mut buffer = [0; 64];
        let load = self
            .loadavg
            .read(root, &mut buffer)
            .and_then(|text| loadavg::parse(text).ok_or(SensorError::Invalid));
        let system = System { load, swap: swap(root), root_read_only: root_read_only(root) };
        match system {
            System { load: Err(error), swap: Err(_), root_read_only: Err(_) } => Err(error),
            system => Ok(system),
        }
    }
}

fn swap(root: &Sysroot) -> Result<Percent, SensorError> {
    let file = root.open(swaps::PATH)?.rewritten_by(|swaps, _| swaps::without_names(swaps));
    swaps::parse(&read_whole(file, READ_MAX)?)
}

fn root_read_only(root: &Sysroot) -> Result<bool, SensorError> {
    let file = root
        .open(mountinfo::PATH)?
        .rewritten_by(|mountinfo, _| mountinfo::lines_of_root(mountinfo).collect::<Vec<_>>().concat());
    mountinfo::root_read_only(&read_whole(file, READ_MAX)?).ok_or(SensorError::Invalid)
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
        assert_eq!(SystemState::default().read(&root), Ok(expected));
        let (_dir, root) =
            tree(&[("proc/swaps", "Filename Type Size Used Priority\n/var/swap file 200 50 -2\n")]);
        let read = SystemState::default().read(&root).expect("one part");
        assert_eq!((read.load, read.swap), (Err(SensorError::Absent), Ok(Percent::from_raw(250))));
    }

    #[test]
    fn a_system_without_any_of_the_files_has_none() {
        let (_dir, root) = tree(&[]);
        assert_eq!(SystemState::default().read(&root), Err(SensorError::Absent));
        let (_dir, root) = tree(&[("proc/loadavg", "x"), ("proc/swaps", "x")]);
        assert_eq!(SystemState::default().read(&root), Err(SensorError::Invalid));
    }

    #[test]
    fn reads_this_machine() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let system = SystemState::default().read(&root).expect("a system");
        assert!(system.load.is_ok() && system.root_read_only.is_ok(), "{system:?}");
    }
}
