//! Processes of the older service, and what starts them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    MODULE, Notice, Notices, SCRIPT, Sysroot, UNIT, accounts, disable, read, systemctl, systemd_runs,
    unit::{Specifiers, Unit},
    whole,
};
use crate::{daemon::process::real_user, printable::printable};

/// Arguments among which the program's name is looked for: an interpreter has few options before it.
const ARGUMENTS_MAX: usize = 6;
/// How long a process has to end after SIGTERM, and again after SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where units are (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A process of the older service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) arguments: Vec<String>,
    /// Its working directory.
    pub(super) directory: Option<PathBuf>,
    pub(super) environment: Vec<(String, String)>,
    /// The user that it runs as, unless root.
    pub(super) user: Option<String>,
    /// The service of systemd that it belongs to.
    pub(super) service: Option<String>,
    /// The number of the user that it runs as.
    pub(super) uid: u32,
}

/// The processes of the older service, regardless of the user that started them. Those in containers are not this
/// system's.
pub(super) fn find(root: &Sysroot) -> Vec<Process> {
    all(root).filter(|process| !is_contained(root, process)).collect()
}

/// Those in containers.
pub(super) fn find_contained(root: &Sysroot) -> Vec<Process> {
    all(root).filter(|process| is_contained(root, process)).collect()
}

fn all(root: &Sysroot) -> impl Iterator<Item = Process> {
    // In a chroot, as in an image that is being made, others are those of the machine around it: not even to be named.
    let is_inside = root.is_live() && has_same_files("1") == Some(false);
    let entries = root.host_path(Path::new("/proc")).read_dir().into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(move |pid: &i32| !is_inside || has_same_files(&pid.to_string()) == Some(true))
        .filter_map(|pid| examine(root, pid))
}

/// Whether systemd runs this very system: in a chroot, what `/proc` shows is another one's.
pub(super) fn runs_here(root: &Sysroot) -> bool {
    systemd_runs(root) && has_same_files("1") != Some(false)
}

/// Whether a process has the same `/` as this one. `None` if that cannot be seen: only its user and root may look.
fn has_same_files(pid: &str) -> Option<bool> {
    let files = |path: &str| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    Some(files(&format!("/proc/{pid}/root"))? == files("/")?)
}

/// Whether it has process numbers (pid_namespaces(7)) or files of its own. Only its user and root may look.
fn is_contained(root: &Sysroot, process: &Process) -> bool {
    if root.is_live() && has_same_files(&process.pid.to_string()) == Some(false) {
        return true;
    }
    let namespace = |pid: &str| fs::read_link(root.host_path(Path::new(&format!("/proc/{pid}/ns/pid")))).ok();
    let (own, other) = (namespace("self"), namespace(&process.pid.to_string()));
    own.is_some() && other.is_some() && own != other
}

fn examine(root: &Sysroot, pid: i32) -> Option<Process> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let arguments = arguments(root, pid).filter(|arguments| runs_script(arguments))?;
    let host = root.host_path(&directory);
    let uid = if root.is_live() { user_of(root, &directory)? } else { host.metadata().ok()?.uid() };
    let service = read(root, &directory.join("cgroup")).ok().and_then(|groups| service_of(&groups));
    let environment = strings(&fs::read(host.join("environ")).unwrap_or_default());
    Some(Process {
        pid,
        arguments,
        directory: fs::read_link(host.join("cwd")).ok(),
        environment: environment
            .iter()
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        user: (uid != 0).then(|| accounts::with_uid(root, uid)).flatten().map(|account| account.name),
        service,
        uid,
    })
}

fn user_of(root: &Sysroot, directory: &Path) -> Option<u32> {
    let program = fs::read_link(root.host_path(directory).join("exe")).ok()?;
    user_of_interpreter(&program, &read(root, &directory.join("status")).ok()?)
}

/// The user that started a process with this `/proc/PID/exe` and `/proc/PID/status`, if it is an interpreter of Python.
///
/// Any user can start a set-user-ID program, such as `su`, with arguments of their choice: then `/proc/PID` is root's. The
/// real user stays theirs with `su`, and its program is no interpreter.
fn user_of_interpreter(program: &Path, status: &str) -> Option<u32> {
    program.file_name().filter(|name| name.as_bytes().starts_with(b"python"))?;
    real_user(status)
}

