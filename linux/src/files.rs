//! The one way to read and to replace a file that a path names.
//!
//! Anything can stand at a path: a FIFO that never answers, a device without end, a link to a file that must not be
//! touched. So every file is checked to be a regular one before and after it is opened, is opened without waiting, and
//! read up to a limit. A file that replaces it is created exclusively, under a name of its own.
//!
//! Files of the device, which `--sysroot` moves, are read by [`Sysroot`](crate::sources::sysroot::Sysroot) with the same
//! precautions.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, sys::stat::makedev, unistd::geteuid};

/// What happens when the path names a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The file that it leads to is meant. For paths that an operator has given.
    Follow,
    /// It is an error. For files of the program itself, and in directories where others may create names.
    Refuse,
}

/// Whether a file survives a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It lives in memory, or is of no use after a restart.
    Volatile,
    /// It is on the storage when [`replace`] returns.
    Synced,
}

/// Reads a regular file of at most `size_max` bytes. `/dev/null` is an empty file, as people use it.
///
/// # Errors
///
/// What the system says. For anything but a regular file, and for one that is larger ([`ErrorKind::FileTooLarge`]), an
/// error without a number of the system.
pub fn read(path: &Path, size_max: u64, links: Links) -> io::Result<(Vec<u8>, Metadata)> {
    let file = open_checked(path, OpenOptions::new().read(true), links, |metadata| {
        is_null(metadata) || metadata.is_file()
    })?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(size_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > size_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {size_max} bytes")));
    }
    Ok((bytes, metadata))
}

/// The permission of all other users to read a file.
pub const OTHERS_READ: u32 = 0o004;

/// As [`read`], for a file with a secret that an operator has named: one that others may read is refused.
///
/// # Errors
///
/// As [`read`], and when others may read it.
pub fn read_secret(path: &Path, size_max: u64) -> io::Result<Vec<u8>> {
    let (bytes, metadata) = read(path, size_max, Links::Follow)?;
    if metadata.mode() & OTHERS_READ != 0 && metadata.is_file() {
        let problem = "others may read this file, which holds a secret: chmod o-r";
        return Err(io::Error::new(ErrorKind::InvalidInput, problem));
    }
    Ok(bytes)
}

/// Opens a regular file that exists, as `options` say. Never blocks, and does not make it the controlling terminal of
/// the process.
///
/// # Errors
///
/// What the system says; for anything but a regular file an error without a number of the system.
pub fn open(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<File> {
    open_checked(path, options, links, Metadata::is_file)
}

fn open_checked(
    path: &Path,
    options: &mut OpenOptions,
    links: Links,
    is_accepted: impl Fn(&Metadata) -> bool,
) -> io::Result<File> {
    let check = |metadata: &Metadata| if is_accepted(metadata) { Ok(()) } else { Err(refusal(metadata)) };
    let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    // Before it is opened, because that has effects on a device and on a process that waits at a FIFO, and fails for a socket.
    match links {
        Links::Follow => check(&path.metadata()?)?,
        Links::Refuse => {
            check(&path.symlink_metadata()?)?;
            flags |= OFlag::O_NOFOLLOW;
        }
    }
    let file = options.custom_flags(flags.bits()).open(path)?;
    // Again, because the path may name something else by now.
    check(&file.metadata()?)?;
    Ok(file)
}

/// Replaces a file, or creates it, as a whole: a reader sees the old contents or the new ones. The new file is written
/// beside it, with `.new` after its name, and then takes the name. An existing file with one of the names is not
/// opened, so that a planted link has no effect.
///
/// The mode is `mode`, independent of the umask. A file that root writes belongs to the directory's owner: what root
/// writes in a manual run must not lock the service out.
///
/// # Errors
///
/// What the system says. The old file is as it was then.
pub fn replace(path: &Path, contents: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let new = beside(path, ".new");
    let written = create(&new, mode).and_then(|mut file| {
        file.write_all(contents)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
        return written;
    }
    if durability == Durability::Synced {
        // The new name itself must reach the storage, too.
        File::open(directory_of(path))?.sync_all()?;
    }
    Ok(())
}

/// Creates an empty file in place of what has the name.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    match create_new(path, mode) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // Left by a crash, or planted: the name is removed, and the target of a link is not touched.
            fs::remove_file(path)?;
            create_new(path, mode)
        }
        created => created,
    }
}

