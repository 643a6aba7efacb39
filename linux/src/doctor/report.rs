//! The diagnoses as a table for people, and as JSON for machines.

use heartbeat_core::payload::Reason;
use serde_json::{Value, json};

use super::{Diagnosis, is_absence, reason};
use crate::page::Page;

/// Width of the names and of the values.
const COLUMNS: [usize; 2] = [18, 28];

/// A row per value; under those without one each candidate that was asked, and what to do.
pub fn table(diagnoses: &[Diagnosis]) -> String {
    let mut page = Page::new(COLUMNS);
    page.row("VALUE", "READ", "FROM");
    for diagnosis in diagnoses {
        match (diagnosis.answer(), &diagnosis.complaint) {
            (Some((finding, value)), _) => {
                let took = finding.took.as_micros() as f64 / 1e3;
                page.row(diagnosis.value, value, &format!("{} ({took:.1} ms)", finding.place));
            }
            (None, Some(complaint)) => {
                let word = complaint.unread.map(|reason| format!("{}: ", reason.word())).unwrap_or_default();
                page.row(diagnosis.value, &format!("- {word}{}", complaint.why), "");
                page.note(&complaint.advice);
            }
            (None, None) => page.row(diagnosis.value, "-", ""),
        }
        // Of a value that was found, only the candidates that should have known it; of others, all.
        for finding in &diagnosis.findings {
            if let Err(problem) = finding.outcome
                && (diagnosis.complaint.is_some() || !is_absence(problem))
            {
                page.note(&format!("{}: {}", reason(finding, problem), finding.place));
            }
        }
    }
    page.to_string()
}

/// A list of objects, one per value.
pub fn json(diagnoses: &[Diagnosis]) -> String {
    let all: Vec<Value> = diagnoses
        .iter()
        .map(|diagnosis| {
            let answer = diagnosis.answer();
            let places: Vec<Value> = diagnosis
                .findings
                .iter()
                .map(|finding| {
                    json!({
                        "place": finding.place,
                        "error": finding.outcome.as_ref().err().map(|problem| reason(finding, *problem)),
                        "took_ms": finding.took.as_micros() as f64 / 1e3,
                    })
                })
                .collect();
            json!({
                "value": diagnosis.value,
                "read": answer.map(|(_, value)| value),
                "from": answer.map(|(finding, _)| &finding.place),
                "places": places,
                "unread": diagnosis.complaint.as_ref().and_then(|complaint| complaint.unread).map(Reason::word),
                "why": diagnosis.complaint.as_ref().map(|complaint| &complaint.why),
                "serious": diagnosis.complaint.as_ref().is_some_and(|complaint| complaint.is_serious),
                "advice": diagnosis.complaint.as_ref().map(|complaint| &complaint.advice),
            })
        })
        .collect();
    Value::Array(all).to_string()
}
