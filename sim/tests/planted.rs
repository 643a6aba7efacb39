//! Anything at all stands at a path that the daemon uses. It beats without, or says why not and ends; it never waits, and
//! never touches what a link leads to.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    sys::stat::Mode,
    unistd::{Uid, mkfifo},
};
use support::{Daemon, beat, command, receiver};

/// The user who runs the daemon when the test runs as root, because root may read everything.
const USER: u32 = 54_341;
const PRECIOUS: &str = "precious";

/// What can stand at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fifo,
    Directory,
    DanglingLink,
    LinkToPrecious,
    LinkToDevice,
    Huge,
    Unreadable,
}

const KINDS: [Kind; 7] = [
    Kind::Fifo,
    Kind::Directory,
    Kind::DanglingLink,
    Kind::LinkToPrecious,
    Kind::LinkToDevice,
    Kind::Huge,
    Kind::Unreadable,
];

/// A directory of the user who runs the daemon.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a directory") };
        fs::copy(env!("CARGO_BIN_EXE_daemon-under-test"), place.path("program")).expect("copied");
        fs::create_dir(place.path("own")).expect("created");
        fs::set_permissions(place.dir.path(), Permissions::from_mode(0o755)).expect("set");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a thing at `own/NAME`, alone.
    fn plant(&self, kind: Kind, name: &str) -> PathBuf {
        fs::remove_dir_all(self.path("own")).expect("removed");
        fs::create_dir(self.path("own")).expect("created");
        fs::write(self.path("own/target"), PRECIOUS).expect("written");
        let path = self.path("own").join(name);
        match kind {
            Kind::Fifo => mkfifo(&path, Mode::S_IRWXU).expect("made"),
            Kind::Directory => fs::create_dir(&path).expect("created"),
            Kind::DanglingLink => symlink("/nonexistent/file", &path).expect("linked"),
            Kind::LinkToPrecious => symlink(self.path("own/target"), &path).expect("linked"),
            Kind::LinkToDevice => symlink("/dev/zero", &path).expect("linked"),
            Kind::Huge => File::create(&path).expect("created").set_len(1 << 40).expect("set"),
            Kind::Unreadable => {
                fs::write(&path, "").expect("written");
                fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("set");
            }
        }
        if Uid::effective().is_root() {
            for entry in fs::read_dir(self.path("own")).expect("listed") {
                std::os::unix::fs::lchown(entry.expect("an entry").path(), Some(USER), None).expect("given");
            }
            chown(self.path("own"), Some(USER), None).expect("given");
        }
        path
    }

    /// `run` by the user.
    fn run(&self, url: &str, more: &[&str]) -> Command {
        let run = command(&[&["run", "--url", url, "--interval", "0.1"], more].concat());
        let mut outer = if Uid::effective().is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
            setpriv.arg(self.path("program"));
            setpriv
        } else {
            Command::new(self.path("program"))
        };
        // Not `wrapped`: the user may not reach the program that it names.
        outer.args(run.get_args());
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer
    }

    fn is_untouched(&self, about: &str) {
        let target = fs::read_to_string(self.path("own/target")).expect("read");
        assert_eq!(target, PRECIOUS, "{about}");
    }

    /// It ends, with this status, and says what is wrong.
    fn is_refused(&self, mut run: Command, status: i32, about: &str) {
        let output = run.output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{about}: {errors}");
        assert!(errors.contains("error: "), "{about}: {errors}");
        self.is_untouched(about);
    }

    /// It beats and stops in order. Returns its log.
    fn beats(&self, more: &[&str], environment: &[(&str, &Path)], about: &str) -> Vec<String> {
        let receiver = receiver();
        let mut run = self.run(&format!("http://{}/", receiver.address()), more);
        run.envs(environment.iter().copied());
        let mut daemon = Daemon::start(run);
        beat(&receiver);
        beat(&receiver);
        daemon.stop();
        self.is_untouched(about);
        std::mem::take(&mut daemon.log)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn refuses_special_files_as_configuration_or_ca_file() {
    let place = Place::new();
    for kind in KINDS {
        let about = format!("{kind:?}");
        // What is absent may come, such as a volume that is mounted late.
        let status = if kind == Kind::DanglingLink { 1 } else { 78 };
        let config = place.plant(kind, "config.toml");
        let run = place.run("http://127.0.0.1:1/", &["--pidfile", "", "--config", text(&config)]);
        place.is_refused(run, status, &about);

        let ca_file = place.plant(kind, "ca.pem");
        let run = place.run("https://127.0.0.1:1/", &["--pidfile", "", "--ca-file", text(&ca_file)]);
        place.is_refused(run, status, &about);
    }
}

#[test]
fn special_file_as_version_or_backlog_costs_only_that() {
    let place = Place::new();
    let config = place.path("config.toml");
    for kind in KINDS {
        let version = place.plant(kind, "VERSION");
        fs::write(&config, format!("app_version_file = {version:?}\n")).expect("written");
        place.beats(&["--pidfile", "", "--config", text(&config)], &[], &format!("{kind:?}"));

        let backlog = place.plant(kind, "backlog");
        fs::write(&config, format!("[backlog]\nbeats = 10\nfile = {backlog:?}\n")).expect("written");
        let log = place.beats(&["--pidfile", "", "--config", text(&config)], &[], &format!("{kind:?}"));
        assert!(log.iter().any(|line| line.starts_with("warning: backlog: ")), "{kind:?}: {log:#?}");
    }
}

#[test]
fn special_file_as_pidfile_or_lock_does_not_stop_the_daemon() {
    let place = Place::new();
    let config = place.path("config.toml");
    fs::write(&config, "").expect("written");
    for kind in KINDS {
        let pidfile = place.plant(kind, "pid");
        let log = place.beats(&["--pidfile", text(&pidfile)], &[], &format!("{kind:?}"));
        let warned = log.iter().any(|line| line.contains("going on without a pidfile"));
        assert!(warned, "{kind:?}: {log:#?}");

        place.plant(kind, "lock");
        let directory = place.path("own");
        let log = place.beats(&["--pidfile", ""], &[("RUNTIME_DIRECTORY", &directory)], &format!("{kind:?}"));
        assert!(!log.iter().any(|line| line.contains("not published")), "{kind:?}: {log:#?}");
    }
}

#[test]
fn special_file_as_status_is_replaced_and_a_directory_is_reported() {
    let place = Place::new();
    for name in ["status.json", "status.json.new"] {
        for kind in KINDS {
            let path = place.plant(kind, name);
            let about = format!("{name}: {kind:?}");
            // `status` says what it finds.
            let mut look = command(&["status", "--file", text(&path)]);
            assert_eq!(look.output().expect("it runs").status.code(), Some(3), "{about}");

            let directory = place.path("own");
            let log = place.beats(&["--pidfile", ""], &[("RUNTIME_DIRECTORY", &directory)], &about);
            let complaints = log.iter().filter(|line| line.contains("status is not published")).count();
            assert_eq!(complaints, usize::from(kind == Kind::Directory), "{about}: {log:#?}");
            if kind != Kind::Directory {
                let status = fs::read_to_string(place.path("own/status.json")).expect("published");
                assert!(status.contains("\"running\":false"), "{about}: {status}");
            }
        }
    }
}
