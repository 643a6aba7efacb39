//! Temperature, throttling and fan: what the firmware and the kernel's monitors tell.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Context, diagnostics, heard, nearest};
use crate::{
    finding::{Evidence, Stop},
    load::BusyLoop,
    program,
    witnesses::{firmware, hwmon},
};

/// How far two sensors of one chip may be apart, in degrees.
const TEMPERATURE_TOLERANCE: f64 = 2.0;
/// A rise that shows that a value follows, in degrees: more than the tolerance.
const RISE: f64 = 3.0;
/// How long a busy loop may take for it. What a chip does not do in this time its cooler prevents.
const RISE_DEADLINE: Duration = Duration::from_secs(12);

/// The temperature of the system-on-chip, idle and under load.
pub(super) fn temperature(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let said = compare_temperature(context, evidence)?;
    evidence.some_witness("no witness for the temperature")?;
    // A tree of files stands still, and so does the sensor of an emulator.
    let Some(cool) = said.filter(|_| context.board.is_live() && !context.options.is_emulated) else {
        return Ok(());
    };
    let _load = BusyLoop::on_all();
    let began = Instant::now();
    while began.elapsed() < RISE_DEADLINE {
        thread::sleep(Duration::from_secs(1));
        if look(context, evidence).any().is_some_and(|warm| warm >= cool + RISE) {
            compare_temperature(context, evidence)?;
            return Ok(());
        }
    }
    evidence.silent(format_args!("a value that stands still: the chip warms by less than {RISE} degrees"));
    Ok(())
}

/// What the witnesses say of the temperature.
struct Look {
    vcgencmd: Option<f64>,
    zones: Vec<(String, f64)>,
}

impl Look {
    fn any(&self) -> Option<f64> {
        self.vcgencmd.or_else(|| self.zones.first().map(|(_, degrees)| *degrees))
    }
}

fn look(context: &Context, evidence: &mut Evidence) -> Look {
    let answer = program::ask("vcgencmd", &["measure_temp"]);
    Look {
        vcgencmd: heard(evidence, "vcgencmd", answer, firmware::temperature),
        zones: hwmon::chip_zones(&context.board),
    }
}

/// The value beside `vcgencmd` and the zone, and these two beside each other. Returns what one of them says.
fn compare_temperature(context: &Context, evidence: &mut Evidence) -> Result<Option<f64>, Stop> {
    let before = look(context, evidence);
    let sample = context.daemon.sample()?;
    let after = look(context, evidence);
    let reported = sample.number("/temp");
    let firmware = before.vcgencmd.zip(after.vcgencmd).map(|(before, after)| [before, after]);
    if let Some(said) = firmware {
        evidence.number("temp", reported, said, TEMPERATURE_TOLERANCE, "vcgencmd measure_temp");
    }
    let reference = reported.or(after.vcgencmd);
    if let Some((path, said)) = nearest(&[before.zones, after.zones.clone()], reference) {
        evidence.number("temp", reported, said, TEMPERATURE_TOLERANCE, &path);
        if let Some(firmware) = firmware {
            let [_, zone] = said;
            let witness = "vcgencmd measure_temp, beside this zone";
            evidence.number(&path, Some(zone), firmware, TEMPERATURE_TOLERANCE, witness);
        }
    } else {
        evidence.silent("the kernel has no thermal zone that names the processor");
    }
    Ok(after.any())
}

/// Bits of the mask that stand for under-voltage: now, and since boot.
const UNDER_VOLTAGE: u32 = 0x1_0001;

/// The firmware's bit mask.
pub(super) fn throttled(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    diagnostics(context)?;
    let ask = |evidence: &mut Evidence| {
        heard(evidence, "vcgencmd", program::ask("vcgencmd", &["get_throttled"]), firmware::throttled)
    };
    let before = ask(evidence);
    let sample = context.daemon.sample()?;
    let after = ask(evidence);
    let reported = sample.number("/diagnostics/throttled");
    let shown = reported.map_or_else(|| "null".to_owned(), |mask| mask.to_string());
    if let (Some(before), Some(after)) = (before, after) {
        let agrees = reported.is_some_and(|mask| mask == f64::from(before) || mask == f64::from(after));
        evidence.holds("diagnostics.throttled", &shown, after, "vcgencmd get_throttled", agrees);
    }
    // The driver's alarm is under-voltage as of its last look, two seconds ago at most. Without an alarm there may have been one
    // since boot.
    let alarms = hwmon::attributes(&context.board, "in0_lcrit_alarm", |name| name == "rpi_volt");
    match alarms.first() {
        Some((path, alarm)) if *alarm > 0.0 => {
            let has_bit = |bit: u32| reported.is_some_and(|mask| has(mask, bit));
            let agrees = has_bit(UNDER_VOLTAGE);
            evidence.holds("diagnostics.throttled", &shown, "one with under-voltage", path, agrees);
        }
        Some((path, _)) => evidence.silent(format_args!("{path} tells no under-voltage now")),
        None => evidence.silent("the kernel has no rpi_volt"),
    }
    evidence.some_witness("the firmware does not tell about throttling")
}

/// Whether a mask, which JSON has as a number, has one of the bits.
fn has(mask: f64, bits: u32) -> bool {
    format!("{mask:.0}").parse::<u32>().is_ok_and(|mask| mask & bits != 0)
}

/// A fan's speed moves by so much between two looks, in rpm.
const FAN_TOLERANCE: f64 = 300.0;

/// The fan.
pub(super) fn fan(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = hwmon::fans(&context.board);
    let sample = context.daemon.sample()?;
    let after = hwmon::fans(&context.board);
    let reported = sample.number("/fan_rpm");
    if before.is_empty() && after.is_empty() {
        return match reported {
            None => Err(Stop::skipped("this machine has no fan with a tachometer that measures")),
            Some(rpm) => {
                Err(Stop::failed(format_args!("fan_rpm is {rpm}, but hwmon has no fan that measures")))
            }
        };
    }
    // Where several turn, the daemon may show any of them.
    let Some((path, said)) = nearest(&[before, after], reported) else {
        return Err(Stop::skipped("the fan has just begun to turn, or ended"));
    };
    evidence.number("fan_rpm", reported, said, FAN_TOLERANCE, &path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_the_bits_of_its_number() {
        assert!(has(f64::from(0x5_0005), UNDER_VOLTAGE) && has(1.0, UNDER_VOLTAGE));
        assert!(!has(f64::from(0x4_0000), UNDER_VOLTAGE) && !has(-1.0, UNDER_VOLTAGE) && !has(f64::NAN, 1));
    }
}
