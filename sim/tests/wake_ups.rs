//! How often the daemon's threads are woken, by their voluntary context switches: for a beat, for its request and for the reply,
//! and for nothing in between.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{fs, os::unix::net::UnixDatagram, thread};

use heartbeat_sim::receiver::Receiver;
use support::{Daemon, beat, command, receiver};

/// Beats of a count.
const BEATS: u64 = 8;
/// Counts, of which one must be as expected: on a busy machine a wait for a lock, or a sensor that takes long, is more.
const COUNTS: usize = 12;
/// Before the first count, for what is done once at a start.
const UNTIL_SETTLED: usize = 6;

/// Wake-ups of threads so far.
#[derive(Debug, Clone, Copy, Default)]
struct WakeUps {
    main: u64,
    uplink: u64,
    worker: u64,
    others: u64,
}

impl WakeUps {
    fn of(pid: u32) -> Self {
        let mut found = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").map_while(Result::ok) {
            // A thread may end meanwhile.
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let count = field("voluntary_ctxt_switches:").and_then(|count| count.parse().ok());
            let count: u64 = count.expect("proc_pid_status(5)");
            match field("Name:") {
                _ if *task.file_name() == *pid.to_string() => found.main += count,
                Some("uplink") => found.uplink += count,
                Some("worker") => found.worker += count,
                _ => found.others += count,
            }
        }
        found
    }

    /// During so many beats.
    fn during(pid: u32, receiver: &Receiver, beats: u64) -> Self {
        let before = Self::of(pid);
        (0..beats).for_each(|_| drop(beat(receiver)));
        let after = Self::of(pid);
        Self {
            main: after.main - before.main,
            uplink: after.uplink - before.uplink,
            worker: after.worker.saturating_sub(before.worker),
            others: after.others.saturating_sub(before.others),
        }
    }
}

#[test]
fn a_beat_wakes_the_main_loop_once_and_the_uplink_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let supervisor = UnixDatagram::bind(dir.path().join("notify")).expect("bound");
    // A full socket would be tried again.
    thread::spawn(move || while supervisor.recv(&mut [0; 4096]).is_ok() {});
    let receiver = receiver();
    let url = format!("http://{}/", receiver.address());
    let mut command = command(&["run", "--url", &url, "--interval", "0.5", "--pidfile", ""]);
    // So that a request's deadline is before the next slot.
    command.env("REQUEST_TIMEOUT", "0.3");
    command.env("RUNTIME_DIRECTORY", dir.path());
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "6000000");
    let mut daemon = Daemon::start(command);
    (0..UNTIL_SETTLED).for_each(|_| drop(beat(&receiver)));
    let mut counts = Vec::new();
    let is_as_expected = (0..COUNTS).any(|_| {
        let count = WakeUps::during(daemon.pid(), &receiver, BEATS);
        counts.push(count);
        // One half more, for the beats at both ends. Where sensors may block, the worker reads them and wakes the main loop.
        let most = |each: u64| each * BEATS + BEATS / 2;
        count.main <= most(1) + count.worker && count.uplink <= most(2) && count.others <= BEATS / 2
    });
    assert!(is_as_expected, "in {BEATS} beats each: {counts:#?}");
    daemon.stop();
}
