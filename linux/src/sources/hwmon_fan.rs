//! Speed of a fan from hardware monitors: `fanN_input` in revolutions per minute, unless `fanN_fault` is set.

use heartbeat_core::{SensorError, plausible::Plausible, time::Duration, units::Rpm};

use super::{
    REPROBE, Source,
    hwmon::{CLASS, Monitor},
    sysroot::Sysroot,
};

/// Where the Pi 5's own fan is, regardless of its hwmon number.
const COOLING_FAN: &str = "/sys/devices/platform/cooling_fan/hwmon";

/// A fan that turns; else one that stands still. Among equals the board's own, then the one with the lowest number.
///
/// A board can have more than one, and what matters to an operator is whether it is cooled. The fan of `gpio-fan` does
/// not count: its driver reports the speed that it requested, not a measured one.
#[derive(Debug, Default)]
pub(crate) struct HwmonFan {
    fans: Vec<Fan>,
    /// The monitors that there were when the fans were looked for.
    listed: Vec<String>,
    /// The fan that was read last.
    used: Option<usize>,
    /// It stood.
    is_standing: bool,
    was_found: bool,
}

/// One tachometer.
#[derive(Debug)]
struct Fan {
    monitor: Monitor,
    number: u32,
}

impl Fan {
    /// All of them, the board's own first.
    fn all(root: &Sysroot) -> Result<Vec<Self>, SensorError> {
        let has_tachometer = |name: &str| name != "gpio_fan";
        let own = Monitor::all(root, COOLING_FAN, has_tachometer).unwrap_or_default();
        let others = match Monitor::all(root, CLASS, has_tachometer) {
            Err(_) if !own.is_empty() => Vec::new(),
            others => others?,
        };
        let fans = own.into_iter().chain(others).flat_map(|monitor| {
            let numbers = monitor.inputs(root, "fan");
            numbers.into_iter().map(move |number| Self { monitor: monitor.clone(), number })
        });
        Ok(fans.collect())
    }

    fn speed(&self, root: &Sysroot) -> Result<Rpm, SensorError> {
        let Self { monitor, number } = self;
        // The tachometer of a fan that has failed is not reliable (hwmon sysfs interface, "fan[1-*]_fault").
        if monitor.number(root, &format!("fan{number}_fault"))?.is_some_and(|fault| fault != 0) {
            return Err(SensorError::Invalid);
        }
        // One that is switched off does not measure ("fan[1-*]_enable").
        if monitor.number(root, &format!("fan{number}_enable"))? == Some(0) {
            return Err(SensorError::Absent);
        }
        let speed = monitor.number(root, &format!("fan{number}_input"))?.ok_or(SensorError::Absent)?;
        // All bits of a 16-bit tachometer set: it has not counted.
        if speed == i64::from(u16::MAX) {
            return Err(SensorError::Invalid);
        }
        let rpm = u32::try_from(speed).ok().map(Rpm);
        rpm.and_then(Plausible::plausible).ok_or(SensorError::Invalid)
    }
}

impl Source for HwmonFan {
    type Reading = Rpm;

    fn place(&self) -> String {
        match self.used.and_then(|used| self.fans.get(used)) {
            Some(Fan { monitor, number }) => format!("{}/fan{number}_input", monitor.path),
            None => format!("{CLASS}/hwmon*/fan*_input"),
        }
    }

