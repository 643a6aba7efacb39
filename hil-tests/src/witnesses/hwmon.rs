//! The kernel's monitors and thermal zones (`Documentation/hwmon/sysfs-interface.rst`, `Documentation/driver-api/thermal`).

use crate::{board::Board, witnesses::battery::Chip};

/// Path and value of each attribute of this name, of the monitors whose name is wanted.
pub fn attributes(board: &Board, attribute: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, f64)> {
    let wanted = monitors(board).into_iter().filter(|(_, name)| wanted(name));
    let found = wanted.filter_map(|(folder, _)| {
        let path = format!("{folder}/{attribute}");
        board.integer(&path).map(|value| (path, value))
    });
    found.collect()
}

/// Fans that a monitor can have; the largest controllers have 12.
const FANS_MAX: u32 = 16;
/// No fan turns faster, in rpm.
const RPM_MAX: f64 = 100_000.0;
/// All bits of a tachometer of 16 bits: it has not counted.
const NOT_COUNTED: f64 = 65_535.0;

/// Path and rpm of the fans that measure: those that turn, or if there is none those that stand still.
///
/// `gpio-fan` has no tachometer and shows what it asked for; one with its fault set or switched off does not measure.
pub fn fans(board: &Board) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for (folder, name) in monitors(board) {
        if matches!(name.as_str(), "gpio_fan" | "gpio-fan") {
            continue;
        }
        for number in 1..=FANS_MAX {
            let read = |attribute| board.integer(&format!("{folder}/fan{number}_{attribute}"));
            let measures = read("fault").is_none_or(|fault| fault == 0.0) && read("enable") != Some(0.0);
            let speed = read("input").filter(|rpm| (0.0..=RPM_MAX).contains(rpm) && *rpm != NOT_COUNTED);
            if let Some(rpm) = speed.filter(|_| measures) {
                found.push((format!("{folder}/fan{number}_input"), rpm));
            }
        }
    }
    let turns = found.iter().any(|(_, rpm)| *rpm > 0.0);
    found.retain(|(_, rpm)| !turns || *rpm > 0.0);
    found
}

/// Folder and name of each monitor. Its attributes are in its own folder, or in its device's as before Linux 3.13.
fn monitors(board: &Board) -> Vec<(String, String)> {
    let monitors = board.list("/sys/class/hwmon").into_iter();
    let found = monitors.filter_map(|monitor| {
        let folder = format!("/sys/class/hwmon/{monitor}");
        let places = [folder.clone(), format!("{folder}/device")];
        places.into_iter().find_map(|place| Some((board.read(&format!("{place}/name")).ok()?, place)))
    });
    found.map(|(name, folder)| (folder, name)).collect()
}

/// A chip runs between these, in m°C.
const CHIP: std::ops::RangeInclusive<f64> = -40_000.0..=125_000.0;

/// Path and degrees Celsius of the zones that measure the processor: those that name it, else those of its whole chip.
pub fn chip_zones(board: &Board) -> Vec<(String, f64)> {
    let mut zones = Vec::new();
    for zone in board.list("/sys/class/thermal").into_iter().filter(|zone| zone.starts_with("thermal_zone")) {
        let folder = format!("/sys/class/thermal/{zone}");
        let kind = board.read(&format!("{folder}/type")).unwrap_or_default().to_ascii_lowercase();
        let of_chip = kind.starts_with("soc") || matches!(kind.as_str(), "x86_pkg_temp" | "bcm2835_thermal");
        let path = format!("{folder}/temp");
        // So near to 0 °C it has not measured, or counts in whole degrees.
        let measured = |number: &f64| CHIP.contains(number) && !(0.0..=125.0).contains(number);
        let millidegrees = board.integer(&path).filter(measured);
        if let Some(millidegrees) = millidegrees
            && (kind.contains("cpu") || of_chip)
        {
            zones.push((kind.contains("cpu"), path, millidegrees / 1000.0));
        }
    }
    let are_named = zones.iter().any(|(is_named, ..)| *is_named);
    zones.retain(|(is_named, ..)| *is_named || !are_named);
    zones.into_iter().map(|(_, path, degrees)| (path, degrees)).collect()
}

