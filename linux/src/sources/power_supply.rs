//! Power from the kernel's power supplies (`Documentation/power/power_supply_class.rst`).

use heartbeat_core::{SensorError, units::Watts};

use super::{Source, sysroot::Sysroot};

const CLASS: &str = "/sys/class/power_supply";

/// The first supply that knows its power (`power_now`, µW), or voltage and current (`voltage_now` µV, `current_now` µA).
///
/// The supply of a PoE HAT knows its current only: that is no power.
#[derive(Debug, Default)]
pub(crate) struct PowerSupply;

impl Source for PowerSupply {
    type Reading = Watts;

    fn place(&self) -> String {
        format!("{CLASS}/*/power_now, or voltage_now and current_now")
    }

    fn read(&mut self, root: &Sysroot) -> Result<Watts, SensorError> {
        for supply in root.list(CLASS)? {
            let attribute = |name: &str| root.read_integer(format!("{CLASS}/{supply}/{name}"));
            let microwatts = match attribute("power_now") {
                Err(SensorError::Absent) => match (attribute("voltage_now"), attribute("current_now")) {
                    (Ok(microvolts), Ok(microamperes)) => product(microvolts, microamperes),
                    // Half of it is nothing.
                    (Err(SensorError::Absent), _) | (_, Err(SensorError::Absent)) => continue,
                    (Err(error), _) | (_, Err(error)) => Err(error),
                },
                power => power,
            };
            let watts = Watts::from_microwatts(microwatts?);
            return if Watts::RANGE.contains(&watts) { Ok(watts) } else { Err(SensorError::Invalid) };
        }
        Err(SensorError::Absent)
    }
}

/// µV * µA in µW.
fn product(microvolts: i64, microamperes: i64) -> Result<i64, SensorError> {
    let picowatts = i128::from(microvolts) * i128::from(microamperes);
    i64::try_from(picowatts / 1_000_000).map_err(|_| SensorError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(supplies: &[(&str, &str)]) -> Result<Watts, SensorError> {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, value) in supplies {
            let path = dir.path().join("sys/class/power_supply").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, value).expect("written");
        }
        PowerSupply.read(&Sysroot::new(dir.path()).expect("opened"))
    }

    #[test]
    fn reads_or_computes_power_and_never_guesses_it() {
        assert_eq!(read(&[("BAT0/power_now", "5300000\n")]), Ok(Watts::from_raw(530)));
        assert_eq!(
            read(&[("b/voltage_now", "5100000"), ("b/current_now", "600000")]),
            Ok(Watts::from_raw(306))
        );
        let poe = [("rpi-poe/current_now", "900000"), ("rpi-poe/online", "1")];
        assert_eq!(read(&poe), Err(SensorError::Absent), "microamperes are not watts");
        assert_eq!(read(&[]), Err(SensorError::Absent));
        assert_eq!(read(&[("b/power_now", "")]), Err(SensorError::Invalid));
        let huge = i64::MAX.to_string();
        assert_eq!(read(&[("b/voltage_now", &huge), ("b/current_now", &huge)]), Err(SensorError::Invalid));
    }
}
