//! Files of the device, relative to a root, so that a captured tree of any board can stand for the device.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::{Path, PathBuf},
};

use heartbeat_core::SensorError;
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::{FileStat, Mode, SFlag, fstat},
};

use super::natural;

/// Entries of one directory that are looked at; a machine with more interfaces or zones has other problems.
const ENTRIES_MAX: usize = 256;

/// Where the device's files are: `/`, or a captured tree whose symbolic links cannot lead out of it.
#[derive(Debug)]
pub struct Sysroot {
    path: PathBuf,
    /// The captured tree; `None` for the running system.
    tree: Option<OwnedFd>,
}

impl Sysroot {
    /// The running system if `path` is `/`, else the tree captured below `path`.
    ///
    /// # Errors
    ///
    /// When `path` is not a directory that can be opened.
    pub fn new(path: &Path) -> std::io::Result<Self> {
        let tree = if path == Path::new("/") {
            None
        } else {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            Some(openat(AT_FDCWD, path, flags, Mode::empty())?)
        };
        Ok(Self { path: path.to_owned(), tree })
    }

    /// Whether this is the running system, about which the kernel can be asked directly.
    pub fn is_live(&self) -> bool {
        self.tree.is_none()
    }

    /// `path` as the host sees it, for calls that take no descriptor.
    pub fn host_path(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn open_fd(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        // Opening a FIFO or a device that was put in a file's place must not wait; O_PATH never does, and openat2
        // refuses to combine the two.
        let no_wait = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK };
        let flags = flags | OFlag::O_CLOEXEC | no_wait;
        let Some(tree) = &self.tree else {
            return openat(AT_FDCWD, path, flags, Mode::empty());
        };
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        match openat2(tree.as_fd(), path, how) {
            // Kernels before 5.6 and some emulators: the tree's owner vouches for its links.
            Err(Errno::ENOSYS) => openat(AT_FDCWD, &self.host_path(path), flags, Mode::empty()),
            opened => opened,
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    ///
    /// [`SensorError::Invalid`] for anything but a regular file, else what the kernel said.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<File, SensorError> {
        self.open_regular(path.as_ref(), OFlag::O_RDONLY)
    }

    /// Like [`Sysroot::open`] in directories that anybody may write to: a symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`]; a link is [`SensorError::Invalid`].
    pub fn open_untrusted(&self, path: impl AsRef<Path>) -> Result<File, SensorError> {
        self.open_regular(path.as_ref(), OFlag::O_RDONLY | OFlag::O_NOFOLLOW)
    }

    fn open_regular(&self, path: &Path, flags: OFlag) -> Result<File, SensorError> {
        let fd = self.open_fd(path, flags).map_err(sensor_error)?;
        if !is_regular(&fstat(&fd).map_err(sensor_error)?) {
            return Err(SensorError::Invalid);
        }
        Ok(File::from(fd))
    }

    /// Reads the beginning of a file, at most `buffer.len()` bytes.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`], or [`SensorError::Io`] when reading failed.
    pub fn read<'b>(&self, path: impl AsRef<Path>, buffer: &'b mut [u8]) -> Result<&'b [u8], SensorError> {
        read_at_start(&self.open(path)?, buffer)
    }

    /// Reads a short text file, without white space around it.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::read`]; [`SensorError::Invalid`] when it is empty or not UTF-8.
    pub fn read_text<'b>(
        &self,
        path: impl AsRef<Path>,
        buffer: &'b mut [u8],
    ) -> Result<&'b str, SensorError> {
        let text = str::from_utf8(self.read(path, buffer)?).map_err(|_| SensorError::Invalid)?.trim();
        if text.is_empty() { Err(SensorError::Invalid) } else { Ok(text) }
    }

    /// Reads a file that holds one integer, as sysfs attributes do.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::read_text`]; [`SensorError::Invalid`] when it is not an integer.
    pub fn read_integer(&self, path: impl AsRef<Path>) -> Result<i64, SensorError> {
        let mut buffer = [0; 32];
        self.read_text(path, &mut buffer)?.parse().map_err(|_| SensorError::Invalid)
    }

    /// Names in a directory, sorted with numbers as numbers; those that are not UTF-8 are left out, as no kernel makes such.
    ///
    /// # Errors
    ///
    /// What the kernel said when the directory could not be opened or read.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<String>, SensorError> {
        let fd = self.open_fd(path.as_ref(), OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(sensor_error)?;
        let mut directory = Dir::from_fd(fd).map_err(sensor_error)?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            // The iterator has no end when the directory cannot be read.
            let entry = entry.map_err(sensor_error)?;
            if let Some(name) = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")) {
                names.push(name.to_owned());
            }
            if names.len() == ENTRIES_MAX {
                break;
            }
        }
        names.sort_unstable_by(|a, b| natural::compare(a, b));
        Ok(names)
    }

    /// Whether anything has this name.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.locate(path).is_ok()
    }

    /// Looks for something of this name.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when nothing has it, else why it could not be looked for.
    pub fn locate(&self, path: impl AsRef<Path>) -> Result<(), SensorError> {
        self.open_fd(path.as_ref(), OFlag::O_PATH).map(drop).map_err(sensor_error)
    }

    /// Size of a regular file in bytes, which need not be readable.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`].
    pub fn file_size(&self, path: &Path) -> Result<u64, SensorError> {
        let fd = self.open_fd(path, OFlag::O_PATH).map_err(sensor_error)?;
        let stat = fstat(&fd).map_err(sensor_error)?;
        if !is_regular(&stat) {
            return Err(SensorError::Invalid);
        }
        u64::try_from(stat.st_size).map_err(|_| SensorError::Invalid)
    }
}