/// No board that runs Linux draws less, in watts: a Pi Zero without anything attached draws 0.5 W.
pub const DRAWN_MIN: f64 = 0.3;
/// A 5 V rail, in volts: what a board is fed with, and no battery.
const RAIL: std::ops::RangeInclusive<f64> = 4.4..=5.6;
/// No 5 V rail feeds a board with more, in watts; a driver that does not know its shunt measures several times what flows.
const RAIL_WATTS_MAX: f64 = 50.0;

/// Path and watts that the board draws, of each monitor of the INA2xx family that knows.
///
/// The driver tells the size of the power, and its direction by the sign of the current. On a 5 V rail it flows to the board.
/// Elsewhere there may be a battery, and only the settings of the supply say for its INA219 whether a positive current charges.
pub fn ina2xx_watts(board: &Board, positive_charges: Option<bool>) -> Vec<(String, f64)> {
    let known = monitors(board).into_iter().filter_map(|(folder, name)| {
        let read = |attribute| board.integer(&format!("{folder}/{attribute}"));
        let size = read("power1_input").filter(|_| name.starts_with("ina2"))?.abs() / 1e6;
        let is_rail = read("in1_input").is_some_and(|millivolts| RAIL.contains(&(millivolts / 1e3)));
        let charges = match positive_charges {
            _ if is_rail => false,
            Some(charges) if name == "ina219" => charges,
            _ => return None,
        };
        let is_negative = read("curr1_input").is_some_and(|milliamperes| milliamperes < 0.0);
        let is_drawn = is_negative == charges && size >= DRAWN_MIN && !(is_rail && size > RAIL_WATTS_MAX);
        is_drawn.then(|| (format!("{folder}/power1_input"), size))
    });
    known.collect()
}

