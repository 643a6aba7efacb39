//! The battery of an uninterruptible supply.

use toml::{Table, Value};

use super::{Context, diagnostics};
use crate::{
    finding::{Evidence, Stop},
    witnesses::{
        battery::{self, Chip, GAUGE_ADDRESS},
        hwmon,
        supply::{self as kernel, KernelBattery},
    },
};

/// A battery's voltage moves between two looks, by so many volts.
const VOLT_TOLERANCE: f64 = 0.05;
/// A gauge's charge moves between two looks, by so many percent.
const CHARGE_TOLERANCE: f64 = 0.6;
/// The kernel tells whole percents.
const KERNEL_CHARGE_TOLERANCE: f64 = 1.1;
/// Volts of a lithium cell that is empty and that is full, as the makers of the supplies count.
const CELL: [f64; 2] = [3.0, 4.2];

/// The supply of the section `[ups]` of the settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Supply {
    Ina219 { chip: Chip, shunt_ohms: f64, charges: bool, cells: Option<f64> },
    Gauge { chip: Chip },
}

impl Supply {
    /// Whether a positive current charges the battery; a gauge does not measure it.
    pub(super) const fn positive_charges(self) -> Option<bool> {
        match self {
            Self::Ina219 { charges, .. } => Some(charges),
            Self::Gauge { .. } => None,
        }
    }
}

/// What the settings say about the supply.
pub(super) fn supply_of(settings: &Table) -> Option<Supply> {
    let ups = settings.get("ups").and_then(Value::as_table)?;
    let bus = ups.get("bus").and_then(Value::as_integer)?;
    // Cells in series (Waveshare's wiki, "UPS HAT", "(B)", "(C)", "(D)" and "UPS Module 3S").
    let cells = match ups.get("preset").and_then(Value::as_str) {
        Some("waveshare" | "waveshare-b") => Some(2.0),
        Some("waveshare-c" | "waveshare-d") => Some(1.0),
        Some("waveshare-3s") => Some(3.0),
        _ => None,
    };
    match ups.get("address").and_then(Value::as_integer) {
        Some(address) => Some(Supply::Ina219 {
            chip: Chip { bus, address },
            shunt_ohms: ups.get("shunt_ohms").and_then(Value::as_float)?,
            charges: ups.get("positive_current").and_then(Value::as_str)? == "charges",
            cells,
        }),
        None => Some(Supply::Gauge { chip: Chip { bus, address: GAUGE_ADDRESS } }),
    }
}

/// What an INA219 measures.
pub(super) struct Measured {
    volts: f64,
    watts: f64,
    /// A driver of the kernel owns the chip, so that the daemon does not ask it.
    pub(super) has_driver: bool,
}

impl Measured {
    /// What the board draws; `None` while the battery is charged or idle.
    pub(super) fn drawn_watts(&self) -> Option<f64> {
        Some(self.watts).filter(|watts| *watts >= hwmon::DRAWN_MIN)
    }
}

/// What the configured INA219 measures; `None` if it is away, or without a battery.
pub(super) fn ina219(context: &Context, supply: Supply) -> Result<Option<Measured>, Stop> {
    let Supply::Ina219 { chip, shunt_ohms, charges, .. } = supply else { return Ok(None) };
    let (Some(bus), Some(shunt)) = (chip.register(&context.board, 2)?, chip.register(&context.board, 1)?)
    else {
        return Ok(None);
    };
    let volts = battery::ina219_volts(bus.value);
    let amperes = battery::ina219_amperes(shunt.value, shunt_ohms);
    let watts = volts * amperes * if charges { -1.0 } else { 1.0 };
    Ok(Some(Measured { volts, watts, has_driver: bus.has_driver }).filter(|measured| measured.volts > 0.0))
}

/// The battery's voltage and charge: of the chip that is configured, else of the battery that the kernel knows.
pub(super) fn supply(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    diagnostics(context)?;
    match supply_of(context.settings()?) {
        Some(supply @ Supply::Ina219 { cells, .. }) => monitor(context, evidence, supply, cells),
        Some(Supply::Gauge { chip }) => gauge(context, evidence, chip),
        None => battery_of_kernel(context, evidence, "no supply is configured (ups.preset)"),
    }
}

fn monitor(
    context: &Context,
    evidence: &mut Evidence,
    supply: Supply,
    cells: Option<f64>,
) -> Result<(), Stop> {
    let before = ina219(context, supply)?;
    let sample = context.daemon.sample()?;
    let (Some(before), Some(after)) = (before, ina219(context, supply)?) else {
        return battery_of_kernel(context, evidence, "no INA219 measures a battery");
    };
    if after.has_driver {
        return battery_of_kernel(context, evidence, "a driver of the kernel owns the INA219");
    }
    let said = [before.volts, after.volts];
    let reported = |key: &str| sample.number(&format!("/diagnostics/ups/{key}"));
    let witness = "the INA219's register 2, read by i2ctransfer";
    evidence.number("diagnostics.ups.voltage", reported("voltage"), said, VOLT_TOLERANCE, witness);
    if let Some(cells) = cells {
        let witness = format!("{} V to {} V for each of {cells} cells", CELL[0], CELL[1]);
        let said = said.map(|volts| charge(volts / cells));
        evidence.number(
            "diagnostics.ups.percent",
            reported("percent"),
            said,
            KERNEL_CHARGE_TOLERANCE,
            &witness,
        );
    } else {
        evidence.silent("diagnostics.ups.percent: nothing is known of the battery's cells");
    }
    Ok(())
}

