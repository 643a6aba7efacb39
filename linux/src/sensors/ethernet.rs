//! `connection.ethernet`: the wired connection.

use heartbeat_core::{SensorError, readings::Ethernet};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{modem_manager::Modem, network::Snapshot},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Ethernet;
    type Config = ();
    const NAME: &'static str = "ethernet";
    const KEYS: &'static [&'static str] = &["connection.ethernet"];

    fn config(_: &Settings) {}

    /// The kernel's interface, without the ports of modems that pose as wired ones; with a ModemManager that does not
    /// answer, with them.
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Ethernet>> {
        vec![
            Candidate::joined(&shared.network, &shared.modem_manager, without_modems),
            Candidate::part(&shared.network, |network| network.ethernet(&[])),
        ]
    }

    fn show(ethernet: &Ethernet) -> String {
        super::listed([Some(ethernet.interface.to_string()), ethernet.ip.as_ref().map(ToString::to_string)])
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent))
            .then_some("nothing to do: no wired interface that is in use")
    }
}

fn without_modems(
    network: Result<&Snapshot, SensorError>,
    modem: Result<&Modem, SensorError>,
) -> Result<Ethernet, SensorError> {
    network?.ethernet(&modem.map(Modem::all_ports).unwrap_or_default())
}
