//! `temp`: temperature of the system-on-chip.

use heartbeat_core::{SensorError, units::Celsius};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{firmware::replies, hwmon_temperature::HwmonTemperature, thermal::Thermal},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Celsius;
    type Config = ();
    const NAME: &'static str = "temp";
    const KEYS: &'static [&'static str] = &["temp"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Celsius>> {
        let firmware = shared.firmware("measure_temp", replies::temperature);
        vec![firmware, shared.blocking(Thermal::default()), shared.blocking(HwmonTemperature::default())]
    }

    fn show(temperature: &Celsius) -> String {
        format!("{temperature} °C")
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) => {
                Some("nothing to do: this machine has no sensor that the kernel knows")
            }
            Problem::Silent => Some(super::FIRMWARE_HANGS),
            _ => None,
        }
    }
}
