//! Uptime and clock.

use std::{thread, time::Duration};

use nix::time::{ClockId, clock_gettime};

use super::{Context, heard};
use crate::{
    finding::{Evidence, Stop},
    program,
};

/// Uptime in whole seconds, beside the kernel's file and its clock; it goes on.
pub(super) fn uptime(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let file = || -> Option<f64> {
        context.board.read("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()
    };
    let clock = || {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        Some(Duration::from(now).as_secs_f64())
    };
    for _ in 0..2 {
        let before = (file(), clock());
        let sample = context.daemon.sample()?;
        let after = (file(), clock());
        let reported = sample.number("/uptime_s");
        if reported.is_none()
            && context.settings()?.get("diagnostics").and_then(toml::Value::as_bool) == Some(false)
        {
            return Err(Stop::skipped("the setting diagnostics = false turns uptime_s off"));
        }
        for (before, after, witness) in
            [(before.0, after.0, "/proc/uptime"), (before.1, after.1, "CLOCK_BOOTTIME")]
        {
            if let (Some(before), Some(after)) = (before, after) {
                // Cut to whole seconds. A container may have its own file.
                evidence.number("uptime_s", reported, [before.floor(), after.floor()], 0.0, witness);
            }
        }
        // The next second, so that a value that stands still is seen.
        thread::sleep(Duration::from_millis(1100));
    }
    evidence.some_witness("no witness for the uptime")
}

/// 2026-01-01: an older time is a clock that has not been set (doc/protocol.md, `timestamp`).
pub(crate) const SET: f64 = 1_767_225_600.0;

/// The timestamp lies between two looks at the clock.
pub(super) fn clock(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let ask = |evidence: &mut Evidence| {
        heard(evidence, "date", program::ask("date", &["+%s.%3N"]), |text| text.trim().parse::<f64>().ok())
    };
    let before = ask(evidence);
    let sample = context.daemon.sample()?;
    let (Some(before), Some(after)) = (before, ask(evidence)) else {
        return evidence.some_witness("date does not tell the time");
    };
    match sample.number("/timestamp") {
        None if after < SET => {
            evidence.holds("timestamp", "null", format!("{after}, which has not been set"), "date", true);
        }
        // Printed with three digits.
        reported => evidence.number("timestamp", reported, [before, after], 0.001, "date, before and after"),
    }
    Ok(())
}
