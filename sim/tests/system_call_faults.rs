//! Every system call that the daemon makes fails in turn (strace(1), "Tampering"), on this machine with all that it has.
//!
//! After any failure the daemon beats on, with the same id, and soon has all its values again; or it logs why it
//! cannot and ends with status 1, after which systemd starts it again. It neither panics nor hangs nor spins, and never
//! reports that its configuration is wrong.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use heartbeat_sim::{
    hostile_servers::Authority,
    receiver::{Event, Receiver},
};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Daemon, beat, command, wrapped};

/// What fails, and how. Those that this processor does not have are left out by strace.
const CALLS: &[(&str, &str)] = &[
    ("openat", "EIO"),
    ("openat", "EMFILE"),
    ("read", "EIO"),
    ("pread64", "EIO"),
    ("newfstatat", "EIO"),
    ("fstat", "EIO"),
    ("statx", "EIO"),
    ("statfs", "EIO"),
    ("getdents64", "EIO"),
    ("lseek", "EIO"),
    ("fcntl", "EMFILE"),
    ("ioctl", "EIO"),
    ("socket", "EMFILE"),
    ("bind", "EADDRINUSE"),
    ("connect", "ENOMEM"),
    ("getsockname", "ENOBUFS"),
    ("getsockopt", "ENOBUFS"),
    ("setsockopt", "ENOBUFS"),
    ("sendto", "ENOBUFS"),
    ("recvfrom", "ENOMEM"),
    ("recvmsg", "ENOMEM"),
    ("poll", "ENOMEM"),
    ("ppoll", "ENOMEM"),
    ("clone3", "EAGAIN"),
    ("timerfd_create", "EMFILE"),
    ("timerfd_settime", "EIO"),
    ("socketpair", "EMFILE"),
    ("write", "ENOSPC"),
    ("rename", "ENOSPC"),
    ("renameat", "ENOSPC"),
    ("chmod", "EROFS"),
    ("fchmodat", "EROFS"),
    ("unlink", "EROFS"),
    ("unlinkat", "EROFS"),
    ("fsync", "EIO"),
    ("ftruncate", "EIO"),
    ("flock", "EIO"),
    ("inotify_init1", "EMFILE"),
    ("inotify_add_watch", "ENOSPC"),
];

/// Calls of each kind that fail in turn, in each thread: all that the worker makes for the first beat, and more.
const CALLS_MAX: usize = 60;

/// Calls from which on all of a kind fail.
const FROM_HERE_ON: [usize; 3] = [1, 4, 12];

/// Beats until what failed once is forgotten.
const BEATS_MAX: usize = 50;

/// A source that fails is not tried more often than this per beat: nothing spins.
const FAILURES_PER_BEAT: usize = 500;

/// Which calls of a kind fail, in each thread.
#[derive(Debug, Clone, Copy)]
enum Which {
    Only(usize),
    From(usize),
}

impl Which {
    /// As strace wants it.
    fn when(self) -> String {
        match self {
            Self::Only(number) => number.to_string(),
            Self::From(number) => format!("{number}+"),
        }
    }
}

/// The loader and the Rust runtime come before the program and give up in ways of their own.
fn is_before_main(call: &str, which: Which, log: &[String]) -> bool {
    matches!((call, which), ("poll", Which::Only(1)))
        || log.iter().any(|line| line.contains("error while loading shared libraries"))
}

/// A server, and where the daemon finds what it needs.
struct Scene {
    receiver: Receiver,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let receiver = Receiver::secured("127.0.0.1:0", &authority, "localhost").expect("a port");
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("ca.pem"), authority.pem()).expect("written");
        let text = format!(
            "ca_file = {:?}\n[backlog]\nbeats = 10\nfile = {:?}\n",
            dir.path().join("ca.pem"),
            dir.path().join("backlog")
        );
        fs::write(dir.path().join("config.toml"), text).expect("written");
        Self { receiver, dir }
    }

    /// The daemon with all that it may keep or publish.
    fn run(&self) -> Command {
        let (dir, url) = (self.dir.path(), format!("https://localhost:{}/", self.receiver.address().port()));
        let mut run = command(&["run", "--url", &url, "--interval", "0.2", "--verbose", "--config"]);
        run.arg(dir.join("config.toml")).arg("--pidfile").arg(dir.join("pid")).env("RUNTIME_DIRECTORY", dir);
        run
    }
}

