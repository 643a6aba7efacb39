//! The pidfiles of the streaming application, and the processes that they name.

use std::{fs, path::Path};

/// Streams.
pub const STREAMING: &str = "relay-ffmpeg-webcam.pid";
/// Records; the path of the recording follows the number and a colon.
pub const RECORDING: &str = "relay-ffmpeg-record-webcam.pid";
/// Follows the position.
pub const TRACKING: &str = "gps-tracker.pid";

/// `PF_KTHREAD` of `include/linux/sched.h`: a thread of the kernel.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// What the application does, as its files in a directory say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// It streams.
    pub streams: bool,
    /// It follows the position.
    pub tracks: bool,
    /// It records into this file.
    pub records: Option<String>,
}

impl Application {
    /// Looks into the directory; `proc` is where the kernel shows the processes.
    pub fn look(directory: &Path, proc: &Path) -> Self {
        let live = |name| {
            let text = String::from_utf8_lossy(&fs::read(directory.join(name)).ok()?).into_owned();
            let (pid, details) = pidfile(&text)?;
            is_alive(proc, pid).then_some(details)
        };
        Self {
            streams: live(STREAMING).is_some(),
            tracks: live(TRACKING).is_some(),
            records: live(RECORDING),
        }
    }

    /// Whether it does anything.
    pub const fn is_in_use(&self) -> bool {
        self.streams || self.tracks || self.records.is_some()
    }
}

/// `PID` or `PID:DETAILS`.
fn pidfile(text: &str) -> Option<(u32, String)> {
    let (pid, details) = text.split_once(':').unwrap_or((text, ""));
    let details = details.strip_suffix('\n').unwrap_or(details);
    Some((pid.trim().parse().ok().filter(|pid| *pid > 0)?, details.to_owned()))
}

/// Whether this is a process that runs: no zombie, no thread of another process or of the kernel (proc_pid_stat(5)).
fn is_alive(proc: &Path, pid: u32) -> bool {
    let read = |name| fs::read_to_string(proc.join(pid.to_string()).join(name)).unwrap_or_default();
    let status = read("status");
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<u32>().ok());
    let stat = read("stat");
    // The name stands in parentheses and may hold any character.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_whitespace();
    let state = fields.next();
    // State, parent, group, session, terminal, its group, flags.
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u32>().ok()).unwrap_or(0);
    group == Some(pid) && !matches!(state, Some("Z" | "X")) && flags & KERNEL_THREAD == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_names_a_process_and_what_belongs_to_it() {
        assert_eq!(pidfile("17\n"), Some((17, String::new())));
        assert_eq!(pidfile("17:/tmp/a:b.mp4\n"), Some((17, "/tmp/a:b.mp4".to_owned())));
        assert_eq!(pidfile("0"), None);
        assert_eq!(pidfile("soon"), None);
    }

    #[test]
    fn only_a_process_that_runs_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let process = |pid: u32, group: u32, state: &str, flags: u32| {
            let folder = dir.path().join(pid.to_string());
            fs::create_dir_all(&folder).expect("created");
            fs::write(folder.join("status"), format!("Name:\tx\nTgid:\t{group}\n")).expect("written");
            fs::write(folder.join("stat"), format!("{pid} (a) b) {state} 1 1 1 0 -1 {flags} 0 0\n"))
                .expect("written");
        };
        process(1, 1, "S", 0x40_0100);
        process(2, 2, "Z", 0);
        process(3, 1, "S", 0);
        process(4, 4, "I", KERNEL_THREAD | 0x40);
        let alive = [1, 2, 3, 4, 5].map(|pid| is_alive(dir.path(), pid));
        assert_eq!(alive, [true, false, false, false, false]);
        let files = tempfile::tempdir().expect("a directory");
        fs::write(files.path().join(STREAMING), "2\n").expect("written");
        fs::write(files.path().join(RECORDING), "1:/tmp/x.mp4\n").expect("written");
        let found = Application::look(files.path(), dir.path());
        let expected = Application { streams: false, tracks: false, records: Some("/tmp/x.mp4".to_owned()) };
        assert_eq!((found.is_in_use(), found), (true, expected));
    }
}
