//! Whether another user may know a file's size: what one user names must not tell about the files of another.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use heartbeat_core::SensorError;
use nix::sys::{
    stat::{FileStat, fstat},
    statfs::{TMPFS_MAGIC, statfs},
};

use super::{
    accounts,
    recording::Entry,
    sysroot::{Sysroot, real_path, sensor_error},
};

/// Permission bits of one class, as for `others` (inode(7)).
const READ: u32 = 0o4;
const SEARCH: u32 = 0o1;
/// Where homes are. The service's unit shows empty directories in place of those that it hides (tmpfs).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// A user, as far as permissions go. Access control lists are not looked at.
struct User {
    uid: u32,
    groups: Vec<u32>,
}

/// Owner, group and mode of a file.
#[derive(Debug, Clone, Copy)]
struct Permissions {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl User {
    fn of(root: &Sysroot, uid: u32) -> Self {
        Self { uid, groups: accounts::groups_of(root, uid) }
    }

    /// Whether the class of the file that the user belongs to has this bit.
    fn may(&self, bit: u32, file: Permissions) -> bool {
        let class = if file.uid == self.uid {
            6
        } else if self.groups.contains(&file.gid) {
            3
        } else {
            0
        };
        self.uid == 0 || (file.mode >> class) & bit != 0
    }
}

impl From<&FileStat> for Permissions {
    fn from(stat: &FileStat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode }
    }
}

impl From<&fs::Metadata> for Permissions {
    fn from(metadata: &fs::Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() }
    }
}

impl Sysroot {
    /// Size in bytes of a regular file that a user has named: their own, or one that they may read.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] also when the user may not read it, so that the answer does not tell whether it is there;
    /// else as [`Sysroot::file_size`].
    pub(crate) fn file_size_for(&self, path: &Path, uid: u32) -> Result<u64, SensorError> {
        if uid == 0 {
            return self.file_size(path);
        }
        let (size, fd) = match self.regular_file(path) {
            Ok(found) => found,
            // A directory, for example, which the user may not see either.
            Err(SensorError::Invalid) => return Err(SensorError::Absent),
            // In a captured tree only the size may be left of it.
            Err(_) => return self.file_size(path),
        };
        if !self.is_known_to(uid, &fd)? {
            return Err(SensorError::Absent);
        }
        self.note(path, || Entry::Size(size));
        Ok(size)
    }

    fn is_known_to(&self, uid: u32, fd: &OwnedFd) -> Result<bool, SensorError> {
        let file = Permissions::from(&fstat(fd).map_err(sensor_error)?);
        if file.uid == uid {
            return Ok(true);
        }
        let user = User::of(self, uid);
        // By the descriptor, because the name may lead elsewhere by now.
        let real = real_path(fd).map_err(|_| SensorError::Denied)?;
        Ok(user.may(READ, file) && self.is_reached_by(&user, &real))
    }

    /// Whether a user may search all directories above a file. Its path is that of the host.
    fn is_reached_by(&self, user: &User, real: &Path) -> bool {
        let Ok(root) = self.real_root() else { return false };
        let above: Vec<PathBuf> = real
            .ancestors()
            .skip(1)
            .take_while(|above| above.starts_with(&root))
            .map(Path::to_owned)
            .collect();
        !above.is_empty()
            && above.iter().all(|directory| {
                let metadata = directory.symlink_metadata();
                metadata.is_ok_and(|metadata| user.may(SEARCH, Permissions::from(&metadata)))
                    && !(self.is_live() && stands_for_a_home(directory))
            })
    }
}

/// Whether it is a directory of the unit's in place of one in a home, whose own permissions are not known.
fn stands_for_a_home(directory: &Path) -> bool {
    let is_in_home = HOMES.iter().any(|home| directory.starts_with(home));
    is_in_home && statfs(directory).is_ok_and(|statfs| statfs.filesystem_type() == TMPFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use nix::unistd::geteuid;

    const OWNER: u32 = 54_321;
    const OTHER: u32 = 54_322;
    const GROUP: u32 = 54_330;

    /// `recordings/film` of OWNER, with these modes.
    fn tree(directory: u32, file: u32) -> Option<(tempfile::TempDir, Sysroot)> {
        if !geteuid().is_root() {
            println!("skipped: only root can give files away");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        for above in ["etc", "recordings"] {
            fs::create_dir(dir.path().join(above)).expect("created");
        }
        fs::write(dir.path().join("etc/passwd"), format!("other:x:{OTHER}:{OTHER}::/:\n")).expect("written");
        fs::write(dir.path().join("etc/group"), format!("films:x:{GROUP}:a,other\n")).expect("written");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let film = dir.path().join("recordings/film");
        fs::write(&film, "12345").expect("written");
        for (path, mode) in [("recordings/film", file), ("recordings", directory)] {
            let path = dir.path().join(path);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            chown(&path, Some(OWNER), Some(GROUP)).expect("given");
        }
        let root = Sysroot::new(dir.path()).expect("opened");
        Some((dir, root))
    }

    #[test]
    fn size_is_for_those_who_may_read_the_file() {
        let unrelated = OTHER + 1;
        for (directory, file, allowed) in [
            (0o755, 0o644, [true, true, true]),
            (0o755, 0o640, [true, true, false]),
            (0o755, 0o600, [true, false, false]),
            (0o755, 0o604, [true, false, true]),
            (0o750, 0o644, [true, true, false]),
            (0o700, 0o644, [true, false, false]),
            (0o744, 0o644, [true, false, false]),
            (0o711, 0o644, [true, true, true]),
        ] {
            let Some((_dir, root)) = tree(directory, file) else { return };
            let size = |uid| root.file_size_for(Path::new("/recordings/film"), uid);
            assert_eq!(size(0), Ok(5));
            for (uid, allowed) in [OWNER, OTHER, unrelated].into_iter().zip(allowed) {
                let expected = if allowed { Ok(5) } else { Err(SensorError::Absent) };
                assert_eq!(size(uid), expected, "{uid} in {directory:o}/{file:o}");
            }
        }
    }

    #[test]
    fn link_does_not_lead_to_what_its_owner_may_not_read() {
        let Some((dir, root)) = tree(0o700, 0o644) else { return };
        symlink("/recordings/film", dir.path().join("link")).expect("linked");
        assert_eq!(root.file_size_for(Path::new("/link"), OTHER), Err(SensorError::Absent));
        assert_eq!(root.file_size_for(Path::new("/link"), OWNER), Ok(5));
        assert_eq!(root.file_size_for(Path::new("/recordings"), OTHER), Err(SensorError::Absent));
        assert_eq!(root.file_size_for(Path::new("/none"), OTHER), Err(SensorError::Absent));
    }

    #[test]
    fn captured_size_counts_for_all_users() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("film.size"), "7").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(root.file_size_for(Path::new("/film"), OTHER), Ok(7));
    }

    #[test]
    fn only_a_tmpfs_in_a_home_stands_for_one() {
        for directory in ["/", "/proc", "/home", "/nonexistent", "/dev/shm", "/run"] {
            assert!(!stands_for_a_home(Path::new(directory)), "{directory}");
        }
    }
}
