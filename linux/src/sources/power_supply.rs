//! Power from the kernel's power supplies (`Documentation/ABI/testing/sysfs-class-power`).
//!
//! What a number means depends on the supply: `type`, `scope`, `online` and `status` say whether power flows, from where to
//! where, and whether it was measured.

use heartbeat_core::{SensorError, plausible::Plausible, units::Watts};

use super::{
    Source,
    drawn_power::{drawn, microwatts},
    sysroot::Sysroot,
};

pub(super) const CLASS: &str = "/sys/class/power_supply";

/// The power that the device draws from its supplies, if all supplies that deliver power report it.
///
/// - A battery delivers while it is discharging, and may do so while its gauge does not say what it does. `current_now` is negative then by the kernel's ABI, and positive in some
///   drivers: the status gives the direction, the number only the size.
/// - A supply from outside delivers while it is online. What it delivers while a battery is charging is not what the device
///   draws, and the supply of a PoE HAT knows its current only.
/// - A charger has a status, too. While it says that it is charging, it delivers to the battery; some report what
///   flows there as their own voltage and current (`drivers/power/supply/bq25890_charger.c`).
/// - A USB-C port controller reports the contract, which is a limit and no measurement.
#[derive(Debug, Default)]
pub(crate) struct PowerSupply;

impl Source for PowerSupply {
    /// `None`: there are supplies, and their power is not known.
    type Reading = Option<Watts>;

    fn place(&self) -> String {
        format!("{CLASS}/*/power_now, or voltage_now and current_now")
    }

    fn read(&mut self, root: &Sysroot) -> Result<Option<Watts>, SensorError> {
        let supplies = root.list(CLASS)?;
        if supplies.is_empty() {
            return Err(SensorError::Absent);
        }
        let mut sum = None;
        for name in supplies {
            match Supply::new(root, &name).flow()? {
                Flow::None => {}
                Flow::Delivers(Some(microwatts)) => sum = Some(microwatts.saturating_add(sum.unwrap_or(0))),
                Flow::Delivers(None) | Flow::Charges => return Ok(None),
            }
        }
        match sum.and_then(drawn) {
            Some(watts) => watts.plausible().map(Some).ok_or(SensorError::Invalid),
            None => Ok(None),
        }
    }
}

/// What a supply has to do with the power that the device draws.
enum Flow {
    /// Nothing: it is not connected, idle, of another device, or unknown to us.
    None,
    /// The device draws from it: so many µW, if that is measured.
    Delivers(Option<i64>),
    /// It takes power itself.
    Charges,
}

/// One supply.
pub(super) struct Supply<'r> {
    root: &'r Sysroot,
    name: &'r str,
}

impl<'r> Supply<'r> {
    pub(super) const fn new(root: &'r Sysroot, name: &'r str) -> Self {
        Self { root, name }
    }

    /// Whether it is there, and not the battery of a mouse.
    pub(super) fn is_of_the_board(&self) -> Result<bool, SensorError> {
        Ok(!self.says("scope", "Device")? && self.number("present")? != Some(0))
    }

    fn flow(&self) -> Result<Flow, SensorError> {
        if !self.is_of_the_board()? {
            return Ok(Flow::None);
        }
        let mut buffer = [0; 32];
        match self.text("type", &mut buffer)? {
            Some("Battery" | "UPS") => {
                let mut buffer = [0; 32];
                match self.text("status", &mut buffer)? {
                    Some("Charging") => return Ok(Flow::Charges),
                    Some("Full" | "Not charging") => return Ok(Flow::None),
                    Some("Discharging") => {}
                    // "Unknown", or no status: it may deliver what the others do not.
                    _ => return Ok(Flow::Delivers(None)),
                }
                let power = self.power()?;
                // 0 is a gauge that does not measure.
                Ok(Flow::Delivers(power.map(i64::saturating_abs).filter(|power| *power > 0)))
            }
            Some(
                "Mains" | "Wireless" | "USB" | "USB_DCP" | "USB_CDP" | "USB_ACA" | "USB_C" | "USB_PD"
                | "BrickID",
            ) => {
                if self.number("online")? == Some(0) {
                    return Ok(Flow::None);
                }
                if self.says("status", "Charging")? {
                    return Ok(Flow::Charges);
                }
                let measured = if self.is_contract()? { None } else { self.power()? };
                Ok(Flow::Delivers(measured.filter(|power| *power != 0)))
            }
            _ => Ok(Flow::None),
        }
    }

