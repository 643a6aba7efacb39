//! The directory of the report. It holds a serial number, names of networks and a position: only its owner may read it, who is
//! the user that called `sudo`.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown, lchown},
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

/// So many captured trees of earlier runs may be in the directory.
const TREES_MAX: u32 = 1000;

/// The directory, and whom it is for.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    /// Whether this run made it.
    is_new: bool,
    /// User and group that get what root writes.
    owner: Option<(u32, u32)>,
}

impl Output {
    /// Makes the directory unless it is there.
    ///
    /// # Errors
    ///
    /// When it cannot be made, for people.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let problem = |error: io::Error| format!("{}: {error}", folder.display());
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(problem)?;
        }
        let is_new = match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => false,
            Err(error) => return Err(problem(error)),
        };
        let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
        let caller = number("SUDO_UID").zip(number("SUDO_GID")).filter(|_| Uid::effective().is_root());
        // Where others may exchange files for links, root gives nothing away.
        let metadata = fs::symlink_metadata(folder).map_err(problem)?;
        let owner = caller.filter(|(uid, _)| is_private(&metadata, *uid));
        Ok(Self { folder: folder.to_owned(), is_new, owner })
    }

    /// Where the next captured tree goes: an earlier one stays.
    pub fn tree(&self) -> PathBuf {
        let numbered = (2..TREES_MAX).map(|number| self.folder.join(format!("tree-{number}")));
        let mut candidates = std::iter::once(self.folder.join("tree")).chain(numbered);
        candidates.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| self.folder.join("tree"))
    }

    /// Writes a file in place of that of an earlier run.
    ///
    /// # Errors
    ///
    /// When it cannot be written, for people.
    pub fn write(&self, name: &str, content: &str) -> Result<(), String> {
        let path = self.folder.join(name);
        let write = || {
            // A link goes, and what it leads to stays.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content.as_bytes())?;
            match self.owner {
                Some((uid, gid)) => fchown(&file, Some(uid), Some(gid)),
                None => Ok(()),
            }
        };
        write().map_err(|error: io::Error| format!("{}: {error}", path.display()))
    }

    /// Gives the captured tree, and the directory if it is new, to its owner.
    ///
    /// # Errors
    ///
    /// When that is not possible, for people.
    pub fn hand_over(&self, tree: &Path) -> Result<(), String> {
        let Some(owner) = self.owner else { return Ok(()) };
        let give = || {
            if tree.exists() {
                give(tree, owner)?;
            }
            if self.is_new { lchown(&self.folder, Some(owner.0), Some(owner.1)) } else { Ok(()) }
        };
        give().map_err(|error: io::Error| format!("{}: {error}", self.folder.display()))
    }
}

/// Whether only root and `user` may change what is in a directory.
fn is_private(metadata: &fs::Metadata, user: u32) -> bool {
    metadata.is_dir() && [0, user].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0
}

/// What is in a directory first, so that it is root's until its end.
fn give(path: &Path, owner: (u32, u32)) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    lchown(path, Some(owner.0), Some(owner.1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_report_is_its_owners_alone_and_follows_no_link() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, other) = (place.path().join("report"), place.path().join("other"));
        fs::write(&other, "kept").expect("written");
        let output = Output::new(&folder).expect("made");
        symlink(&other, folder.join("report.txt")).expect("a link");
        output.write("report.txt", "new").expect("written");
        output.write("report.txt", "newer").expect("written again");
        assert_eq!(fs::read_to_string(&other).expect("read"), "kept");
        assert_eq!(fs::read_to_string(folder.join("report.txt")).expect("read"), "newer");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("report.txt"))), (0o700, 0o600));
    }

    #[test]
    fn each_run_has_a_tree_of_its_own() {
        let place = tempfile::tempdir().expect("a folder");
        let output = Output::new(place.path()).expect("there");
        assert_eq!(output.tree(), place.path().join("tree"));
        fs::create_dir(place.path().join("tree")).expect("made");
        assert_eq!(output.tree(), place.path().join("tree-2"));
    }

    #[test]
    fn a_directory_that_others_may_write_is_not_private() {
        let place = tempfile::tempdir().expect("a folder");
        let private = |mode, user| {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).expect("set");
            is_private(&fs::symlink_metadata(place.path()).expect("there"), user)
        };
        let own = Uid::effective().as_raw();
        assert!(private(0o700, own) && private(0o755, own));
        assert!(!private(0o777, own) && !private(0o770, own));
    }
}
