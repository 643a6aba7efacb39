//! Log lines on standard error: with priorities for the journal, which adds the time; with the time and in colour for
//! people at a terminal; plain elsewhere; and never waiting.

use std::{
    env,
    io::{self, IsTerminal, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::{Timestamp, tz::TimeZone};
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sources::{sysroot::Sysroot, time_zone};

/// Longest line in bytes. A pipe with room for less than this (`PIPE_BUF`, pipe(7)) counts as full.
const LINE_MAX: usize = 1024;

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// The journal: it knows the time, and priorities.
    Journal,
    /// A person, who may like colours.
    Terminal { colours: bool },
    /// A file or a program.
    Other,
}

#[derive(Debug)]
struct StderrLog {
    reader: Reader,
    zone: TimeZone,
    /// Somebody looks for what is wrong.
    verbose: bool,
    /// Lines that found no room.
    lost: AtomicU64,
}

/// Sends log lines of `level` and above to standard error.
pub fn install(level: LevelFilter) {
    let verbose = level > LevelFilter::Info;
    let zone = Sysroot::new(Path::new("/")).map_or(TimeZone::UTC, |root| time_zone::local_zone(&root));
    let log = StderrLog { reader: reader(), zone, verbose, lost: AtomicU64::new(0) };
    if log::set_boxed_logger(Box::new(log)).is_ok() {
        log::set_max_level(level);
    }
}

fn reader() -> Reader {
    if stderr_is_journal() {
        return Reader::Journal;
    }
    if !io::stderr().is_terminal() {
        return Reader::Other;
    }
    // https://no-color.org, and terminals that say that they can do nothing.
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_none_or(|term| term == "dumb");
    Reader::Terminal { colours: !plain }
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
            self.write(Level::Warn, &format!("{lost} log lines were lost: nobody read them"));
        }
        self.write(record.level(), &record.args().to_string());
    }

    fn flush(&self) {}
}

impl StderrLog {
    fn write(&self, level: Level, message: &str) {
        let time = Timestamp::now().to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string();
        // An error here has nowhere to be reported.
        let _ = io::stderr().write_all(&line(self.reader, &time, level, message));
    }
}

/// One line, in one piece, whatever the message holds.
fn line(reader: Reader, time: &str, level: Level, message: &str) -> Vec<u8> {
    // What others say may hold anything, and a terminal would obey it.
    let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let label = match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug | Level::Trace => "debug: ",
    };
    let line = match (reader, level) {
        // Priorities of syslog(3), as sd-daemon(3) wants them.
        (Reader::Journal, Level::Error) => format!("<3>{message}"),
        (Reader::Journal, Level::Warn) => format!("<4>{message}"),
        (Reader::Journal, Level::Info) => format!("<6>{message}"),
        (Reader::Journal, _) => format!("<7>{message}"),
        (Reader::Terminal { colours: false }, _) => format!("{time} {label}{message}"),
        // ECMA-48, SGR: bold red, bold yellow, plain, faint.
        (Reader::Terminal { colours: true }, level) => {
            let (on, off) = match level {
                Level::Error => ("\x1b[1;31m", "\x1b[0m"),
                Level::Warn => ("\x1b[1;33m", "\x1b[0m"),
                Level::Info => ("", ""),
                Level::Debug | Level::Trace => ("\x1b[2m", "\x1b[0m"),
            };
            format!("\x1b[2m{time}\x1b[0m {on}{label}{off}{message}")
        }
        (Reader::Other, _) => format!("{label}{message}"),
    };
    let mut line = line.into_bytes();
    line.truncate(LINE_MAX - 1);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_no_message_can_leave() {
        let line = |reader, level, message: &str| {
            String::from_utf8(super::line(reader, "12:00:05", level, message)).expect("UTF-8")
        };
        assert_eq!(line(Reader::Journal, Level::Warn, "a\nb\u{1b}[31m\u{9b}"), "<4>a b [31m \n");
        assert_eq!(line(Reader::Other, Level::Info, "started"), "started\n");
        assert_eq!(line(Reader::Other, Level::Error, &"x".repeat(9999)).len(), LINE_MAX);
        assert_eq!(line(Reader::Terminal { colours: false }, Level::Error, "x"), "12:00:05 error: x\n");
        let coloured = line(Reader::Terminal { colours: true }, Level::Warn, "x");
        assert_eq!(coloured, "\x1b[2m12:00:05\x1b[0m \x1b[1;33mwarning: \x1b[0mx\n");
    }
}
