//! The report that an owner attaches to an issue: as text of 80 columns, and as JSON.

use std::{borrow::Cow, fmt::Write};

use serde::Serialize;
use textwrap::{Options, WordSplitter};

use crate::{
    board::Identity,
    finding::{Comparison, Conclusion, Verdict},
    witnesses::versions::Version,
};

/// Columns of the narrowest terminal that people use.
const WIDTH: usize = 80;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// The machine.
    pub board: Identity,
    /// What `--require` asked for.
    pub required: Option<String>,
    /// Name and version of the daemon.
    pub daemon: Option<String>,
    /// Whose settings were used.
    pub settings: String,
    /// Where the captured tree is, or why there is none.
    pub tree: Option<String>,
    /// When it was begun, by the board's clock.
    pub date: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// The programs that were asked.
    pub witnesses: Vec<Version>,
    /// The checks, in the order in which they ran.
    pub checks: Vec<Entry>,
    /// Values that the daemon reports here and that no check compared, if all checks ran.
    pub not_compared: Vec<String>,
}

/// A check and how it ended.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Each value with each witness.
    pub comparisons: Vec<Comparison>,
    /// What could not be compared, and why.
    pub not_compared: Vec<String>,
    /// Why it failed at the times before.
    pub failures_before: Vec<String>,
    /// How long it took, all times together.
    pub seconds: f64,
}

impl Entry {
    /// What came of a check.
    pub fn new(name: &str, about: &str, conclusion: Conclusion) -> Self {
        let Conclusion { verdict, comparisons, not_compared } = conclusion;
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            verdict,
            comparisons,
            not_compared,
            failures_before: Vec::new(),
            seconds: 0.0,
        }
    }
}

impl Report {
    /// How many checks passed, failed and were skipped.
    pub fn counts(&self) -> [usize; 3] {
        let count =
            |wanted: fn(&Verdict) -> bool| self.checks.iter().filter(|entry| wanted(&entry.verdict)).count();
        [
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
            count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        ]
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Fails only for maps whose keys are no texts.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        // In JSON these stand within strings only, where they mean the same written out.
        text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let unknown = || "unknown".to_owned();
        let rows = [
            ("heartbeat-hil", self.version.to_owned()),
            ("board", self.board.model.clone().unwrap_or_else(unknown)),
            ("required", self.required.clone().unwrap_or_else(|| "nothing".to_owned())),
            ("system", self.board.system.clone().unwrap_or_else(unknown)),
            ("kernel", self.board.kernel.clone().unwrap_or_else(unknown)),
            ("daemon", self.daemon.clone().unwrap_or_else(unknown)),
            ("settings", format!("of {}", self.settings)),
            ("date", self.date.clone().unwrap_or_else(unknown)),
            ("took", format!("{:.0} s", self.seconds)),
            ("captured tree", self.tree.clone().unwrap_or_else(|| "none".to_owned())),
        ];
        for (name, value) in rows {
            line(&mut text, &format!("{name:<15}"), &value);
        }
        for (index, Version { program, version }) in self.witnesses.iter().enumerate() {
            let name = if index == 0 { "witnesses" } else { "" };
            line(&mut text, &format!("{name:<15}"), &format!("{program}: {version}"));
        }
        text.push('\n');
        for entry in &self.checks {
            let (word, reason) = match &entry.verdict {
                Verdict::Passed => ("passed", entry.about.clone()),
                Verdict::Failed(reason) => ("FAILED", reason.clone()),
                Verdict::Skipped(reason) => ("skipped", reason.clone()),
            };
            line(&mut text, &format!("{word:<9}"), &format!("{}: {reason}", entry.name));
            for comparison in &entry.comparisons {
                let Comparison { value, reported, said, witness, agrees } = comparison;
                let mark = if *agrees { "" } else { "NOT " };
                line(&mut text, "           ", &format!("{value}: {reported}, {mark}{said} ({witness})"));
            }
            for (index, reason) in entry.failures_before.iter().enumerate() {
                line(&mut text, "           ", &format!("attempt {} failed: {reason}", index + 1));
            }
            for reason in &entry.not_compared {
                line(&mut text, "           ", &format!("not compared: {reason}"));
            }
        }
        if !self.not_compared.is_empty() {
            text.push('\n');
            line(&mut text, "values that nothing was compared with: ", &self.not_compared.join(", "));
        }
        let [passed, failed, skipped] = self.counts();
        // Writing to a text cannot fail.
        let _ = write!(text, "\n{passed} passed, {failed} failed, {skipped} skipped\n");
        text
    }
}

