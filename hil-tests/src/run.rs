//! One run at a time, and what ends it early.
//!
//! A run holds a lock. A signal undoes what the run has changed before it ends the process. What no process can handle
//! (`kill -9`, the kernel's choice when memory is short) is handled by another one: a transient unit of systemd, which waits for
//! the lock, and then undoes what is left.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Read},
    os::unix::net::UnixStream,
    process, thread,
};

use nix::unistd::Uid;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

use crate::{program, undo};

/// The command that undoes what a run has left.
pub const UNDO: &str = "undo";
const LOCK: &str = "/run/heartbeat-hil.lock";
const WATCHER: &str = "heartbeat-hil-undo.service";

/// A run. Whatever it has left is undone when it is dropped.
#[derive(Debug)]
pub struct Run {
    /// Locked; root's only, because nobody else changes the service.
    lock: Option<File>,
    watched: bool,
}

impl Run {
    /// Begins it: takes the lock, and undoes what an earlier one has left. A run that looks at a tree of files
    /// (`is_live` is false) changes nothing, and needs neither.
    ///
    /// # Errors
    ///
    /// When another one is under way, or signals cannot be handled; for people.
    pub fn begin(is_live: bool) -> Result<Self, String> {
        if !is_live {
            return Ok(Self { lock: None, watched: false });
        }
        undo_on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
        if !Uid::effective().is_root() {
            return Ok(Self { lock: None, watched: false });
        }
        let lock = open()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "{LOCK}: another heartbeat-hil is at work, or is being undone: wait for it"
                ));
            }
            Err(TryLockError::Error(error)) => return Err(format!("{LOCK}: {error}")),
        }
        undo::everything();
        Ok(Self { lock: Some(lock), watched: false })
    }

    /// Has systemd undo what this run changes if it is killed.
    ///
    /// # Errors
    ///
    /// Why systemd cannot, for people.
    pub fn watch(&mut self) -> Result<(), String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let own = own.to_string_lossy();
        stop_watcher();
        program::ask("systemd-run", &["--quiet", "--collect", "--unit", WATCHER, &own, UNDO])
            .map_err(|error| error.to_string())?;
        self.watched = true;
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        for problem in undo::everything() {
            eprintln!("error: this could not be undone: {problem}");
        }
        if self.watched {
            stop_watcher();
        }
    }
}

fn stop_watcher() {
    // Usually there is none.
    let _ = program::ask("systemctl", &["stop", WATCHER]);
}

fn open() -> Result<File, String> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(LOCK)
        .map_err(|error| format!("{LOCK}: {error}"))
}

/// Waits for the end of a run, and undoes what it has left.
///
/// # Errors
///
/// What could not be undone, for people.
pub fn undo_after_run() -> Result<(), String> {
    if !Uid::effective().is_root() {
        return Err("only root may undo a run: use sudo".to_owned());
    }
    let lock = open()?;
    lock.lock().map_err(|error| format!("{LOCK}: {error}"))?;
    let problems = undo::everything();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

/// From now on SIGINT, SIGTERM and SIGHUP undo what was changed, and then end the process. What is ignored already, as by
/// `nohup`, stays so.
fn undo_on_signals() -> io::Result<()> {
    let ignored = ignored(&fs::read_to_string("/proc/self/status")?);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        let (mut reader, writer) = UnixStream::pair()?;
        pipe::register(signal, writer)?;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if reader.read_exact(&mut [0]).is_ok() {
                for problem in undo::at_the_end() {
                    eprintln!("error: this could not be undone: {problem}");
                }
                process::exit(128 + signal);
            }
        })?;
    }
    Ok(())
}

/// The signals that a process ignores, as a mask (proc_pid_status(5), SigIgn).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_signals_are_ignored() {
        assert_eq!(ignored("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored("Name:\tx\n"), 0);
    }
}
