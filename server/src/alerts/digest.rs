//! Many alerts, one message.
//!
//! Alerts are gathered for some seconds, and longer while a message has gone out lately. So when a site loses its
//! network there is one message, and one when it is back.

use std::{collections::BTreeMap, fmt::Write};

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::{
    limits::{MESSAGE_ALERTS, MESSAGE_LINES},
    time::Uptime,
};

/// One line of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) hardware_id: String,
    pub(crate) name: Option<String>,
    pub(crate) group: Option<String>,
    /// A word for programs.
    pub(crate) kind: &'static str,
    pub(crate) raised: bool,
    pub(crate) since: String,
    pub(crate) detail: String,
}

/// When the next message may go.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Digest {
    waiting_since: Option<Uptime>,
    last: Option<Uptime>,
}

impl Digest {
    /// Says whether alerts wait, once a second; `true`: their message is due now.
    pub(crate) fn due(&mut self, now: Uptime, waiting: bool, gather_ms: i64, pause_ms: i64) -> bool {
        if !waiting {
            self.waiting_since = None;
            return false;
        }
        let since = *self.waiting_since.get_or_insert(now);
        now.since(since) >= gather_ms && self.last.is_none_or(|last| now.since(last) >= pause_ms)
    }

    /// The message was made.
    pub(crate) fn made(&mut self, now: Uptime) {
        self.waiting_since = None;
        self.last = Some(now);
    }
}

/// What a message holds for programs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ForPrograms {
    pub(crate) alerts: Vec<serde_json::Value>,
    /// Alerts beyond those; the API lists them.
    pub(crate) more: usize,
}

/// The message: one line that says it all, and a body.
pub(crate) fn compose(lines: &[Line]) -> (String, String) {
    let (subject, text) = describe(lines);
    let listed = lines.iter().take(MESSAGE_ALERTS);
    let alerts = listed.filter_map(|line| serde_json::to_value(line).ok()).collect();
    let more = lines.len().saturating_sub(MESSAGE_ALERTS);
    let programs = serde_json::to_string(&ForPrograms { alerts, more }).unwrap_or_default();
    (subject, format!("{text}\0{programs}"))
}

/// The two parts of a body: the text for people, and what is for programs. JSON holds no NUL.
pub(crate) fn parts(body: &str) -> (&str, ForPrograms) {
    match body.rsplit_once('\0') {
        Some((text, programs)) => (text, serde_json::from_str(programs).unwrap_or_default()),
        None => (body, ForPrograms::default()),
    }
}

fn describe(lines: &[Line]) -> (String, String) {
    let mut counts: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for line in lines {
        *counts.entry((!line.raised, words(line))).or_default() += 1;
    }
    let subject = match lines {
        [line] => format!("{}: {}", title(line), words(line)),
        _ => {
            let counts: Vec<_> =
                counts.iter().map(|((_, words), count)| format!("{count} {words}")).collect();
            counts.join(", ")
        }
    };
    let mut body = String::new();
    for line in lines.iter().take(MESSAGE_LINES) {
        let _ = write!(body, "{}", title(line));
        if let Some(group) = &line.group {
            let _ = write!(body, " ({group})");
        }
        let _ = write!(body, ": {}", words(line));
        if !line.detail.is_empty() {
            let _ = write!(body, ", {}", line.detail);
        }
        body.push('\n');
    }
    let more = lines.len().saturating_sub(MESSAGE_LINES);
    if more > 0 {
        let _ = writeln!(body, "and {more} more");
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for line in lines {
            *groups.entry(line.group.as_deref().unwrap_or("no group")).or_default() += 1;
        }
        let groups: Vec<_> = groups.iter().map(|(group, count)| format!("{group} {count}")).collect();
        let _ = writeln!(body, "by group: {}", groups.join(", "));
    }
    (subject, body)
}

fn title(line: &Line) -> &str {
    line.name.as_deref().unwrap_or(&line.hardware_id)
}

fn words(line: &Line) -> &'static str {
    let Some(kind) = Kind::from_word(line.kind) else { return "" };
    if line.raised { kind.label() } else { kind.over() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, kind: Kind, raised: bool) -> Line {
        Line {
            hardware_id: format!("pi{number}"),
            name: None,
            group: Some(if number.is_multiple_of(2) { "north" } else { "south" }.to_owned()),
            kind: kind.word(),
            raised,
            since: String::new(),
            detail: String::new(),
        }
    }

    #[test]
    fn one_alert_is_named_in_the_subject() {
        let mut line = line(1, Kind::Hot, true);
        line.detail = "83.1 °C".to_owned();
        assert_eq!(describe(&[line]), ("pi1: hot".to_owned(), "pi1 (south): hot, 83.1 °C\n".to_owned()));
    }

    #[test]
    fn a_mass_outage_is_one_message_of_bounded_size() {
        let lines: Vec<_> = (0..28_000).map(|number| line(number, Kind::Offline, true)).collect();
        let (subject, whole) = compose(&lines);
        let (body, programs) = parts(&whole);
        assert_eq!((programs.alerts.len(), programs.more), (MESSAGE_ALERTS, 28_000 - MESSAGE_ALERTS));
        assert_eq!(programs.alerts[7]["hardware_id"], "pi7");
        assert_eq!(subject, "28000 offline");
        assert!(body.len() < 2000, "{}", body.len());
        assert!(body.ends_with("and 27980 more\nby group: north 14000, south 14000\n"), "{body}");
    }

    #[test]
    fn what_is_wrong_is_named_before_what_is_over() {
        let lines = [line(1, Kind::Offline, false), line(2, Kind::Hot, true), line(3, Kind::Offline, false)];
        assert_eq!(describe(&lines).0, "1 hot, 2 back");
    }

    #[test]
    fn messages_gather_and_pause() {
        let mut digest = Digest::default();
        let mut made = Vec::new();
        for second in 0..200 {
            let now = Uptime(second * 1000);
            if digest.due(now, second > 0, 10_000, 60_000) {
                digest.made(now);
                made.push(second);
            }
        }
        assert_eq!(made, [11, 71, 131, 191]);
    }
}