/// The INA219 behind an attribute of its driver, and its shunt in ohms as the driver knows it.
pub fn ina219_of(board: &Board, attribute: &str) -> Option<(Chip, f64)> {
    let folder = attribute.rsplit_once('/')?.0;
    if board.read(&format!("{folder}/name")).ok()? != "ina219" {
        return None;
    }
    // A device on an I2C bus is named `BUS-ADDRESS`, the address in hexadecimal.
    let device = board.target(&format!("{folder}/device"))?;
    let (bus, address) = device.split_once('-')?;
    let chip = Chip { bus: bus.parse().ok()?, address: i64::from_str_radix(address, 16).ok()? };
    let microohms = board.integer(&format!("{folder}/shunt_resistor")).filter(|ohms| *ohms > 0.0)?;
    Some((chip, microohms / 1e6))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree_of(name: &str) -> Board {
        Board::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/trees").join(name))
    }

    /// What a captured tree must give, as `expected.json` has it.
    fn expected(name: &str, key: &str) -> Option<f64> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/trees").join(name);
        let text = std::fs::read(path.join("expected.json")).expect("a document");
        let document: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        document[key].as_f64()
    }

    #[test]
    fn fans_of_all_captured_boards_are_those_of_their_documents() {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/trees");
        let mut with_fan = 0;
        for tree in std::fs::read_dir(trees).expect("trees").flatten() {
            let name = tree.file_name().to_string_lossy().into_owned();
            if !tree.path().join("expected.json").exists() {
                continue;
            }
            let fans = fans(&tree_of(&name));
            match expected(&name, "fan_rpm") {
                Some(rpm) => assert!(fans.iter().any(|(_, found)| *found == rpm), "{name}: {fans:?}"),
                None => assert!(fans.is_empty(), "{name}: {fans:?}"),
            }
            with_fan += usize::from(!fans.is_empty());
        }
        assert!(with_fan > 5, "{with_fan}");
    }

    #[test]
    fn a_zone_that_names_no_processor_is_no_witness() {
        for (name, count) in [
            ("pi5-bookworm-64", 1),
            ("zone-acpitz-only", 0),
            ("zone-jetson", 1),
            ("zone-whole-degrees", 0),
            ("zone-bogus-negative", 0),
        ] {
            let zones = chip_zones(&tree_of(name));
            assert_eq!(zones.len(), count, "{name}: {zones:?}");
            if let Some((_, degrees)) = zones.first().filter(|_| name != "pi5-bookworm-64") {
                assert!((degrees - expected(name, "temp").expect("known")).abs() < 0.1, "{name}: {degrees}");
            }
        }
    }

    #[test]
    fn of_several_monitors_one_is_that_of_the_document() {
        for (name, count) in
            [("pi4-bookworm-64-ina219", 1), ("monitor-hwmon10-and-hwmon2", 1), ("monitor-two-of-a-kind", 2)]
        {
            let found = ina2xx_watts(&tree_of(name), None);
            let power = expected(name, "power").expect("known");
            assert_eq!(found.len(), count, "{name}: {found:?}");
            assert!(found.iter().any(|(_, watts)| (watts - power).abs() < 0.006), "{name}: {found:?}");
        }
        assert_eq!(ina2xx_watts(&tree_of("pi5-bookworm-64"), None), []);
    }

    #[test]
    fn finds_the_chip_behind_a_driver() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("sys/class/hwmon/hwmon3");
        std::fs::create_dir_all(&folder).expect("created");
        for (attribute, value) in [("name", "ina219\n"), ("shunt_resistor", "100000\n")] {
            std::fs::write(folder.join(attribute), value).expect("written");
        }
        std::os::unix::fs::symlink("../../../1-0040", folder.join("device")).expect("a link");
        let found = ina219_of(&Board::new(dir.path()), "/sys/class/hwmon/hwmon3/power1_input");
        assert_eq!(found, Some((Chip { bus: 1, address: 0x40 }, 0.1)));
        std::fs::write(folder.join("name"), "ina226\n").expect("written");
        assert_eq!(ina219_of(&Board::new(dir.path()), "/sys/class/hwmon/hwmon3/power1_input"), None);
    }

    #[test]
    fn a_monitor_is_a_witness_only_of_power_that_the_board_draws() {
        // Name, µW, mA, mV, whether a positive current charges; watts.
        for (name, power, current, voltage, charges, expected) in [
            ("ina226", 4_830_000, 950, 5_088, None, Some(4.83)),
            ("ina226", 4_830_000, -950, 5_088, None, None),
            ("ina226", 28_850_000, 2_150, 13_420, Some(false), None),
            ("ina219", 28_850_000, 2_150, 13_420, None, None),
            ("ina219", 28_850_000, 2_150, 13_420, Some(false), Some(28.85)),
            ("ina219", 28_850_000, 2_150, 13_420, Some(true), None),
            ("ina219", 28_850_000, -2_150, 13_420, Some(true), Some(28.85)),
            ("ina219", 20_000, 4, 5_088, None, None),
            ("ina219", 51_000_000, 10_200, 5_000, None, None),
            ("nct6775", 4_830_000, 950, 5_088, None, None),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let folder = dir.path().join("sys/class/hwmon/hwmon0");
            std::fs::create_dir_all(&folder).expect("created");
            std::fs::write(folder.join("name"), name).expect("written");
            let values = [("power1_input", power), ("curr1_input", current), ("in1_input", voltage)];
            for (attribute, value) in values {
                std::fs::write(folder.join(attribute), format!("{value}\n")).expect("written");
            }
            let found = ina2xx_watts(&Board::new(dir.path()), charges);
            let watts = found.first().map(|(_, watts)| *watts);
            assert_eq!(watts, expected, "{name} {power} {current} {voltage} {charges:?}");
        }
    }
}
