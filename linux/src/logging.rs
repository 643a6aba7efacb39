//! Log lines on standard error: with priorities for the journal, readable elsewhere, and never waiting.

use std::{
    io::{self, Write},
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicU64, Ordering},
};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longest line in bytes. A pipe with room for less than this (`PIPE_BUF`, pipe(7)) counts as full.
const LINE_MAX: usize = 1024;

#[derive(Debug)]
struct StderrLog {
    journal: bool,
    /// Somebody looks for what is wrong.
    verbose: bool,
    /// Lines that found no room.
    lost: AtomicU64,
}

/// Sends log lines of `level` and above to standard error.
pub fn install(level: LevelFilter) {
    let verbose = level > LevelFilter::Info;
    let log = StderrLog { journal: stderr_is_journal(), verbose, lost: AtomicU64::new(0) };
    if log::set_boxed_logger(Box::new(log)).is_ok() {
        log::set_max_level(level);
    }
}

/// Whether standard error is the stream that systemd connected to the journal (systemd.exec(5), `JOURNAL_STREAM`).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

impl Log for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries have to say is of interest only when somebody looks for it: a hostile server can make them say it
        // at every beat.
        metadata.target().starts_with("heartbeat") || (self.verbose && metadata.level() <= Level::Info)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let stderr = io::stderr();
        let writable = {
            let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&stderr), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        };
        // Whoever should read does not. A heartbeat must not wait for that.
        if !writable {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            write(self.journal, Level::Warn, &format!("{lost} log lines were lost: nobody read them"));
        }
        write(self.journal, record.level(), &record.args().to_string());
    }

    fn flush(&self) {}
}

fn write(journal: bool, level: Level, message: &str) {
    // An error here has nowhere to be reported.
    let _ = io::stderr().write_all(&line(journal, level, message));
}

/// One line, in one piece, whatever the message holds.
fn line(journal: bool, level: Level, message: &str) -> Vec<u8> {
    let prefix = match (journal, level) {
        // Priorities of syslog(3), as sd-daemon(3) wants them.
        (true, Level::Error) => "<3>",
        (true, Level::Warn) => "<4>",
        (true, Level::Info) => "<6>",
        (true, _) => "<7>",
        (false, Level::Error) => "error: ",
        (false, Level::Warn) => "warning: ",
        (false, Level::Info) => "",
        (false, _) => "debug: ",
    };
    let mut line = format!("{prefix}{message}").into_bytes();
    line.truncate(LINE_MAX - 1);
    for byte in &mut line {
        if byte.is_ascii_control() {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(line(true, Level::Warn, "a\nb\u{1b}[31m"), b"<4>a b [31m\n");
        assert_eq!(line(false, Level::Info, "started"), b"started\n");
        assert_eq!(line(false, Level::Error, &"x".repeat(9999)).len(), LINE_MAX);
    }
}
