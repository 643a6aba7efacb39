//! Temperature of a processor from its own monitor: the digital sensors of Intel (`coretemp`), AMD (`k10temp`) and VIA
//! (`via_cputemp`), where no thermal zone names the processor.

use heartbeat_core::{SensorError, units::Celsius};

use super::{
    Source,
    hwmon::{CLASS, Monitor},
    sysroot::Sysroot,
    thermal::celsius,
};

/// `tempN_input` in m°C, of the first of these: the die ("Tdie" of `k10temp`), the whole package ("Package id 0" of
/// `coretemp`), the first core.
///
/// The first input of `k10temp` is "Tctl", by which the fan is controlled, and on some processors 10 to 27 °C above the
/// measured temperature, which then is the second (`Documentation/hwmon/k10temp.rst`). `coretemp` numbers its inputs by
/// cores, so that old processors begin with 2 (`Documentation/hwmon/coretemp.rst`).
#[derive(Debug, Default)]
pub(crate) struct HwmonTemperature {
    known: Option<(Monitor, u32)>,
}

/// The input that measures best.
fn best(root: &Sysroot, monitor: &Monitor) -> Option<u32> {
    let inputs = monitor.inputs(root, "temp");
    let is_die = |input: &&u32| {
        let mut buffer = [0; 32];
        root.read_text(format!("{}/temp{input}_label", monitor.path), &mut buffer) == Ok("Tdie")
    };
    inputs.iter().find(is_die).or(inputs.first()).copied()
}

impl Source for HwmonTemperature {
    type Reading = Celsius;

    fn place(&self) -> String {
        match &self.known {
            Some((monitor, input)) => format!("{}/temp{input}_input", monitor.path),
            None => format!("{CLASS}/hwmon*/temp*_input of the processor"),
        }
    }

    fn read(&mut self, root: &Sysroot) -> Result<Celsius, SensorError> {
        let (monitor, input) = match self.known.take().filter(|(monitor, _)| monitor.is_still_there(root)) {
            Some(known) => known,
            None => {
                let is_processor = |name: &str| matches!(name, "coretemp" | "k10temp" | "via_cputemp");
                let monitors = Monitor::all(root, CLASS, is_processor)?;
                let mut measuring = monitors
                    .into_iter()
                    .filter_map(|monitor| best(root, &monitor).map(|input| (monitor, input)));
                measuring.next().ok_or(SensorError::Absent)?
            }
        };
        // Its sensor is broken or not connected (hwmon sysfs interface, "temp[1-*]_fault").
        if monitor.number(root, &format!("temp{input}_fault"))?.is_some_and(|fault| fault != 0) {
            return Err(SensorError::Invalid);
        }
        let millidegrees = monitor.number(root, &format!("temp{input}_input"))?.ok_or(SensorError::Absent)?;
        let temperature = celsius(millidegrees)?;
        self.known = Some((monitor, input));
        Ok(temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::hwmon::tests::monitor;

    #[test]
    fn reads_the_processors_monitor_and_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut source = HwmonTemperature::default();
        monitor(dir.path(), 0, "nvme", "temp1_input=38850");
        assert_eq!(source.read(&root), Err(SensorError::Absent));
        monitor(dir.path(), 4, "k10temp", "temp1_input=61250");
        assert_eq!(source.read(&root), Ok(Celsius::from_raw(613)));
        monitor(dir.path(), 4, "nvme", "temp1_input=38850");
        assert_eq!(source.read(&root), Err(SensorError::Absent), "renumbered");
    }

    /// A Ryzen 7 1800X: Tctl is 20 °C above Tdie.
    #[test]
    fn the_measured_temperature_comes_before_the_one_for_the_fan() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let both = "temp1_input=61250 temp1_label=Tctl temp2_input=41250 temp2_label=Tdie";
        monitor(dir.path(), 1, "k10temp", both);
        let mut source = HwmonTemperature::default();
        assert_eq!(source.read(&root), Ok(Celsius::from_raw(413)));
        assert_eq!(source.place(), "/sys/class/hwmon/hwmon1/temp2_input");
        monitor(dir.path(), 1, "k10temp", "temp2_label=Tccd1");
        assert_eq!(HwmonTemperature::default().read(&root), Ok(Celsius::from_raw(613)));
    }

    /// An Atom N270 has no sensor of the package: its first core has number 2.
    #[test]
    fn without_a_package_the_first_core_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 0, "coretemp", "temp2_input=47000 temp3_input=52000");
        assert_eq!(HwmonTemperature::default().read(&root), Ok(Celsius::from_raw(470)));
    }

    #[test]
    fn a_sensor_with_its_fault_set_and_a_number_that_no_chip_has_are_no_temperature() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        monitor(dir.path(), 0, "coretemp", "temp1_input=47000 temp1_fault=1");
        assert_eq!(HwmonTemperature::default().read(&root), Err(SensorError::Invalid));
        monitor(dir.path(), 0, "coretemp", "temp1_fault=0");
        assert_eq!(HwmonTemperature::default().read(&root), Ok(Celsius::from_raw(470)));
        for bad in ["0", "47", "125051", "-40051"] {
            monitor(dir.path(), 0, "coretemp", &format!("temp1_input={bad}"));
            assert_eq!(HwmonTemperature::default().read(&root), Err(SensorError::Invalid), "{bad}");
        }
    }
}
