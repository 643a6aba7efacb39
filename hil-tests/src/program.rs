//! Runs other programs, with a deadline.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::finding::Stop;

/// Far longer than any of them takes, also on a Pi Zero that is busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not installed.
    #[error("{0} is not installed")]
    Missing(String),
    /// It cannot be started.
    #[error("{0} cannot be started: {1}")]
    Start(String, io::Error),
    /// It failed.
    #[error("{program} failed with {status}: {said}")]
    Failed {
        /// Its name.
        program: String,
        /// Its exit status.
        status: String,
        /// What it printed.
        said: String,
    },
    /// It was killed because it did not end.
    #[error("{0} did not end within {1:?}")]
    TimedOut(String, Duration),
}

/// A witness that cannot be asked is no fault of the daemon.
impl From<ProgramError> for Stop {
    fn from(error: ProgramError) -> Self {
        Self::Skipped(error.to_string())
    }
}

/// What a program prints. It gets the C locale and no input.
///
/// # Errors
///
/// [`ProgramError`], also when its exit status is not 0.
pub fn ask(program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String, ProgramError> {
    let mut command = Command::new(program);
    command.args(arguments);
    answer(command, DEADLINE)
}

/// As [`ask`], for a command with an environment of its own.
///
/// # Errors
///
/// [`ProgramError`], also when its exit status is not 0.
pub fn answer(command: Command, deadline: Duration) -> Result<String, ProgramError> {
    let program = name(&command);
    let output = finish(command, deadline)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    // Some tell on standard output what is wrong, `vcgencmd` among them.
    let said = format!("{} {}", String::from_utf8_lossy(&output.stderr).trim(), stdout.trim());
    let status = output.status.code().map_or_else(|| "a signal".to_owned(), |code| format!("status {code}"));
    // In one line, as part of a reason.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(ProgramError::Failed { program, status, said })
}

/// Runs a program to its end, whatever its exit status.
///
/// # Errors
///
/// When it cannot be started, or did not end in time.
pub fn finish(mut command: Command, deadline: Duration) -> Result<Output, ProgramError> {
    let program = name(&command);
    let child = command
        .env("LC_ALL", "C")
        .env("PATH", search_path())
        // Ctrl-C is for this program, which asks others while it undoes what it changed.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ProgramError::Missing(program.clone()),
            _ => ProgramError::Start(program.clone(), error),
        })?;
    let pid = i32::try_from(child.id()).map(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // The receiver is gone once the deadline has passed.
        let _ = sender.send(child.wait_with_output());
    });
    match receiver.recv_timeout(deadline) {
        Ok(output) => output.map_err(|error| ProgramError::Start(program, error)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            if let Ok(pid) = pid {
                // It has not been waited for, so the number is still its own.
                let _ = kill(pid, Signal::SIGKILL);
            }
            Err(ProgramError::TimedOut(program, deadline))
        }
    }
}

/// The search path with the directories in which Debian has `iw` and `i2ctransfer`, and which only that of root names.
fn search_path() -> OsString {
    let mut path =
        env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/sbin:/sbin");
    path
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_apart_why_there_is_no_answer() {
        assert_eq!(ask("echo", &["hello"]).expect("an answer"), "hello\n");
        assert!(matches!(ask("heartbeat-no-such-program", &[]), Err(ProgramError::Missing(_))));
        let failed = ask("sh", &["-c", "echo on stdout; echo on stderr >&2; exit 3"]).expect_err("it fails");
        assert_eq!(failed.to_string(), "sh failed with status 3: on stderr on stdout");
    }

    #[test]
    fn finds_the_programs_of_the_administrator() {
        assert!(ask("sh", &["-c", "echo $PATH"]).expect("an answer").ends_with(":/usr/sbin:/sbin\n"));
    }

    #[test]
    fn kills_a_program_that_does_not_end() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        assert!(matches!(answer(command, Duration::from_millis(50)), Err(ProgramError::TimedOut(..))));
    }
}
