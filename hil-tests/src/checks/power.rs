//! The power that the board draws.

use std::{thread, time::Duration};

use super::{
    Context,
    compute::is_already_busy,
    nearest,
    supply::{Supply, ina219, supply_of},
};
use crate::{
    finding::{Evidence, Stop},
    load::BusyLoop,
    program::{self, ProgramError},
    witnesses::{battery, firmware, hwmon, supply as kernel},
};

/// Watts that a board with its devices may draw.
const PHYSICAL: std::ops::RangeInclusive<f64> = 0.3..=40.0;
/// Power moves between looks that are made one after the other, by so many watts beside what they show.
const POWER_TOLERANCE: f64 = 0.3;
/// The same for a chip that is read beneath its driver, a moment later.
const LATER_TOLERANCE: f64 = 0.75;
/// What a busy loop adds at least, in watts.
const RISE_MIN: f64 = 0.1;

/// What is asked about the power says.
enum Said {
    /// These measure it: their names, and watts.
    Watts(Vec<(String, f64)>),
    /// Nothing measures it.
    Nothing,
    /// What comes before the others could not be asked, so that theirs may be another power.
    Unknown,
}

/// Who tells the power here, and how much. In the daemon's order, because they measure different things.
fn ask(context: &Context, evidence: &mut Evidence) -> Said {
    let supply = context.settings().ok().and_then(supply_of);
    if let Some(supply) = supply {
        match ina219(context, supply) {
            Ok(Some(measured)) if !measured.has_driver && measured.drawn_watts().is_some() => {
                let name = "the INA219, read by i2ctransfer".to_owned();
                return Said::Watts(measured.drawn_watts().map(|watts| (name, watts)).into_iter().collect());
            }
            Ok(_) => {}
            Err(Stop::Skipped(reason) | Stop::Failed(reason)) => {
                evidence.silent(reason);
                return Said::Unknown;
            }
        }
    }
    let monitors = hwmon::ina2xx_watts(&context.board, supply.and_then(Supply::positive_charges));
    if !monitors.is_empty() {
        return Said::Watts(monitors);
    }
    if let Some(found) = kernel::drawn_watts(&context.board) {
        return Said::Watts(vec![found]);
    }
    match program::ask("vcgencmd", &["pmic_read_adc"]) {
        Ok(text) => firmware::pmic_watts(&text).map_or(Said::Nothing, |watts| {
            Said::Watts(vec![("the rails of vcgencmd pmic_read_adc".to_owned(), watts)])
        }),
        // A board without a PMIC that measures.
        Err(ProgramError::Failed { said, .. }) if said.contains("error=") => Said::Nothing,
        Err(error) => {
            evidence.silent(error);
            Said::Unknown
        }
    }
}

/// Two looks one after the other, so that their difference shows how much the power moves by itself.
fn look_twice(context: &Context, evidence: &mut Evidence) -> [Said; 2] {
    let first = ask(context, evidence);
    // A tree of files stands still.
    if context.board.is_live() {
        thread::sleep(Duration::from_millis(200));
    }
    [first, ask(context, evidence)]
}

/// Power drawn.
pub(super) fn power(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = look_twice(context, evidence);
    let sample = context.daemon.sample()?;
    let after = look_twice(context, evidence);
    let reported = sample.number("/power");
    let mut looks = Vec::new();
    for said in before.into_iter().chain(after) {
        match said {
            Said::Watts(watts) => looks.push(watts),
            Said::Nothing => looks.push(Vec::new()),
            Said::Unknown => return evidence.some_witness("what may measure the power cannot be asked"),
        }
    }
    if looks.iter().all(Vec::is_empty) {
        return match reported {
            None => Err(Stop::skipped("nothing measures the power of this machine")),
            Some(watts) => Err(Stop::failed(format_args!("power is {watts}, but nothing here measures it"))),
        };
    }
    let Some((name, said)) = nearest(&looks, reported) else {
        return Err(Stop::skipped("what measures the power has changed between two looks"));
    };
    evidence.number("power", reported, said, POWER_TOLERANCE + said[1].abs() * 0.05, &name);
    if let Some((chip, shunt_ohms)) = hwmon::ina219_of(&context.board, &name) {
        match (chip.register(&context.board, 2), chip.register(&context.board, 1)) {
            (Ok(Some(bus)), Ok(Some(shunt))) => {
                let volts = battery::ina219_volts(bus.value);
                let watts = (volts * battery::ina219_amperes(shunt.value, shunt_ohms)).abs();
                let tolerance = LATER_TOLERANCE + watts * 0.1;
                evidence.number("power", reported, [watts; 2], tolerance, "i2ctransfer, beneath its driver");
            }
            (Err(Stop::Skipped(reason) | Stop::Failed(reason)), _) => evidence.silent(reason),
            _ => evidence.silent("the INA219 does not answer i2ctransfer beneath its driver"),
        }
    }
    if name.contains("pmic") && context.board.is_live() {
        under_load(context, evidence, reported)
    } else {
        Ok(())
    }
}

/// The PMIC feeds the processor, so that its load shows.
fn under_load(context: &Context, evidence: &mut Evidence, idle: Option<f64>) -> Result<(), Stop> {
    let shown = |watts: Option<f64>| watts.map_or_else(|| "null".to_owned(), |watts| format!("{watts} W"));
    let physical = format!("{} to {} W", PHYSICAL.start(), PHYSICAL.end());
    let possible = idle.is_some_and(|watts| PHYSICAL.contains(&watts));
    evidence.holds("power", shown(idle), physical, "what a board can draw", possible);
    if is_already_busy(context) {
        evidence.silent("a power that rises under load: this machine is busy by itself");
        return Ok(());
    }
    let loaded = {
        let _load = BusyLoop::on_all();
        thread::sleep(Duration::from_secs(1));
        context.daemon.sample()?.number("/power")
    };
    let rises = loaded.zip(idle).is_some_and(|(loaded, idle)| loaded >= idle + RISE_MIN);
    let expected = format!("at least {RISE_MIN} W more than {}", shown(idle));
    evidence.holds("power under load", shown(loaded), expected, "a busy loop on all processors", rises);
    Ok(())
}
