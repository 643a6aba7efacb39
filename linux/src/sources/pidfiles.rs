//! What the streaming application is doing, from the pidfiles that it leaves in `/tmp`.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use heartbeat_core::{
    SensorError,
    readings::{Activity, Recording},
    text::Text,
    units::Mebibytes,
};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

use super::{
    Currency, Source,
    file_watch::FileWatch,
    sysroot::{Sysroot, read_whole},
};
use crate::clock;

/// Where the application leaves them.
const TMP: &str = "/tmp";

const STREAMING: &str = "relay-ffmpeg-webcam.pid";
const RECORDING: &str = "relay-ffmpeg-record-webcam.pid";
const TRACKING: &str = "gps-tracker.pid";

const PIDFILES: &[&str] = &[STREAMING, RECORDING, TRACKING];

/// A pid, a colon and the longest path that the kernel takes fit twice.
const PIDFILE_MAX: u64 = 8 * 1024;

/// The streaming application.
#[derive(Debug)]
pub(crate) struct Application {
    /// Where its `/tmp` is for this process, which may have another one of its own.
    tmp: PathBuf,
    /// Of a running system.
    watch: Option<FileWatch>,
    /// The processes that the pidfiles named last, and whether each lived.
    known: Vec<(Process, bool)>,
    /// Nothing else is needed to know what is going on.
    is_known: bool,
}

impl Application {
    pub(crate) fn new(tmp: &Path) -> Self {
        Self { tmp: tmp.to_owned(), watch: None, known: Vec::new(), is_known: false }
    }

    /// Watches the pidfiles before they are read. Without a watch they are read at each beat.
    fn watch(&mut self) {
        let now = clock::now();
        if self.watch.as_mut().is_none_or(|watch| watch.currency(now) != Currency::Current) {
            self.watch = FileWatch::begin(&self.tmp, PIDFILES, now).ok();
        }
    }

    /// The process of a pidfile, if there is such a file and the process lives, and the file's owner.
    fn process(&mut self, root: &Sysroot, pidfile: &str) -> Result<Option<(Process, u32)>, SensorError> {
        match read_pidfile(root, &self.tmp.join(pidfile)) {
            Ok(Some((process, owner))) => {
                let lives = process.lives(root);
                self.known.push((process.clone(), lives));
                Ok(lives.then_some((process, owner)))
            }
            Ok(None) | Err(SensorError::Absent) => Ok(None),
            Err(error) => {
                self.is_known = false;
                Err(error)
            }
        }
    }

    /// What a pidfile of this owner says of a recording: its size only if the owner may know it, because the status and the
    /// document are for others to read.
    fn recording(&self, root: &Sysroot, process: &Process, owner: u32) -> Recording {
        let path: PathBuf = OsStr::from_bytes(&process.details).into();
        let here = path.strip_prefix(TMP).map_or(path.clone(), |below| self.tmp.join(below));
        // A relative path is relative to a directory that is not known here.
        let size =
            if path.is_absolute() { root.file_size_for(&here, owner) } else { Err(SensorError::Absent) };
        Recording { path: Text::from_bytes(&process.details), size: size.map(Mebibytes::from_bytes) }
    }
}

impl Source for Application {
    type Reading = Activity;

    fn place(&self) -> String {
        format!("{}/*.pid", self.tmp.display())
    }

    /// Reads the three pidfiles, each for itself, and asks whether their processes live.
    ///
    /// Where none can be read, for example because the directory cannot be searched, that is one error of the source.
    fn read(&mut self, root: &Sysroot) -> Result<Activity, SensorError> {
        if root.is_live() {
            self.watch();
        }
        self.known.clear();
        self.is_known = true;
        let streaming = self.process(root, STREAMING).map(|process| process.is_some());
        let tracking = self.process(root, TRACKING).map(|process| process.is_some());
        let recording = self.process(root, RECORDING);
        let recording =
            recording.map(|found| found.map(|(process, owner)| self.recording(root, &process, owner)));
        // The size of a recording changes all the time, and its filesystem may hang.
        self.is_known &= !matches!(recording, Ok(Some(_)));
        let activity = Activity { streaming, tracking, recording };
        match activity {
            Activity { streaming: Err(error), tracking: Err(_), recording: Err(_) } => Err(error),
            activity => Ok(activity),
        }
    }

