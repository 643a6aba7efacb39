//! Temperature, throttling and fan: what the firmware and the kernel's monitors tell.

use super::{Context, heard};
use crate::{
    finding::{Evidence, Stop},
    program,
    witnesses::{firmware, hwmon},
};

/// How far two sensors of one chip may be apart, in degrees.
const TEMPERATURE_TOLERANCE: f64 = 2.0;

/// The temperature of the system-on-chip.
pub(super) fn temperature(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let ask = |evidence: &mut Evidence| {
        heard(evidence, "vcgencmd", program::ask("vcgencmd", &["measure_temp"]), firmware::temperature)
    };
    let before = (ask(evidence), hwmon::chip_zone(&context.board));
    let sample = context.daemon.sample()?;
    let after = (ask(evidence), hwmon::chip_zone(&context.board));
    let reported = sample.number("/temp");
    if let (Some(before), Some(after)) = (before.0, after.0) {
        evidence.number("temp", reported, [before, after], TEMPERATURE_TOLERANCE, "vcgencmd measure_temp");
    }
    if let (Some((path, before)), Some((_, after))) = (before.1, after.1) {
        evidence.number("temp", reported, [before, after], TEMPERATURE_TOLERANCE, &path);
    } else {
        evidence.silent("the kernel has no thermal zone");
    }
    evidence.some_witness("no witness for the temperature")
}

/// Bits of the mask that stand for under-voltage: now, and since boot.
const UNDER_VOLTAGE: u32 = 0x1_0001;

/// The firmware's bit mask.
pub(super) fn throttled(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let ask = |evidence: &mut Evidence| {
        heard(evidence, "vcgencmd", program::ask("vcgencmd", &["get_throttled"]), firmware::throttled)
    };
    let before = ask(evidence);
    let sample = context.daemon.sample()?;
    let after = ask(evidence);
    let reported = sample.number("/diagnostics/throttled");
    if let (Some(before), Some(after)) = (before, after) {
        let shown = reported.map_or_else(|| "null".to_owned(), |mask| format!("{mask}"));
        let agrees = reported.is_some_and(|mask| mask == f64::from(before) || mask == f64::from(after));
        evidence.holds("diagnostics.throttled", shown, after, "vcgencmd get_throttled", agrees);
    }
    // The driver's alarm is under-voltage as of its last look, two seconds ago at most.
    let alarms = hwmon::attributes(&context.board, "in0_lcrit_alarm", |name| name == "rpi_volt");
    if let (Some((path, alarm)), Some(after)) = (alarms.first(), after)
        && *alarm > 0.0
    {
        let agrees = after & UNDER_VOLTAGE != 0;
        evidence.holds("under-voltage", agrees, true, path, agrees);
    }
    evidence.some_witness("the firmware does not tell about throttling")
}

/// A fan's speed moves by so much between two looks, in rpm.
const FAN_TOLERANCE: f64 = 300.0;

/// The fan.
pub(super) fn fan(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = hwmon::fans(&context.board);
    let sample = context.daemon.sample()?;
    let after = hwmon::fans(&context.board);
    let reported = sample.number("/fan_rpm");
    let Some((path, _)) = before.first() else {
        return match reported {
            None => Err(Stop::skipped("this machine has no fan with a tachometer")),
            Some(rpm) => {
                Err(Stop::failed(format_args!("fan_rpm is {rpm}, but hwmon has no fan with a tachometer")))
            }
        };
    };
    // Where there are several, the daemon may show any of them.
    let nearest = before.iter().zip(&after).min_by(|(a, _), (b, _)| {
        let distance = |rpm: f64| (rpm - reported.unwrap_or(0.0)).abs();
        distance(a.1).total_cmp(&distance(b.1))
    });
    if let Some(((_, before), (_, after))) = nearest {
        evidence.number("fan_rpm", reported, [*before, *after], FAN_TOLERANCE, path);
    }
    Ok(())
}
