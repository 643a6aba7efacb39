//! Power, and the battery of an uninterruptible supply.

use std::{thread, time::Duration};

use toml::{Table, Value};

use super::{Context, heard};
use crate::{
    finding::{Evidence, Stop},
    load::BusyLoop,
    program,
    witnesses::{
        battery::{self, Chip, GAUGE_ADDRESS},
        firmware, hwmon, supply as kernel,
    },
};

/// Watts that a board with its devices may draw.
const PHYSICAL: std::ops::RangeInclusive<f64> = 0.3..=40.0;
/// Power moves between two looks, by so many watts.
const POWER_TOLERANCE: f64 = 0.75;
/// What a busy loop adds at least, in watts.
const RISE_MIN: f64 = 0.1;
/// A battery's voltage moves between two looks, by so many volts.
const VOLT_TOLERANCE: f64 = 0.05;
/// A gauge's charge moves between two looks, by so many percent.
const CHARGE_TOLERANCE: f64 = 0.6;
/// The kernel tells whole percents.
const KERNEL_CHARGE_TOLERANCE: f64 = 1.1;

/// The supply of the section `[ups]` of the settings.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Supply {
    Ina219 { chip: Chip, shunt_ohms: f64, charges: bool },
    Gauge { chip: Chip },
}

/// What the settings say about the supply.
fn supply_of(settings: &Table) -> Option<Supply> {
    let ups = settings.get("ups").and_then(Value::as_table)?;
    let bus = ups.get("bus").and_then(Value::as_integer)?;
    match ups.get("address").and_then(Value::as_integer) {
        Some(address) => Some(Supply::Ina219 {
            chip: Chip { bus, address },
            shunt_ohms: ups.get("shunt_ohms").and_then(Value::as_float)?,
            charges: ups.get("positive_current").and_then(Value::as_str)? == "charges",
        }),
        None => Some(Supply::Gauge { chip: Chip { bus, address: GAUGE_ADDRESS } }),
    }
}

/// Volts and drawn watts of an INA219, `None` while it is charged or away.
fn ina219(context: &Context, supply: Supply) -> Result<Option<(f64, Option<f64>)>, Stop> {
    let Supply::Ina219 { chip, shunt_ohms, charges } = supply else { return Ok(None) };
    let (Some(bus), Some(shunt)) = (chip.register(&context.board, 2)?, chip.register(&context.board, 1)?)
    else {
        return Ok(None);
    };
    let volts = battery::ina219_volts(bus);
    let watts = volts * battery::ina219_amperes(shunt, shunt_ohms) * if charges { -1.0 } else { 1.0 };
    Ok(Some((volts, Some(watts).filter(|drawn| *drawn >= hwmon::DRAWN_MIN))))
}

/// Who tells the power here, and how much. In the daemon's order, because they measure different things.
fn witness(context: &Context, evidence: &mut Evidence) -> Option<(String, f64)> {
    let supply = context.settings().ok().and_then(supply_of);
    if let Some(supply) = supply {
        match ina219(context, supply) {
            Ok(Some((_, Some(watts)))) => return Some(("the INA219, read by i2ctransfer".to_owned(), watts)),
            Ok(_) => evidence.silent("no INA219 measures a current that is drawn"),
            Err(Stop::Skipped(reason) | Stop::Failed(reason)) => evidence.silent(reason),
        }
    }
    let positive_charges = supply.and_then(|supply| match supply {
        Supply::Ina219 { charges, .. } => Some(charges),
        Supply::Gauge { .. } => None,
    });
    let monitor = hwmon::ina2xx_watts(&context.board, positive_charges);
    monitor.or_else(|| kernel::drawn_watts(&context.board)).or_else(|| {
        let answer = program::ask("vcgencmd", &["pmic_read_adc"]);
        let watts = heard(evidence, "vcgencmd", answer, firmware::pmic_watts)?;
        Some(("the rails of vcgencmd pmic_read_adc".to_owned(), watts))
    })
}

/// Power drawn.
pub(super) fn power(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = witness(context, evidence);
    let sample = context.daemon.sample()?;
    let reported = sample.number("/power");
    let (Some((name, before)), Some((_, after))) = (before, witness(context, evidence)) else {
        return match reported {
            None => evidence.some_witness("nothing measures the power of this machine"),
            Some(watts) => Err(Stop::failed(format_args!("power is {watts}, but nothing here measures it"))),
        };
    };
    evidence.number("power", reported, [before, after], POWER_TOLERANCE + before.abs() * 0.1, &name);
    if !name.contains("pmic") || !context.board.is_live() {
        return Ok(());
    }
    // The PMIC feeds the processor, so that its load shows.
    let shown = |watts: Option<f64>| watts.map_or_else(|| "null".to_owned(), |watts| format!("{watts} W"));
    let physical = format!("{} to {} W", PHYSICAL.start(), PHYSICAL.end());
    let possible = reported.is_some_and(|watts| PHYSICAL.contains(&watts));
    evidence.holds("power", shown(reported), physical, "what a board can draw", possible);
    let loaded = {
        let _load = BusyLoop::start();
        thread::sleep(Duration::from_secs(1));
        context.daemon.sample()?.number("/power")
    };
    let rises = loaded.zip(reported).is_some_and(|(loaded, idle)| loaded >= idle + RISE_MIN);
    let expected = format!("at least {RISE_MIN} W more than {}", shown(reported));
    evidence.holds("power under load", shown(loaded), expected, "a busy loop on all processors", rises);
    Ok(())
}

