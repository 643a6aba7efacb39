//! `capture`: a tree of this machine for `--sysroot`, so that what it reports can be reported and kept as a test.
//!
//! The tree holds what was read while one heartbeat was made, and then what every other candidate reads. It is made of the
//! recording (`sources/recording.rs`) of these reads: there is no list of files.

mod document;
mod place;
mod tree;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::place::Place;
use crate::{
    config::Settings,
    daemon::{StartError, identity, sample_once},
    doctor,
    sources::{
        recording::Recording,
        stand_ins::{Private, StandIns},
        sysroot::Sysroot,
    },
};

/// The heartbeat that was made of what the tree holds.
const REPORTED: &str = "reported.json";

/// What was taken.
#[derive(Debug)]
pub struct Captured {
    /// Files that were written.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: usize,
    /// What is there and could not be read, with the reason.
    pub unread: Vec<(PathBuf, String)>,
    /// How many things of each kind were replaced; `None` when nothing was to be.
    pub replaced: Option<Vec<(usize, &'static str)>>,
    /// What did not fit into the limits.
    pub left_out: usize,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Something is there already.
    #[error("{0}: not empty; name a directory that does not exist yet")]
    NotEmpty(PathBuf),
    /// It could not be written.
    #[error("{0}: {1}")]
    Unwritable(PathBuf, io::Error),
    /// The board has no id, or the system no resources.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The system has no resources left.
    #[error("{0}")]
    System(io::Error),
}

/// Writes a tree of this machine into `directory`, which must be new, or empty and of this user: others cannot enter it
/// from then on, because it holds private data. Takes two seconds, and five more for each
/// source that hangs.
///
/// # Errors
///
/// [`CaptureError`]; what was written until then stays.
pub fn capture(settings: &Settings, directory: &Path, is_raw: bool) -> Result<Captured, CaptureError> {
    let place = Place::open(directory)?;
    let tree = place.path();
    let recording = Arc::new(Recording::default());
    let root = Arc::new(Sysroot::recording(&recording));
    let identity = identity(settings, &root)?;
    let body = sample_once(settings, Arc::clone(&root), identity).map_err(CaptureError::System)?;
    // The others must not change what the heartbeat was made of.
    recording.hold();
    doctor::ask_everyone(&root, settings).map_err(CaptureError::System)?;

    let (entries, left_out) = recording.entries();
    let mut names = (!is_raw).then(|| StandIns::new(&settings.app_tmp));
    let unwritable = |(path, error): (PathBuf, _)| CaptureError::Unwritable(place.shown(&path), error);
    let (files, bytes, unread) = tree::write(&tree, &entries, names.as_mut()).map_err(unwritable)?;
    let reported = document::rewrite(&body, directory, settings, names.as_mut());
    let path = tree.join(REPORTED);
    std::fs::write(&path, reported).map_err(|error| unwritable((path, error)))?;
    let replaced = names.map(|names| {
        let counts = names.counts().into_iter();
        counts.map(|(kind, count): (Private, usize)| (count, kind.name())).collect()
    });
    Ok(Captured { files, bytes, unread, replaced, left_out })
}