    /// The pidfiles are as they were, and each of their processes lives or does not as before.
    fn currency(&mut self, root: &Sysroot) -> Currency {
        let watched = self.watch.as_mut().map_or(Currency::Unknown, |watch| watch.currency(clock::now()));
        let is_so = watched != Currency::Unknown
            && self.is_known
            && self.known.iter().all(|(process, lived)| process.lives(root) == *lived);
        if is_so { watched } else { Currency::Unknown }
    }
}

/// What a pidfile names, and its owner.
fn read_pidfile(root: &Sysroot, path: &Path) -> Result<Option<(Process, u32)>, SensorError> {
    let file = root.open_untrusted(path)?;
    let owner = file.metadata().map_err(|_| SensorError::Io)?.uid();
    Ok(parse(&read_whole(file, PIDFILE_MAX)?).map(|process| (process, owner)))
}

/// The process that a pidfile names: `PID` or `PID:DETAILS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    details: Vec<u8>,
}

pub(crate) fn parse(content: &[u8]) -> Option<Process> {
    let mut parts = content.splitn(2, |byte| *byte == b':');
    let pid = str::from_utf8(parts.next()?).ok()?.trim().parse().ok().filter(|pid| *pid > 0)?;
    let details = parts.next().unwrap_or_default();
    // The writer's line end, if there is one; a path may itself hold line ends.
    let details = details.strip_suffix(b"\n").unwrap_or(details).to_vec();
    Some(Process { pid, details })
}

impl Process {
    /// Whether the process exists and is not a zombie. The number of a thread is not that of a process, and a thread of the
    /// kernel is no application: after a restart they have the numbers that a pidfile on a disk still names.
    ///
    /// A number that another process has by now is not told apart: the age of the pidfile does not show it on a board that
    /// writes it before its clock is set, and a command line may hold what is private.
    fn lives(&self, root: &Sysroot) -> bool {
        // The number of the application of another start is this program's now.
        if root.is_live() && u32::try_from(self.pid) == Ok(std::process::id()) {
            return false;
        }
        let process = format!("/proc/{}", self.pid);
        let mut buffer = [0; 512];
        if let Ok(status) = root.read(format!("{process}/status"), &mut buffer)
            && thread_group(status).is_some_and(|group| group != self.pid)
        {
            return false;
        }
        match root.read(format!("{process}/stat"), &mut buffer) {
            Ok(stat) => !is_zombie(stat) && !is_kernel_thread(stat),
            // A captured tree may hold only the directory; /proc mounted with hidepid shows not even that.
            Err(_) => root.exists(&process) || (root.is_live() && answers_signals(self.pid)),
        }
    }
}

/// `Tgid` of `/proc/PID/status`: the process to which a thread belongs (proc_pid_status(5)). Its lines follow the name,
/// in which the kernel escapes line ends.
pub(crate) fn thread_group(status: &[u8]) -> Option<i32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
    str::from_utf8(line).ok()?.trim().parse().ok()
}

/// Whether the state in `/proc/PID/stat` is `Z` or `X`: ended, but not yet reaped. It follows the program's name,
/// which stands in parentheses and may hold any character (proc_pid_stat(5)).
pub(crate) fn is_zombie(stat: &[u8]) -> bool {
    let after_name = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end..));
    matches!(after_name, Some([b')', b' ', b'Z' | b'X', ..]))
}

