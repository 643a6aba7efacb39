//! `fan_rpm`: speed of the fan.

use heartbeat_core::{SensorError, units::Rpm};

use super::{Candidate, Definition, Problem, Shared};
use crate::{config::Settings, sources::hwmon_fan::HwmonFan};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Rpm;
    type Config = ();
    const NAME: &'static str = "fan_rpm";
    const KEYS: &'static [&'static str] = &["fan_rpm"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Rpm>> {
        vec![shared.blocking(HwmonFan::default())]
    }

    fn show(speed: &Rpm) -> String {
        format!("{speed} rpm")
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) => Some("nothing to do: no fan with a tachometer"),
            Problem::Failed(SensorError::Invalid) => {
                Some("does the fan turn? Its controller reports a fault")
            }
            _ => None,
        }
    }
}
