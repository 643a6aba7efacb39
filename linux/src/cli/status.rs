//! `status`: what the running daemon last did.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
    thread,
};

use clap::Args;
use heartbeat_core::time::{Duration, Instant};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde_json::Value;

use super::{Failure, print, warn_of_others};
use crate::{
    clock,
    daemon::open_root,
    page::Page,
    printable::printable_lines,
    status_file::{self, Status},
};

/// How often `--watch` shows it again.
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
/// Heartbeats that are needed for an estimate of the bytes per day.
const HEARTBEATS_FOR_AVERAGE: u64 = 100;
const MILLIS_A_DAY: u128 = 86_400_000;
/// Clears a terminal's screen and goes to its upper left corner (ECMA-48, ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What to show, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Print what the daemon has published, as JSON
    #[arg(long)]
    json: bool,
    /// Show it again and again, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Look into this file instead of those of the service and of this user
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn status(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.clone().unwrap_or_else(status_file::default_path);
    if arguments.json {
        let status = find(&path)?;
        print(serde_json::to_string_pretty(&status).map_err(io::Error::from)?)?;
        return alive(&status);
    }
    if !arguments.watch {
        if arguments.file.is_none() {
            warn_of_others(&*open_root(Path::new("/"))?);
        }
        let status = find(&path)?;
        print(page(&status, clock::now()).trim_end())?;
        return alive(&status);
    }
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    loop {
        let shown = match find(&path) {
            Ok(status) => page(&status, clock::now()),
            Err(failure) => format!("{failure}\n"),
        };
        let shown = printable_lines(&shown);
        if write!(io::stdout(), "{clear}{shown}").and_then(|()| io::stdout().flush()).is_err() {
            // The reader has closed the pipe.
            return Ok(());
        }
        thread::sleep(WATCH_INTERVAL);
    }
}

fn find(path: &Path) -> Result<Status, Failure> {
    status_file::ask(path).map_err(|error| {
        Failure::NotRunning(match error.kind() {
            ErrorKind::NotFound => format!("no daemon has published its status in {}", path.display()),
            _ => format!("{}: {error}", path.display()),
        })
    })
}

/// An error unless the daemon runs and is up to date.
fn alive(status: &Status) -> Result<(), Failure> {
    match trouble(status, clock::now(), runs(status.pid)) {
        None => Ok(()),
        Some(trouble) => Err(Failure::NotRunning(trouble)),
    }
}

fn runs(pid: u32) -> bool {
    // Signal 0 only asks; another user's process answers EPERM.
    i32::try_from(pid).is_ok_and(|pid| matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM)))
}

/// Why the status cannot be relied on.
fn trouble(status: &Status, now: Instant, runs: bool) -> Option<String> {
    let now = seconds(now);
    if !status.running {
        return Some(format!("the daemon was stopped {} ago", ago(now - status.written_at_s)));
    }
    if !runs {
        return Some(format!(
            "the daemon is not running: this is from {} ago",
            ago(now - status.written_at_s)
        ));
    }
    // It has been asked and has not answered; an interval after the beat that was due it should have.
    let overdue = now - status.next_beat_at_s;
    (overdue > status.interval_s.max(2.0))
        .then(|| format!("the daemon is stuck: this is from {} ago", ago(now - status.written_at_s)))
}

/// Widths of the names and of the values.
const COLUMNS: [usize; 2] = [24, 26];

