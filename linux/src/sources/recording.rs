//! What was read of this machine, so that a tree can be made of it.
//!
//! The recording is made where things are read ([`Sysroot`](super::sysroot::Sysroot)), so that it holds what is read and
//! nothing else, without a list that would have to follow.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use heartbeat_core::SensorError;

use super::stand_ins::StandIns;

/// Entries of one recording: several times what a board with many interfaces and monitors has.
const ENTRIES_MAX: usize = 8_192;
/// Bytes of one recording, as a limit for what is sent around: a board needs 50 KiB.
const BYTES_MAX: usize = 4 << 20;

/// Replaces what is private in a content.
pub(crate) type Rewrite = fn(&[u8], &mut StandIns) -> Vec<u8>;

/// What was found at one path.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// It is there. Nothing was read from it.
    Present { is_directory: bool },
    /// Its content, as far as it was read.
    File {
        content: Vec<u8>,
        /// When it was changed, where that says something.
        modified: Option<SystemTime>,
        /// How to replace what is private; without it as its path and its text suggest.
        rewrite: Option<Rewrite>,
    },
    /// Only its size in bytes was asked for.
    Size(u64),
    /// It could not be read.
    Failed(SensorError),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::File { content, .. } => content.len(),
            _ => 0,
        }
    }
}

/// Everything that was read, by its path.
#[derive(Debug, Default)]
pub(crate) struct Recording(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<PathBuf, Entry>,
    bytes: usize,
    /// What is known is not replaced any more.
    is_held: bool,
    /// Entries that were left out because of the limits.
    left_out: usize,
}

impl Recording {
    /// Keeps what was found at a path, instead of what was found there before.
    pub(crate) fn note(&self, path: &Path, entry: Entry) {
        let mut state = self.lock();
        let known = state.entries.get(path);
        let tells_less = matches!(entry, Entry::Present { .. });
        if known.is_some() && (state.is_held || tells_less) {
            return;
        }
        let freed = known.map_or(0, Entry::bytes);
        let bytes = state.bytes.saturating_sub(freed).saturating_add(entry.bytes());
        if bytes > BYTES_MAX || known.is_none() && state.entries.len() >= ENTRIES_MAX {
            state.left_out = state.left_out.saturating_add(1);
            return;
        }
        state.bytes = bytes;
        state.entries.insert(path.to_owned(), entry);
    }

    /// From now on what is known is not replaced: it belongs to the heartbeat that was made of it.
    pub(crate) fn hold(&self) {
        self.lock().is_held = true;
    }

    /// All entries, and how many were left out because of the limits.
    pub(crate) fn entries(&self) -> (BTreeMap<PathBuf, Entry>, usize) {
        let state = self.lock();
        (state.entries.clone(), state.left_out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> Entry {
        Entry::File { content: content.to_vec(), modified: None, rewrite: None }
    }

    fn content(entry: Option<&Entry>) -> Option<&[u8]> {
        match entry {
            Some(Entry::File { content, .. }) => Some(content),
            _ => None,
        }
    }

    #[test]
    fn keeps_the_latest_content_until_it_is_held() {
        let recording = Recording::default();
        let path = Path::new("/proc/stat");
        recording.note(path, Entry::Present { is_directory: false });
        recording.note(path, file(b"1"));
        recording.note(path, Entry::Present { is_directory: false });
        recording.note(path, file(b"2"));
        recording.hold();
        recording.note(path, file(b"3"));
        recording.note(Path::new("/proc/uptime"), file(b"4"));
        let (entries, left_out) = recording.entries();
        assert_eq!(content(entries.get(path)), Some(&b"2"[..]));
        assert_eq!((entries.len(), left_out), (2, 0));
    }

    #[test]
    fn is_bounded_in_bytes_and_entries() {
        let recording = Recording::default();
        recording.note(Path::new("/large"), file(&vec![0; BYTES_MAX]));
        recording.note(Path::new("/one-more"), file(b"x"));
        assert_eq!(recording.entries().1, 1);
        recording.note(Path::new("/large"), file(b"small again"));
        recording.note(Path::new("/one-more"), file(b"x"));
        assert_eq!(recording.entries().0.len(), 2);
        for number in 0..ENTRIES_MAX {
            recording.note(Path::new(&format!("/{number}")), file(b""));
        }
        let (entries, left_out) = recording.entries();
        assert_eq!((entries.len(), left_out), (ENTRIES_MAX, 3));
    }
}
