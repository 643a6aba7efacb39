//! Temperature of the system-on-chip from the kernel's thermal zones.

use heartbeat_core::{SensorError, plausible::Plausible, units::Celsius};

use super::{Source, sysroot::Sysroot};

const ZONES: &str = "/sys/class/thermal";
/// The kernel makes a zone of each supply that has a temperature, with the supply's name as its type
/// (`psy_register_thermal` in drivers/power/supply/power_supply_core.c).
const SUPPLIES: &str = "/sys/class/power_supply";

/// Finds the zone of the processor and reads it.
#[derive(Debug)]
pub(crate) struct Thermal {
    zone: Option<Zone>,
    is_named: bool,
}

impl Thermal {
    /// The zone whose type names the processor.
    pub(crate) const fn named() -> Self {
        Self { zone: None, is_named: true }
    }

    /// The only zone, if its type names nothing.
    pub(crate) const fn unnamed() -> Self {
        Self { zone: None, is_named: false }
    }
}

/// A zone with the type by which it was chosen. Zones are renumbered when a driver is loaded again.
#[derive(Debug)]
struct Zone {
    number: u32,
    kind: String,
}

impl Zone {
    fn path(&self, attribute: &str) -> String {
        format!("{ZONES}/thermal_zone{}/{attribute}", self.number)
    }

    /// Whether no other zone could be better. A driver that is loaded late can bring one, and to be alone is no mark for good.
    fn is_the_processors(&self) -> bool {
        rank(&self.kind, false) == Some(0)
    }

    fn is_still_there(&self, root: &Sysroot) -> bool {
        let mut buffer = [0; 64];
        root.read_text(self.path("type"), &mut buffer) == Ok(&self.kind)
    }
}

impl Source for Thermal {
    type Reading = Celsius;

    fn place(&self) -> String {
        self.zone.as_ref().map_or_else(|| format!("{ZONES}/thermal_zone*/temp"), |zone| zone.path("temp"))
    }

    fn read(&mut self, root: &Sysroot) -> Result<Celsius, SensorError> {
        let zone = match self.zone.take().filter(|zone| zone.is_the_processors() && zone.is_still_there(root))
        {
            Some(zone) => zone,
            None => find(root, self.is_named)?,
        };
        let temperature = celsius(root.read_integer(zone.path("temp"))?)?;
        // Kept only while it answers.
        self.zone = Some(zone);
        Ok(temperature)
    }
}

/// The zone whose type fits best, or the one that is alone and has a type that names nothing; among equals the one with the
/// lowest number.
fn find(root: &Sysroot, is_named: bool) -> Result<Zone, SensorError> {
    let supplies = root.list(SUPPLIES).unwrap_or_default();
    let zones = root.list(ZONES)?.into_iter().filter_map(|name| {
        let number = name.strip_prefix("thermal_zone")?.parse().ok()?;
        let mut buffer = [0; 64];
        let kind = root.read_text(format!("{ZONES}/{name}/type"), &mut buffer).unwrap_or("").to_owned();
        (!supplies.contains(&kind)).then_some(Zone { number, kind })
    });
    let zones: Vec<_> = zones.collect();
    let is_only_one = zones.len() == 1;
    let ranked = zones.into_iter().filter_map(|zone| Some((rank(&zone.kind, is_only_one)?, zone)));
    let ranked = ranked.filter(|(rank, _)| (*rank < UNNAMED) == is_named);
    ranked.min_by_key(|(rank, zone)| (*rank, zone.number)).map(|(_, zone)| zone).ok_or(SensorError::Absent)
}

/// The rank of a type that names nothing.
const UNNAMED: u8 = 4;

/// How well a zone's type names the processor; less is better, `None` for what is something else.
///
/// The names are those of the kernel's device trees and drivers (`arch/arm64/boot/dts`, `drivers/thermal`): `cpu-thermal`
/// on all Pis, `CPU-therm` of Tegra, `cpu0-thermal` of Exynos, `soc-thermal` and `bigcore0-thermal` of Rockchip,
/// `x86_pkg_temp`, `bcm2835_thermal` of older Pi kernels. `acpitz` is what a PC's firmware makes up, often a constant.
/// A name that says nothing counts only when there is no other zone.
pub(crate) fn rank(kind: &str, is_only_one: bool) -> Option<u8> {
    /// What other zones measure.
    const OTHERS: [&str; 20] = [
        "gpu", "npu", "acpitz", "iwlwifi", "wifi", "wlan", "battery", "bat", "charger", "pmic", "nvme",
        "ddr", "mem", "modem", "skin", "fan", "pch", "board", "ambient", "usb",
    ];
    let kind = kind.to_ascii_lowercase();
    let words = || kind.split(|c: char| !c.is_ascii_alphanumeric());
    let starts = |prefix: &str| words().any(|word| word.starts_with(prefix));
    if OTHERS.iter().any(|other| starts(other)) {
        return None;
    }
    match kind.as_str() {
        "cpu-thermal" | "cpu_thermal" => Some(0),
        _ if words().any(|word| word.contains("cpu")) => Some(1),
        "x86_pkg_temp" | "bcm2835_thermal" => Some(2),
        _ if starts("soc") => Some(2),
        _ if ["core", "big", "little", "cluster"].iter().any(|core| starts(core)) => Some(3),
        _ => is_only_one.then_some(UNNAMED),
    }
}

