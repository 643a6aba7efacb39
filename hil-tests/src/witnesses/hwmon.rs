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

/// Path and watts of a monitor of the INA2xx family.
pub fn ina2xx_watts(board: &Board) -> Option<(String, f64)> {
    let found = attributes(board, "power1_input", |name| name.starts_with("ina2"));
    found.into_iter().next().map(|(path, microwatts)| (path, microwatts / 1e6))
}

/// Folder and watts of the first power supply that tells its power, or voltage and current
/// (`Documentation/ABI/testing/sysfs-class-power`: µW, µV, µA).
pub fn supply_watts(board: &Board) -> Option<(String, f64)> {
    board.list("/sys/class/power_supply").into_iter().find_map(|name| {
        let folder = format!("/sys/class/power_supply/{name}");
        let read = |attribute| board.integer(&format!("{folder}/{attribute}"));
        let watts = read("power_now")
            .map(|microwatts| microwatts / 1e6)
            .or_else(|| Some(read("voltage_now")? / 1e6 * read("current_now")? / 1e6))?;
        Some((folder, watts))
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
        assert_eq!(ina2xx_watts(&board), None);
    }

    #[test]
    fn finds_the_monitor_of_a_supply() {
        let (path, watts) = ina2xx_watts(&tree("pi4-bookworm-64-ina219")).expect("a monitor");
        assert!(path.ends_with("power1_input"), "{path}");
        assert_eq!(watts, 4.83);
    }
}
