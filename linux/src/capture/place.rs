//! The directory that a capture is written into: this user's, closed to all others, and the same one until the end.
//!
//! It may lie where any user can create names, such as in `/tmp`. In a directory of theirs they could put links in the
//! place of what is written, also while it is written; and root would write through them.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

use super::CaptureError;

/// An empty directory.
#[derive(Debug)]
pub(super) struct Place {
    named: PathBuf,
    directory: File,
}

impl Place {
    /// Makes the directory, or takes one that is there.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotEmpty`]; [`CaptureError::Unwritable`] when it is a link, or belongs to another user.
    pub(super) fn open(named: &Path) -> Result<Self, CaptureError> {
        let unwritable = |error| CaptureError::Unwritable(named.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(named).map_err(unwritable)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let directory =
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(named).map_err(unwritable)?;
        let place = Self { named: named.to_owned(), directory };
        // Before anything of it is changed: it may be `/tmp` itself.
        place.check_empty()?;
        let owner = place.directory.metadata().map_err(unwritable)?.uid();
        if owner != geteuid().as_raw() {
            let problem =
                format!("belongs to another user ({owner}); name a directory that does not exist yet");
            return Err(unwritable(io::Error::new(io::ErrorKind::PermissionDenied, problem)));
        }
        place.directory.set_permissions(Permissions::from_mode(0o700)).map_err(unwritable)?;
        // What others have created until now.
        place.check_empty()?;
        Ok(place)
    }

    fn check_empty(&self) -> Result<(), CaptureError> {
        let unwritable = |error| CaptureError::Unwritable(self.named.clone(), error);
        match self.path().read_dir().map_err(unwritable)?.next() {
            None => Ok(()),
            Some(_) => Err(CaptureError::NotEmpty(self.named.clone())),
        }
    }

    /// A path that leads to this directory, whatever has its name by now (proc(5)).
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.directory.as_raw_fd()).into()
    }

    /// A path below [`Place::path`] as people know it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.path()).map_or_else(|_| path.to_owned(), |inner| self.named.join(inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{chown, symlink},
    };

    #[test]
    fn directory_is_closed_and_stays_the_same_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let named = dir.path().join("a/tree");
        fs::create_dir_all(&named).expect("created");
        fs::set_permissions(&named, Permissions::from_mode(0o777)).expect("set");
        let place = Place::open(&named).expect("opened");
        assert_eq!(named.metadata().expect("there").mode() & 0o777, 0o700);
        let moved = dir.path().join("moved");
        fs::rename(&named, &moved).expect("moved");
        fs::create_dir(&named).expect("created");
        fs::write(place.path().join("x"), "").expect("written");
        assert!(moved.join("x").exists() && !named.join("x").exists());
        assert_eq!(place.shown(&place.path().join("b/x")), named.join("b/x"));
    }

    #[test]
    fn what_is_of_others_or_is_used_is_refused_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let refused = |named: &Path| Place::open(named).expect_err("refused").to_string();
        let (full, link) = (dir.path().join("full"), dir.path().join("link"));
        fs::create_dir_all(full.join("x")).expect("created");
        fs::set_permissions(&full, Permissions::from_mode(0o755)).expect("set");
        assert!(refused(&full).contains("not empty"));
        assert_eq!(full.metadata().expect("there").mode() & 0o777, 0o755, "as it was");
        symlink(full.join("x"), &link).expect("linked");
        refused(&link);
        if chown(full.join("x"), Some(54_321), None).is_err() {
            println!("skipped: only root can give directories away");
            return;
        }
        assert!(refused(&full.join("x")).contains("belongs to another user (54321)"));
    }
}