    /// A port controller's supply, or one whose current always is the limit. The drivers in `drivers/usb/typec` name
    /// theirs alike: `tcpm-source-psy-...`, and so `ucsi`, `anx7411`, `rt1719`, `husb239`.
    fn is_contract(&self) -> Result<bool, SensorError> {
        let is_port = self.name.contains("-source-psy-");
        let now = self.number("current_now")?;
        Ok(is_port || now.is_some() && now == self.number("current_max")?)
    }

    /// In µW.
    fn power(&self) -> Result<Option<i64>, SensorError> {
        if let Some(power) = self.number("power_now")? {
            return Ok(Some(power));
        }
        let voltage = self.number("voltage_now")?;
        Ok(voltage.zip(self.number("current_now")?).map(|(voltage, current)| microwatts(voltage, current)))
    }

    pub(super) fn says(&self, attribute: &str, word: &str) -> Result<bool, SensorError> {
        let mut buffer = [0; 32];
        Ok(self.text(attribute, &mut buffer)? == Some(word))
    }

    fn text<'b>(&self, attribute: &str, buffer: &'b mut [u8]) -> Result<Option<&'b str>, SensorError> {
        there(self.root.read_text(format!("{CLASS}/{}/{attribute}", self.name), buffer))
    }

    pub(super) fn number(&self, attribute: &str) -> Result<Option<i64>, SensorError> {
        there(self.root.read_integer(format!("{CLASS}/{}/{attribute}", self.name)))
    }
}

