//! Files of the device, relative to a root, so that a captured tree of any board can stand for the device.

mod answer;
mod error;
mod opened;
mod reached;

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use heartbeat_core::SensorError;
use nix::{
    dir::{Dir, Type},
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::{FileStat, Mode, SFlag, fstat},
};

pub use self::opened::{Opened, Reread, read_whole};
pub(crate) use self::{
    answer::{Answer, error_file, size_file},
    error::sensor_error,
    reached::{Reached, real_path},
};

use self::{
    answer::{SIZE, beside, error_in, listed_as},
    error::io_error,
    opened::read_at_start,
};
use super::{
    natural,
    recording::{Entry, Recording},
};

/// Entries of one directory that are looked at; no machine is expected to have more interfaces or zones.
const ENTRIES_MAX: usize = 256;

/// Where the device's files are: `/`, or a captured tree whose symbolic links cannot lead out of it.
#[derive(Debug)]
pub struct Sysroot {
    path: PathBuf,
    /// The captured tree; `None` for the running system.
    tree: Option<OwnedFd>,
    /// What is read is noted here.
    recording: Option<Arc<Recording>>,
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
        Ok(Self { path: path.to_owned(), tree, recording: None })
    }

    /// The running system, of which is noted what is read.
    pub(crate) fn recording(recording: &Arc<Recording>) -> Self {
        Self { path: "/".into(), tree: None, recording: Some(Arc::clone(recording)) }
    }

    /// Notes what was found at a path, if there is a recording.
    pub(crate) fn note(&self, path: impl AsRef<Path>, entry: impl FnOnce() -> Entry) {
        if let Some(recording) = &self.recording {
            recording.note(path.as_ref(), entry());
        }
    }

    /// Opens something, or says what the tree says of it.
    fn open_any(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, SensorError> {
        let error = match self.open_fd(path, flags) {
            Ok(fd) => return Ok(fd),
            Err(error) => sensor_error(error),
        };
        let error = match error {
            SensorError::Absent => self.complaint(path).map_or(error, |text| error_in(&text)),
            error => error,
        };
        if error != SensorError::Absent {
            self.note(path, || Entry::Failed(error));
        }
        Err(error)
    }

    /// Whether this is the running system, about which the kernel can be asked directly.
    pub fn is_live(&self) -> bool {
        self.tree.is_none()
    }

    /// A path for a call that takes no descriptor. The links of a captured tree do not lead out of it.
    ///
    /// # Errors
    ///
    /// In a captured tree, [`SensorError::Absent`] when nothing has this name, else why that is unknown. On the running
    /// system there are none here: the call itself finds out.
    pub(crate) fn reach<'p>(&self, path: &'p Path) -> Result<Reached<'p>, SensorError> {
        if self.tree.is_none() {
            return Ok(Reached::named(path));
        }
        self.open_any(path, OFlag::O_PATH).map(Reached::held)
    }

    /// A socket in a directory where any user may create names: a link is not followed.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when nothing has this name, [`SensorError::Invalid`] for anything but a socket.
    pub(crate) fn reach_untrusted_socket(&self, path: &Path) -> Result<Reached<'static>, SensorError> {
        let held = self.open_any(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        if file_type(&fstat(&held).map_err(sensor_error)?) != SFlag::S_IFSOCK {
            return Err(SensorError::Invalid);
        }
        Ok(Reached::held(held))
    }

    /// Where the tree is on this machine, without links in it; `/` for the running system.
    pub(super) fn real_root(&self) -> std::io::Result<PathBuf> {
        self.tree.as_ref().map_or_else(|| Ok("/".into()), real_path)
    }

    /// `path` as the host sees it. Links in a captured tree lead out of it: only for what must not follow any.
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
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Opened, SensorError> {
        self.open_regular(path.as_ref(), OFlag::O_RDONLY)
    }

    /// Like [`Sysroot::open`] in directories that any user may write to: a symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`]; a link is [`SensorError::Invalid`].
    pub fn open_untrusted(&self, path: impl AsRef<Path>) -> Result<Opened, SensorError> {
        self.open_regular(path.as_ref(), OFlag::O_RDONLY | OFlag::O_NOFOLLOW)
    }

    fn open_regular(&self, path: &Path, flags: OFlag) -> Result<Opened, SensorError> {
        let fd = self.open_any(path, flags)?;
        if !is_regular(&fstat(&fd).map_err(sensor_error)?) {
            return Err(SensorError::Invalid);
        }
        Ok(Opened::new(fd.into(), path, self.recording.as_ref()))
    }

    /// Reads a file of at most `size_max` bytes that is about this machine and never part of a captured tree. What is no
    /// regular file is not even opened: another user may have chosen it, and to open a device can act (`/dev/watchdog`).
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`]; [`SensorError::Io`] when reading failed.
    pub(crate) fn read_unnoted(&self, path: &Path, size_max: u64) -> Result<Vec<u8>, SensorError> {
        let held = self.open_fd(path, OFlag::O_PATH).map_err(sensor_error)?;
        if !is_regular(&fstat(&held).map_err(sensor_error)?) {
            return Err(SensorError::Invalid);
        }
        let opened = File::open(format!("/proc/self/fd/{}", held.as_raw_fd()));
        read_whole(Opened::unnoted(opened.map_err(|error| io_error(&error))?), size_max)
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

    /// Names in a directory, numbers in them in numerical order; those that are not UTF-8 are left out, as no kernel
    /// makes such.
    ///
    /// # Errors
    ///
    /// What the kernel said when the directory could not be opened or read.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<String>, SensorError> {
        let path = path.as_ref();
        let fd = self.open_any(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut directory = Dir::from_fd(fd).map_err(sensor_error)?;
        let mut names = Vec::new();
        self.note(path, || Entry::Present { is_directory: true });
        for entry in directory.iter() {
            // The iterator has no end when the directory cannot be read.
            let entry = entry.map_err(sensor_error)?;
            if let Some(name) = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")) {
                let is_directory = entry.file_type() != Some(Type::File);
                self.note(path.join(name), || Entry::Present { is_directory });
                names.push(name.to_owned());
            }
            if names.len() == ENTRIES_MAX {
                break;
            }
        }
        if self.tree.is_some() {
            for name in &mut names {
                if let Some(stem) = listed_as(name) {
                    *name = stem.to_owned();
                }
            }
        }
        names.sort_unstable_by(|a, b| natural::compare(a, b));
        names.dedup();
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
    /// [`SensorError::Absent`] when there is no such path, else why that is unknown.
    pub fn locate(&self, path: impl AsRef<Path>) -> Result<(), SensorError> {
        let path = path.as_ref();
        let fd = self.open_any(path, OFlag::O_PATH)?;
        self.note(path, || Entry::Present { is_directory: !fstat(&fd).is_ok_and(|stat| is_regular(&stat)) });
        Ok(())
    }

    /// Size of a regular file in bytes, which need not be readable.
    ///
    /// # Errors
    ///
    /// As [`Sysroot::open`].
    pub fn file_size(&self, path: &Path) -> Result<u64, SensorError> {
        if self.tree.is_some()
            && let Ok(size) = self.read_integer(beside(path, SIZE))
        {
            return u64::try_from(size).map_err(|_| SensorError::Invalid);
        }
        let (size, _) = self.regular_file(path)?;
        self.note(path, || Entry::Size(size));
        Ok(size)
    }

    /// A regular file, for what can be asked of it without reading it, and its size in bytes.
    pub(super) fn regular_file(&self, path: &Path) -> Result<(u64, OwnedFd), SensorError> {
        let fd = self.open_any(path, OFlag::O_PATH)?;
        let stat = fstat(&fd).map_err(sensor_error)?;
        if !is_regular(&stat) {
            return Err(SensorError::Invalid);
        }
        Ok((u64::try_from(stat.st_size).map_err(|_| SensorError::Invalid)?, fd))
    }
}

pub(crate) fn is_regular(stat: &FileStat) -> bool {
    file_type(stat) == SFlag::S_IFREG
}

fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
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
    fn what_is_read_is_recorded_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["read", "listed", "sized"] {
            fs::write(at(name), name).expect("written");
        }
        fs::create_dir(at("folder")).expect("created");
        let recording = Arc::new(Recording::default());
        let root = Sysroot::recording(&recording);
        let mut buffer = [0; 3];
        assert_eq!(root.read(at("read"), &mut buffer), Ok(&b"rea"[..]));
        assert_eq!(root.file_size(&at("sized")), Ok(5));
        assert_eq!(root.read(at("nothing"), &mut buffer), Err(SensorError::Absent));
        assert!(root.list(dir.path()).is_ok());
        root.note_answer("/said", None, Err(SensorError::Denied));
        root.note_answer("/asked", None, Ok(&Answer::Complaint(b"no".to_vec())));
        let (entries, _) = recording.entries();
        let of = |name: &str| entries.get(&at(name));
        assert!(matches!(of("read"), Some(Entry::File { content, .. }) if content == b"rea"));
        assert!(matches!(of("sized"), Some(Entry::Size(5))));
        assert!(matches!(of("listed"), Some(Entry::Present { is_directory: false })));
        assert!(matches!(of("folder"), Some(Entry::Present { is_directory: true })));
        assert!(of("nothing").is_none());
        assert!(matches!(entries.get(Path::new("/said")), Some(Entry::Failed(SensorError::Denied))));
        assert!(matches!(entries.get(Path::new("/asked.err")), Some(Entry::File { .. })));
    }
}
