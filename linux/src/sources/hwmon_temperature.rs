//! Temperature of a processor from its own monitor: the digital sensors of Intel (`coretemp`), AMD (`k10temp`) and VIA
//! (`via_cputemp`), where no thermal zone names the processor.

use heartbeat_core::{SensorError, units::Celsius};

use super::{
    Source,
    hwmon::{CLASS, Monitor},
    sysroot::Sysroot,
};

/// `temp1_input` in m°C: of the whole package (`coretemp`), or what the fan is controlled by (`k10temp`, "Tctl").
#[derive(Debug, Default)]
pub(crate) struct HwmonTemperature {
    known: Option<Monitor>,
}

impl Source for HwmonTemperature {
    type Reading = Celsius;

    fn place(&self) -> String {
        match &self.known {
            Some(monitor) => format!("{}/temp1_input", monitor.path),
            None => format!("{CLASS}/hwmon*/temp1_input of the processor"),
        }
    }

    fn read(&mut self, root: &Sysroot) -> Result<Celsius, SensorError> {
        let monitor = match self.known.take().filter(|monitor| monitor.is_still_there(root)) {
            Some(monitor) => monitor,
            None => {
                let is_processor = |name: &str| matches!(name, "coretemp" | "k10temp" | "via_cputemp");
                let monitors = Monitor::all(root, CLASS, is_processor)?;
                monitors.into_iter().next().ok_or(SensorError::Absent)?
            }
        };
        let millidegrees = monitor.number(root, "temp1_input")?.ok_or(SensorError::Absent)?;
        self.known = Some(monitor);
        Ok(Celsius::from_millidegrees(millidegrees))
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
}
