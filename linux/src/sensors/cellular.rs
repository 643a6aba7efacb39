//! `connection.4g`: the mobile connection.

use heartbeat_core::{SensorError, readings::Cellular};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{modem_manager::Modem, network::Snapshot},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Cellular;
    type Config = ();
    const NAME: &'static str = "4g";
    const KEYS: &'static [&'static str] = &["connection.4g"];

    fn config(_: &Settings) {}

    /// The modem with its interface's address; without ModemManager the interface alone.
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Cellular>> {
        vec![
            Candidate::joined(&shared.modem_manager, &shared.network, with_interface),
            Candidate::part(&shared.network, Snapshot::cellular),
        ]
    }

    fn show(cellular: &Cellular) -> String {
        super::listed([
            cellular.interface.as_ref().map(ToString::to_string),
            cellular.ip.as_ref().map(ToString::to_string),
            cellular.state.as_ref().map(ToString::to_string),
            cellular.operator.as_ref().map(ToString::to_string),
            cellular.technology.as_ref().map(ToString::to_string),
            cellular.signal_percent.map(|percent| format!("signal {percent} %")),
        ])
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) => {
                Some("install ModemManager if there is a modem: apt-get install modemmanager")
            }
            Problem::Silent => Some("ModemManager hangs: systemctl restart ModemManager"),
            _ => None,
        }
    }
}

fn with_interface(
    modem: Result<&Modem, SensorError>,
    network: Result<&Snapshot, SensorError>,
) -> Result<Cellular, SensorError> {
    Ok(modem?.connection(network.ok()))
}
