//! Space of a filesystem.

use std::path::{Path, PathBuf};

use heartbeat_core::{SensorError, readings::DiskSpace};
use nix::sys::{
    statfs::{EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs},
    statvfs::statvfs,
};

use super::{
    Source,
    sysroot::{Sysroot, sensor_error},
};

/// The filesystem that holds a path.
pub(crate) struct Filesystem {
    path: PathBuf,
}

impl Filesystem {
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Source for Filesystem {
    type Reading = DiskSpace;

    fn place(&self) -> String {
        format!("statvfs {}", self.path.display())
    }

    fn read(&mut self, root: &Sysroot) -> Result<DiskSpace, SensorError> {
        space_of(root.reach(&self.path)?.as_ref())
    }
}

/// Whether asking for the space of the root never waits: its filesystem is on this machine, which has the numbers in
/// memory, and looking up its path leads nowhere else.
pub(crate) fn is_root_local() -> bool {
    let local = [EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC];
    statfs("/").is_ok_and(|stat| local.contains(&stat.filesystem_type()))
}

/// Asks the kernel. Blocks for as long as the filesystem does.
fn space_of(path: &Path) -> Result<DiskSpace, SensorError> {
    let stat = statvfs(path).map_err(sensor_error)?;
    // 32 bits wide on some 32-bit targets.
    #[allow(clippy::useless_conversion)]
    let [fragment_size, blocks, free, available] = [
        u64::from(stat.fragment_size()),
        u64::from(stat.blocks()),
        u64::from(stat.blocks_free()),
        u64::from(stat.blocks_available()),
    ];
    Ok(space(fragment_size, blocks, free, available))
}

/// As `df` computes it (statvfs(3)): used is what is not free, available what is free for the unprivileged.
fn space(fragment_size: u64, blocks: u64, free: u64, available: u64) -> DiskSpace {
    DiskSpace {
        total: blocks.saturating_mul(fragment_size),
        used: blocks.saturating_sub(free).saturating_mul(fragment_size),
        available: available.saturating_mul(fragment_size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_impossible_figures() {
        assert_eq!(space(4096, 100, 60, 50), DiskSpace { total: 409_600, used: 163_840, available: 204_800 });
        assert_eq!(space(4096, 10, 11, 10).used, 0, "more free than there is");
        assert_eq!(space(u64::MAX, 2, 0, 0).total, u64::MAX);
    }

    #[test]
    fn a_path_that_is_gone_is_absent() {
        assert_eq!(space_of(Path::new("/nonexistent")), Err(SensorError::Absent));
    }

    #[test]
    fn links_of_a_tree_do_not_lead_out_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("data")).expect("created");
        std::os::unix::fs::symlink("/data", dir.path().join("inside")).expect("linked");
        // Another filesystem, with other figures than that of the tree.
        std::os::unix::fs::symlink("/proc", dir.path().join("outside")).expect("linked");
        let root = Sysroot::new(dir.path()).expect("opened");
        let read = |path: &str| Filesystem::of(Path::new(path)).read(&root).map(|space| space.total);
        assert_eq!(read("/inside"), space_of(dir.path()).map(|space| space.total));
        assert_eq!(read("/outside"), Err(SensorError::Absent));
    }
}
