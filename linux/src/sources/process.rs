//! Asks a helper program, within a deadline that it cannot stretch.

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

/// Runs `program` and returns what it printed, whatever its exit status: helpers explain themselves on standard output.
///
/// # Errors
///
/// [`SensorError::Absent`] without such a program, [`SensorError::Io`] when it had not ended after `deadline`; then it
/// and what it started are killed.
pub(super) fn ask(program: &Path, args: &[&str], deadline: Duration) -> Result<Vec<u8>, SensorError> {
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
        .stderr(Stdio::null())
        // A group of its own, so that its children die with it.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => SensorError::Absent,
            ErrorKind::PermissionDenied => SensorError::Denied,
            _ => SensorError::Io,
        })?;
    let output = read_until(&mut child, ends);
    // Also after a proper end: somebody may have been left behind.
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    if let Ok(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
    }
    // Reaped here; where it cannot die, only this thread waits.
    let _ = child.wait();
    output
}

/// Reads until the end of the output, of the child, of the buffer or of the time.
fn read_until(child: &mut Child, ends: Instant) -> Result<Vec<u8>, SensorError> {
    let mut stdout = child.stdout.take().ok_or(SensorError::Io)?;
    fcntl(&stdout, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|_| SensorError::Io)?;
    let mut output = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(output),
            Ok(len) => {
                output.extend_from_slice(buffer.get(..len).unwrap_or_default());
                if output.len() >= OUTPUT_MAX {
                    return Err(SensorError::Invalid);
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(SensorError::Io),
        }
        // Nothing to read. When the child has ended, whoever keeps its output open is of no interest.
        if matches!(child.try_wait(), Ok(Some(_))) {
            return Ok(output);
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SensorError::Io);
        }
        let wait = PollTimeout::try_from(left.min(LOOK)).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(100);

    fn shell(script: &str, deadline: Duration) -> Result<Vec<u8>, SensorError> {
        ask(Path::new("/bin/sh"), &["-c", script], deadline)
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
        assert_eq!(shell("kill -9 $$", LONG), Ok(Vec::new()));
        assert_eq!(ask(Path::new("/nonexistent"), &[], LONG), Err(SensorError::Absent));
        assert_eq!(ask(Path::new("/etc/passwd"), &[], LONG), Err(SensorError::Denied));
    }

    #[test]
    fn kills_children_that_a_helper_leaves_behind() {
        // The child inherits the output and the group. Its pid is printed, so that its end can be seen.
        let output = shell("sleep 3600 & echo $!", LONG).expect("an answer");
        let pid: i32 = String::from_utf8(output).expect("text").trim().parse().expect("a pid");
        let began = Instant::now();
        // It dies of the signal; who reaps it is not ours to know, so a zombie counts as dead.
        while !std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
        {
            assert!(began.elapsed() < LONG, "it lives");
        }
    }
}
