//! Temperature of the system-on-chip from the kernel's thermal zones.

use heartbeat_core::{SensorError, units::Celsius};

use super::{Source, sysroot::Sysroot};

const ZONES: &str = "/sys/class/thermal";

/// Finds the zone of the processor and reads it.
#[derive(Debug, Default)]
pub(crate) struct Thermal {
    /// Path of the zone's `temp`, once found.
    zone: Option<String>,
}

impl Source for Thermal {
    type Reading = Celsius;

    fn place(&self) -> String {
        self.zone.clone().unwrap_or_else(|| format!("{ZONES}/thermal_zone*/temp"))
    }

    fn read(&mut self, root: &Sysroot) -> Result<Celsius, SensorError> {
        let path = match self.zone.take() {
            Some(path) => path,
            None => find(root)?,
        };
        let temperature = celsius(root.read_integer(&path)?)?;
        // Kept only while it answers: zones are renumbered when a driver is reloaded.
        self.zone = Some(path);
        Ok(temperature)
    }
}

/// The zone whose type fits best; among equals the one with the lowest number.
fn find(root: &Sysroot) -> Result<String, SensorError> {
    root.list(ZONES)?
        .into_iter()
        .filter_map(|name| {
            let number: u32 = name.strip_prefix("thermal_zone")?.parse().ok()?;
            let mut buffer = [0; 64];
            let kind = root.read_text(format!("{ZONES}/{name}/type"), &mut buffer).unwrap_or("");
            Some((rank(kind), number))
        })
        .min()
        .map(|(_, number)| format!("{ZONES}/thermal_zone{number}/temp"))
        .ok_or(SensorError::Absent)
}

/// How well a zone's type names the processor; less is better.
fn rank(kind: &str) -> u8 {
    match kind {
        "cpu-thermal" | "cpu_thermal" => 0,
        "x86_pkg_temp" => 2,
        _ if kind.starts_with("soc") => 1,
        _ => 3,
    }
}

fn celsius(millidegrees: i64) -> Result<Celsius, SensorError> {
    let temperature = Celsius::from_millidegrees(millidegrees);
    if Celsius::SOC_RANGE.contains(&temperature) { Ok(temperature) } else { Err(SensorError::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn zone(root: &Path, number: u32, kind: &str, temp: &str) {
        let dir = root.join(format!("sys/class/thermal/thermal_zone{number}"));
        fs::create_dir_all(&dir).expect("created");
        fs::write(dir.join("type"), kind).expect("written");
        fs::write(dir.join("temp"), temp).expect("written");
    }

    #[test]
    fn finds_the_processors_zone_by_type_and_again_after_renumbering() {
        let dir = tempfile::tempdir().expect("a directory");
        zone(dir.path(), 0, "acpitz\n", "10000\n");
        zone(dir.path(), 2, "cpu-thermal\n", "48774\n");
        zone(dir.path(), 10, "cpu-thermal\n", "60000\n");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut thermal = Thermal::default();
        assert_eq!(thermal.read(&root), Ok(Celsius::from_raw(488)));
        fs::remove_dir_all(dir.path().join("sys/class/thermal/thermal_zone2")).expect("removed");
        assert_eq!(thermal.read(&root), Err(SensorError::Absent));
        assert_eq!(thermal.read(&root), Ok(Celsius::from_raw(600)), "renumbered");
    }

    #[test]
    fn rejects_temperatures_that_no_chip_has() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        for bad in ["", "125051", "-40051", "99999999999999999999", "48.8", "\u{0}\u{0}", "cold"] {
            zone(dir.path(), 0, "cpu-thermal", bad);
            assert_eq!(Thermal::default().read(&root), Err(SensorError::Invalid), "{bad:?}");
        }
    }
}
