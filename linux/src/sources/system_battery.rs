//! The battery that the kernel knows as the board's own (`Documentation/ABI/testing/sysfs-class-power`): of a carrier board
//! or a HAT whose charger or gauge has a driver.

use heartbeat_core::{
    SensorError,
    readings::Ups,
    units::{Percent, Volts},
};

use super::{
    Source,
    power_supply::{CLASS, Supply},
    sysroot::Sysroot,
};

/// A full battery can be a little beyond 100 %, by the model of its gauge (MAX17040/MAX17041 data sheet, "SOC Register"); the kernel's
/// driver gives what that says (`max17040_get_soc` in drivers/power/supply/max17040_battery.c).
const CHARGE_MAX: u64 = 110;

/// The first battery of the board, by its name, that tells its voltage or its charge.
#[derive(Debug, Default)]
pub(crate) struct SystemBattery {
    known: Option<String>,
}

impl Source for SystemBattery {
    type Reading = Ups;

    fn place(&self) -> String {
        format!("{CLASS}/{}", self.known.as_deref().unwrap_or("*"))
    }

    fn read(&mut self, root: &Sysroot) -> Result<Ups, SensorError> {
        self.known = None;
        let mut trouble = SensorError::Absent;
        for name in root.list(CLASS)? {
            match state(&Supply::new(root, &name)) {
                Ok(ups) => {
                    self.known = Some(name);
                    return Ok(ups);
                }
                Err(error) if trouble == SensorError::Absent => trouble = error,
                Err(_) => {}
            }
        }
        Err(trouble)
    }
}

/// Voltage and charge of a supply, if it is a battery of the board.
fn state(supply: &Supply<'_>) -> Result<Ups, SensorError> {
    if !supply.is_of_the_board()? || !supply.says("type", "Battery")? {
        return Err(SensorError::Absent);
    }
    // 0 V is what a gauge says without a battery.
    let voltage = supply.number("voltage_now")?.filter(|microvolts| *microvolts != 0);
    let percent = supply.number("capacity")?.and_then(|percent| u64::try_from(percent).ok());
    let ups = Ups {
        voltage: voltage.map(Volts::from_microvolts),
        percent: percent
            .filter(|percent| *percent <= CHARGE_MAX)
            .and_then(|percent| Percent::of(percent.min(100), 100)),
    };
    if ups.voltage.is_none() && ups.percent.is_none() { Err(SensorError::Absent) } else { Ok(ups) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Supplies as `name/attribute=value`.
    fn read(supplies: &str) -> Result<Ups, SensorError> {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, value) in supplies.split_whitespace().filter_map(|line| line.split_once('=')) {
            let path = dir.path().join("sys/class/power_supply").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, value).expect("written");
        }
        SystemBattery::default().read(&Sysroot::new(dir.path()).expect("opened"))
    }

    #[test]
    fn reads_the_battery_of_the_board_and_no_other_supply() {
        let ups = |voltage: Option<i64>, percent: Option<i64>| {
            Ok(Ups { voltage: voltage.map(Volts::from_raw), percent: percent.map(Percent::from_raw) })
        };
        let battery = "b/type=Battery b/voltage_now=3842000 b/capacity=72 ";
        assert_eq!(read(battery), ups(Some(384), Some(720)));
        assert_eq!(read(&format!("a/type=Mains a/voltage_now=5000000 {battery}")), ups(Some(384), Some(720)));
        assert_eq!(read("b/type=Battery b/capacity=72"), ups(None, Some(720)));
        assert_eq!(read("b/type=Battery b/capacity=101 b/voltage_now=4183000"), ups(Some(418), Some(1000)));
        assert_eq!(read("b/type=Battery b/capacity=111 b/voltage_now=3842000"), ups(Some(384), None));
        let mouse = "a/type=Battery a/scope=Device a/capacity=9 ";
        assert_eq!(read(mouse), Err(SensorError::Absent));
        assert_eq!(read(&format!("{mouse}{battery}")), ups(Some(384), Some(720)));
        for absent in ["", "b/type=Battery b/voltage_now=0", "b/type=Battery b/present=0 b/capacity=50"] {
            assert_eq!(read(absent), Err(SensorError::Absent), "{absent}");
        }
        assert_eq!(read("b/type=Battery b/capacity="), Err(SensorError::Invalid));
    }
}
