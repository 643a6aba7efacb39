//! Runs a check, again if need be, and holds it against what the board must have.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    checks::{Check, Context},
    document::Document,
    finding::{Conclusion, Verdict},
    profile::Profile,
    report::Entry,
};

/// How often a value is compared before it counts as wrong: what moves, or answers late, agrees at another moment.
const ATTEMPTS: usize = 3;
/// Between two of them: longer than the daemon keeps an answer of ModemManager.
const PAUSE: Duration = Duration::from_secs(11);

/// Runs a check, again if it is of a value that does not agree and this may be compared again.
pub fn run(check: &Check, context: &Context, profile: Option<&Profile>) -> Entry {
    let began = Instant::now();
    let repeats = context.options.repeats;
    let attempts = if repeats && check.is_of_a_value() && context.board.is_live() { ATTEMPTS } else { 1 };
    let mut failures = Vec::new();
    let mut conclusion = check.run(context);
    while let Verdict::Failed(reason) = &conclusion.verdict
        && failures.len() + 1 < attempts
    {
        failures.push(reason.clone());
        thread::sleep(PAUSE);
        conclusion = check.run(context);
    }
    if let Some(profile) = profile {
        require(check.name, profile, &mut conclusion);
    }
    let mut entry = Entry::new(check.name, check.about, conclusion);
    entry.failures_before = failures;
    entry.seconds = tenths(began.elapsed());
    entry
}

/// What the board must have may not be skipped, and must have been heard.
fn require(check: &str, profile: &Profile, conclusion: &mut Conclusion) {
    let name = profile.name;
    match &conclusion.verdict {
        Verdict::Skipped(reason) if profile.requires(check) => {
            conclusion.verdict = Verdict::Failed(format!("the board {name} must have this: {reason}"));
        }
        Verdict::Passed => {
            let is_heard = |witness: &str| {
                conclusion.comparisons.iter().any(|comparison| comparison.witness.contains(witness))
            };
            if let Some(missing) = profile.witness_of(check).filter(|witness| !is_heard(witness)) {
                let reasons = conclusion.not_compared.join("; ");
                conclusion.verdict =
                    Verdict::Failed(format!("the board {name} must have the witness {missing}: {reasons}"));
            }
        }
        _ => {}
    }
}

/// Seconds with one digit, as they are shown.
pub fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

/// The values of a document that no check compared with anything: a report must not look as if it had.
pub fn not_compared(document: &Document, entries: &[Entry]) -> Vec<String> {
    // A comparison's name begins with the key, without `connection.`.
    let compared: Vec<&str> = entries
        .iter()
        .flat_map(|entry| &entry.comparisons)
        .filter_map(|comparison| comparison.value.split(' ').next())
        .collect();
    let mut keys = Vec::new();
    for pointer in document.present() {
        let key = pointer.trim_start_matches('/').replace('/', ".");
        let key = key.strip_prefix("connection.").unwrap_or(&key).to_owned();
        if !compared.contains(&key.as_str()) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::{Evidence, Stop};

    #[test]
    fn a_witness_that_the_board_must_have_must_have_been_heard() {
        let pi4 = Profile::named("pi4").expect("known");
        let concluded = |check: &str, witness: &str| {
            let mut evidence = Evidence::default();
            evidence.text("temp", Some("1"), Some("1"), witness);
            evidence.silent("vcgencmd is not installed");
            let mut conclusion = evidence.conclude(Ok(()));
            require(check, pi4, &mut conclusion);
            conclusion.verdict
        };
        let expected = "the board pi4 must have the witness vcgencmd: vcgencmd is not installed";
        assert_eq!(concluded("temperature", "the zone"), Verdict::Failed(expected.to_owned()));
        assert_eq!(concluded("temperature", "vcgencmd measure_temp"), Verdict::Passed);
        assert_eq!(concluded("memory", "free"), Verdict::Passed);
    }

    #[test]
    fn what_the_board_must_have_may_not_be_skipped() {
        let pi4 = Profile::named("pi4").expect("known");
        let mut conclusion = Evidence::default().conclude(Err(Stop::skipped("no such thing")));
        require("gps", pi4, &mut conclusion);
        assert_eq!(conclusion.verdict, Verdict::Skipped("no such thing".to_owned()));
        require("memory", pi4, &mut conclusion);
        assert_eq!(
            conclusion.verdict,
            Verdict::Failed("the board pi4 must have this: no such thing".to_owned())
        );
    }

    #[test]
    fn values_that_nothing_was_compared_with_are_named() {
        let mut evidence = Evidence::default();
        evidence.text("wifi.ip", Some("a"), Some("a"), "w");
        evidence.holds("cpu falls", true, true, "w", true);
        let entries = [Entry::new("x", "about", evidence.conclude(Ok(())))];
        let document = Document(json!({
            "cpu": 1, "mem": 2, "temp": null,
            "connection": { "wifi": { "ip": "a", "ssid": "b" } },
            "diagnostics": { "load": [0.1, 0.2, 0.3] },
        }));
        assert_eq!(not_compared(&document, &entries), ["mem", "wifi.ssid", "diagnostics.load"]);
    }
}
