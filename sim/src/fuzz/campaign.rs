//! Many runs, and what must be true of them together.

use std::ops::Range;

use heartbeat_core::time::Instant;

use super::{
    checker::Violation,
    event::Event,
    run::{Report, run},
    scenario::{Scenario, Wire},
    trace::{Trace, TraceHash, Untraced},
};

/// Runs that once broke a promise: `seed beats`, one in a line.
const REGRESSIONS: &str = include_str!("../../regressions.txt");
/// Of so many runs one is run again without jumps of the wall clock (S6).
const METAMORPHIC: u64 = 16;
/// Of so many runs one is run twice (S21).
const TWICE: u64 = 64;
/// Runs after which everything that can happen must have happened.
const LONG: u64 = 1_000;

/// A run that broke a promise.
#[derive(Debug)]
pub struct Failure {
    /// In which form its documents were.
    pub wire: Wire,
    /// Its seed.
    pub seed: u64,
    /// Its slots.
    pub beats: u64,
    /// What it broke.
    pub violation: Violation,
}

/// Runs that were kept because they once broke a promise: seeds and slots.
pub fn regressions() -> impl Iterator<Item = (u64, u64)> {
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

/// Runs the kept runs, then those of these seeds. `progress` is called after each of the latter.
///
/// # Errors
///
/// The first run that broke a promise.
pub fn campaign(
    wire: Wire,
    seeds: Range<u64>,
    beats: u64,
    mut progress: impl FnMut(&Report),
) -> Result<Report, Failure> {
    for (seed, beats) in regressions() {
        check(wire, seed, beats)?;
    }
    let mut total = Report::default();
    for seed in seeds {
        total.add(&check(wire, seed, beats)?);
        progress(&total);
    }
    Ok(total)
}

fn check(wire: Wire, seed: u64, beats: u64) -> Result<Report, Failure> {
    let scenario = Scenario::over(wire, seed, beats);
    let fail = |violation| Failure { wire, seed, beats, violation };
    let report = run(&scenario, None, &mut Untraced).map_err(fail)?;
    let differs = |property, detail: &str| {
        Err(fail(Violation { property, detail: detail.to_owned(), at: scenario.start }))
    };
    if seed.is_multiple_of(METAMORPHIC) {
        // How much fits into little memory depends on the digits of timestamps.
        let scenario = scenario.clone().with_large_memory();
        let [mut jumping, mut steady] = [Attempts::default(); 2];
        let _ = run(&scenario, None, &mut jumping);
        let _ = run(&scenario.without_wall_clock(), None, &mut steady);
        if jumping.0 != steady.0 {
            return differs("S6 wall-clock independence", "without its jumps attempts are others");
        }
    }
    if seed.is_multiple_of(TWICE) && trace_hash(&scenario) != trace_hash(&scenario) {
        return differs("S21 determinism", "told twice, it is not the same");
    }
    Ok(report)
}

/// The hash of the trace of a run.
pub fn trace_hash(scenario: &Scenario) -> TraceHash {
    let mut hash = TraceHash::default();
    if let Err(violation) = run(scenario, None, &mut hash) {
        hash.line(violation.at, || violation.to_string());
    }
    hash
}

/// What is missing after so many runs: kinds of events that never happened, stimuli that never met a state. Nothing is
/// after few runs.
pub fn missing(total: &Report, wire: Wire, runs: u64) -> Vec<String> {
    if runs < LONG {
        return Vec::new();
    }
    let of_deltas = if wire == Wire::Delta { Event::KINDS_WITH_DELTAS } else { &[] };
    let kinds = Event::KINDS
        .iter()
        .chain(of_deltas)
        .filter(|kind| !total.events.contains_key(*kind))
        .map(|kind| (*kind).to_owned());
    let pairs =
        total.coverage.missing().into_iter().map(|(state, stimulus)| format!("{stimulus:?} in {state:?}"));
    kinds.chain(pairs).collect()
}

/// When requests begin, and how they end; not what they say.
#[derive(Debug, Clone, Copy, Default)]
struct Attempts(TraceHash);

impl Trace for Attempts {
    fn line(&mut self, at: Instant, line: impl FnOnce() -> String) {
        let line = line();
        if line.starts_with("sends ") {
            self.0.line(at, || "sends".to_owned());
        } else if line.starts_with("ended: ") {
            self.0.line(at, || line);
        }
    }
}