/// `None` for what a driver does not have. Some have the file and no value (`ENODATA`).
fn there<T>(answer: Result<T, SensorError>) -> Result<Option<T>, SensorError> {
    match answer {
        Err(SensorError::Absent) => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Supplies as `name/attribute=value`.
    fn read(supplies: &str) -> Result<Option<Watts>, SensorError> {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, value) in supplies.split_whitespace().filter_map(|line| line.split_once('=')) {
            let path = dir.path().join("sys/class/power_supply").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, value.replace('_', " ")).expect("written");
        }
        PowerSupply.read(&Sysroot::new(dir.path()).expect("opened"))
    }

    const BATTERY: &str = "b/type=Battery b/present=1 ";
    const MAINS: &str = "m/type=Mains ";

    #[test]
    fn a_battery_tells_the_power_only_while_it_is_discharging() {
        let battery = |rest| read(&format!("{BATTERY}{rest}"));
        let watts = |raw| Ok(Some(Watts::from_raw(raw)));
        assert_eq!(battery("b/status=Discharging b/power_now=5300000"), watts(530));
        assert_eq!(battery("b/status=Discharging b/voltage_now=3790000 b/current_now=-1210000"), watts(459));
        for unknown in [
            "b/status=Charging b/power_now=5300000",
            "b/status=Full b/power_now=5300000",
            "b/status=Not_charging b/power_now=5300000",
            "b/status=Discharging b/power_now=0",
            "b/status=Discharging b/voltage_now=3790000",
            "b/status=Discharging b/scope=Device b/power_now=5300000",
            "b/status=Unknown b/power_now=5300000",
            "b/power_now=5300000",
        ] {
            assert_eq!(battery(unknown), Ok(None), "{unknown}");
        }
    }

    #[test]
    fn a_supply_from_outside_tells_the_power_while_it_is_online_and_no_battery_is_charging() {
        let power = "m/voltage_now=5100000 m/current_now=600000 ";
        let mains = |rest: &str| read(&format!("{MAINS}{power}{rest}"));
        assert_eq!(mains("m/online=1"), Ok(Some(Watts::from_raw(306))));
        assert_eq!(mains("m/online=0"), Ok(None));
        assert_eq!(mains("m/online=1 b/type=Battery b/status=Charging"), Ok(None));
        assert_eq!(
            mains("m/online=1 b/type=Battery b/status=Charging b/present=0"),
            Ok(Some(Watts::from_raw(306)))
        );
        assert_eq!(
            mains("m/online=1 b/type=Battery b/status=Full b/power_now=0"),
            Ok(Some(Watts::from_raw(306)))
        );
        for unknown in ["b/status=Unknown", "b/status=Unknown b/current_now=900000", "b/capacity=80"] {
            let both = mains(&format!("m/online=1 b/type=Battery b/present=1 {unknown}"));
            assert_eq!(both, Ok(None), "{unknown}");
        }
        assert_eq!(mains("m/online=1 b/type=Battery b/status=Not_charging"), Ok(Some(Watts::from_raw(306))));
        assert_eq!(
            read("p/type=Mains p/online=1 p/current_now=900000"),
            Ok(None),
            "microamperes are not watts"
        );
        assert_eq!(read("t/voltage_now=5100000 t/current_now=600000"), Ok(None), "what it is is not known");
    }

    #[test]
    fn two_that_deliver_are_added_up_and_one_that_does_not_tell_hides_the_sum() {
        let weak = "m/type=Mains m/online=1 b/type=Battery b/status=Discharging b/power_now=2000000 ";
        assert_eq!(read(&format!("{weak} m/power_now=3000000")), Ok(Some(Watts::from_raw(500))));
        assert_eq!(read(weak), Ok(None));
    }

    /// `ucsi_psy_get_current_now` (drivers/usb/typec/ucsi/psy.c) gives the operating current of the request data object.
    #[test]
    fn a_contract_is_no_measurement() {
        let port = "type=USB online=1 voltage_now=5000000 current_now=900000 current_max=3000000";
        let supply = |name: &str, rest: &str| {
            let all = format!("{port} {rest}")
                .split_whitespace()
                .map(|file| format!("{name}/{file} "))
                .collect::<String>();
            read(&all)
        };
        assert_eq!(supply("ucsi-source-psy-USBC000:001", ""), Ok(None));
        assert_eq!(supply("tcpm-source-psy-4-0022", ""), Ok(None));
        assert_eq!(supply("anx7411-source-psy-2-002c", ""), Ok(None));
        assert_eq!(supply("axp20x-usb", ""), Ok(Some(Watts::from_raw(450))));
        assert_eq!(supply("husb238", "current_max=900000"), Ok(None), "the current is the limit");
    }

    /// `bq25890_power_supply_get_property` gives the voltage of the battery, and the current that charges it.
    #[test]
    fn a_charger_that_is_charging_does_not_tell_what_the_device_draws() {
        let charger = "c/type=USB c/online=1 c/voltage_now=4104000 c/current_now=1250000 ";
        assert_eq!(read(&format!("{charger} c/status=Charging")), Ok(None));
        let mains = "m/type=Mains m/online=1 m/power_now=3000000 ";
        assert_eq!(read(&format!("{charger} c/status=Charging {mains}")), Ok(None));
        let idle = "c/type=USB c/online=1 c/voltage_now=4104000 c/current_now=0 c/status=Full";
        assert_eq!(read(idle), Ok(None));
        // `drivers/power/supply/ltc4162-l-charger.c` measures at its input.
        let input = "c/type=Mains c/online=1 c/voltage_now=12100000 c/current_now=250000 c/status=Full";
        assert_eq!(read(input), Ok(Some(Watts::from_raw(303))));
    }

    #[test]
    fn what_cannot_be_read_or_cannot_be_is_an_error() {
        assert_eq!(read(""), Err(SensorError::Absent));
        assert_eq!(read(&format!("{BATTERY}b/status=Discharging b/power_now=")), Err(SensorError::Invalid));
        let huge = i64::MAX;
        assert_eq!(
            read(&format!("{MAINS}m/voltage_now={huge} m/current_now={huge}")),
            Err(SensorError::Invalid)
        );
    }
}