    fn read(&mut self, root: &Sysroot) -> Result<Rpm, SensorError> {
        self.used = None;
        // While none turns, one of a driver that was loaded since may.
        let listed = if self.is_standing { root.list(CLASS).unwrap_or_default() } else { Vec::new() };
        let is_new = std::mem::take(&mut self.is_standing) && listed != self.listed;
        if is_new || self.fans.is_empty() || !self.fans.iter().all(|fan| fan.monitor.is_still_there(root)) {
            self.listed = root.list(CLASS).unwrap_or_default();
            self.fans = Fan::all(root)?;
        }
        let (mut standing, mut failed) = (None, None);
        for (index, fan) in self.fans.iter().enumerate() {
            match fan.speed(root) {
                Ok(Rpm(0)) => standing = standing.or(Some(index)),
                Ok(speed) => {
                    (self.used, self.was_found) = (Some(index), true);
                    return Ok(speed);
                }
                Err(SensorError::Absent) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if standing.is_some() {
            (self.used, self.was_found, self.is_standing) = (standing, true, true);
            return Ok(Rpm(0));
        }
        self.fans.clear();
        Err(failed.unwrap_or(SensorError::Absent))
    }

    /// A fan that has been there comes back when its driver has been loaded again: it is looked for at each beat.
    fn holds(&self, outcome: &Result<Rpm, SensorError>) -> Duration {
        if *outcome == Err(SensorError::Absent) && !self.was_found { REPROBE } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::hwmon::tests::monitor;
    use std::fs;

    #[test]
    fn a_fan_that_stands_still_has_a_value_and_one_without_tachometer_has_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(HwmonFan::default().read(&root), Err(SensorError::Absent));
        monitor(dir.path(), 0, "gpio_fan", "fan1_input=5000");
        monitor(dir.path(), 1, "pwmfan", "pwm1=128");
        assert_eq!(HwmonFan::default().read(&root), Err(SensorError::Absent), "no tachometer");
        monitor(dir.path(), 2, "pwmfan", "fan1_input=0");
        assert_eq!(HwmonFan::default().read(&root), Ok(Rpm(0)));
        for bad in ["-1", "", "65535", "100001", "4294967296", "fast"] {
            monitor(dir.path(), 2, "pwmfan", &format!("fan1_input={bad}"));
            assert_eq!(HwmonFan::default().read(&root), Err(SensorError::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn a_fan_that_turns_comes_before_one_that_stands_or_has_failed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut fan = HwmonFan::default();
        monitor(dir.path(), 2, "pwmfan", "fan1_input=0");
        monitor(dir.path(), 10, "emc2305", "fan1_input=480 fan1_fault=1 fan2_input=2910 fan3_input=2000");
        assert_eq!(
            (fan.read(&root), fan.place().as_str()),
            (Ok(Rpm(2910)), "/sys/class/hwmon/hwmon10/fan2_input")
        );
        monitor(dir.path(), 2, "pwmfan", "fan1_input=2800");
        assert_eq!(
            (fan.read(&root), fan.place().as_str()),
            (Ok(Rpm(2800)), "/sys/class/hwmon/hwmon2/fan1_input")
        );
    }

    /// Linux, `Documentation/hwmon/nct6775.rst` and `emc2305.rst`: a controller sets the fault of a fan that stalls.
    #[test]
    fn a_fan_with_its_fault_set_has_no_speed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 2, "emc2301", "fan1_input=480 fan1_fault=1");
        assert_eq!(HwmonFan::default().read(&root), Err(SensorError::Invalid));
        monitor(dir.path(), 2, "emc2301", "fan1_fault=0");
        assert_eq!(HwmonFan::default().read(&root), Ok(Rpm(480)));
    }

    #[test]
    fn a_tachometer_that_is_switched_off_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 2, "max31790", "fan1_input=0 fan1_enable=0");
        assert_eq!(HwmonFan::default().read(&root), Err(SensorError::Absent));
        monitor(dir.path(), 2, "max31790", "fan2_input=0 fan2_enable=1");
        assert_eq!(HwmonFan::default().read(&root), Ok(Rpm(0)));
    }

    #[test]
    fn a_fan_of_a_driver_that_is_loaded_late_is_found_beside_one_that_stands() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut fan = HwmonFan::default();
        monitor(dir.path(), 2, "pwmfan", "fan1_input=0");
        assert_eq!([fan.read(&root), fan.read(&root)], [Ok(Rpm(0)); 2]);
        monitor(dir.path(), 3, "emc2301", "fan1_input=2910");
        assert_eq!(fan.read(&root), Ok(Rpm(2910)));
        monitor(dir.path(), 3, "emc2301", "fan1_input=0");
        assert_eq!([fan.read(&root), fan.read(&root)], [Ok(Rpm(0)); 2]);
        monitor(dir.path(), 2, "pwmfan", "fan1_input=1400");
        assert_eq!(fan.read(&root), Ok(Rpm(1400)));
    }

    #[test]
    fn the_name_is_checked_again_when_numbers_have_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut fan = HwmonFan::default();
        monitor(dir.path(), 2, "pwmfan", "fan1_input=2800");
        assert_eq!(fan.read(&root), Ok(Rpm(2800)));
        let class = dir.path().join("sys/class/hwmon");
        fs::rename(class.join("hwmon2"), class.join("hwmon1")).expect("moved");
        monitor(dir.path(), 2, "gpio_fan", "fan1_input=5000");
        assert_eq!(fan.read(&root), Ok(Rpm(2800)));
        fs::remove_dir_all(class.join("hwmon1")).expect("removed");
        assert_eq!(fan.read(&root), Err(SensorError::Absent));
        assert_eq!(fan.holds(&Err(SensorError::Absent)), Duration::ZERO);
    }
}