/// Whether `flags` in `/proc/PID/stat` has `PF_KTHREAD` (proc_pid_stat(5), `include/linux/sched.h`).
pub(crate) fn is_kernel_thread(stat: &[u8]) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    let after_name = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 1..));
    // State, parent, group, session, terminal, its group, flags.
    let flags = after_name
        .and_then(|fields| str::from_utf8(fields).ok())
        .and_then(|fields| fields.split_ascii_whitespace().nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

fn answers_signals(pid: i32) -> bool {
    matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    fn activity(root: &Sysroot) -> Result<Activity, SensorError> {
        Application::new(Path::new(TMP)).read(root)
    }

    fn tree() -> (tempfile::TempDir, Sysroot) {
        let dir = tempfile::tempdir().expect("a directory");
        for path in ["tmp", "proc/4711", "proc/4712", "media"] {
            fs::create_dir_all(dir.path().join(path)).expect("created");
        }
        fs::write(dir.path().join("proc/4712/stat"), "4712 (a) Z b) Z 1 4712").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        (dir, root)
    }

    #[test]
    fn reports_what_living_processes_do() {
        let (dir, root) = tree();
        assert_eq!(activity(&root), Ok(Activity::NONE));
        fs::write(dir.path().join("tmp/relay-ffmpeg-webcam.pid"), "4711\n").expect("written");
        fs::write(dir.path().join("tmp/gps-tracker.pid"), "4711:user:example.org:9").expect("written");
        fs::write(dir.path().join("tmp/relay-ffmpeg-record-webcam.pid"), "4711:/media/a:b.mp4\n")
            .expect("written");
        fs::write(dir.path().join("media/a:b.mp4"), vec![0; 1 << 20]).expect("written");
        let recording = Recording { path: "/media/a:b.mp4".into(), size: Ok(Mebibytes::from_raw(100)) };
        assert_eq!(
            activity(&root),
            Ok(Activity { streaming: Ok(true), tracking: Ok(true), recording: Ok(Some(recording)) })
        );
    }

    #[test]
    fn reads_the_applications_own_tmp() {
        let (dir, root) = tree();
        fs::create_dir_all(dir.path().join("run/tmp/films")).expect("created");
        fs::write(dir.path().join("run/tmp/relay-ffmpeg-record-webcam.pid"), "4711:/tmp/films/a.mp4")
            .expect("written");
        fs::write(dir.path().join("run/tmp/films/a.mp4"), vec![0; 1 << 19]).expect("written");
        let found = Application::new(Path::new("/run/tmp")).read(&root).expect("an activity");
        let recording = Recording { path: "/tmp/films/a.mp4".into(), size: Ok(Mebibytes::from_raw(50)) };
        assert_eq!(found.recording, Ok(Some(recording)));
        assert_eq!(activity(&root), Ok(Activity::NONE), "nothing is in the other");
    }

    #[test]
    fn ignores_dead_reaped_and_senseless_pids() {
        let (dir, root) = tree();
        for dead in ["", "0", "-1", "4710", "4712", "99999999999", "x", "\u{0}", ":/path"] {
            fs::write(dir.path().join("tmp/relay-ffmpeg-webcam.pid"), dead).expect("written");
            assert_eq!(activity(&root), Ok(Activity::NONE), "{dead:?}");
        }
    }

    #[test]
    fn a_pidfile_that_cannot_be_read_does_not_hide_the_others() {
        let (dir, root) = tree();
        fs::write(dir.path().join("tmp/relay-ffmpeg-webcam.pid"), "4711").expect("written");
        symlink("relay-ffmpeg-webcam.pid", dir.path().join("tmp/gps-tracker.pid")).expect("linked");
        fs::create_dir(dir.path().join("tmp/relay-ffmpeg-record-webcam.pid")).expect("created");
        let invalid = SensorError::Invalid;
        let expected = Activity { streaming: Ok(true), tracking: Err(invalid), recording: Err(invalid) };
        assert_eq!(activity(&root), Ok(expected));
        fs::remove_file(dir.path().join("tmp/relay-ffmpeg-webcam.pid")).expect("removed");
        symlink("/etc/passwd", dir.path().join("tmp/relay-ffmpeg-webcam.pid")).expect("linked");
        assert_eq!(activity(&root), Err(invalid), "none can be read");
    }

    /// proc_pid(5): `/proc/TID` can be opened, although it is not listed.
    #[test]
    fn the_number_of_a_thread_is_not_that_of_a_process() {
        let (dir, root) = tree();
        fs::write(dir.path().join("tmp/relay-ffmpeg-webcam.pid"), "4711").expect("written");
        let status = |group| format!("Name:\tTgid:\\n7\nUmask:\t0022\nTgid:\t{group}\nPid:\t4711\n");
        for (group, streaming) in [(4711, true), (4700, false)] {
            fs::write(dir.path().join("proc/4711/status"), status(group)).expect("written");
            assert_eq!(activity(&root).expect("an activity").streaming, Ok(streaming));
        }
        let thread = std::thread::spawn(|| nix::unistd::gettid().as_raw()).join().expect("a number");
        let live = Sysroot::new(Path::new("/")).expect("opened");
        assert!(!Process { pid: thread, details: Vec::new() }.lives(&live));
    }

    #[test]
    fn a_thread_of_the_kernel_is_no_application() {
        let (dir, root) = tree();
        fs::write(dir.path().join("tmp/relay-ffmpeg-webcam.pid"), "4711").expect("written");
        // From a Pi 4: a worker of the kernel, and a shell; both shortened.
        for (stat, streaming) in [
            ("4711 (kworker/2:1H-kb) I 2 0 0 0 -1 69238880 0 0 0 0 0 43", false),
            ("4711 (a) b 2097152) S 1 4711 4711 34816 4711 4194560 2097152 0", true),
            ("4711 (sh) S 1", true),
        ] {
            fs::write(dir.path().join("proc/4711/stat"), stat).expect("written");
            assert_eq!(activity(&root).expect("an activity").streaming, Ok(streaming), "{stat}");
        }
    }

    /// The number in a file that was left behind can be that of the very program that reads it (vesoft-inc/nebula, pull
    /// request 806).
    #[test]
    fn sees_that_another_process_lives_and_does_not_take_itself_for_one() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let pid = i32::try_from(std::process::id()).expect("a pid");
        assert!(!Process { pid, details: Vec::new() }.lives(&root));
        assert!(Process { pid: nix::unistd::getppid().as_raw(), details: Vec::new() }.lives(&root));
        assert!(answers_signals(pid));
        assert!(!Process { pid: i32::MAX, details: Vec::new() }.lives(&root));
    }

    #[test]
    fn a_recording_that_is_gone_or_no_file_has_no_size() {
        let (dir, root) = tree();
        let long = format!("4711:/{}", "x".repeat(5_000));
        for content in
            [&b"4711:/media/gone.mp4"[..], b"4711:relative.mp4", b"4711:/media", b"4711:", long.as_bytes()]
        {
            fs::write(dir.path().join("tmp/relay-ffmpeg-record-webcam.pid"), content).expect("written");
            let recording =
                activity(&root).expect("an activity").recording.expect("read").expect("a recording");
            assert!(recording.size.is_err(), "{content:?}");
        }
    }

    #[test]
    fn pidfile_of_one_user_does_not_tell_the_size_of_a_private_file_of_another() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let (dir, root) = tree();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let [pidfile, film] =
            ["tmp/relay-ffmpeg-record-webcam.pid", "media/film"].map(|path| dir.path().join(path));
        fs::write(&pidfile, "4711:/media/film").expect("written");
        fs::write(&film, vec![0; 1 << 20]).expect("written");
        chown(&pidfile, Some(54_321), None).expect("given");
        let size =
            || activity(&root).expect("an activity").recording.expect("read").expect("a recording").size;
        let (known, hidden) = (Ok(Mebibytes::from_raw(100)), Err(SensorError::Absent));
        for (owner, mode, expected) in [(0, 0o600, hidden), (0, 0o644, known), (54_321, 0o600, known)] {
            fs::set_permissions(&film, fs::Permissions::from_mode(mode)).expect("set");
            chown(&film, Some(owner), None).expect("given");
            assert_eq!(size(), expected, "{owner} {mode:o}");
        }
        chown(&film, Some(0), None).expect("given");
        fs::set_permissions(&film, fs::Permissions::from_mode(0o600)).expect("set");
        chown(&pidfile, Some(0), None).expect("given");
        assert_eq!(size(), known, "root may read everything");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = (is_zombie(&bytes), is_kernel_thread(&bytes), thread_group(&bytes));
            if let Some(process) = parse(&bytes) {
                prop_assert!(process.pid > 0);
            }
        }
    }
}
