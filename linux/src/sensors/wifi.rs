//! `connection.wifi`: the wireless connection.

use heartbeat_core::{
    SensorError,
    readings::{Wifi, WifiMode},
    units::{Dbm, SignalPercent},
};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{network::Snapshot, radio::Details},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Wifi;
    type Config = ();
    const NAME: &'static str = "wifi";
    const KEYS: &'static [&'static str] = &["connection.wifi"];

    fn config(_: &Settings) {}

    /// The kernel's interface with the details of its radio, else with its signal, else alone.
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Wifi>> {
        vec![
            Candidate::joined(&shared.network, &shared.nl80211, with_details),
            Candidate::joined(&shared.network, &shared.proc_wireless, with_signal),
            Candidate::part(&shared.network, Snapshot::wifi),
        ]
    }

    /// Without the network's name.
    fn show(wifi: &Wifi) -> String {
        let mode = wifi.mode.map(|mode| match mode {
            WifiMode::Client => "client".to_owned(),
            WifiMode::Hotspot => "hotspot".to_owned(),
        });
        super::listed([
            Some(wifi.interface.to_string()),
            wifi.ip.as_ref().map(ToString::to_string),
            mode,
            wifi.signal_dbm.map(|signal| format!("{signal} dBm")),
            wifi.clients.map(|clients| format!("{clients} clients")),
        ])
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent))
            .then_some("nothing to do: no wireless interface that is in use")
    }
}

fn with_details(
    network: Result<&Snapshot, SensorError>,
    radios: Result<&Vec<Details>, SensorError>,
) -> Result<Wifi, SensorError> {
    let mut wifi = network?.wifi()?;
    let mut all = radios?.iter();
    let details = all.find(|details| details.interface == wifi.interface.as_str());
    details.ok_or(SensorError::Absent)?.complete(&mut wifi);
    Ok(wifi)
}

fn with_signal(
    network: Result<&Snapshot, SensorError>,
    signals: Result<&Vec<(String, Dbm)>, SensorError>,
) -> Result<Wifi, SensorError> {
    let mut wifi = network?.wifi()?;
    let mut all = signals?.iter();
    let (_, signal) =
        all.find(|(interface, _)| interface == wifi.interface.as_str()).ok_or(SensorError::Absent)?;
    wifi.signal_dbm = Some(*signal);
    wifi.signal_percent = Some(SignalPercent::from_dbm(*signal));
    Ok(wifi)
}
