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

    /// A port of USB-C tells what was agreed on, which is a limit.
    fn tells_a_contract(&self) -> bool {
        let current = self.number("current_now");
        self.folder.contains("-source-psy-") || (current.is_some() && current == self.number("current_max"))
    }
}

/// The supplies that are there, without those of a mouse or a headset.
fn supplies(board: &Board) -> Vec<Supply<'_>> {
    let names = board.list(CLASS).into_iter();
    let all = names.map(|name| Supply { board, folder: format!("{CLASS}/{name}") });
    all.filter(|supply| supply.text("scope") != "Device" && supply.number("present") != Some(0.0)).collect()
}

/// Folders and watts of the supplies that deliver: batteries that are discharging, and supplies from outside that are online
/// while nothing charges. `None` if one of them does not tell, or tells what is no measurement.
pub fn drawn_watts(board: &Board) -> Option<(String, f64)> {
    let (mut folders, mut sum) = (Vec::new(), 0.0);
    for supply in supplies(board) {
        let is_battery = matches!(supply.text("type").as_str(), "Battery" | "UPS");
        let watts = match supply.text("status").as_str() {
            "Charging" => return None,
            "Full" | "Not charging" if is_battery => continue,
            // Drivers disagree about the sign of a battery's current; its status tells the direction.
            "Discharging" if is_battery => supply.watts().map(f64::abs),
            _ if is_battery => return None,
            _ if supply.number("online") == Some(0.0) => continue,
            _ if supply.tells_a_contract() => None,
            _ => supply.watts(),
        };
        sum += watts.filter(|watts| *watts != 0.0)?;
        folders.push(supply.folder);
    }
    (sum >= DRAWN_MIN).then(|| (folders.join(" and "), sum))
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

/// A gauge says a little more than 100 of a full battery (MAX17040 data sheet, "SOC Register").
const CHARGE_MAX: f64 = 110.0;

/// The batteries that tell their voltage or their charge. 0 V is what a gauge says without a battery.
pub fn batteries(board: &Board) -> Vec<KernelBattery> {
    let batteries = supplies(board).into_iter().filter(|supply| supply.text("type") == "Battery");
    let told = batteries.filter_map(|supply| {
        let volts = supply.number("voltage_now").filter(|volts| *volts != 0.0).map(|volts| volts / 1e6);
        let percent = supply.number("capacity").filter(|percent| (0.0..=CHARGE_MAX).contains(percent));
        let percent = percent.map(|percent| percent.min(100.0));
        let is_told = volts.is_some() || percent.is_some();
        is_told.then_some(KernelBattery { folder: supply.folder, volts, percent })
    });
    told.collect()
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
        assert_eq!(watts(&format!("{mains} {battery} b/status=Discharging")), Some(7.5), "both deliver");
        let silent = "c/type=Battery c/status=Discharging";
        assert_eq!(watts(&format!("{mains} {silent}")), None, "one of two does not tell");
        assert_eq!(watts("a/type=Mains a/online=0 a/power_now=3500000"), None);
        assert_eq!(watts("a/type=Mains a/online=1 a/power_now=20000"), None, "noise");
        let contract =
            "a/type=USB a/online=1 a/voltage_now=5000000 a/current_now=3000000 a/current_max=3000000";
        assert_eq!(watts(contract), None);
    }

    #[test]
    fn a_battery_of_the_board_is_not_that_of_a_mouse() {
        let found = |supplies: &str| {
            let mut batteries = at(supplies, batteries);
            assert!(batteries.len() <= 1, "{batteries:?}");
            batteries.pop().map(|battery| (battery.volts, battery.percent))
        };
        let mouse = "a/type=Battery a/scope=Device a/capacity=9 ";
        assert_eq!(found(mouse), None);
        let own = "b/type=Battery b/voltage_now=3842000 b/capacity=72";
        assert_eq!(found(&format!("{mouse} {own}")), Some((Some(3.842), Some(72.0))));
        assert_eq!(found("b/type=Battery b/voltage_now=0 b/capacity=111"), None);
        assert_eq!(found("b/type=Battery b/capacity=103"), Some((None, Some(100.0))));
        assert_eq!(found("b/type=Battery b/present=0 b/capacity=50"), None);
    }
}
