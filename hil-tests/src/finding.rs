//! How a check ended, and what it compared.

use std::fmt::Display;

use serde::Serialize;

/// One value beside what one witness says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What was compared: a key of the document, or a property of the service.
    pub value: String,
    /// What the daemon reports.
    pub reported: String,
    /// What the witness says.
    pub said: String,
    /// Who the witness is.
    pub witness: String,
    /// Whether the two agree, within what may change between two looks.
    pub agrees: bool,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// All comparisons agree, and there was at least one.
    Passed,
    /// What is wrong.
    Failed(String),
    /// Why nothing could be said.
    Skipped(String),
}

/// Why a check ends before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// What is wrong.
    Failed(String),
    /// What is not there: hardware, a witness, a privilege.
    Skipped(String),
}

impl Stop {
    /// The check fails.
    pub fn failed(reason: impl Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// The check cannot say anything.
    pub fn skipped(reason: impl Display) -> Self {
        Self::Skipped(reason.to_string())
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// How it ended.
    pub verdict: Verdict,
    /// Each value with each witness that was heard.
    pub comparisons: Vec<Comparison>,
    /// What could not be compared, and why: a passed check says nothing about it.
    pub not_compared: Vec<String>,
}

/// A verdict without a comparison.
impl From<Verdict> for Conclusion {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, comparisons: Vec::new(), not_compared: Vec::new() }
    }
}

/// What a check has collected so far.
#[derive(Debug, Default)]
pub struct Evidence {
    comparisons: Vec<Comparison>,
    silent: Vec<String>,
}

impl Evidence {
    /// Compares a number; `said` are what the witness said just before and just after, and the value lies between them
    /// or at most `tolerance` outside. `None` is what was not reported.
    pub fn number(
        &mut self,
        value: &str,
        reported: Option<f64>,
        said: [f64; 2],
        tolerance: f64,
        witness: &str,
    ) {
        let [before, after] = said;
        let (low, high) = (before.min(after) - tolerance, before.max(after) + tolerance);
        let shown = |number: f64| {
            let text = format!("{number:.7}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        self.push(Comparison {
            value: value.to_owned(),
            reported: reported.map_or_else(|| "null".to_owned(), shown),
            said: if shown(before) == shown(after) {
                shown(before)
            } else {
                format!("{} to {}", shown(before.min(after)), shown(before.max(after)))
            },
            witness: witness.to_owned(),
            agrees: reported.is_some_and(|reported| (low..=high).contains(&reported)),
        });
    }

    /// Compares two texts, which must be the same. `None` is `null` in the document, and nothing for the witness.
    pub fn text(&mut self, value: &str, reported: Option<&str>, said: Option<&str>, witness: &str) {
        self.push(Comparison {
            value: value.to_owned(),
            reported: reported.unwrap_or("null").to_owned(),
            said: said.unwrap_or("none").to_owned(),
            witness: witness.to_owned(),
            agrees: reported == said,
        });
    }

    /// Notes what was seen, and whether that is what it must be.
    pub fn holds(
        &mut self,
        value: &str,
        reported: impl Display,
        expected: impl Display,
        witness: &str,
        agrees: bool,
    ) {
        self.push(Comparison {
            value: value.to_owned(),
            reported: reported.to_string(),
            said: expected.to_string(),
            witness: witness.to_owned(),
            agrees,
        });
    }

    /// Notes a witness that says nothing, and why.
    pub fn silent(&mut self, reason: impl Display) {
        let reason = reason.to_string();
        if !self.silent.contains(&reason) {
            self.silent.push(reason);
        }
    }

    /// Whether one comparison does not agree.
    pub fn disagrees(&self) -> bool {
        self.comparisons.iter().any(|comparison| !comparison.agrees)
    }

    /// Takes over what another check has collected.
    pub fn include(&mut self, other: Self) {
        self.comparisons.extend(other.comparisons);
        for reason in other.silent {
            self.silent(reason);
        }
    }

    /// Ends the check if no witness said anything: as skipped, with `nothing` and the reasons of the witnesses.
    ///
    /// # Errors
    ///
    /// [`Stop::Skipped`] when nothing was compared.
    pub fn some_witness(&self, nothing: &str) -> Result<(), Stop> {
        if !self.comparisons.is_empty() {
            return Ok(());
        }
        let mut reasons = vec![nothing.to_owned()];
        reasons.extend(self.silent.iter().cloned());
        Err(Stop::Skipped(reasons.join("; ")))
    }