/// Creates a file for reading and writing, with this mode, that belongs to the directory's owner if this is root.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] when the name is taken, by a file of any type; else what the system says.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    if geteuid().is_root() {
        let directory = directory_of(path).metadata()?;
        if directory.uid() != 0 {
            // If root may not change the owner, the file stays root's.
            let _ = fchown(&file, Some(directory.uid()), Some(directory.gid()));
        }
    }
    Ok(file)
}

/// The path with `suffix` after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The directory that holds a path's name.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The usual name for "no file" (`null(4)`).
fn is_null(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == makedev(1, 3)
}

fn refusal(metadata: &Metadata) -> io::Error {
    let kind = metadata.file_type();
    let found = if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    io::Error::new(ErrorKind::InvalidInput, format!("expected a regular file, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{fs::symlink, net::UnixListener};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    #[test]
    fn reads_up_to_the_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "12345").expect("written");
        assert_eq!(read(&path, 5, Links::Refuse).expect("read").0, b"12345");
        let error = read(&path, 4, Links::Refuse).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "larger than 4 bytes");
        // A sparse file of a terabyte is not allocated for.
        File::create(&path).expect("created").set_len(1 << 40).expect("set");
        assert_eq!(read(&path, 4, Links::Refuse).expect_err("too large").kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn refuses_what_is_no_regular_file_without_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let (fifo, socket) = (dir.path().join("fifo"), dir.path().join("socket"));
        mkfifo(&fifo, Mode::S_IRWXU).expect("made");
        let _listener = UnixListener::bind(&socket).expect("bound");
        for (path, found) in [
            (fifo.as_path(), "a FIFO"),
            (&socket, "a socket"),
            (dir.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            for links in [Links::Follow, Links::Refuse] {
                let error = read(path, 10, links).expect_err(found);
                assert_eq!(error.to_string(), format!("expected a regular file, found {found}"));
                assert_eq!(error.raw_os_error(), None);
            }
            let opened = open(path, OpenOptions::new().read(true).write(true), Links::Refuse);
            assert!(opened.is_err(), "{found}");
        }
        assert_eq!(read(Path::new("/dev/null"), 10, Links::Follow).expect("read").0, b"");
        assert!(open(Path::new("/dev/null"), OpenOptions::new().write(true), Links::Follow).is_err());
    }

    #[test]
    fn follows_links_only_where_they_are_meant() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "x").expect("written");
        symlink(&path, &link).expect("linked");
        assert_eq!(read(&link, 1, Links::Follow).expect("read").0, b"x");
        let error = read(&link, 1, Links::Refuse).expect_err("a link");
        assert_eq!(error.to_string(), "expected a regular file, found a symbolic link");
    }

    #[test]
    fn replaces_the_name_and_never_what_a_planted_link_leads_to() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, precious) = (dir.path().join("file"), dir.path().join("precious"));
        fs::write(&precious, "precious").expect("written");
        let write = |contents: &[u8]| replace(&path, contents, 0o640, Durability::Synced);
        for planted in [path.clone(), beside(&path, ".new")] {
            let _ = fs::remove_file(&planted);
            symlink(&precious, &planted).expect("linked");
            write(b"1").expect("replaced");
            assert_eq!(read(&path, 9, Links::Refuse).expect("a regular file").0, b"1");
            fs::remove_file(&path).expect("removed");
            mkfifo(&planted, Mode::S_IRWXU).expect("made");
            write(b"2").expect("replaced");
            let (bytes, metadata) = read(&path, 9, Links::Refuse).expect("a regular file");
            assert_eq!((bytes.as_slice(), metadata.mode() & 0o7777), (&b"2"[..], 0o640));
        }
        assert_eq!(fs::read(&precious).expect("read"), b"precious");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2, "nothing is left over");
    }

    #[test]
    fn leaves_the_old_file_when_it_cannot_be_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "old").expect("written");
        fs::create_dir(beside(&path, ".new")).expect("created");
        assert!(replace(&path, b"new", 0o600, Durability::Volatile).is_err());
        assert_eq!(fs::read(&path).expect("read"), b"old");
        assert!(replace(&dir.path().join("no/such"), b"new", 0o600, Durability::Volatile).is_err());
    }

    #[test]
    fn gives_what_root_writes_to_the_owner_of_the_directory() {
        if !geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::chown(dir.path(), Some(54_321), Some(54_322)).expect("given");
        let path = dir.path().join("file");
        replace(&path, b"x", 0o600, Durability::Volatile).expect("written");
        let metadata = path.metadata().expect("there");
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (54_321, 54_322, 0o600));
    }
}