/// The battery's voltage and charge: of the chip that is configured, else of the battery that the kernel knows.
pub(super) fn supply(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    match supply_of(context.settings()?) {
        Some(supply @ Supply::Ina219 { .. }) => monitor(context, evidence, supply),
        Some(Supply::Gauge { chip }) => gauge(context, evidence, chip),
        None => battery_of_kernel(context, evidence, "no supply is configured (ups.preset)"),
    }
}

fn monitor(context: &Context, evidence: &mut Evidence, supply: Supply) -> Result<(), Stop> {
    let before = ina219(context, supply)?;
    let sample = context.daemon.sample()?;
    let (Some((before, _)), Some((after, _))) = (before, ina219(context, supply)?) else {
        return battery_of_kernel(context, evidence, "no INA219 answers");
    };
    let reported = sample.number("/diagnostics/ups/voltage");
    let witness = "the INA219's register 2, read by i2ctransfer";
    evidence.number("diagnostics.ups.voltage", reported, [before, after], VOLT_TOLERANCE, witness);
    Ok(())
}

/// The battery that the kernel knows takes the place of a chip that is not there.
fn battery_of_kernel(context: &Context, evidence: &mut Evidence, why: &str) -> Result<(), Stop> {
    let before = kernel::battery(&context.board);
    let sample = context.daemon.sample()?;
    let (Some(before), Some(after)) = (before, kernel::battery(&context.board)) else {
        return absent(sample.has("/diagnostics/ups"), why);
    };
    let folder = &after.folder;
    for (key, said, tolerance) in [
        ("voltage", before.volts.zip(after.volts), VOLT_TOLERANCE),
        ("percent", before.percent.zip(after.percent), KERNEL_CHARGE_TOLERANCE),
    ] {
        if let Some((before, after)) = said {
            let reported = sample.number(&format!("/diagnostics/ups/{key}"));
            let name = format!("diagnostics.ups.{key}");
            evidence.number(&name, reported, [before, after], tolerance, folder);
        }
    }
    Ok(())
}

fn gauge(context: &Context, evidence: &mut Evidence, chip: Chip) -> Result<(), Stop> {
    let look = || -> Result<Option<[f64; 2]>, Stop> {
        let volts = chip.register(&context.board, 2)?.map(battery::gauge_volts);
        let charge = chip.register(&context.board, 4)?.map(battery::gauge_percent);
        Ok(volts.zip(charge).map(|(volts, charge)| [volts, charge.min(100.0)]))
    };
    let before = look()?;
    let sample = context.daemon.sample()?;
    let (Some([volts, charge]), Some([volts_after, charge_after])) = (before, look()?) else {
        return battery_of_kernel(context, evidence, "no MAX17040 answers");
    };
    let reported = |key: &str| sample.number(&format!("/diagnostics/ups/{key}"));
    let witness = |register| format!("the gauge's register {register}, read by i2ctransfer");
    let said = [volts, volts_after];
    evidence.number("diagnostics.ups.voltage", reported("voltage"), said, VOLT_TOLERANCE, &witness(2));
    let said = [charge, charge_after];
    evidence.number("diagnostics.ups.percent", reported("percent"), said, CHARGE_TOLERANCE, &witness(4));
    // A driver that knows the same battery, on a board that has one beside.
    let battery = kernel::battery(&context.board).filter(|battery| battery.folder.contains("max17"));
    if let Some((said, folder)) = battery.and_then(|battery| battery.percent.zip(Some(battery.folder))) {
        let name = "diagnostics.ups.percent";
        evidence.number(name, reported("percent"), [said; 2], KERNEL_CHARGE_TOLERANCE, &folder);
    }
    Ok(())
}

/// What nothing here tells must not be reported.
fn absent(reported: bool, why: &str) -> Result<(), Stop> {
    if reported {
        return Err(Stop::failed(format_args!(
            "diagnostics.ups is reported, but {why}, and the kernel knows no battery"
        )));
    }
    Err(Stop::skipped(format_args!("{why}, and diagnostics.ups is null")))
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
        assert_eq!(supply(ina219), Some(Supply::Ina219 { chip, shunt_ohms: 0.01, charges: true }));
        let chip = Chip { bus: 3, address: 0x36 };
        assert_eq!(supply("ups.preset = \"x120x\"\nups.bus = 3\n"), Some(Supply::Gauge { chip }));
        assert_eq!(supply("url = \"https://a\"\n"), None);
    }

    #[test]
    fn a_chip_that_is_away_must_not_be_reported() {
        assert!(matches!(absent(true, "no INA219 answers"), Err(Stop::Failed(_))));
        assert!(matches!(absent(false, "no INA219 answers"), Err(Stop::Skipped(_))));
    }
}
