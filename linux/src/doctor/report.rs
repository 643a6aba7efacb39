//! The diagnoses as a table for people, and as JSON for machines.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Diagnosis;

/// A line per value; under those without one every place that was asked, and what to do.
pub fn table(diagnoses: &[Diagnosis]) -> String {
    let mut table = format!("{:<12} {:<42} {:<44} {:>9}\n", "VALUE", "READ", "FROM", "TOOK");
    for diagnosis in diagnoses {
        // Writing to a String cannot fail.
        let _ = match (diagnosis.answer(), &diagnosis.complaint) {
            (Some((finding, value)), _) => {
                let took = finding.took.as_secs_f64() * 1e3;
                writeln!(table, "{:<12} {value:<42} {:<44} {took:>6.1} ms", diagnosis.value, finding.place)
            }
            (None, Some(complaint)) => {
                writeln!(
                    table,
                    "{:<12} {:<42} {}",
                    diagnosis.value,
                    format!("- {}", complaint.why),
                    complaint.advice
                )
            }
            (None, None) => writeln!(table, "{:<12} -", diagnosis.value),
        };
        // Of a value that was found, only the places that should have known it; of others, all.
        for finding in &diagnosis.findings {
            if let Err(error) = &finding.outcome
                && (diagnosis.complaint.is_some() || *error != heartbeat_core::SensorError::Absent)
            {
                let _ = writeln!(table, "{:<12} {:<42} {}", "", format!("  {error}"), finding.place);
            }
        }
    }
    table
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
                        "error": finding.outcome.as_ref().err().map(ToString::to_string),
                        "took_ms": finding.took.as_secs_f64() * 1e3,
                    })
                })
                .collect();
            json!({
                "value": diagnosis.value,
                "read": answer.map(|(_, value)| value),
                "from": answer.map(|(finding, _)| &finding.place),
                "places": places,
                "why": diagnosis.complaint.as_ref().map(|complaint| &complaint.why),
                "serious": diagnosis.complaint.as_ref().is_some_and(|complaint| complaint.serious),
                "advice": diagnosis.complaint.as_ref().map(|complaint| &complaint.advice),
            })
        })
        .collect();
    Value::Array(all).to_string()
}