/// The charge that a cell's voltage stands for, in percent, on a straight line.
fn charge(volts: f64) -> f64 {
    let [empty, full] = CELL;
    ((volts - empty) / (full - empty) * 100.0).clamp(0.0, 100.0)
}

/// The battery that the kernel knows takes the place of a chip that is not there.
fn battery_of_kernel(context: &Context, evidence: &mut Evidence, why: &str) -> Result<(), Stop> {
    let before = kernel::batteries(&context.board);
    let sample = context.daemon.sample()?;
    let after = kernel::batteries(&context.board);
    let reported = |key: &str| sample.number(&format!("/diagnostics/ups/{key}"));
    // The daemon shows one of several.
    let distance = |battery: &&KernelBattery| {
        let distance =
            |said: Option<f64>, key| said.zip(reported(key)).map(|(said, told)| (said - told).abs());
        distance(battery.volts, "voltage").or(distance(battery.percent, "percent")).unwrap_or(f64::MAX)
    };
    let nearest = after.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let then = nearest.and_then(|after| before.iter().find(|before| before.folder == after.folder));
    let Some((before, after)) = then.zip(nearest) else {
        return absent(sample.has("/diagnostics/ups"), why);
    };
    for (key, said, tolerance) in [
        ("voltage", before.volts.zip(after.volts), VOLT_TOLERANCE),
        ("percent", before.percent.zip(after.percent), KERNEL_CHARGE_TOLERANCE),
    ] {
        if let Some((before, after_it)) = said {
            let name = format!("diagnostics.ups.{key}");
            evidence.number(&name, reported(key), [before, after_it], tolerance, &after.folder);
        }
    }
    Ok(())
}

fn gauge(context: &Context, evidence: &mut Evidence, chip: Chip) -> Result<(), Stop> {
    let look = || -> Result<Option<(f64, f64, bool)>, Stop> {
        let (Some(cell), Some(state)) =
            (chip.register(&context.board, 2)?, chip.register(&context.board, 4)?)
        else {
            return Ok(None);
        };
        let (volts, charge) = (battery::gauge_volts(cell.value), battery::gauge_percent(state.value));
        // Without a battery it measures nothing.
        Ok(Some((volts, charge.min(100.0), cell.has_driver)).filter(|(volts, ..)| *volts > 0.0))
    };
    let before = look()?;
    let sample = context.daemon.sample()?;
    let (Some((volts, charge, _)), Some((volts_after, charge_after, has_driver))) = (before, look()?) else {
        return battery_of_kernel(context, evidence, "no MAX17040 measures a battery");
    };
    let reported = |key: &str| sample.number(&format!("/diagnostics/ups/{key}"));
    let witness = |register| format!("the gauge's register {register}, read by i2ctransfer");
    let said = [volts, volts_after];
    evidence.number("diagnostics.ups.voltage", reported("voltage"), said, VOLT_TOLERANCE, &witness(2));
    let said = [charge, charge_after];
    let tolerance = if has_driver { KERNEL_CHARGE_TOLERANCE } else { CHARGE_TOLERANCE };
    evidence.number("diagnostics.ups.percent", reported("percent"), said, tolerance, &witness(4));
    // Its driver knows the same battery; without it the kernel knows others at most.
    if has_driver { battery_of_kernel(context, evidence, "a driver owns the MAX17040") } else { Ok(()) }
}

/// What nothing here tells must not be reported.
fn absent(reported: bool, why: &str) -> Result<(), Stop> {
    if reported {
        return Err(Stop::failed(format_args!(
            "diagnostics.ups is reported, but {why}, and the kernel knows no battery"
        )));
    }
    Err(Stop::skipped(format_args!("{why}, the kernel knows no battery, and diagnostics.ups is null")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(text: &str) -> Option<Supply> {
        supply_of(&text.parse().expect("TOML"))
    }

    #[test]
    fn finds_the_supply_in_what_check_config_prints() {
        let ina219 = "ups.preset = \"waveshare-3s\" # file\nups.bus = 1\nups.address = 0x41\n\
            ups.shunt_ohms = 0.01\nups.positive_current = \"charges\"\n";
        let chip = Chip { bus: 1, address: 0x41 };
        let expected = Supply::Ina219 { chip, shunt_ohms: 0.01, charges: true, cells: Some(3.0) };
        assert_eq!(supply(ina219), Some(expected));
        let chip = Chip { bus: 3, address: 0x36 };
        assert_eq!(supply("ups.preset = \"x120x\"\nups.bus = 3\n"), Some(Supply::Gauge { chip }));
        assert_eq!(supply("url = \"https://a\"\n"), None);
    }

    #[test]
    fn a_chip_that_is_away_must_not_be_reported() {
        assert!(matches!(absent(true, "no INA219 answers"), Err(Stop::Failed(_))));
        assert!(matches!(absent(false, "no INA219 answers"), Err(Stop::Skipped(_))));
    }

    #[test]
    fn a_charge_is_between_empty_and_full() {
        assert_eq!([2.5, 3.0, 4.2, 4.3].map(charge), [0.0, 0.0, 100.0, 100.0]);
        assert!((charge(3.6) - 50.0).abs() < 1e-9);
    }
}
