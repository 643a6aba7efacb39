//! `power`: power that the device draws.

use heartbeat_core::{SensorError, units::Watts};

use super::{Candidate, Definition, Problem, Shared, ups};
use crate::{
    config::{Settings, UpsChip, UpsConfig},
    sources::{Source, firmware::replies, hwmon_power::HwmonPower, power_supply::PowerSupply},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Watts;
    type Config = Option<UpsConfig>;
    const NAME: &'static str = "power";
    const KEYS: &'static [&'static str] = &["power"];

    fn config(settings: &Settings) -> Self::Config {
        settings.ups
    }

    /// That of a monitor, else what the PMIC's rails add up to.
    fn candidates(shared: &Shared, ups: &Self::Config) -> Vec<Candidate<Watts>> {
        let mut candidates = Vec::new();
        candidates.extend(shared.battery.as_ref().and_then(ups::Battery::power));
        let positive_charges = ups.and_then(|ups| match ups.chip {
            UpsChip::Ina219 { positive_charges, .. } => Some(positive_charges),
            UpsChip::Max17040 => None,
        });
        candidates.push(measured(shared, HwmonPower::new(positive_charges)));
        candidates.push(measured(shared, PowerSupply));
        candidates.push(shared.firmware("pmic_read_adc", replies::pmic_power));
        candidates
    }

    fn show(power: &Watts) -> String {
        format!("{power} W")
    }

    fn advice(problem: Problem, ups: &Self::Config) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) if ups.is_none() => {
                Some("nothing to do, unless the board stands on a supply with a battery: set ups.preset")
            }
            Problem::Failed(SensorError::Absent) => Some(ups::IS_IT_ON),
            Problem::Silent => Some(super::FIRMWARE_HANGS),
            _ => None,
        }
    }
}

/// A source that may be there without knowing what the device draws, which can change with the next beat.
fn measured(shared: &Shared, source: impl Source<Reading = Option<Watts>>) -> Candidate<Watts> {
    Candidate::part(&shared.reader(source), |power| power.ok_or(SensorError::Absent))
}
