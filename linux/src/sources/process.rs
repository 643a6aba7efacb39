//! Runs a helper program, with a deadline that it cannot extend.

use std::{
    io::{ErrorKind, Read},
    os::{fd::AsFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use heartbeat_core::SensorError;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Bytes of output that are read; a helper that prints more is cut off.
const OUTPUT_MAX: usize = 16 * 1024;
/// How often the end of a helper whose output stays open is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What a helper printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs `program` and returns what it printed, regardless of its exit status.
///
/// # Errors
///
/// [`SensorError::Absent`] without such a program, [`SensorError::Io`] when it had not ended after `deadline`; then it
/// and what it started are killed.
pub(super) fn ask(program: &Path, args: &[&str], deadline: Duration) -> Result<Output, SensorError> {
    // Without a program no process is started only to fail.
    if !program.exists() {
        return Err(SensorError::Absent);
    }
    let ends = Instant::now() + deadline;
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its children die with it.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => SensorError::Absent,
            ErrorKind::PermissionDenied => SensorError::Denied,
            _ => SensorError::Io,
        })?;
    let output = read_until(&mut child, ends);
    // Also after a normal exit: its child processes may still run.
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    if let Ok(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
    }
    // Reaped here; where it cannot die, only this thread waits.
    let _ = child.wait();
    output
}

/// Reads until the end of both outputs, of the child, of the buffer or of the time.
fn read_until(child: &mut Child, ends: Instant) -> Result<Output, SensorError> {
    let mut stdout = Pipe::new(child.stdout.take())?;
    let mut stderr = Pipe::new(child.stderr.take())?;
    loop {
        stdout.drain()?;
        stderr.drain()?;
        // Nothing to read. When the child has ended, other processes that keep its output open are ignored.
        if stdout.is_closed && stderr.is_closed || matches!(child.try_wait(), Ok(Some(_))) {
            // What it printed just before.
            stdout.drain()?;
            stderr.drain()?;
            return Ok(Output { stdout: stdout.read, stderr: stderr.read });
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SensorError::Io);
        }
        let wait = PollTimeout::try_from(left.min(LOOK)).unwrap_or(PollTimeout::ZERO);
        let open = [stdout.waits(), stderr.waits()];
        let _ = poll(&mut open.into_iter().flatten().collect::<Vec<_>>(), wait);
    }
}

/// One output of a helper.
struct Pipe<P> {
    pipe: P,
    read: Vec<u8>,
    is_closed: bool,
}

impl<P: Read + AsFd> Pipe<P> {
    fn new(pipe: Option<P>) -> Result<Self, SensorError> {
        let pipe = pipe.ok_or(SensorError::Io)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|_| SensorError::Io)?;
        Ok(Self { pipe, read: Vec::new(), is_closed: false })
    }

    /// Reads what is there.
    fn drain(&mut self) -> Result<(), SensorError> {
        let mut buffer = [0; 4096];
        while !self.is_closed {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.is_closed = true,
                Ok(len) => {
                    self.read.extend_from_slice(buffer.get(..len).unwrap_or_default());
                    if self.read.len() >= OUTPUT_MAX {
                        return Err(SensorError::Invalid);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(SensorError::Io),
            }
        }
        Ok(())
    }

    fn waits(&self) -> Option<PollFd<'_>> {
        (!self.is_closed).then(|| PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(100);

    fn shell(script: &str, deadline: Duration) -> Result<Vec<u8>, SensorError> {
        ask(Path::new("/bin/sh"), &["-c", script], deadline).map(|output| output.stdout)
    }

    #[test]
    fn ends_every_helper_within_its_deadline() {
        assert_eq!(shell("echo temp=48.8; exit 255", LONG), Ok(b"temp=48.8\n".to_vec()));
        assert_eq!(
            shell("while :; do echo 0123456789; done", LONG),
            Err(SensorError::Invalid),
            "prints for ever"
        );
        assert_eq!(
            shell("trap '' TERM INT HUP; while :; do :; done", SHORT),
            Err(SensorError::Io),
            "will not die"
        );
        assert_eq!(
            shell("while :; do echo 0123456789 >&2; done", LONG),
            Err(SensorError::Invalid),
            "complains for ever"
        );
        assert_eq!(shell("kill -9 $$", LONG), Ok(Vec::new()));
        assert_eq!(ask(Path::new("/nonexistent"), &[], LONG), Err(SensorError::Absent));
        assert_eq!(ask(Path::new("/etc/passwd"), &[], LONG), Err(SensorError::Denied));
    }

    #[test]
    fn reads_both_outputs() {
        let output = ask(Path::new("/bin/sh"), &["-c", "echo no >&2; echo yes; exit 1"], LONG);
        assert_eq!(output, Ok(Output { stdout: b"yes\n".to_vec(), stderr: b"no\n".to_vec() }));
    }

    #[test]
    fn kills_children_that_a_helper_leaves_behind() {
        // The child inherits the output and the group. Its pid is printed, so that its end can be seen.
        let output = shell("sleep 3600 & echo $!", LONG).expect("an answer");
        let pid: i32 = String::from_utf8(output).expect("text").trim().parse().expect("a pid");
        let began = Instant::now();
        // The signal kills it; which process reaps it is not known here, so a zombie counts as dead.
        while !std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
        {
            assert!(began.elapsed() < LONG, "it lives");
        }
    }
}