/// A paragraph with its first line after `indent`, harmless for a terminal.
fn line(text: &mut String, indent: &str, content: &str) {
    let further = " ".repeat(indent.chars().count() + 2);
    let options = Options::new(WIDTH)
        .initial_indent(indent)
        .subsequent_indent(&further)
        // A path is not taken apart at its hyphens.
        .word_splitter(WordSplitter::NoHyphenation);
    for row in textwrap::wrap(&printable(content), options) {
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// What would control a terminal, or change how the text around it reads, written out as JSON does: a network's name may hold
/// any.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            let _ = write!(harmless, "\\u{:04x}", u32::from(character));
        } else {
            harmless.push(character);
        }
    }
    harmless.into()
}

/// Control characters, line ends of Unicode, and those that change the direction of a text (Unicode Standard Annex 9).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let comparison = |value: &str, agrees| Comparison {
            value: value.to_owned(),
            reported: "48.8".to_owned(),
            said: "a\u{1b}[2J\u{202e}\u{9b}".to_owned(),
            witness: "x ".repeat(60),
            agrees,
        };
        let entry = |name: &str, verdict, comparisons| {
            let not_compared = vec!["iw is not installed".to_owned()];
            let mut entry = Entry::new(name, "about it", Conclusion { verdict, comparisons, not_compared });
            entry.failures_before.push("it did not agree".to_owned());
            entry
        };
        Report {
            version: "1",
            board: Identity { model: None, kernel: None, system: None, architecture: "arm" },
            required: Some("pi4".to_owned()),
            daemon: None,
            settings: "nobody".to_owned(),
            tree: None,
            date: Some("2026-11-27 04:00:00 UTC".to_owned()),
            seconds: 17.2,
            witnesses: vec![Version { program: "free", version: "free from procps-ng 4".to_owned() }],
            not_compared: vec!["diagnostics.load".to_owned()],
            checks: vec![
                entry("temperature", Verdict::Passed, vec![comparison("temp", true)]),
                entry("wifi", Verdict::Failed("wrong".to_owned()), vec![comparison("ssid", false)]),
                entry("fan", Verdict::Skipped("no fan".to_owned()), Vec::new()),
            ],
        }
    }

    #[test]
    fn the_text_fits_a_terminal_and_cannot_control_it() {
        let text = report().text();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains(|c: char| is_harmful(c) && c != '\n'), "{text}");
        for expected in [
            "\npassed   temperature: about it\n",
            "\nFAILED   wifi: wrong\n",
            "\nskipped  fan: no fan\n",
            "\\u001b[2J\\u202e\\u009b",
            "NOT a",
            "date           2026-11-27 04:00:00 UTC\ntook           17 s\n",
            "witnesses      free: free from procps-ng 4\n",
            "\nvalues that nothing was compared with: diagnostics.load\n",
            "\n           attempt 1 failed: it did not agree\n",
            "\n           not compared: iw is not installed\n",
            "\n1 passed, 1 failed, 1 skipped\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }

    #[test]
    fn the_json_has_verdict_and_reason_of_each_check() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).expect("JSON");
        assert_eq!(json["checks"][0]["verdict"], "passed");
        assert_eq!(json["checks"][1]["verdict"], "failed");
        assert_eq!(json["checks"][1]["reason"], "wrong");
        assert_eq!(json["checks"][1]["comparisons"][0]["agrees"], false);
        assert_eq!(json["required"], "pi4");
        assert_eq!(json["checks"][0]["comparisons"][0]["said"], "a\u{1b}[2J\u{202e}\u{9b}");
        assert!(!report().json().contains(|c: char| is_harmful(c) && c != '\n'));
    }
}
