//! The setting that says where the version of the streaming application comes from.

use std::path::PathBuf;

/// Where the version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// Nowhere: the value is absent.
    Unknown,
    /// The configuration.
    Fixed(String),
    /// The first line of a file.
    File(PathBuf),
    /// The newest file of the application in this folder and those below.
    Folder(PathBuf),
}
