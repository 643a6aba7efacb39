//! `connection.ethernet`: the wired connection.

use heartbeat_core::{SensorError, readings::Ethernet};

use super::{Candidate, Definition, Problem, Shared};
use crate::config::Settings;

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Ethernet;
    type Config = ();
    const NAME: &'static str = "ethernet";
    const KEYS: &'static [&'static str] = &["connection.ethernet"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Ethernet>> {
        vec![Candidate::part(&shared.network, |network| network.ethernet.clone())]
    }

    fn show(ethernet: &Ethernet) -> String {
        super::listed([Some(ethernet.interface.to_string()), ethernet.ip.as_ref().map(ToString::to_string)])
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent))
            .then_some("nothing to do: no wired interface that is in use")
    }
}
