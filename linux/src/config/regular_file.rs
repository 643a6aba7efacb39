//! Reading a file that somebody named: never more than a limit, and never waiting for what is no regular file.

use std::{
    fs::{File, Metadata, OpenOptions, metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{fcntl::OFlag, sys::stat::makedev};

/// The permission of everybody else to read a file.
pub(super) const OTHERS_READ: u32 = 0o004;

/// Reads a regular file of at most `size_max` bytes. A symbolic link is followed. `/dev/null` is an empty file.
///
/// # Errors
///
/// What the system says; for anything but a regular file, and for one that is larger, an error without a system's
/// number.
pub(crate) fn read(path: &Path, size_max: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // Before it is opened, because opening a device can have effects, and a socket cannot be opened.
    check(&metadata(path)?)?;
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    // Again, because the path may name something else by now.
    let metadata = file.metadata()?;
    check(&metadata)?;
    let mut bytes = Vec::new();
    file.take(size_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > size_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {size_max} bytes")));
    }
    Ok((bytes, metadata))
}

/// As [`read`], for a file with a secret: one that others may read is refused.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn read_secret(path: &Path, size_max: u64) -> io::Result<Vec<u8>> {
    let (bytes, metadata) = read(path, size_max)?;
    if metadata.mode() & OTHERS_READ != 0 && metadata.is_file() {
        let problem = "others may read this file, which holds a secret: chmod o-r";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(bytes)
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    // The usual name for "no file".
    let null = kind.is_char_device() && metadata.rdev() == makedev(1, 3);
    if kind.is_file() || null {
        return Ok(());
    }
    let found = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a regular file, found {found}")))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn reads_up_to_the_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "12345").expect("written");
        assert_eq!(read(&path, 5).expect("read").0, b"12345");
        let error = read(&path, 4).expect_err("too large");
        assert_eq!((error.to_string().as_str(), error.raw_os_error()), ("larger than 4 bytes", None));
    }

    #[test]
    fn follows_symbolic_links() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "x").expect("written");
        symlink(&path, &link).expect("linked");
        assert_eq!(read(&link, 1).expect("read").0, b"x");
    }

    #[test]
    fn refuses_what_is_no_regular_file_without_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let (pipe, socket) = (dir.path().join("pipe"), dir.path().join("socket"));
        mkfifo(&pipe, Mode::S_IRWXU).expect("made");
        let _listener = UnixListener::bind(&socket).expect("bound");
        for (path, found) in [
            (pipe.as_path(), "a pipe"),
            (&socket, "a socket"),
            (dir.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path, 10).expect_err(found);
            assert_eq!(error.to_string(), format!("expected a regular file, found {found}"));
            assert_eq!(error.raw_os_error(), None);
        }
    }

    #[test]
    fn reads_dev_null_as_empty() {
        assert_eq!(read(Path::new("/dev/null"), 10).expect("read").0, b"");
    }
}
