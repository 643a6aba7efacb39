//! `timestamp`: wall time.

use heartbeat_core::{SensorError, units::UnixTime};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    clock,
    config::Settings,
    sources::{Source, sysroot::Sysroot},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = UnixTime;
    type Config = ();
    const NAME: &'static str = "timestamp";
    const KEYS: &'static [&'static str] = &["timestamp"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<UnixTime>> {
        vec![shared.prompt(SystemClock)]
    }

    fn show(time: &UnixTime) -> String {
        time.to_string()
    }

    fn advice(_: Problem, (): &()) -> Option<&'static str> {
        Some("the clock has not been set: is there a network, and timedatectl set-ntp true?")
    }
}

/// The system's clock.
struct SystemClock;

impl Source for SystemClock {
    type Reading = UnixTime;

    fn place(&self) -> String {
        "the system's clock".to_owned()
    }

    fn read(&mut self, _: &Sysroot) -> Result<UnixTime, SensorError> {
        clock::unix_time().ok_or(SensorError::Invalid)
    }
}
