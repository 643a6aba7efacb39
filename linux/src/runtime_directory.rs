//! The directory for what a daemon keeps while it runs: the status and the lock of its instance. It is memory and not
//! storage.
//!
//! The service has the one that systemd makes. A daemon started by hand has the same if it may write there, as root may;
//! else one in its user's own runtime directory.

use std::{
    env,
    ffi::OsStr,
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access, geteuid};

/// Where systemd makes the service's (`RuntimeDirectory=`, systemd.exec(5)). Only root can make it, and names its owner.
pub(crate) const OF_THE_SERVICE: &str = "/run/heartbeat-daemon";
/// Its name in a user's runtime directory.
const NAME: &str = "heartbeat-daemon";

/// This process's; `None` where there is none. `make` says whether root makes the service's when it is missing.
pub(crate) fn own(make: bool) -> Option<PathBuf> {
    if let Some(directory) = env::var_os("RUNTIME_DIRECTORY").filter(|directory| !directory.is_empty()) {
        // Several are separated by colons; ours is one.
        return Some(PathBuf::from(directory)).filter(|directory| directory.is_dir());
    }
    let service = Path::new(OF_THE_SERVICE);
    if geteuid().is_root() && make {
        make_if_missing(service, 0o755);
    }
    if service.is_dir() && access(service, AccessFlags::W_OK).is_ok() {
        return Some(service.to_owned());
    }
    let user = of_the_user(env::var_os("XDG_RUNTIME_DIR").as_deref())?;
    make_if_missing(&user, 0o700);
    Some(user).filter(|user| user.is_dir())
}

/// Where a daemon of this machine may publish that this user can see: the service's, then the user's.
pub(crate) fn all() -> Vec<PathBuf> {
    let user = of_the_user(env::var_os("XDG_RUNTIME_DIR").as_deref());
    [PathBuf::from(OF_THE_SERVICE)].into_iter().chain(user).collect()
}

/// In the user's runtime directory: the one that the session names, or the usual one. It must be the user's own
/// (XDG Base Directory Specification), which that of another user is after `su`.
fn of_the_user(named: Option<&OsStr>) -> Option<PathBuf> {
    let user = geteuid().as_raw();
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let is_own = |directory: &PathBuf| {
        let metadata = directory.metadata();
        directory.is_absolute() && metadata.is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
    };
    named.map(PathBuf::from).into_iter().chain([usual]).find(is_own).map(|directory| directory.join(NAME))
}

fn make_if_missing(directory: &Path, mode: u32) {
    // One that cannot be made is not there, which is looked at after this.
    let _ = DirBuilder::new().mode(mode).create(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_directory_of_a_session_counts_if_it_is_the_users() {
        let dir = tempfile::tempdir().expect("a directory");
        let named = |path: &Path| of_the_user(Some(path.as_os_str()));
        assert_eq!(named(dir.path()), Some(dir.path().join("heartbeat-daemon")));
        let usual = of_the_user(None);
        for bad in ["/nonexistent", "relative", "", "/dev/null"] {
            assert_eq!(named(Path::new(bad)), usual, "{bad}");
        }
        if geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(54_321), None).expect("given");
            assert_eq!(named(dir.path()), usual, "another user's");
        }
    }
}
