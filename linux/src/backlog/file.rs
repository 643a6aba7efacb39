//! The file: a document in each line, then a line that says how many there are, and their checksum. People can read it.
//!
//! A reader sees the old file or the new one, whole, whenever the power fails: the new one is written beside the old one,
//! forced to the storage, and takes its name.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use nix::libc;

use crate::files::{self, Durability, Links};

/// More than the backlog can fill.
const SIZE_MAX: u64 = 4 * 1024 * 1024;
/// What the last line begins with.
const TRAILER: &str = "# heartbeats: ";

/// The file with these documents, none of which has a line break.
pub(super) fn encode<'d>(documents: impl Iterator<Item = [&'d [u8]; 2]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut count = 0_u32;
    for parts in documents {
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes.push(b'\n');
        count = count.saturating_add(1);
    }
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!("{TRAILER}{count}, checksum: {checksum:08x}\n").as_bytes());
    bytes
}

/// The documents of a file.
///
/// # Errors
///
/// When the file is not as [`encode`] made it.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let lines = bytes.strip_suffix(b"\n").ok_or("its end is missing")?;
    let start = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let (documents, trailer) = lines.split_at_checked(start).ok_or("its end is missing")?;
    let numbers = str::from_utf8(trailer).ok().and_then(|trailer| trailer.strip_prefix(TRAILER));
    let (count, checksum) =
        numbers.and_then(|numbers| numbers.split_once(", checksum: ")).ok_or("its end is missing")?;
    if checksum != format!("{:08x}", crc32fast::hash(documents)) {
        return Err("it has been damaged: the checksum is another");
    }
    let found: Vec<_> = documents
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .collect();
    if count != found.len().to_string() {
        return Err("it has been damaged: the count is another");
    }
    Ok(found)
}

/// The documents of the file; none when there is no file. A file that cannot be read as one is renamed, with `.damaged`
/// after its name.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let read = files::read(path, SIZE_MAX, Links::Refuse);
    let documents = match &read {
        Ok((bytes, _)) => decode(bytes).map_err(str::to_owned),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Err("it is too large".to_owned()),
        // Its next version would replace it.
        Err(error) if is_of_the_system(error) => Err(error.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    let documents = documents.map_err(|problem| {
        let aside = files::beside(path, ".damaged");
        match fs::rename(path, &aside) {
            Ok(()) => format!("{problem}; put aside as {}", aside.display()),
            Err(error) => format!("{problem}; it could not be put aside: {error}"),
        }
    })?;
    Ok(documents.into_iter().map(<[u8]>::to_vec).collect())
}

/// Whether the system could not read it, such as an SD card that fails, and not this program that does not want to.
fn is_of_the_system(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| code != libc::ELOOP)
}

/// Whether a file was written by this program, whole or not. A wrong path must not cost a file.
pub(super) fn is_one(path: &Path) -> bool {
    let read = files::read(path, SIZE_MAX, Links::Refuse);
    read.is_ok_and(|(bytes, _)| {
        let is_part = |line: &[u8]| line.starts_with(b"{\"") || line.starts_with(TRAILER.as_bytes());
        bytes.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).is_none_or(is_part)
    })
}

/// Replaces the file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    files::replace(path, bytes, 0o600, Durability::Synced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(document: &[u8]) -> [&[u8]; 2] {
        let (front, back) = document.split_at(document.len() / 2);
        [front, back]
    }

    fn file(documents: &[&[u8]]) -> Vec<u8> {
        encode(documents.iter().map(|document| parts(document)))
    }

    #[test]
    fn a_file_is_text() {
        let text = String::from_utf8(file(&[br#"{"seq":1}"#, br#"{"seq":2}"#])).expect("text");
        assert_eq!(text, "{\"seq\":1}\n{\"seq\":2}\n# heartbeats: 2, checksum: 4e4442f9\n");
        assert_eq!(decode(text.as_bytes()).expect("whole").len(), 2);
        assert_eq!(decode(&file(&[])).expect("whole").len(), 0);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_damaged_one_put_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backlog");
        assert_eq!(read(&path), Ok(Vec::new()));
        write(&path, &file(&[b"{}"])).expect("written");
        write(&path, &file(&[b"{1}", b"{2}"])).expect("replaced");
        assert_eq!(read(&path), Ok(vec![b"{1}".to_vec(), b"{2}".to_vec()]));
        fs::write(&path, b"{1}\n{2").expect("torn");
        assert!(read(&path).is_err_and(|error| error.starts_with("its end is missing; put aside as ")));
        assert_eq!(read(&path), Ok(Vec::new()), "it does not stand in the way");
        assert_eq!(fs::read(dir.path().join("backlog.damaged")).expect("kept"), b"{1}\n{2");
        assert!(write(&dir.path().join("none/backlog"), b"").is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left over");
    }

    #[test]
    fn only_what_this_program_has_written_is_a_backlog() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backlog");
        let whole = file(&[br#"{"seq":1}"#]);
        for contents in [&whole[..], &whole[..5], &file(&[]), b""] {
            fs::write(&path, contents).expect("written");
            assert!(is_one(&path), "{contents:?}");
        }
        for contents in [&b"url = \"https://a/\"\n"[..], b"# a comment\n", b"\xff\xfe"] {
            fs::write(&path, contents).expect("written");
            assert!(!is_one(&path), "{contents:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_put_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backlog");
        fs::File::create(&path).expect("created").set_len(SIZE_MAX + 1).expect("set");
        assert!(read(&path).is_err_and(|error| error.starts_with("it is too large; put aside as ")));
        assert_eq!(read(&path), Ok(Vec::new()));
    }

    #[test]
    fn failing_storage_is_told_from_what_is_no_file() {
        assert!(is_of_the_system(&io::Error::from_raw_os_error(libc::EIO)));
        assert!(!is_of_the_system(&io::Error::from_raw_os_error(libc::ELOOP)), "a symbolic link");
        assert!(!is_of_the_system(&io::Error::other("a directory")));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backlog");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("linked");
        assert!(read(&path).is_err());
        assert!(path.is_symlink(), "it is left alone");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(documents in prop::collection::vec("\\{[^\\r\\n\\}]{0,40}\\}", 0..9)) {
            let documents: Vec<_> = documents.iter().map(String::as_bytes).collect();
            let bytes = file(&documents);
            prop_assert_eq!(decode(&bytes), Ok(documents));
        }

        #[test]
        fn damage_is_seen(documents in prop::collection::vec("\\{[a-z]{0,9}\\}", 1..5), at: prop::sample::Index, bit in 0u8..8, cut: bool) {
            let documents: Vec<_> = documents.iter().map(String::as_bytes).collect();
            let mut bytes = file(&documents);
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