/// Everything, for a terminal.
fn page(status: &Status, now: Instant) -> String {
    let mut page = Page::new([17, 0]);
    let trouble = trouble(status, now, runs(status.pid));
    let now = seconds(now);
    let mut row = |name: &str, text: String| page.row(name, &text, "");
    row("server", format!("{}, every {} s", status.server, status.interval_s));
    row(
        "daemon",
        trouble.unwrap_or_else(|| {
            format!("{} runs as {} since {}", status.version, status.pid, ago(now - status.started_at_s))
        }),
    );
    row(
        "last heartbeat",
        status.last.as_ref().map_or("none yet".to_owned(), |last| {
            format!("{} after {:.1} ms, {} ago", last.outcome, last.round_trip_ms, ago(now - last.ended_at_s))
        }),
    );
    let backing_off = status
        .backing_off
        .map_or_else(String::new, |withheld| format!("; backing off, {withheld} heartbeats withheld so far"));
    row("next heartbeat", format!("in {}{backing_off}", ago(status.next_beat_at_s - now)));
    row(
        "since its start",
        format!(
            "{} delivered, {} failed, {} of them since the last delivery; {} skipped, {} withheld",
            status.delivered, status.failed, status.consecutive_failures, status.skipped, status.withheld
        ),
    );
    if let Some(late) = &status.late {
        row(
            "late",
            format!("{} wait, {} delivered, {} given up", late.waiting, late.delivered, late.given_up),
        );
    }
    row("network", network(status));
    page.gap();
    let values = status.last.as_ref().map(|last| {
        let document = serde_json::from_str(last.document.get()).unwrap_or_default();
        values(&document, &status.sources).to_string()
    });
    format!("{page}{}", values.unwrap_or_default())
}

/// The values of the last heartbeat, with their sources; the reason for each that is unread.
fn values(document: &Value, sources: &[(String, String)]) -> Page {
    let mut page = Page::new(COLUMNS);
    let unread = document.pointer("/diagnostics/unread");
    let mut row = |name: &str, key: &str, value: &Value| {
        if let Some(reason) = unread.and_then(|unread| unread.get(key)) {
            page.row(name, &format!("- {}", plain(reason)), "");
            return;
        }
        let known = sources.iter().find(|(known, _)| known == key && !value.is_null());
        page.row(name, &plain(value), known.map_or("", |(_, place)| place));
    };
    for (key, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Object(members) if key == "connection" || key == "diagnostics" => {
                row(key, "", &Value::String(String::new()));
                // What is unread stands in the rows of its keys.
                for (member, value) in members.iter().filter(|(member, _)| *member != "unread") {
                    row(&format!("  {member}"), &format!("{key}.{member}"), value);
                }
            }
            value => row(key, key, value),
        }
    }
    page
}

/// A value without the marks of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let each = members.iter().map(|(key, value)| format!("{key} {}", plain(value)));
            each.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn seconds(time: Instant) -> f64 {
    core::time::Duration::from_micros(time.as_micros()).as_secs_f64()
}

/// A time as people say it; what lies in the past is no time.
fn ago(secs: f64) -> String {
    let span = std::time::Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or_default();
    match Duration::from(span).as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7_199 => format!("{} min", secs / 60),
        secs @ 7_200..=172_799 => format!("{} h", secs / 3_600),
        secs => format!("{} d", secs / 86_400),
    }
}

/// Bytes since the start, and what that makes in a day.
fn network(status: &Status) -> String {
    let so_far = format!("{} sent, {} received", bytes(status.sent_bytes), bytes(status.received_bytes));
    let elapsed_s = status.written_at_s - status.started_at_s;
    // The handshake dominates the first few heartbeats, so an estimate from them would be wrong.
    if status.delivered.saturating_add(status.failed) < HEARTBEATS_FOR_AVERAGE || elapsed_s <= 0.0 {
        return so_far;
    }
    let elapsed_ms = std::time::Duration::try_from_secs_f64(elapsed_s)
        .unwrap_or(std::time::Duration::MAX)
        .as_millis()
        .max(1);
    let total = u128::from(status.sent_bytes) + u128::from(status.received_bytes);
    let a_day = u64::try_from(total * MILLIS_A_DAY / elapsed_ms).unwrap_or(u64::MAX);
    format!("{so_far}, on average {} a day", bytes(a_day))
}

fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} bytes"),
        10_000..=9_999_999 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status_file::Last;
    use serde_json::{json, value::to_raw_value};

    fn status() -> Status {
        let document = json!({"temp": 48.8, "fan_rpm": null, "connection": {"wifi": null, "ethernet": {"interface": "eth0", "ip": null}}, "streaming_active": true, "tracking_active": false,
            "diagnostics": {"ups": null, "unread": {"tracking_active": "denied", "diagnostics.ups": "failed"}}});
        Status {
            version: "0.1.0".to_owned(),
            pid: std::process::id(),
            running: true,
            server: "https://x.example/h".to_owned(),
            interval_s: 5.0,
            started_at_s: 1_000.0,
            written_at_s: 5_000.0,
            next_beat_at_s: 5_004.0,
            delivered: 800,
            failed: 1,
            consecutive_failures: 0,
            skipped: 0,
            withheld: 2,
            backing_off: None,
            late: None,
            sent_bytes: 560_123,
            received_bytes: 98_000,
            last: Some(Last {
                delivered: true,
                outcome: "delivered, status 200".to_owned(),
                round_trip_ms: 44.6,
                ended_at_s: 4_999.0,
                document: to_raw_value(&document).expect("JSON"),
            }),
            sources: vec![
                ("temp".to_owned(), "/dev/vcio_gencmd measure_temp".to_owned()),
                ("connection.ethernet".to_owned(), "/sys/class/net".to_owned()),
                ("connection.wifi".to_owned(), "/sys/class/net, nl80211".to_owned()),
                ("streaming_active".to_owned(), "/tmp/*.pid".to_owned()),
                ("tracking_active".to_owned(), "/tmp/*.pid".to_owned()),
            ],
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn shows_counts_values_and_their_sources() {
        let pid = std::process::id();
        let expected = format!(
            "server           https://x.example/h, every 5 s\n\
             daemon           0.1.0 runs as {pid} since 66 min\n\
             last heartbeat   delivered, status 200 after 44.6 ms, 2 s ago\n\
             next heartbeat   in 3 s\n\
             since its start  800 delivered, 1 failed, 0 of them since the last delivery; 0\n\
             \u{20}                skipped, 2 withheld\n\
             network          560 kB sent, 98 kB received, on average 14 MB a day\n\
             \n\
             temp                    48.8                      /dev/vcio_gencmd measure_temp\n\
             fan_rpm                 -\n\
             connection\n\
             \u{20} wifi                  -\n\
             \u{20} ethernet              interface eth0, ip -      /sys/class/net\n\
             streaming_active        true                      /tmp/*.pid\n\
             tracking_active         - denied\n\
             diagnostics\n\
             \u{20} ups                   - failed\n"
        );
        assert_eq!(page(&status(), at(5_001)), expected);
    }

    #[test]
    fn back_off_is_shown_with_what_it_withheld() {
        let page = page(&Status { backing_off: Some(2), ..status() }, at(5_001));
        let expected = "next heartbeat   in 3 s; backing off, 2 heartbeats withheld so far\n";
        assert!(page.contains(expected), "{page}");
    }

    #[test]
    fn average_per_day_needs_heartbeats_enough() {
        let young = Status { delivered: 98, failed: 1, ..status() };
        assert_eq!(network(&young), "560 kB sent, 98 kB received");
        let no_time = Status { written_at_s: 1_000.0, ..status() };
        assert_eq!(network(&no_time), "560 kB sent, 98 kB received");
        let huge = Status { sent_bytes: u64::MAX, written_at_s: 1_000.001, ..status() };
        assert!(network(&huge).ends_with(&format!("on average {} MB a day", u64::MAX / 1_000_000)));
    }

    #[test]
    fn does_not_believe_an_old_status() {
        assert_eq!(trouble(&status(), at(5_009), true), None);
        let stuck = trouble(&status(), at(5_030), true);
        assert_eq!(stuck.as_deref(), Some("the daemon is stuck: this is from 30 s ago"));
        let gone = trouble(&status(), at(5_600), false);
        assert_eq!(gone.as_deref(), Some("the daemon is not running: this is from 10 min ago"));
        let stopped = trouble(&Status { running: false, ..status() }, at(5_600), true);
        assert_eq!(stopped.as_deref(), Some("the daemon was stopped 10 min ago"));
        assert!(!runs(0x7fff_fff0), "there is no such process");
    }
}
