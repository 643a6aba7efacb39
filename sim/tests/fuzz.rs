//! The simulator itself: its runs break no promise, and its checker detects the planted bugs.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use heartbeat_core::time::Instant;
use heartbeat_sim::{
    fuzz::{PlantedBug, Scenario, Told, Untraced, Wire, campaign, minimise, regressions, run, trace_hash},
    schema::Schema,
};

#[test]
fn fixed_seeds_break_no_property() {
    assert!(regressions().count() >= 2, "the kept runs are not read");
    match campaign(Wire::Full, 0..200, 200, |_| {}) {
        Ok(total) => {
            assert!(total.tally.delivered > 5_000 && total.tally.replayed > 100, "{:?}", total.tally)
        }
        Err(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn receiver_of_deltas_knows_every_full_document() {
    match campaign(Wire::Delta, 0..200, 200, |_| {}) {
        Ok(total) => {
            let tally = total.tally;
            assert!(tally.deltas > 1_000 && tally.delivered > tally.deltas + 1_000, "{tally:?}");
        }
        Err(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn checker_finds_every_planted_bug() {
    // Panics are among the planted bugs, and not news.
    std::panic::set_hook(Box::new(|_| {}));
    let unseen: Vec<_> = PlantedBug::ALL
        .iter()
        .filter(|bug| {
            let scenario = |seed| Scenario::over(bug.wire(), seed, 100);
            (0..10_000).all(|seed| run(&scenario(seed), Some(**bug), &mut Untraced).is_ok())
        })
        .map(ToString::to_string)
        .collect();
    let _ = std::panic::take_hook();
    assert_eq!(unseen, [""; 0]);
    assert!(PlantedBug::ALL.len() >= 20);
}

/// Lines that tell of requests, with the document of each.
fn documents(scenario: &Scenario) -> Vec<String> {
    let mut sent = Vec::new();
    let mut told = Told::new(|_: Instant, line: &str| {
        if let Some(document) = line.strip_prefix("sends ") {
            sent.push(document.to_owned());
        }
    });
    run(scenario, None, &mut told).expect("no promise is broken");
    sent
}

/// The checker knows the bytes that must be sent; this shows that those are right.
#[test]
fn expected_documents_match_the_schema() {
    let schema = Schema::new();
    let mut checked = 0;
    for seed in 0..100 {
        for document in documents(&Scenario::draw(seed, 30)) {
            if let Err(error) = schema.check(document.as_bytes()) {
                panic!("seed {seed}: {error}: {document}");
            }
            checked += 1;
        }
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn deltas_match_their_schema() {
    let parsed = |schema: &str| -> serde_json::Value { serde_json::from_str(schema).expect("JSON") };
    let registry = jsonschema::Registry::new()
        .add("urn:heartbeat:v1", parsed(heartbeat_core::SCHEMA))
        .and_then(jsonschema::RegistryBuilder::prepare)
        .expect("a resource");
    let schema = jsonschema::options()
        .with_registry(&registry)
        .build(&parsed(heartbeat_core::payload::DELTA_SCHEMA))
        .expect("a schema");
    let mut checked = 0;
    for seed in 0..100 {
        let mut deltas = Vec::new();
        let mut told = Told::new(|_: Instant, line: &str| {
            deltas.extend(line.split_once(" as delta ").map(|(_, delta)| parsed(delta)));
        });
        run(&Scenario::over(Wire::Delta, seed, 30), None, &mut told).expect("no promise is broken");
        for delta in &deltas {
            if let Err(error) = schema.validate(delta) {
                panic!("seed {seed}: {error} at {}: {delta}", error.instance_path());
            }
        }
        checked += deltas.len();
    }
    assert!(checked > 300, "{checked}");
}

#[test]
fn same_seed_gives_the_same_trace() {
    let hash = |seed| trace_hash(&Scenario::draw(seed, 100));
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn minimises_a_run_to_the_events_that_break_the_property() {
    let bug = Some(PlantedBug::CatchesUp);
    let minimal = minimise(Wire::Full, 0, 200, bug).expect("a broken promise");
    let shortened = Scenario::draw(0, minimal.beats).only(&minimal.steps);
    let violation = run(&shortened, bug, &mut Untraced).expect_err("still broken");
    assert_eq!(violation.property, minimal.violation.property);
    // A stall is what it takes.
    assert!(shortened.steps.len() <= 2, "{:?}", shortened.steps);
    assert!(minimise(Wire::Full, 0, 50, None).is_none(), "an honest run has nothing to shorten");
}

#[test]
fn minimised_run_keeps_event_times() {
    let scenario = Scenario::draw(3, 50);
    let end = |scenario: &Scenario| {
        scenario.steps.iter().fold(scenario.start, |at, step| at + step.after + step.event.span())
    };
    let all: Vec<_> = (0..scenario.steps.len()).collect();
    assert_eq!(scenario.only(&all).steps, scenario.steps);
    let last = scenario.only(&all[all.len() - 1..]);
    assert_eq!(end(&last), end(&scenario));
}
