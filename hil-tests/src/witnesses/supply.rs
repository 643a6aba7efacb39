//! The kernel's power supplies (`Documentation/ABI/testing/sysfs-class-power`: µW, µV, µA, percent).

use crate::{board::Board, witnesses::hwmon::DRAWN_MIN};

const CLASS: &str = "/sys/class/power_supply";

/// Attributes of one supply.
struct Supply<'b> {
    board: &'b Board,
    folder: String,
}

impl Supply<'_> {
    fn text(&self, attribute: &str) -> String {
        self.board.read(&format!("{}/{attribute}", self.folder)).unwrap_or_default()
    }

    fn number(&self, attribute: &str) -> Option<f64> {
        self.board.integer(&format!("{}/{attribute}", self.folder))
    }

    fn watts(&self) -> Option<f64> {
        let measured = || Some(self.number("voltage_now")? / 1e6 * self.number("current_now")? / 1e6);
        self.number("power_now").map(|microwatts| microwatts / 1e6).or_else(measured)
    }
}

/// The supplies that are there, without those of a mouse or a headset.
fn supplies(board: &Board) -> Vec<Supply<'_>> {
    let names = board.list(CLASS).into_iter();
    let all = names.map(|name| Supply { board, folder: format!("{CLASS}/{name}") });
    all.filter(|supply| supply.text("scope") != "Device" && supply.number("present") != Some(0.0)).collect()
}

/// Folder and watts of a battery that is discharging, or of a supply from outside that is online while nothing charges: what
/// the board draws, if there is only one such supply. More of them, or one that does not tell, are no witness.
pub fn drawn_watts(board: &Board) -> Option<(String, f64)> {
    let mut delivering = Vec::new();
    for supply in supplies(board) {
        let is_battery = matches!(supply.text("type").as_str(), "Battery" | "UPS");
        match supply.text("status").as_str() {
            "Charging" => return None,
            "Full" | "Not charging" if is_battery => {}
            "Discharging" if is_battery => delivering.push(supply),
            _ if is_battery => return None,
            _ if supply.number("online") == Some(0.0) => {}
            _ => delivering.push(supply),
        }
    }
    let supply = delivering.pop().filter(|_| delivering.is_empty())?;
    // A port of USB-C tells the contract, which is a limit.
    let current = supply.number("current_now");
    if supply.folder.contains("-source-psy-")
        || (current.is_some() && current == supply.number("current_max"))
    {
        return None;
    }
    let is_battery = matches!(supply.text("type").as_str(), "Battery" | "UPS");
    // Drivers disagree about the sign of a battery's current; its status tells the direction.
    let watts = supply.watts().map(|watts| if is_battery { watts.abs() } else { watts })?;
    (watts >= DRAWN_MIN).then_some((supply.folder, watts))
}

/// The battery of the board that the kernel knows.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelBattery {
    /// Its folder.
    pub folder: String,
    /// Volts.
    pub volts: Option<f64>,
    /// Charge in percent.
    pub percent: Option<f64>,
}

/// The first battery that tells its voltage or its charge. 0 V is what a gauge says without a battery.
pub fn battery(board: &Board) -> Option<KernelBattery> {
    supplies(board).into_iter().filter(|supply| supply.text("type") == "Battery").find_map(|supply| {
        let volts = supply.number("voltage_now").filter(|volts| *volts != 0.0).map(|volts| volts / 1e6);
        let percent = supply.number("capacity").filter(|percent| (0.0..=100.0).contains(percent));
        (volts.is_some() || percent.is_some()).then_some(KernelBattery {
            folder: supply.folder,
            volts,
            percent,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What `look` sees of supplies as `name/attribute=value`.
    fn at<T>(supplies: &str, look: impl Fn(&Board) -> T) -> T {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, value) in supplies.split_whitespace().filter_map(|word| word.split_once('=')) {
            let path = dir.path().join("sys/class/power_supply").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, format!("{value}\n")).expect("written");
        }
        look(&Board::new(dir.path()))
    }

    #[test]
    fn only_what_flows_into_the_board_is_a_witness() {
        let watts = |supplies: &str| at(supplies, drawn_watts).map(|(_, watts)| watts);
        let battery = "b/type=Battery b/voltage_now=4000000 b/current_now=-1000000 ";
        assert_eq!(watts(&format!("{battery} b/status=Discharging")), Some(4.0));
        for silent in ["b/status=Charging", "b/status=Full", "b/status=Unknown", ""] {
            assert_eq!(watts(&format!("{battery} {silent}")), None, "{silent}");
        }
        let mains = "a/type=Mains a/online=1 a/power_now=3500000 ";
        assert_eq!(watts(mains), Some(3.5));
        assert_eq!(
            watts(&format!("{mains} {battery} b/status=Charging")),
            None,
            "it charges the battery, too"
        );
        assert_eq!(watts(&format!("{mains} {battery} b/status=Discharging")), None, "two deliver");
        assert_eq!(watts("a/type=Mains a/online=0 a/power_now=3500000"), None);
        assert_eq!(watts("a/type=Mains a/online=1 a/power_now=20000"), None, "noise");
        let contract =
            "a/type=USB a/online=1 a/voltage_now=5000000 a/current_now=3000000 a/current_max=3000000";
        assert_eq!(watts(contract), None);
    }

    #[test]
    fn a_battery_of_the_board_is_not_that_of_a_mouse() {
        let found = |supplies: &str| at(supplies, battery).map(|battery| (battery.volts, battery.percent));
        let mouse = "a/type=Battery a/scope=Device a/capacity=9 ";
        assert_eq!(found(mouse), None);
        let own = "b/type=Battery b/voltage_now=3842000 b/capacity=72";
        assert_eq!(found(&format!("{mouse} {own}")), Some((Some(3.842), Some(72.0))));
        assert_eq!(found("b/type=Battery b/voltage_now=0 b/capacity=101"), None);
        assert_eq!(found("b/type=Battery b/present=0 b/capacity=50"), None);
    }
}
