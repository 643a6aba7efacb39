//! Power from monitors of the INA2xx family (`Documentation/hwmon/ina2xx.rst`).

use heartbeat_core::{SensorError, plausible::Plausible, time::Duration, units::Watts};

use super::{
    REPROBE, Source,
    drawn_power::drawn,
    hwmon::{CLASS, Monitor},
    natural,
    sysroot::Sysroot,
};

/// Volts of a 5 V rail in mV: what a board is fed with (USB 2.0, 7.2.2, with the margin of a Pi's own supply).
const RAIL_MV: std::ops::RangeInclusive<i64> = 4_400..=5_600;
/// More than a 5 V rail feeds a board with: a Pi 5 with all that it may feed takes 25 W. A chip whose driver has not been told
/// the resistance of its shunt measures several times what flows.
const RAIL_MAX: Watts = Watts::from_raw(5_000);

/// The power that the first monitor measures that knows what the device draws: `power1_input`, in µW, in the direction of
/// `curr1_input`, in mA.
///
/// The first in the order of their nodes in the device tree: a board can have several of a kind, and their numbers are those
/// that were free when each was found. Those without a node follow in the order of their numbers.
///
/// The power has no sign: the kernel's driver gives its size. Such chips are what boards with a battery have beside it;
/// which direction charges there depends on the board, and only the settings of the supply say so, for its INA219. Without
/// them a chip is believed on a 5 V rail, which is no battery's.
#[derive(Debug)]
pub(crate) struct HwmonPower {
    /// Of the chip beside the battery, if it is configured: a positive current charges.
    positive_charges: Option<bool>,
    known: Option<Chip>,
    was_found: bool,
}

/// A monitor, and its node in the device tree.
#[derive(Debug, Clone)]
struct Chip {
    monitor: Monitor,
    node: Option<String>,
}

impl Chip {
    /// All of them, the one that counts most first.
    fn all(root: &Sysroot) -> Result<Vec<Self>, SensorError> {
        let monitors = Monitor::all(root, CLASS, |name| name.starts_with("ina2"))?;
        let chips = monitors.into_iter().map(|monitor| Self { node: monitor.node(root), monitor });
        let mut chips: Vec<_> = chips.collect();
        chips.sort_by(|a, b| match (&a.node, &b.node) {
            (Some(a), Some(b)) => natural::compare(a, b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        });
        Ok(chips)
    }

    /// Whether its monitor still has the number: not even another one of the same kind has it.
    fn is_still_there(&self, root: &Sysroot) -> bool {
        self.monitor.is_still_there(root) && self.monitor.node(root) == self.node
    }
}

impl HwmonPower {
    pub(crate) const fn new(positive_charges: Option<bool>) -> Self {
        Self { positive_charges, known: None, was_found: false }
    }

    /// What one monitor knows of the device's power.
    fn ask(&self, root: &Sysroot, monitor: &Monitor) -> Result<Option<Watts>, SensorError> {
        let Some(size) = monitor.number(root, "power1_input")? else { return Ok(None) };
        let current = monitor.number(root, "curr1_input")?;
        let is_on_rail =
            monitor.number(root, "in1_input")?.is_some_and(|millivolts| RAIL_MV.contains(&millivolts));
        let sign = match self.positive_charges.filter(|_| monitor.name == "ina219") {
            _ if is_on_rail => 1,
            Some(true) => -1,
            Some(false) => 1,
            None => return Ok(None),
        };
        let power = size.saturating_abs().saturating_mul(sign);
        let power = if current.is_some_and(|current| current < 0) { power.saturating_neg() } else { power };
        match drawn(power) {
            Some(watts) if is_on_rail && watts > RAIL_MAX => Err(SensorError::Invalid),
            Some(watts) => watts.plausible().map(Some).ok_or(SensorError::Invalid),
            None => Ok(None),
        }
    }
}

impl Source for HwmonPower {
    /// `None`: there are monitors, and none knows what the device draws.
    type Reading = Option<Watts>;

    fn place(&self) -> String {
        match &self.known {
            Some(chip) => format!("{}/power1_input", chip.monitor.path),
            None => format!("{CLASS}/hwmon*/power1_input of an ina2xx"),
        }
    }

