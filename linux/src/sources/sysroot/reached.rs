//! Paths for calls that take no descriptor.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// What has a path, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reached {
    path: PathBuf,
    _held: Option<OwnedFd>,
}

impl Reached {
    /// By its name.
    pub(super) fn named(path: &Path) -> Self {
        Self { path: path.to_owned(), _held: None }
    }

    /// By its descriptor (proc_pid_fd(5)): what is open itself, not what has its name by now.
    pub(super) fn held(held: OwnedFd) -> Self {
        Self { path: format!("/proc/self/fd/{}", held.as_raw_fd()).into(), _held: Some(held) }
    }
}

impl AsRef<Path> for Reached {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The path of what is open, without links in it (proc_pid_fd(5)).
pub(crate) fn real_path(fd: &OwnedFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