fn arguments(root: &Sysroot, pid: i32) -> Option<Vec<String>> {
    Some(strings(&fs::read(root.host_path(Path::new(&format!("/proc/{pid}/cmdline")))).ok()?))
}

/// Strings that each end in a NUL.
fn strings(bytes: &[u8]) -> Vec<String> {
    let strings = bytes.split(|byte| *byte == 0).filter(|string| !string.is_empty());
    strings.map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}

/// Whether Python runs the program: an editor with the file, or `tail`, is not the service.
fn runs_script(arguments: &[String]) -> bool {
    let named =
        |argument: &String| Path::new(argument).file_name().map(OsStr::as_bytes) == Some(SCRIPT.as_bytes());
    let interpreter = arguments.first().and_then(|program| Path::new(program).file_name());
    let first = arguments.get(..ARGUMENTS_MAX.min(arguments.len())).unwrap_or_default();
    let as_module = first.windows(2).any(|pair| {
        matches!(pair, [option, module] if option == "-m" && module.rsplit('.').next() == Some(MODULE))
    });
    interpreter.is_some_and(|name| name.as_bytes().starts_with(b"python"))
        && (first.iter().skip(1).any(named) || as_module)
}

/// The system service in whose control group a process is (`/proc/PID/cgroup`, cgroups(7)). Those of a user's own
/// systemd are none.
fn service_of(groups: &str) -> Option<String> {
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next().filter(|controllers| controllers.is_empty() || *controllers == "name=systemd")?;
        fields.next().filter(|path| path.contains(".service"))
    })?;
    let system = !path.contains("/user.slice/");
    path.rsplit('/').find(|part| part.ends_with(".service")).filter(|_| system).map(ToOwned::to_owned)
}

impl Process {
    /// Its command, for people.
    pub(super) fn command(&self) -> String {
        printable(&self.arguments.join(" ")).into_owned()
    }

    /// Ends it, and the service that starts it if that is the older service under another name.
    pub(super) fn end(&self, root: &Sysroot, notices: Notices<'_>) {
        if let Some(service) =
            self.service.as_deref().filter(|service| *service != UNIT && systemd_runs(root))
        {
            if is_whole(root, service) {
                let is_disabled = disable(service, notices);
                systemctl(&["stop", service], notices);
                let done = if is_disabled { "stopped and disabled" } else { "stopped" };
                notices(Notice::Done(format!("{service} is the older service under another name: {done}")));
            } else {
                notices(Notice::Attention(format!(
                    "{service} has started an older heartbeat service ({}) and may start it again: look there",
                    self.command()
                )));
            }
        }
        if !root.is_live() || !self.lives(root) {
            return;
        }
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let _ = kill(Pid::from_raw(self.pid), signal);
            let began = Instant::now();
            while self.lives(root) && began.elapsed() < GRACE {
                thread::sleep(LOOK_EVERY);
            }
            if !self.lives(root) {
                notices(Notice::Done(format!("process {} is ended ({})", self.pid, self.command())));
                return;
            }
        }
        notices(Notice::Attention(format!("process {} does not end ({})", self.pid, self.command())));
    }

    /// Whether the process still runs, and is not another one with its number. A zombie has no arguments.
    fn lives(&self, root: &Sysroot) -> bool {
        arguments(root, self.pid).is_some_and(|arguments| arguments == self.arguments)
    }
}