/// A chip that runs is neither so near to 0 °C that its number would be one of whole degrees, as some vendors' kernels
/// give it, nor at 0 exactly, as a sensor that has not measured yet says.
pub(crate) fn celsius(millidegrees: i64) -> Result<Celsius, SensorError> {
    if (0..=125).contains(&millidegrees) {
        return Err(SensorError::Invalid);
    }
    Celsius::from_millidegrees(millidegrees).plausible().ok_or(SensorError::Invalid)
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
        let mut thermal = Thermal::named();
        assert_eq!(thermal.read(&root), Ok(Celsius::from_raw(488)));
        fs::remove_dir_all(dir.path().join("sys/class/thermal/thermal_zone2")).expect("removed");
        assert_eq!(thermal.read(&root), Ok(Celsius::from_raw(600)), "renumbered");
        zone(dir.path(), 10, "gpu-thermal", "90000");
        assert_eq!(thermal.read(&root), Err(SensorError::Absent), "another zone has its number");
    }

    /// As `acpitz`, `iwlwifi_1` and `x86_pkg_temp` come one after the other while their modules are loaded.
    #[test]
    fn a_zone_that_comes_late_is_weighed_against_the_one_in_use() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        let (mut named, mut unnamed) = (Thermal::named(), Thermal::unnamed());
        zone(dir.path(), 0, "sunxi-therm-1\n", "48774\n");
        assert_eq!(unnamed.read(&root), Ok(Celsius::from_raw(488)), "the only one");
        zone(dir.path(), 1, "sunxi-therm-2\n", "30000\n");
        assert_eq!(unnamed.read(&root), Err(SensorError::Absent), "one of two");
        zone(dir.path(), 2, "bigcore0-thermal\n", "61000\n");
        assert_eq!(named.read(&root), Ok(Celsius::from_raw(610)));
        zone(dir.path(), 3, "soc-thermal\n", "55000\n");
        assert_eq!(named.read(&root), Ok(Celsius::from_raw(550)), "that of the whole");
    }

    /// Types of `arch/arm64/boot/dts` and `drivers/thermal`: Tegra, Exynos, Rockchip, Qualcomm, Amlogic, Intel.
    #[test]
    fn a_zone_is_the_processors_by_its_name_or_because_it_is_the_only_one() {
        for (best, others) in [
            ("CPU-therm", &["AO-therm", "GPU-therm", "PLL-therm", "PMIC-Die", "thermal-fan-est"][..]),
            ("cpu0-thermal", &["gpu0-thermal", "ddrc0-thermal"]),
            ("soc-thermal", &["bigcore0-thermal", "gpu-thermal", "center-thermal"]),
            ("bigcore0-thermal", &["npu-thermal", "gpu-thermal"]),
            ("x86_pkg_temp", &["acpitz", "iwlwifi_1", "pch_cannonlake", "INT3400 Thermal"]),
            ("mtktscpu", &["mtktspmic", "mtktsAP", "battery"]),
        ] {
            let best = rank(best, false).expect("the processor's");
            assert!(
                others.iter().all(|other| rank(other, false).is_none_or(|other| other > best)),
                "{others:?}"
            );
        }
        for other in ["acpitz", "iwlwifi_1", "gpu_thermal", "PMIC-Die", "BAT0", "thermal-fan-est"] {
            assert_eq!(rank(other, true), None, "{other}");
        }
        assert!(rank("sunxi-therm-1", true).is_some() && rank("sunxi-therm-1", false).is_none());
    }

    /// What `psy_register_thermal` makes of a battery's gauge.
    #[test]
    fn the_zone_of_a_supply_is_not_the_processors() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        zone(dir.path(), 0, "sbs-9-000b\n", "24100\n");
        assert_eq!(Thermal::named().read(&root), Err(SensorError::Absent), "its name says nothing");
        assert_eq!(Thermal::unnamed().read(&root), Ok(Celsius::from_raw(241)));
        fs::create_dir_all(dir.path().join("sys/class/power_supply/sbs-9-000b")).expect("created");
        assert_eq!(Thermal::unnamed().read(&root), Err(SensorError::Absent));
        zone(dir.path(), 1, "sunxi-therm-1\n", "48774\n");
        assert_eq!(Thermal::unnamed().read(&root), Ok(Celsius::from_raw(488)), "the only one beside it");
        zone(dir.path(), 1, "cpu-thermal\n", "48774\n");
        assert_eq!(Thermal::unnamed().read(&root), Err(SensorError::Absent), "it has a name");
        assert_eq!(Thermal::named().read(&root), Ok(Celsius::from_raw(488)));
    }

    #[test]
    fn rejects_temperatures_that_no_chip_has() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        for bad in
            ["", "125051", "45", "0", "125", "-40051", "99999999999999999999", "48.8", "\u{0}\u{0}", "cold"]
        {
            zone(dir.path(), 0, "cpu-thermal", bad);
            assert_eq!(Thermal::named().read(&root), Err(SensorError::Invalid), "{bad:?}");
        }
    }
}
