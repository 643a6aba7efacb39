//! Who may read what the settings come from, and who has written what lies beside the older program.
//!
//! The configuration is readable for all unless it holds what others could not read before. And a user who may create files
//! beside the program must not decide where root's configuration sends.

use std::{
    collections::BTreeSet,
    fs,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::{Sysroot, read};

/// Whether a file is there that others cannot read, or that lies in a directory which they cannot enter.
pub(super) fn is_private(root: &Sysroot, file: &Path) -> bool {
    // What cannot be read is taken over from nowhere.
    let Ok(file) = root.open(file) else { return false };
    let may_others = |path: &Path, bit: u32| {
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & bit == bit)
    };
    // Without links, because a link in a closed directory can lead to an open file. Above a captured tree is another
    // machine.
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let (Ok(real), Ok(top)) = (real, root.host_path(Path::new("/")).canonicalize()) else { return true };
    let mut parents = real.ancestors().skip(1).take_while(|parent| *parent != top);
    !may_others(&real, 0o004) || !parents.all(|parent| may_others(parent, 0o001))
}

/// Where a link leads, if others than root may write there: in their directory they can put anything in the file's place
/// while root writes it.
pub(super) fn untrusted_target(root: &Sysroot, link: &Path) -> Option<PathBuf> {
    root.host_path(link).symlink_metadata().ok().filter(fs::Metadata::is_symlink)?;
    let file = root.open(link).ok()?;
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let top = root.host_path(Path::new("/")).canonicalize().ok()?;
    let trusted = [0, geteuid().as_raw()];
    let is_trusted = |directory: &Path| {
        directory
            .metadata()
            .is_ok_and(|metadata| trusted.contains(&metadata.uid()) && metadata.mode() & 0o022 == 0)
    };
    let mut parents = real.ancestors().skip(1).take_while(|parent| *parent != top);
    (!parents.all(is_trusted)).then_some(real)
}

/// The older program and the files beside it.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Whether others cannot read one of them.
    pub(super) is_private: bool,
    /// One that it names and that belongs neither to root nor to the program's owner.
    pub(super) foreign: Option<PathBuf>,
}

impl Program {
    /// Each word of the program may be the name of a module: more than it imports, and never less.
    pub(super) fn of(root: &Sysroot, script: &Path) -> Self {
        let text = read(root, script).unwrap_or_default();
        let words: BTreeSet<&str> =
            text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        let files = words.into_iter().filter(|word| !word.is_empty());
        let files: Vec<_> = files.map(|word| script.with_file_name(format!("{word}.py"))).collect();
        let owner = |file: &Path| root.open(file).ok()?.metadata().ok().map(|metadata| metadata.uid());
        let trusted = [Some(0), owner(script)];
        let is_foreign = |file: &&PathBuf| {
            // A link by itself chooses what is read.
            let link = root.host_path(file).symlink_metadata().ok().map(|metadata| metadata.uid());
            owner(file).is_some() && [owner(file), link].iter().any(|owner| !trusted.contains(owner))
        };
        Self {
            is_private: is_private(root, script) || files.iter().any(|file| is_private(root, file)),
            foreign: files.iter().find(is_foreign).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn links_are_judged_by_what_they_lead_to_and_by_who_made_them() {
        let dir = tempfile::tempdir().expect("a directory");
        for directory in ["app", "closed"] {
            fs::create_dir(dir.path().join(directory)).expect("created");
        }
        let write = |file: &str, text: &str| fs::write(dir.path().join(file), text).expect("written");
        write("app/h.py", "import config, other\n");
        write("app/real.py", "");
        write("closed/real.py", "");
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o700)).expect("set");
        let root = Sysroot::new(dir.path()).expect("opened");
        let found = || Program::of(&root, Path::new("/app/h.py"));
        symlink("real.py", dir.path().join("app/config.py")).expect("linked");
        symlink("/app/real.py", dir.path().join("closed/link.py")).expect("linked");
        assert!(!found().is_private && found().foreign.is_none());
        assert!(!is_private(&root, Path::new("/closed/link.py")), "a link to an open file");
        assert!(!is_private(&root, Path::new("/closed/none.py")));
        symlink("/closed/real.py", dir.path().join("app/other.py")).expect("linked");
        assert!(found().is_private, "a link to a closed directory");
        if lchown(dir.path().join("app/config.py"), Some(1001), None).is_err() {
            println!("skipped: only root can give files away");
            return;
        }
        assert_eq!(found().foreign, Some("/app/config.py".into()));
    }
}
