//! The kernel's monitors and thermal zones (`Documentation/hwmon/sysfs-interface.rst`, `Documentation/driver-api/thermal`).

use crate::board::Board;

/// Path and value of each attribute of this name below `/sys/class/hwmon`, if the monitor's name is wanted.
pub fn attributes(board: &Board, attribute: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for monitor in board.list("/sys/class/hwmon") {
        let folder = format!("/sys/class/hwmon/{monitor}");
        let name = board.read(&format!("{folder}/name")).unwrap_or_default();
        let path = format!("{folder}/{attribute}");
        if let Some(value) = board.integer(&path).filter(|_| wanted(&name)) {
            found.push((path, value));
        }
    }
    found
}

/// Path and rpm of the fans that have a tachometer. `gpio-fan` has none: it shows what it asked for.
pub fn fans(board: &Board) -> Vec<(String, f64)> {
    attributes(board, "fan1_input", |name| name != "gpio_fan" && name != "gpio-fan")
}

/// Path and degrees Celsius of the zone of the system-on-chip, else of the first zone.
pub fn chip_zone(board: &Board) -> Option<(String, f64)> {
    let mut zones: Vec<(bool, String, f64)> = Vec::new();
    for zone in board.list("/sys/class/thermal") {
        let folder = format!("/sys/class/thermal/{zone}");
        let kind = board.read(&format!("{folder}/type")).unwrap_or_default();
        let of_chip = matches!(kind.as_str(), "cpu-thermal" | "cpu_thermal" | "x86_pkg_temp")
            || kind.starts_with("soc");
        let path = format!("{folder}/temp");
        if let Some(millidegrees) = board.integer(&path).filter(|_| zone.starts_with("thermal_zone")) {
            zones.push((of_chip, path, millidegrees / 1000.0));
        }
    }
    let chosen = zones.iter().position(|(of_chip, ..)| *of_chip).unwrap_or(0);
    let (_, path, degrees) = zones.into_iter().nth(chosen)?;
    Some((path, degrees))
}

/// No board that runs Linux draws less, in watts: a Pi Zero without anything attached draws 0.5 W.
pub const DRAWN_MIN: f64 = 0.3;
/// A 5 V rail, in volts: what a board is fed with, and no battery.
const RAIL: std::ops::RangeInclusive<f64> = 4.4..=5.6;
/// No 5 V rail feeds a board with more, in watts; a driver that does not know its shunt measures several times what flows.
const RAIL_WATTS_MAX: f64 = 50.0;

/// Path and watts that the board draws, as the first monitor of the INA2xx family says that knows.
///
/// The driver tells the size of the power, and its direction by the sign of the current. On a 5 V rail it flows to the board.
/// Elsewhere there may be a battery, and only the settings of the supply say for its INA219 whether a positive current charges.
pub fn ina2xx_watts(board: &Board, positive_charges: Option<bool>) -> Option<(String, f64)> {
    board.list("/sys/class/hwmon").into_iter().find_map(|monitor| {
        let folder = format!("/sys/class/hwmon/{monitor}");
        let name = board.read(&format!("{folder}/name")).unwrap_or_default();
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
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree(name: &str) -> Board {
        Board::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/trees").join(name))
    }

    #[test]
    fn finds_the_fan_and_the_zone_of_a_pi_5() {
        let board = tree("pi5-bookworm-64");
        let fans = fans(&board);
        assert_eq!(fans.len(), 1, "{fans:?}");
        let (path, degrees) = chip_zone(&board).expect("a zone");
        assert!(path.ends_with("thermal_zone0/temp") && (20.0..100.0).contains(&degrees), "{path} {degrees}");
        assert_eq!(ina2xx_watts(&board, None), None);
    }

    #[test]
    fn finds_the_monitor_of_a_supply() {
        let (path, watts) = ina2xx_watts(&tree("pi4-bookworm-64-ina219"), None).expect("a monitor");
        assert!(path.ends_with("power1_input"), "{path}");
        assert_eq!(watts, 4.83);
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
            let watts = ina2xx_watts(&Board::new(dir.path()), charges).map(|(_, watts)| watts);
            assert_eq!(watts, expected, "{name} {power} {current} {voltage} {charges:?}");
        }
    }
}