/// Has calls of each thread fail in a daemon that otherwise says what `healthy` does. False when there were none.
fn fail(call: &str, error: &str, which: Which, healthy: &Value) -> bool {
    let scene = Scene::new();
    let trace = scene.dir.path().join("trace");
    let mut strace = Command::new("strace");
    // As a grandchild: signals and the exit status are the daemon's.
    strace.args(["--daemonize=grandchild", "-f", "-qq", "-o"]).arg(&trace);
    let inject = format!("inject=?{call}:error={error}:when={}", which.when());
    strace.args(["-e", &format!("trace=?{call}"), "-e", &inject]);
    let mut daemon = Daemon::start(wrapped(strace, &scene.run()));

    let about = format!("{call} {which:?}: {error}");
    let (mut sent, mut lost) = (0, BTreeSet::from(["heartbeats".to_owned()]));
    let is_well = |sent: usize, lost: &BTreeSet<String>| match which {
        Which::Only(_) => lost.is_empty(),
        Which::From(_) => sent >= 5,
    };
    while sent < BEATS_MAX && !is_well(sent, &lost) && daemon.logs_or_ends("debug: sending").is_some() {
        sent += 1;
        while let Ok(event) = scene.receiver.events().try_recv() {
            let Event::Beat(beat) = event else { panic!("{about}: {event:?}") };
            assert_eq!(beat.value["hardwareid"], healthy["hardwareid"], "{about}: {:#?}", daemon.log);
            lost = unknown("", &beat.value).difference(&unknown("", healthy)).cloned().collect();
        }
    }
    assert!(sent < BEATS_MAX, "{about}: {lost:?} do not come back: {:#?}", daemon.log);
    let well = is_well(sent, &lost);
    if well {
        daemon.signal(Signal::SIGTERM);
    }
    let status = daemon.wait();
    let explained = daemon.log.iter().any(|line| line.starts_with("error: "));
    let gave_up = status.code() == Some(1) && explained;
    let fine = well && status.success() || gave_up || is_before_main(call, which, &daemon.log);
    assert!(fine, "{about}: {status}: {:#?}", daemon.log);
    assert!(!daemon.log.iter().any(|line| line.contains("panicked")), "{about}: {:#?}", daemon.log);
    let injected = fs::read_to_string(&trace).expect("a trace").matches("(INJECTED)").count();
    assert!(injected <= FAILURES_PER_BEAT * (sent + 1), "{about}: {injected} times in {sent} beats");
    injected > 0
}

/// The values that are not known.
fn unknown(path: &str, value: &Value) -> BTreeSet<String> {
    match value {
        Value::Null => BTreeSet::from([path.to_owned()]),
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| unknown(&format!("{path}/{name}"), value)).collect()
        }
        _ => BTreeSet::new(),
    }
}

#[test]
#[ignore = "needs strace and takes a minute"]
fn survives_each_failing_system_call_or_exits_with_a_reason() {
    let scene = Scene::new();
    let mut daemon = Daemon::start(scene.run());
    // The first knows nothing about the processor.
    let [_, healthy] = [(); 2].map(|()| beat(&scene.receiver));
    daemon.stop();

    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((call, error)) = CALLS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failed = (1..=CALLS_MAX)
                        .take_while(|number| fail(call, error, Which::Only(*number), &healthy.value))
                        .count();
                    println!("{call}: {failed}");
                    failures.fetch_add(failed, Ordering::Relaxed);
                    // Without these nothing could be logged, and the log tells how it is.
                    if !["write", "poll"].contains(call) {
                        for number in FROM_HERE_ON {
                            fail(call, error, Which::From(number), &healthy.value);
                        }
                    }
                }
            });
        }
    });
    assert!(failures.into_inner() > 100, "strace injects nothing here");
}
