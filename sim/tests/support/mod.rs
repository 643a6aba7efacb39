//! The daemon as a process, and servers for it.

// Each test program uses a part of this.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::{
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use heartbeat_sim::receiver::{self, Beat, Event};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Until something that must happen has happened. Long, because a slow machine is no failure; reached only when it
/// never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The environment variable with the absolute path of another program to test, such as the one that is packaged.
const PROGRAM: &str = "HEARTBEAT_TEST_PROGRAM";

/// Whether another program is tested: the packaged one, with another C library than that of this machine.
pub(crate) fn is_packaged() -> bool {
    std::env::var_os(PROGRAM).is_some()
}

/// A command of the daemon without anything from this machine's configuration.
pub(crate) fn command(args: &[&str]) -> Command {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_daemon-under-test").into());
    let mut command = Command::new(program);
    for name in [
        "HEARTBEAT_URL",
        "HEARTBEAT_INTERVAL",
        "REQUEST_TIMEOUT",
        "PIDFILE",
        "HEARTBEAT_APP_TMP",
        "JOURNAL_STREAM",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
    ] {
        command.env_remove(name);
    }
    // A test that keeps an id says where.
    command.env_remove("STATE_DIRECTORY");
    // Not where a daemon that is installed on this machine publishes its status.
    command.env("RUNTIME_DIRECTORY", "/nonexistent");
    command.args(args);
    if !args.contains(&"--config") {
        command.args(["--config", "/dev/null"]);
    }
    command.stdin(Stdio::null());
    command
}

/// `inner`, run by `outer`, with its environment.
pub(crate) fn wrapped(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A running daemon. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// Everything that it has logged so far.
    pub(crate) log: Vec<String>,
}

impl Daemon {
    /// Starts `run` with a request to `address` every `interval` seconds.
    pub(crate) fn sending_to(address: SocketAddr, interval: &str, more: &[&str]) -> Self {
        let url = format!("http://{address}/heartbeat.php");
        let mut args = vec!["run", "--url", &url, "--interval", interval, "--verbose"];
        if !more.contains(&"--pidfile") {
            args.extend(["--pidfile", ""]);
        }
        args.extend(more);
        Self::start(command(&args))
    }

    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the daemon starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, log: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line that contains `text`.
    pub(crate) fn logs(&mut self, text: &str) -> String {
        self.logs_or_ends(text).unwrap_or_else(|| panic!("it ended without {text:?}: {:#?}", self.log))
    }

    /// Waits for a log line that contains `text`; `None` when it ends without.
    pub(crate) fn logs_or_ends(&mut self, text: &str) -> Option<String> {
        let began = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(text) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{text:?} was never logged: {:#?}", self.log),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it lives");
    }

    /// Sends SIGTERM and waits for the end. Returns how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::SIGTERM);
        assert!(self.wait().success(), "{:#?}", self.log);
        began.elapsed()
    }

    /// Waits for the end and collects the rest of the log.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        // The log ends with the process.
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.log),
            }
        }
        self.child.wait().expect("waited")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes heartbeats.
pub(crate) fn receiver() -> receiver::Receiver {
    receiver::Receiver::listen("127.0.0.1:0").expect("a port")
}

/// The next heartbeat that it gets.
pub(crate) fn beat(receiver: &receiver::Receiver) -> Beat {
    match receiver.events().recv_timeout(PATIENCE).expect("a beat") {
        Event::Beat(beat) => beat,
        Event::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// A server that treats each connection, numbered from 0, as it likes, on a thread of its own.
pub(crate) fn server(
    handle: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let handle = std::sync::Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let handle = handle.clone();
            // An error means that the peer has closed the connection.
            thread::spawn(move || stream.and_then(|stream| handle(number, stream)));
        }
    });
    address
}

/// A tree in which a board can be identified, and nothing else.
pub(crate) fn bare_tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "etc/machine-id", b"8a7d5c1e0f3b4a2d9c6e5f4a3b2c1d0e\n");
    dir
}

/// Writes a file of a tree.
pub(crate) fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    std::fs::write(path, content).expect("written");
}
