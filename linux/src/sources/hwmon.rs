//! Hardware monitors of the kernel (`Documentation/hwmon/sysfs-interface.rst`), found by name: their numbers change
//! between boots and when a driver is loaded again.

use heartbeat_core::{
    SensorError,
    units::{Rpm, Watts},
};

use super::{Source, sysroot::Sysroot};

const CLASS: &str = "/sys/class/hwmon";
/// Where the Pi 5's own fan is, whatever its number.
const COOLING_FAN: &str = "/sys/devices/platform/cooling_fan/hwmon";

/// The power that a monitor of the INA2xx family measures: `power1_input`, in µW.
#[derive(Debug, Default)]
pub(crate) struct HwmonPower {
    path: Option<String>,
}

impl Source for HwmonPower {
    type Reading = Watts;

    fn place(&self) -> String {
        self.path.clone().unwrap_or_else(|| format!("{CLASS}/hwmon*/power1_input of an ina2xx"))
    }

    fn read(&mut self, root: &Sysroot) -> Result<Watts, SensorError> {
        let path =
            known_or(&mut self.path, || find(root, CLASS, "power1_input", |name| name.starts_with("ina2")))?;
        let watts = Watts::from_microwatts(root.read_integer(&path)?);
        self.path = Some(path);
        if Watts::RANGE.contains(&watts) { Ok(watts) } else { Err(SensorError::Invalid) }
    }
}

/// The fan that the board cools itself with, or any fan: `fan1_input` in revolutions per minute.
#[derive(Debug)]
pub(crate) struct HwmonFan {
    folder: &'static str,
    path: Option<String>,
}

impl HwmonFan {
    /// The Pi 5's own fan.
    pub(crate) const fn of_the_board() -> Self {
        Self { folder: COOLING_FAN, path: None }
    }

    /// Any fan with a tachometer. That of `gpio-fan` is not one: its driver says what it asked for.
    pub(crate) const fn any() -> Self {
        Self { folder: CLASS, path: None }
    }
}

impl Source for HwmonFan {
    type Reading = Rpm;

    fn place(&self) -> String {
        self.path.clone().unwrap_or_else(|| format!("{}/hwmon*/fan1_input", self.folder))
    }

    fn read(&mut self, root: &Sysroot) -> Result<Rpm, SensorError> {
        let folder = self.folder;
        let path = known_or(&mut self.path, || find(root, folder, "fan1_input", |name| name != "gpio_fan"))?;
        let rpm = u32::try_from(root.read_integer(&path)?).map(Rpm).map_err(|_| SensorError::Invalid)?;
        self.path = Some(path);
        if Rpm::RANGE.contains(&rpm) { Ok(rpm) } else { Err(SensorError::Invalid) }
    }
}

/// The path that answered last time; kept by the caller only while it answers.
fn known_or(
    known: &mut Option<String>,
    find: impl FnOnce() -> Result<String, SensorError>,
) -> Result<String, SensorError> {
    known.take().map_or_else(find, Ok)
}

/// The attribute of the first monitor that has it and whose name is wanted.
fn find(
    root: &Sysroot,
    folder: &str,
    attribute: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<String, SensorError> {
    let monitors = root.list(folder)?;
    let attributes = monitors.iter().filter_map(|monitor| {
        let mut buffer = [0; 64];
        let name = root.read_text(format!("{folder}/{monitor}/name"), &mut buffer).unwrap_or("");
        wanted(name).then(|| format!("{folder}/{monitor}/{attribute}"))
    });
    attributes.into_iter().find(|path| root.exists(path)).ok_or(SensorError::Absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn monitor(root: &Path, number: u32, name: &str, attribute: &str, value: &str) {
        let dir = root.join(format!("sys/class/hwmon/hwmon{number}"));
        fs::create_dir_all(&dir).expect("created");
        fs::write(dir.join("name"), name).expect("written");
        fs::write(dir.join(attribute), value).expect("written");
    }

    #[test]
    fn finds_monitors_by_name_and_again_after_renumbering() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut power = HwmonPower::default();
        assert_eq!(power.read(&root), Err(SensorError::Absent));
        monitor(dir.path(), 0, "other\n", "power1_input", "1000000\n");
        monitor(dir.path(), 1, "ina219\n", "power1_input", "2204999\n");
        assert_eq!(power.read(&root), Ok(Watts::from_raw(220)));
        fs::rename(dir.path().join("sys/class/hwmon/hwmon1"), dir.path().join("sys/class/hwmon/hwmon7"))
            .expect("moved");
        assert_eq!(power.read(&root), Err(SensorError::Absent), "it has gone");
        assert_eq!(power.read(&root), Ok(Watts::from_raw(220)), "and is found elsewhere");
        monitor(dir.path(), 7, "ina219\n", "power1_input", "99999999999999\n");
        assert_eq!(power.read(&root), Err(SensorError::Invalid));
    }

    #[test]
    fn a_fan_that_stands_still_has_a_value_and_one_without_tachometer_has_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 0, "gpio_fan", "fan1_input", "5000");
        monitor(dir.path(), 1, "pwmfan", "pwm1", "128");
        assert_eq!(HwmonFan::any().read(&root), Err(SensorError::Absent), "no tachometer");
        monitor(dir.path(), 2, "pwmfan", "fan1_input", "0");
        assert_eq!(HwmonFan::any().read(&root), Ok(Rpm(0)));
        assert_eq!(HwmonFan::of_the_board().read(&root), Err(SensorError::Absent));
        for bad in ["-1", "", "100001", "4294967296", "fast"] {
            monitor(dir.path(), 2, "pwmfan", "fan1_input", bad);
            assert_eq!(HwmonFan::any().read(&root), Err(SensorError::Invalid), "{bad:?}");
        }
    }
}
