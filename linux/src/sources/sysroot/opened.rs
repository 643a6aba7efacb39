//! Files that are open, and what is noted of their content.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    ops::Deref,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use heartbeat_core::SensorError;

use super::{Sysroot, error::io_error};
use crate::sources::recording::{Entry, Recording, Rewrite};

/// A regular file that is open. What is read from it is noted, if there is a recording.
#[derive(Debug)]
pub struct Opened {
    file: File,
    note: Option<Note>,
}

#[derive(Debug)]
struct Note {
    recording: Arc<Recording>,
    path: PathBuf,
    rewrite: Option<Rewrite>,
}

impl Opened {
    /// `recording` notes what is read.
    pub(super) fn new(file: File, path: &Path, recording: Option<&Arc<Recording>>) -> Self {
        let note = recording.map(|recording| Note {
            recording: Arc::clone(recording),
            path: path.to_owned(),
            rewrite: None,
        });
        Self { file, note }
    }

    pub(super) const fn unnoted(file: File) -> Self {
        Self { file, note: None }
    }

    /// With a way of its own to replace what is private in it.
    pub(crate) fn rewritten_by(mut self, rewrite: Rewrite) -> Self {
        if let Some(note) = &mut self.note {
            note.rewrite = Some(rewrite);
        }
        self
    }

    fn failed(&self, error: &std::io::Error) -> SensorError {
        let error = io_error(error);
        if let Some(Note { recording, path, .. }) = &self.note {
            recording.note(path, Entry::Failed(error));
        }
        error
    }

    fn note(&self, content: &[u8]) {
        if let Some(Note { recording, path, rewrite }) = &self.note {
            // The times of the kernel's own files say nothing.
            let is_kernels = path.starts_with("/proc") || path.starts_with("/sys");
            let modified = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
            let modified = modified.filter(|_| !is_kernels);
            recording.note(path, Entry::File { content: content.to_vec(), modified, rewrite: *rewrite });
        }
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// A file of `/proc` or `/sys` that is opened once and read again at every beat. The kernel writes it as a whole into the
/// buffer of one read (`single_open`, `sysfs_emit`), so that a buffer with room left has all of it.
#[derive(Debug)]
pub struct Reread {
    path: &'static str,
    rewrite: Option<Rewrite>,
    file: Option<Opened>,
}

impl Reread {
    /// Nothing is opened before the first read.
    pub const fn new(path: &'static str) -> Self {
        Self { path, rewrite: None, file: None }
    }

    /// With a way of its own to replace what is private in it.
    pub(crate) fn rewritten_by(mut self, rewrite: Rewrite) -> Self {
        self.rewrite = Some(rewrite);
        self
    }

    /// Reads the beginning of the file as it is now.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::read`]; the next read opens the file again.
    pub fn read<'b>(&mut self, root: &Sysroot, buffer: &'b mut [u8]) -> Result<&'b [u8], SensorError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = root.open(self.path)?;
                match self.rewrite {
                    Some(rewrite) => file.rewritten_by(rewrite),
                    None => file,
                }
            }
        };
        let is_whole = root.is_live();
        let read = read_from_start(&file, buffer, |free, read| is_whole && read < free)?;
        self.file = Some(file);
        Ok(read)
    }
}

pub(super) fn read_at_start<'b>(file: &Opened, buffer: &'b mut [u8]) -> Result<&'b [u8], SensorError> {
    read_from_start(file, buffer, |_, _| false)
}

/// Reads until the end, or until `is_end` says of the free bytes and of those that were read that nothing follows.
fn read_from_start<'b>(
    file: &Opened,
    buffer: &'b mut [u8],
    is_end: impl Fn(usize, usize) -> bool,
) -> Result<&'b [u8], SensorError> {
    let mut len = 0;
    while let Some(free) = buffer.get_mut(len..).filter(|free| !free.is_empty()) {
        match file.read_at(free, len as u64) {
            Ok(0) => break,
            Ok(read) => {
                let is_end = is_end(free.len(), read);
                // Cannot overflow: read_at returns at most free.len().
                len += read;
                if is_end {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(file.failed(&error)),
        }
    }
    let content = buffer.get(..len).unwrap_or_default();
    file.note(content);
    Ok(content)
}

/// Bytes that are read at once: most files are shorter, and the kernel makes those of `/proc` in such pieces.
const PIECE: usize = 4096;

/// Reads a whole file of at most `limit` bytes; a longer one is cut there.
///
/// # Errors
///
/// As [`Sysroot::read`].
pub fn read_whole(file: Opened, limit: u64) -> Result<Vec<u8>, SensorError> {
    // Without room the system is asked for a few bytes first, and then for a little more each time.
    let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or(usize::MAX).min(PIECE));
    (&file.file).take(limit).read_to_end(&mut bytes).map_err(|error| file.failed(&error))?;
    file.note(&bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_read_again_shows_what_it_holds_now() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let mut uptime = Reread::new("/proc/self/io");
        let mut buffer = [0; 256];
        let before = uptime.read(&root, &mut buffer).expect("read").to_vec();
        let after = uptime.read(&root, &mut buffer).expect("read").to_vec();
        assert_ne!(before, after, "reading counts as I/O of this process");
    }
}