    fn push(&mut self, comparison: Comparison) {
        self.comparisons.push(comparison);
    }

    /// What follows from how the check ended and from what it compared.
    pub fn conclude(self, end: Result<(), Stop>) -> Conclusion {
        let disagreements: Vec<String> = self
            .comparisons
            .iter()
            .filter(|comparison| !comparison.agrees)
            .map(|comparison| {
                let Comparison { value, reported, said, witness, .. } = comparison;
                format!("{value} is {reported}, but {said} according to {witness}")
            })
            .collect();
        let verdict = match end {
            Err(Stop::Failed(reason)) => Verdict::Failed(reason),
            _ if !disagreements.is_empty() => Verdict::Failed(disagreements.join("; ")),
            Err(Stop::Skipped(reason)) => Verdict::Skipped(reason),
            Ok(()) if self.comparisons.is_empty() => Verdict::Failed("the check compared nothing".to_owned()),
            Ok(()) => Verdict::Passed,
        };
        let not_compared = match &verdict {
            // The reason says it already.
            Verdict::Skipped(reason) => {
                self.silent.into_iter().filter(|silent| !reason.contains(silent.as_str())).collect()
            }
            _ => self.silent,
        };
        Conclusion { verdict, comparisons: self.comparisons, not_compared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_compared_nothing_fails() {
        assert!(matches!(Evidence::default().conclude(Ok(())).verdict, Verdict::Failed(_)));
    }

    #[test]
    fn one_disagreement_fails_a_check_even_if_it_then_stops() {
        let mut evidence = Evidence::default();
        evidence.text("a", Some("1"), Some("1"), "w");
        evidence.text("b", Some("1"), Some("2"), "w");
        let Conclusion { verdict, comparisons, .. } = evidence.conclude(Err(Stop::skipped("no more")));
        assert_eq!(verdict, Verdict::Failed("b is 1, but 2 according to w".to_owned()));
        assert_eq!(comparisons.len(), 2);
    }

    #[test]
    fn a_number_may_lie_between_two_looks_and_a_tolerance_outside() {
        let agrees = |reported, said, tolerance| {
            let mut evidence = Evidence::default();
            evidence.number("x", reported, said, tolerance, "w");
            evidence.conclude(Ok(())).verdict == Verdict::Passed
        };
        assert!(agrees(Some(5.0), [9.0, 1.0], 0.0));
        assert!(agrees(Some(0.5), [1.0, 2.0], 0.5));
        assert!(agrees(Some(2.5), [1.0, 2.0], 0.5));
        assert!(!agrees(Some(0.4), [1.0, 2.0], 0.5));
        assert!(!agrees(Some(2.6), [1.0, 2.0], 0.5));
        assert!(!agrees(None, [1.0, 2.0], 0.5), "null is not a number");
        assert!(!agrees(Some(f64::NAN), [1.0, 2.0], 0.5));
    }

    #[test]
    fn numbers_are_shown_without_needless_digits() {
        let mut evidence = Evidence::default();
        evidence.number("x", Some(48.8), [48.0, 50.25], 0.0, "w");
        let comparisons = evidence.conclude(Ok(())).comparisons;
        assert_eq!(comparisons[0].reported, "48.8");
        assert_eq!(comparisons[0].said, "48 to 50.25");
    }

    #[test]
    fn without_any_witness_a_check_is_skipped_with_all_reasons() {
        let mut evidence = Evidence::default();
        evidence.silent("iw: not installed");
        evidence.silent("iw: not installed");
        let stop = evidence.some_witness("no WiFi").expect_err("nothing was compared");
        assert_eq!(stop, Stop::Skipped("no WiFi; iw: not installed".to_owned()));
        evidence.text("a", None, None, "w");
        assert_eq!(evidence.some_witness("no WiFi"), Ok(()));
    }

    #[test]
    fn a_silent_witness_is_told_beside_one_that_was_heard() {
        let mut evidence = Evidence::default();
        evidence.silent("vcgencmd is not installed");
        evidence.text("a", Some("1"), Some("1"), "w");
        let conclusion = evidence.conclude(Ok(()));
        assert_eq!(conclusion.verdict, Verdict::Passed);
        assert_eq!(conclusion.not_compared, ["vcgencmd is not installed"]);
    }

    #[test]
    fn the_reason_of_a_skip_is_not_told_twice() {
        let mut evidence = Evidence::default();
        evidence.silent("iw: not installed");
        let end = evidence.some_witness("no WiFi");
        assert!(evidence.conclude(end).not_compared.is_empty());
    }
}
