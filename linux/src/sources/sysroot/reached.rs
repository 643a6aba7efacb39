//! Paths for calls that take no descriptor.

use std::{
    borrow::Cow,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// What has a path, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Reached<'p> {
    path: Cow<'p, Path>,
    _held: Option<OwnedFd>,
}

impl<'p> Reached<'p> {
    /// By its name.
    pub(super) fn named(path: &'p Path) -> Self {
        Self { path: path.into(), _held: None }
    }

    /// By its descriptor (proc_pid_fd(5)): what is open itself, not what has its name by now.
    pub(super) fn held(held: OwnedFd) -> Self {
        let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        Self { path: path.into(), _held: Some(held) }
    }
}

impl AsRef<Path> for Reached<'_> {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The path of what is open, without links in it (proc_pid_fd(5)).
pub(crate) fn real_path(fd: &OwnedFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
