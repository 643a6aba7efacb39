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

    /// That of the firmware, else of the kernel's zone or monitor of the processor, else of a zone that nothing is known of.
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Celsius>> {
        vec![
            shared.firmware("measure_temp", replies::temperature),
            shared.blocking(Thermal::named()),
            shared.blocking(HwmonTemperature::default()),
            shared.blocking(Thermal::unnamed()),
        ]
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
