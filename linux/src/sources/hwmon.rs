//! Hardware monitors of the kernel (`Documentation/hwmon/sysfs-interface.rst`), found by name.
//!
//! Their numbers change between boots and while the system runs, when a driver is loaded again. So a monitor that was found
//! is asked for its name again whenever it is read.

use heartbeat_core::SensorError;

use super::sysroot::Sysroot;

pub(super) const CLASS: &str = "/sys/class/hwmon";
/// Inputs of one kind that are looked for; the largest fan controllers have 12.
const INPUTS_MAX: u32 = 16;

/// A monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    /// Its folder.
    pub(super) path: String,
    /// What its driver calls it.
    pub(super) name: String,
}

impl Monitor {
    /// The monitors below `class` whose names are `wanted`, the lowest number first. Their attributes are in their own folder or
    /// in their device's, as before Linux 3.13 and in some drivers since (`Documentation/hwmon/sysfs-interface.rst`).
    pub(super) fn all(
        root: &Sysroot,
        class: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Self>, SensorError> {
        let folders = root.list(class)?;
        let monitors = folders.into_iter().filter_map(|folder| {
            let path = format!("{class}/{folder}");
            let places = [path.clone(), format!("{path}/device")];
            let found = places.into_iter().find_map(|path| Some(Self { name: name(root, &path)?, path }));
            found.filter(|monitor| wanted(&monitor.name))
        });
        Ok(monitors.collect())
    }

    /// Whether its folder still is that of this monitor.
    pub(super) fn is_still_there(&self, root: &Sysroot) -> bool {
        name(root, &self.path).is_some_and(|name| name == self.name)
    }

    /// What tells it from others of the same driver for as long as the board is the same: the node in the device tree by which
    /// its chip was found, as in `OF_FULLNAME=/soc/i2c@7e804000/ina226@40` (`of_device_uevent` in drivers/of/device.c). `None`
    /// without one: a PC has none, nor has a chip that somebody added by `new_device`.
    pub(super) fn node(&self, root: &Sysroot) -> Option<String> {
        let mut buffer = [0; 512];
        let uevent = root.read_text(format!("{}/uevent", self.path), &mut buffer).ok()?;
        uevent.lines().find_map(|line| line.strip_prefix("OF_FULLNAME=")).map(str::to_owned)
    }

    /// Reads an attribute; `None` when it has no such attribute.
    ///
    /// # Errors
    ///
    /// When it has, and that cannot be read.
    pub(super) fn number(&self, root: &Sysroot, attribute: &str) -> Result<Option<i64>, SensorError> {
        match root.read_integer(format!("{}/{attribute}", self.path)) {
            Err(SensorError::Absent) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The numbers of its inputs of a kind, such as 1 and 3 for `fan1_input` and `fan3_input`.
    pub(super) fn inputs(&self, root: &Sysroot, kind: &str) -> Vec<u32> {
        (1..=INPUTS_MAX).filter(|input| root.exists(format!("{}/{kind}{input}_input", self.path))).collect()
    }
}

fn name(root: &Sysroot, path: &str) -> Option<String> {
    let mut buffer = [0; 64];
    root.read_text(format!("{path}/name"), &mut buffer).ok().map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Writes `hwmonNUMBER` of a tree; `files` as `attribute=value`.
    pub(in super::super) fn monitor(root: &Path, number: u32, name: &str, files: &str) {
        let dir = root.join(format!("sys/class/hwmon/hwmon{number}"));
        fs::create_dir_all(&dir).expect("created");
        fs::write(dir.join("name"), format!("{name}\n")).expect("written");
        for (attribute, value) in files.split_whitespace().filter_map(|file| file.split_once('=')) {
            fs::write(dir.join(attribute), value).expect("written");
        }
    }

    /// Linux 3.10 on a Pi: `hwmon_device_register` makes a folder without attributes, but for the link to the device.
    #[test]
    fn attributes_can_be_those_of_the_device() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let device = dir.path().join("sys/class/hwmon/hwmon0/device");
        fs::create_dir_all(&device).expect("created");
        fs::write(device.join("name"), "emc2305\n").expect("written");
        fs::write(device.join("fan2_input"), "2910\n").expect("written");
        let found = Monitor::all(&root, CLASS, |name| name == "emc2305").expect("listed");
        assert_eq!(found[0].inputs(&root, "fan"), [2]);
        assert_eq!(found[0].number(&root, "fan2_input"), Ok(Some(2910)));
        assert!(found[0].is_still_there(&root));
    }

    #[test]
    fn monitors_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        for number in [10, 2, 1] {
            monitor(
                dir.path(),
                number,
                if number == 1 { "other" } else { "ina226" },
                "fan1_input=1 fan3_input=1",
            );
        }
        let found = Monitor::all(&root, CLASS, |name| name == "ina226").expect("listed");
        let paths: Vec<_> = found.iter().map(|monitor| monitor.path.as_str()).collect();
        assert_eq!(paths, ["/sys/class/hwmon/hwmon2", "/sys/class/hwmon/hwmon10"]);
        assert_eq!(found[0].inputs(&root, "fan"), [1, 3]);
        assert!(found[0].is_still_there(&root));
        monitor(dir.path(), 2, "other", "");
        assert!(!found[0].is_still_there(&root));
    }
}