fn is_regular(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG
}

/// A file of `/proc` or `/sys` that is opened once and read again at every beat.
#[derive(Debug)]
pub struct Reread {
    path: &'static str,
    file: Option<File>,
}

impl Reread {
    /// Nothing is opened before the first read.
    pub const fn new(path: &'static str) -> Self {
        Self { path, file: None }
    }

    /// Reads the beginning of the file as it is now.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::read`]; the next read opens the file again.
    pub fn read<'b>(&mut self, root: &Sysroot, buffer: &'b mut [u8]) -> Result<&'b [u8], SensorError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => root.open(self.path)?,
        };
        let read = read_at_start(&file, buffer)?;
        self.file = Some(file);
        Ok(read)
    }
}

fn read_at_start<'b>(file: &File, buffer: &'b mut [u8]) -> Result<&'b [u8], SensorError> {
    let mut len = 0;
    while let Some(free) = buffer.get_mut(len..).filter(|free| !free.is_empty()) {
        match file.read_at(free, len as u64) {
            Ok(0) => break,
            // Cannot overflow: read_at returns at most free.len().
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error(&error)),
        }
    }
    Ok(buffer.get(..len).unwrap_or_default())
}

/// Reads a whole file of at most `limit` bytes; a longer one is cut there.
///
/// # Errors
///
/// As [`Sysroot::read`].
pub fn read_whole(file: File, limit: u64) -> Result<Vec<u8>, SensorError> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| io_error(&error))?;
    Ok(bytes)
}

fn io_error(error: &std::io::Error) -> SensorError {
    error.raw_os_error().map_or(SensorError::Io, |code| sensor_error(Errno::from_raw(code)))
}

/// What an error of the kernel says about a sensor.
pub(crate) fn sensor_error(error: Errno) -> SensorError {
    match error {
        // ENODATA: a driver that has the attribute and no value for it.
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ENXIO | Errno::ENODATA => SensorError::Absent,
        Errno::EACCES | Errno::EPERM => SensorError::Denied,
        Errno::ELOOP | Errno::EISDIR | Errno::EINVAL => SensorError::Invalid,
        _ => SensorError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_do_not_lead_out_of_a_captured_tree() {
        let dir = tempfile::tempdir().expect("a directory");
        let outside = tempfile::NamedTempFile::new().expect("a file");
        fs::write(outside.path(), "outside").expect("written");
        fs::create_dir(dir.path().join("etc")).expect("created");
        fs::write(dir.path().join("etc/inside"), "inside").expect("written");
        symlink("/etc/inside", dir.path().join("absolute")).expect("linked");
        symlink(outside.path(), dir.path().join("escape")).expect("linked");

        let root = Sysroot::new(dir.path()).expect("opened");
        let mut buffer = [0; 16];
        assert_eq!(root.read("/absolute", &mut buffer), Ok(&b"inside"[..]));
        assert_eq!(root.read("/escape", &mut buffer), Err(SensorError::Absent));
        assert_eq!(root.open_untrusted("/absolute").err(), Some(SensorError::Invalid));
    }

    #[test]
    fn only_regular_files_are_read_and_only_their_beginning() {
        let dir = tempfile::tempdir().expect("a directory");
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).expect("made");
        fs::write(dir.path().join("long"), vec![b'x'; 1 << 20]).expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut buffer = [0; 16];
        assert_eq!(root.read("fifo", &mut buffer), Err(SensorError::Invalid));
        assert_eq!(root.read("/", &mut buffer), Err(SensorError::Invalid));
        assert_eq!(root.read("long", &mut buffer), Ok(&[b'x'; 16][..]));
        assert_eq!(root.read("none", &mut buffer), Err(SensorError::Absent));
    }

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