    fn read(&mut self, root: &Sysroot) -> Result<Option<Watts>, SensorError> {
        if let Some(chip) = self.known.take().filter(|chip| chip.is_still_there(root))
            && let Ok(Some(watts)) = self.ask(root, &chip.monitor)
        {
            self.known = Some(chip);
            return Ok(Some(watts));
        }
        let chips = Chip::all(root)?;
        let mut failed = None;
        for chip in &chips {
            match self.ask(root, &chip.monitor) {
                Ok(Some(watts)) => {
                    self.known = Some(chip.clone());
                    self.was_found = true;
                    return Ok(Some(watts));
                }
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if chips.is_empty() => Err(SensorError::Absent),
            None => Ok(None),
        }
    }

    /// A monitor that has been there comes back when its driver has been loaded again: it is looked for at each beat.
    fn holds(&self, outcome: &Result<Option<Watts>, SensorError>) -> Duration {
        if *outcome == Err(SensorError::Absent) && !self.was_found { REPROBE } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::hwmon::tests::monitor;
    use std::fs;

    fn watts(raw: i64) -> Result<Option<Watts>, SensorError> {
        Ok(Some(Watts::from_raw(raw)))
    }

    #[test]
    fn finds_monitors_by_name_and_again_after_renumbering() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut power = HwmonPower::new(None);
        assert_eq!(power.read(&root), Err(SensorError::Absent));
        assert_eq!(power.holds(&Err(SensorError::Absent)), REPROBE);
        monitor(dir.path(), 0, "other", "power1_input=1000000");
        monitor(dir.path(), 1, "ina219", "power1_input=2204999 in1_input=5088");
        assert_eq!(power.read(&root), watts(220));
        let class = dir.path().join("sys/class/hwmon");
        fs::rename(class.join("hwmon1"), class.join("hwmon7")).expect("moved");
        monitor(dir.path(), 1, "other", "power1_input=3000000");
        assert_eq!(power.read(&root), watts(220), "hwmon1 is another monitor now");
        fs::remove_dir_all(class.join("hwmon7")).expect("removed");
        assert_eq!(power.read(&root), Err(SensorError::Absent));
        assert_eq!(power.holds(&Err(SensorError::Absent)), Duration::ZERO, "its driver may be loaded again");
        monitor(dir.path(), 7, "ina219", "power1_input=99999999999999 in1_input=5088");
        assert_eq!(power.read(&root), Err(SensorError::Invalid));
    }

    /// Linux gives the lowest number that is free (`hwmon_ida` in drivers/hwmon/hwmon.c), so that two chips of one driver change
    /// theirs when it is loaded again and they are found in another order.
    #[test]
    fn of_two_chips_of_a_kind_the_same_one_counts_whatever_their_numbers_are() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let chip = |number: u32, address: u32, microwatts: u32| {
            monitor(dir.path(), number, "ina226", &format!("power1_input={microwatts} in1_input=5088"));
            let uevent = dir.path().join(format!("sys/class/hwmon/hwmon{number}/uevent"));
            let lines = format!("OF_NAME=ina226\nOF_FULLNAME=/soc/i2c@7e804000/ina226@{address}\n");
            fs::write(uevent, lines).expect("written");
        };
        chip(2, 44, 900_000);
        chip(3, 40, 4_830_000);
        let mut power = HwmonPower::new(None);
        assert_eq!(power.read(&root), watts(483), "that of the first address");
        chip(3, 44, 900_000);
        chip(2, 40, 4_830_000);
        assert_eq!(power.read(&root), watts(483), "it has the other number now");
        assert_eq!(power.place(), "/sys/class/hwmon/hwmon2/power1_input");
        monitor(dir.path(), 1, "ina226", "power1_input=700000 in1_input=5088");
        assert_eq!(HwmonPower::new(None).read(&root), watts(483), "of one without a node nothing is known");
    }

    #[test]
    fn the_current_gives_the_direction() {
        for (name, files, positive_charges, expected) in [
            ("ina219", "power1_input=12340000 curr1_input=1500 in1_input=8232", None, Ok(None)),
            ("ina219", "power1_input=12340000 curr1_input=1500 in1_input=8232", Some(true), Ok(None)),
            ("ina219", "power1_input=12340000 curr1_input=-1500 in1_input=8232", Some(true), watts(1234)),
            ("ina219", "power1_input=12340000 curr1_input=1500 in1_input=8232", Some(false), watts(1234)),
            ("ina219", "power1_input=12340000 curr1_input=-1500 in1_input=8232", Some(false), Ok(None)),
            // On the board's rail, regardless of the setting for the battery's chip.
            ("ina219", "power1_input=4830000 curr1_input=950 in1_input=5088", Some(true), watts(483)),
            ("ina219", "power1_input=4830000 curr1_input=-950 in1_input=5088", None, Ok(None)),
            // A battery of 12.8 V at a solar charger, or a supply of 12 V: they look the same.
            ("ina226", "power1_input=28850000 curr1_input=2150 in1_input=13420", None, Ok(None)),
            ("ina226", "power1_input=28850000 curr1_input=2150 in1_input=13420", Some(false), Ok(None)),
            ("ina226", "power1_input=4830000 curr1_input=950 in1_input=5088", None, watts(483)),
            ("ina226", "power1_input=4830000 curr1_input=950", None, Ok(None)),
            // A full battery on mains: noise.
            ("ina219", "power1_input=20000 curr1_input=-2 in1_input=8300", Some(true), Ok(None)),
            ("ina219", "power1_input=50000000 curr1_input=9800 in1_input=5088", None, watts(5000)),
            (
                "ina219",
                "power1_input=304800000 curr1_input=60000 in1_input=5080",
                None,
                Err(SensorError::Invalid),
            ),
            ("ina219", "power1_input=60000000 curr1_input=5000 in1_input=12100", Some(false), watts(6000)),
            ("ina226", "power1_input=0 curr1_input=0 in1_input=5100", None, Ok(None)),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let root = Sysroot::new(dir.path()).expect("opened");
            monitor(dir.path(), 2, name, files);
            assert_eq!(
                HwmonPower::new(positive_charges).read(&root),
                expected,
                "{name} {files} {positive_charges:?}"
            );
        }
    }

    #[test]
    fn a_monitor_that_does_not_know_does_not_hide_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 2, "ina219", "power1_input=12340000 curr1_input=1500 in1_input=8232");
        monitor(dir.path(), 3, "ina3221", "curr1_input=900");
        monitor(dir.path(), 4, "ina226", "power1_input= in1_input=5100");
        assert_eq!(HwmonPower::new(None).read(&root), Err(SensorError::Invalid));
        monitor(dir.path(), 10, "ina238", "power1_input=4575000 curr1_input=900 in1_input=5084");
        assert_eq!(HwmonPower::new(None).read(&root), watts(458));
    }
}
