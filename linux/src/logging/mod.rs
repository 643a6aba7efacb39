//! Log lines on standard error: with priorities for the journal, which adds the time; with the time and in colour for
//! people at a terminal; plain elsewhere.
//!
//! A command waits for its reader, as every program does. A daemon does not: after [`detach`] a thread writes the lines.

mod queue;

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
    panic,
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use log::{Level, LevelFilter, Log, Metadata, Record};

use self::queue::Queue;
use crate::{
    printable::is_harmful,
    sources::{sysroot::Sysroot, time_zone},
};

/// Longest line in bytes: a pipe takes it in one piece (`PIPE_BUF`, pipe(7)).
const LINE_MAX: usize = 1024;
/// How long the end of the program waits for its last lines.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// What [`detach`] has started.
static QUEUE: OnceLock<Queue> = OnceLock::new();

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
    /// The level is more detailed than `info`, as when a user looks for a fault.
    verbose: bool,
}

/// Sends log lines of `level` and above to standard error.
pub fn install(level: LevelFilter) {
    let verbose = level > LevelFilter::Info;
    let zone = Sysroot::new(Path::new("/")).map_or(TimeZone::UTC, |root| time_zone::local_zone(&root));
    let log = StderrLog { reader: reader(), zone, verbose };
    if log::set_boxed_logger(Box::new(log)).is_ok() {
        log::set_max_level(level);
    }
}

/// From now on a thread writes the lines, those about panics too, and no other thread waits for standard error. Call
/// [`finish`] at the end.
///
/// # Errors
///
/// When the system has no thread or no descriptor left; lines are then written as before.
pub fn detach() -> io::Result<()> {
    // A handle of its own: a thread that waits must not hold the lock of the standard library's.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if QUEUE.set(Queue::start(stderr)?).is_ok() {
        panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
    Ok(())
}

/// Waits a little until all lines have been written.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_MAX);
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
        // Messages of libraries are logged only in verbose mode, because a hostile server can cause them at every beat.
        metadata.target().starts_with("heartbeat") || (self.verbose && metadata.level() <= Level::Info)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = self.line(record.level(), &record.args().to_string());
        match QUEUE.get() {
            Some(queue) => queue.push(line, |lost| {
                self.line(Level::Warn, &format!("{lost} log lines were lost because nothing read them"))
            }),
            // An error here has nowhere to be reported.
            None => drop(io::stderr().write_all(&line)),
        }
    }

    fn flush(&self) {}
}

impl StderrLog {
    fn line(&self, level: Level, message: &str) -> Vec<u8> {
        let time = Timestamp::now().to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string();
        line(self.reader, &time, level, message)
    }
}

/// One line, in one piece, even if the message has line breaks.
fn line(reader: Reader, time: &str, level: Level, message: &str) -> Vec<u8> {
    // A message may hold characters from outside that a terminal would interpret.
    let message: String = message.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect();
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
    let mut line = line;
    // At the end of a character: the journal shows anything else than text as a blob.
    let end = (0..LINE_MAX).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
    line.truncate(end);
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_no_message_can_leave() {
        let line = |reader, level, message: &str| {
            String::from_utf8(super::line(reader, "12:00:05", level, message)).expect("UTF-8")
        };
        assert_eq!(line(Reader::Journal, Level::Warn, "a\nb\u{1b}[31m\u{9b}\u{202e}"), "<4>a b [31m  \n");
        assert_eq!(line(Reader::Other, Level::Info, "started"), "started\n");
        assert_eq!(line(Reader::Other, Level::Error, &"x".repeat(9999)).len(), LINE_MAX);
        // Wherever the last character would be cut; that it is text is checked above.
        for start in ["", "x", "xx"] {
            let long = line(Reader::Other, Level::Info, &format!("{start}{}", "é€".repeat(999)));
            assert!(long.len() > LINE_MAX - 4, "{}", long.len());
        }
        assert_eq!(line(Reader::Terminal { colours: false }, Level::Error, "x"), "12:00:05 error: x\n");
        let coloured = line(Reader::Terminal { colours: true }, Level::Warn, "x");
        assert_eq!(coloured, "\x1b[2m12:00:05\x1b[0m \x1b[1;33mwarning: \x1b[0mx\n");
    }
}
