//! What stands in a captured tree for an answer, an error or a size.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use heartbeat_core::SensorError;
use nix::fcntl::OFlag;

use super::{
    Sysroot,
    opened::{Opened, read_at_start, read_whole},
};
use crate::sources::recording::{Entry, Rewrite};

/// In a captured tree `NAME.err` stands for something that answers with an error: what was said on standard error, or
/// what `cat NAME` says of a file that cannot be read.
const ERROR: &str = "err";
/// `NAME.size` stands for a file of which only the size in bytes matters.
pub(super) const SIZE: &str = "size";
/// Longest error text.
const ERROR_MAX: usize = 1024;

/// The answer of a program or daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The answer's text.
    Text(Vec<u8>),
    /// Why there is no answer, as on standard error.
    Complaint(Vec<u8>),
}

impl Sysroot {
    /// Notes the answer of a program or daemon that answers in text: a tree has it as a file.
    pub(crate) fn note_answer(
        &self,
        path: impl AsRef<Path>,
        rewrite: Option<Rewrite>,
        answer: Result<&Answer, SensorError>,
    ) {
        let file = |content: &[u8]| Entry::File { content: content.to_vec(), modified: None, rewrite };
        match answer {
            Ok(Answer::Text(text)) => self.note(path, || file(text)),
            Ok(Answer::Complaint(text)) => self.note(beside(path.as_ref(), ERROR), || file(text)),
            Err(SensorError::Absent) => {}
            Err(error) => self.note(path, || Entry::Failed(error)),
        }
    }

    /// The answer that a captured tree has as a file.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when it has none.
    pub(crate) fn captured_answer(&self, path: impl AsRef<Path>, max: u64) -> Result<Answer, SensorError> {
        let path = path.as_ref();
        if let Some(text) = self.complaint(path) {
            return Ok(Answer::Complaint(text));
        }
        read_whole(self.open(path)?, max).map(Answer::Text)
    }

    /// What a captured tree has in place of a file that cannot be read.
    pub(super) fn complaint(&self, path: &Path) -> Option<Vec<u8>> {
        self.tree.as_ref()?;
        let fd = self.open_fd(&beside(path, ERROR), OFlag::O_RDONLY).ok()?;
        let mut buffer = [0; ERROR_MAX];
        read_at_start(&Opened::unnoted(File::from(fd)), &mut buffer).ok().map(<[u8]>::to_vec)
    }
}

/// `path` with `.suffix` behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The path in a tree, and the content, that stand for an error.
pub(crate) fn error_file(path: &Path, error: SensorError) -> (PathBuf, &'static str) {
    let text = match error {
        SensorError::Absent => "No such file or directory\n",
        SensorError::Denied => "Permission denied\n",
        SensorError::Invalid => "Invalid argument\n",
        SensorError::Io => "Input/output error\n",
    };
    (beside(path, ERROR), text)
}

/// The path in a tree that stands for a file of which only the size matters.
pub(crate) fn size_file(path: &Path) -> PathBuf {
    beside(path, SIZE)
}

/// The error that a tool's words stand for.
pub(super) fn error_in(text: &[u8]) -> SensorError {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    match () {
        () if says("permission denied") || says("not permitted") => SensorError::Denied,
        () if says("invalid argument") => SensorError::Invalid,
        () if says("no such") || says("no data available") => SensorError::Absent,
        () => SensorError::Io,
    }
}

/// The name of what an entry of a tree stands for, if it stands for something else.
pub(super) fn listed_as(entry: &str) -> Option<&str> {
    match entry.rsplit_once('.') {
        Some((stem, ERROR | SIZE)) => Some(stem),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_tree_says_of_a_file_why_it_cannot_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("carrier.err", "cat: carrier: Invalid argument\n");
        write("mailbox.err", "Can't open device file: Permission denied");
        write("temp.err", "read error: Input/output error");
        write("video.mp4.size", "1572864\n");
        write("plain", "1");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(root.read_integer("/carrier"), Err(SensorError::Invalid));
        assert_eq!(root.read_integer("/temp"), Err(SensorError::Io));
        assert_eq!(root.locate("/mailbox"), Err(SensorError::Denied));
        assert_eq!(root.read_integer("/plain"), Ok(1));
        assert_eq!(root.file_size(Path::new("/video.mp4")), Ok(1_572_864));
        assert_eq!(
            root.list("/"),
            Ok(["carrier", "mailbox", "plain", "temp", "video.mp4"].map(str::to_owned).to_vec())
        );
        let complaint = Answer::Complaint(b"read error: Input/output error".to_vec());
        assert_eq!(root.captured_answer("/temp", 100), Ok(complaint));
        assert_eq!(root.captured_answer("/plain", 100), Ok(Answer::Text(b"1".to_vec())));
        assert_eq!(root.captured_answer("/nothing", 100), Err(SensorError::Absent));
    }

    #[test]
    fn error_files_are_read_as_the_error_that_they_were_written_for() {
        for error in [SensorError::Absent, SensorError::Denied, SensorError::Invalid, SensorError::Io] {
            let (path, text) = error_file(Path::new("/sys/x"), error);
            assert_eq!((path, error_in(text.as_bytes())), ("/sys/x.err".into(), error));
        }
    }
}