/// Whether a service is the program, and not an application that has started it besides.
fn is_whole(root: &Sysroot, service: &str) -> bool {
    let template = service.split_once('@').map(|(prefix, _)| format!("{prefix}@.service"));
    let names = || template.as_deref().into_iter().chain([service]);
    // Of a unit the first counts, of its drop-ins each, the first directory's last.
    let in_all =
        |name: String| UNIT_DIRECTORIES.iter().map(move |directory| Path::new(directory).join(&name));
    let files = names().rev().flat_map(|name| in_all(name.to_owned()));
    let Some(text) = files.into_iter().find_map(|file| read(root, &file).ok()) else { return false };
    let mut unit = Unit::with(Specifiers::of_the_system(service));
    unit.add(&text, service);
    for directory in names().flat_map(|name| in_all(format!("{name}.d")).rev()) {
        let names = root.list(&directory).unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(".conf")) {
            unit.add(&read(root, &directory.join(name)).unwrap_or_default(), service);
        }
    }
    whole::is_older_service(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn only_an_interpreter_counts_and_for_the_user_that_started_it() {
        let status = |uids: &str| format!("Name:\tx\nUid:\t{uids}\nGid:\t0\t0\t0\t0\n");
        for (program, uids, expected) in [
            ("/usr/bin/python3.11", "0\t0\t0\t0", Some(0)),
            ("/usr/bin/python3.11 (deleted)", "1000\t1000\t1000\t1000", Some(1000)),
            ("/usr/bin/python3", "1000\t0\t0\t0", Some(1000)),
            ("/usr/bin/su", "1000\t0\t0\t0", None),
            ("/usr/bin/sudo", "0\t0\t0\t0", None),
            ("/usr/bin/python3", "", None),
        ] {
            assert_eq!(user_of_interpreter(Path::new(program), &status(uids)), expected, "{program} {uids}");
        }
    }

    #[test]
    fn recognises_python_with_the_script_only() {
        assert!(runs_script(&words(&["/usr/bin/python3", "-u", "/home/pi/app/heartbeat_daemon.py"])));
        assert!(runs_script(&words(&["python3.11", "heartbeat_daemon.py"])));
        assert!(runs_script(&words(&["python3", "-u", "-m", "app.heartbeat_daemon"])));
        assert!(!runs_script(&words(&["python3", "-m", "http.server"])));
        assert!(!runs_script(&words(&["vim", "heartbeat_daemon.py"])));
        assert!(!runs_script(&words(&["tail", "-f", "heartbeat_daemon.py"])));
        assert!(!runs_script(&words(&["python3", "other.py"])));
        assert!(!runs_script(&words(&["python3", "-c", "x", "y", "z", "w", "heartbeat_daemon.py"])));
        assert!(!runs_script(&[]));
    }

    #[test]
    fn finds_the_service_of_a_process() {
        let hybrid =
            "3:cpu:/\n1:name=systemd:/system.slice/heartbeat.service\n0::/system.slice/heartbeat.service\n";
        assert_eq!(service_of(hybrid).as_deref(), Some("heartbeat.service"));
        assert_eq!(service_of("0::/system.slice/cron.service\n").as_deref(), Some("cron.service"));
        assert_eq!(
            service_of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/h.service\n"),
            None
        );
        assert_eq!(service_of("0::/user.slice/user-1000.slice/session-2.scope\n"), None);
        assert_eq!(service_of("4:pids:/system.slice/x.service\n0::/\n"), None);
    }

    #[test]
    fn service_of_an_application_that_starts_the_program_is_not_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |file: &str, text: &str| {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("created");
            fs::write(file, text).expect("written");
        };
        let alone = "[Service]\nExecStart=/usr/bin/python3 /home/pi/heartbeat_daemon.py\n";
        write("etc/systemd/system/heart.service", alone);
        write("etc/systemd/system/heart@.service", alone);
        write(
            "lib/systemd/system/streamer.service",
            "[Service]\nExecStart=/bin/sh -c 'python3 heartbeat_daemon.py & exec python3 streamer.py'\n",
        );
        write("lib/systemd/system/changed.service", alone);
        write(
            "etc/systemd/system/changed.service.d/a.conf",
            "[Service]\nExecStart=\nExecStart=/home/pi/streamer\n",
        );
        let root = Sysroot::new(dir.path()).expect("opened");
        let whole = ["heart", "heart@pi", "streamer", "changed", "none"]
            .map(|name| is_whole(&root, &format!("{name}.service")));
        assert_eq!(whole, [true, true, false, false, false]);
    }
}
