//! `fan_rpm`: speed of the fan.

use heartbeat_core::{SensorError, units::Rpm};

use super::{Candidate, Definition, Problem, Shared};
use crate::{config::Settings, sources::hwmon::HwmonFan};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Rpm;
    type Config = ();
    const NAME: &'static str = "fan_rpm";
    const KEYS: &'static [&'static str] = &["fan_rpm"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Rpm>> {
        vec![shared.blocking(HwmonFan::of_the_board()), shared.blocking(HwmonFan::any())]
    }

    fn show(speed: &Rpm) -> String {
        format!("{speed} rpm")
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent))
            .then_some("nothing to do: no fan with a tachometer")
    }
}
