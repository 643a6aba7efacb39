//! `diagnostics.ups`: the battery of an uninterruptible power supply.

use heartbeat_core::{
    SensorError,
    drivers::{ina219::Measurement, max17040::Charge},
    readings::Ups,
    units::{Percent, Volts, Watts},
};

use super::{Candidate, Definition, Problem, Shared, reader::Reader};
use crate::{
    config::Settings,
    config::{UpsChip, UpsConfig},
    sources::{
        drawn_power,
        i2c::{Ina219OnBus, Max17040OnBus},
        system_battery::SystemBattery,
    },
};

/// What to do when no chip answers on the bus.
pub(super) const IS_IT_ON: &str = "is the supply plugged on, and I2C on (raspi-config, dtparam=i2c_arm=on)?";

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Ups;
    type Config = Option<UpsConfig>;
    const NAME: &'static str = "ups";
    const KEYS: &'static [&'static str] = &["diagnostics.ups"];

    fn config(settings: &Settings) -> Self::Config {
        settings.ups
    }

    /// The chip that is configured; else the battery that the kernel knows, whose driver may own that chip.
    fn candidates(shared: &Shared, _: &Self::Config) -> Vec<Candidate<Ups>> {
        let configured = shared.battery.iter().map(Battery::state);
        configured.chain([shared.blocking(SystemBattery::default())]).collect()
    }

    fn show(ups: &Ups) -> String {
        super::listed([
            ups.voltage.map(|volts| format!("{volts} V")),
            ups.percent.map(|percent| format!("{percent} %")),
        ])
    }

    fn advice(problem: Problem, config: &Self::Config) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) if config.is_none() => {
                Some("nothing to do, unless the board stands on a supply with a battery: set ups.preset")
            }
            Problem::Failed(SensorError::Absent) => Some(IS_IT_ON),
            _ => None,
        }
    }
}

/// The chip that watches the battery. What it measures serves `power`, too.
pub(super) struct Battery {
    pub(super) config: UpsConfig,
    chip: Chip,
}

enum Chip {
    Ina219(Reader<Measurement>),
    Max17040(Reader<Charge>),
}

impl Battery {
    /// The configured one.
    pub(super) fn new(config: UpsConfig, shared: &Shared) -> Self {
        let chip = match config.chip {
            UpsChip::Ina219 { address, shunt_uohm, .. } => {
                Chip::Ina219(shared.reader(Ina219OnBus::new(config.bus, address, shunt_uohm)))
            }
            UpsChip::Max17040 => Chip::Max17040(shared.reader(Max17040OnBus::new(config.bus))),
        };
        Self { config, chip }
    }

    /// What the battery delivers, while it does; a gauge does not know.
    pub(super) fn power(&self) -> Option<Candidate<Watts>> {
        match (&self.chip, self.config.chip) {
            (Chip::Ina219(reader), UpsChip::Ina219 { positive_charges, .. }) => {
                Some(Candidate::part(reader, move |measured| {
                    drawn(*measured, positive_charges).ok_or(SensorError::Absent)
                }))
            }
            _ => None,
        }
    }

    /// Voltage and charge.
    fn state(&self) -> Candidate<Ups> {
        match &self.chip {
            Chip::Ina219(reader) => {
                let range = match self.config.chip {
                    UpsChip::Ina219 { empty, full, .. } => Some((empty, full)),
                    UpsChip::Max17040 => None,
                };
                Candidate::part(reader, move |measured| {
                    let percent = range.and_then(|(empty, full)| charge(measured.bus, empty, full));
                    connected(measured.bus)?;
                    Ok(Ups { voltage: Some(measured.bus), percent })
                })
            }
            Chip::Max17040(reader) => Candidate::part(reader, |charge| {
                connected(charge.cell)?;
                Ok(Ups { voltage: Some(charge.cell), percent: Some(charge.state) })
            }),
        }
    }
}

/// A chip without a battery measures 0 V, which is no battery that is empty.
fn connected(voltage: Volts) -> Result<(), SensorError> {
    if voltage == Volts::from_raw(0) { Err(SensorError::Absent) } else { Ok(()) }
}

/// What the board draws from its battery; nothing that is known while the battery is charged, because then the board
/// is fed past the chip.
fn drawn(measured: Measurement, positive_charges: bool) -> Option<Watts> {
    // A hundredth of a watt is 10,000 µW.
    let microwatts = measured.power.raw().saturating_mul(if positive_charges { -10_000 } else { 10_000 });
    drawn_power::drawn(microwatts)
}

/// The charge that a voltage stands for, on a straight line from empty to full.
fn charge(voltage: Volts, empty: Volts, full: Volts) -> Option<Percent> {
    let above = voltage.raw().saturating_sub(empty.raw()).max(0);
    let range = full.raw().saturating_sub(empty.raw());
    Percent::of(u64::try_from(above).ok()?, u64::try_from(range).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_that_is_charged_or_idle_says_nothing_about_the_boards_power() {
        let measured =
            |power| Measurement { bus: Volts::from_raw(800), current_ua: 0, power: Watts::from_raw(power) };
        assert_eq!(drawn(measured(-450), true), Some(Watts::from_raw(450)));
        assert_eq!(drawn(measured(450), true), None);
        assert_eq!(drawn(measured(-2), true), None, "noise");
        assert_eq!(drawn(measured(450), false), Some(Watts::from_raw(450)));
    }

    #[test]
    fn no_voltage_is_no_battery() {
        assert_eq!(connected(Volts::from_raw(0)), Err(SensorError::Absent));
        assert_eq!(connected(Volts::from_raw(1)), Ok(()));
    }

    #[test]
    fn charge_stays_between_empty_and_full() {
        let at = |voltage| charge(Volts::from_raw(voltage), Volts::from_raw(600), Volts::from_raw(840));
        assert_eq!(at(500), Some(Percent::ZERO));
        assert_eq!(at(720), Some(Percent::from_raw(500)));
        assert_eq!(at(850), Some(Percent::FULL));
        assert_eq!(charge(Volts::from_raw(1), Volts::from_raw(2), Volts::from_raw(2)), None);
    }
}
