//! Shortens a run that breaks a promise to what is needed for that.

use super::{
    checker::Violation,
    planted_bugs::PlantedBug,
    run::run,
    scenario::{Scenario, Wire},
    trace::Untraced,
};

/// A run that cannot easily be made any shorter.
#[derive(Debug)]
pub struct Minimal {
    /// Slots that it needs.
    pub beats: u64,
    /// Of the steps of the run with so many slots, those that it needs.
    pub steps: Vec<usize>,
    /// What it breaks.
    pub violation: Violation,
}

/// Shortens the run of a seed: first its end, then its steps in ever smaller pieces, as long as the same promise is
/// broken. `None` when the run breaks none. `bug`: planted in the frontend.
pub fn minimise(wire: Wire, seed: u64, beats: u64, bug: Option<PlantedBug>) -> Option<Minimal> {
    let whole = Scenario::over(wire, seed, beats);
    let violation = run(&whole, bug, &mut Untraced).err()?;
    let same = |scenario: &Scenario| {
        run(scenario, bug, &mut Untraced).err().filter(|other| other.property == violation.property)
    };
    // The end: one slot more than had begun.
    let begun = violation.at.since(whole.start).as_micros() / whole.config.interval().as_micros() + 1;
    let beats = (begun..=begun + 1)
        .find(|beats| same(&Scenario::over(wire, seed, *beats)).is_some())
        .unwrap_or(beats);
    let scenario = Scenario::over(wire, seed, beats);
    let mut steps: Vec<usize> = (0..scenario.steps.len()).collect();
    let mut piece = steps.len().next_power_of_two() / 2;
    while piece > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + piece).min(steps.len()));
            if same(&scenario.only(&fewer)).is_some() {
                steps = fewer;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
    let violation = same(&scenario.only(&steps)).unwrap_or(violation);
    Some(Minimal { beats, steps, violation })
}
