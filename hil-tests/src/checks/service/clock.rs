//! The machine's clock jumps.

use std::time::Duration;

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};

use super::{
    grid::Grid,
    installed,
    trial::{INTERVAL, Plan, Trial},
};
use crate::{
    checks::{Context, time::SET},
    finding::{Evidence, Stop},
    undo::{self, Change},
};

/// Years to the future, as when a board without a clock learns the time.
const FORWARD: Duration = Duration::from_secs(3 * 365 * 24 * 3600);
/// 2001-01-01: a time at which no clock is that has been set, whenever this runs.
const PAST: Duration = Duration::from_secs(978_307_200);
/// A longer gap between heartbeats than this is not the board's slowness.
const GAP_MAX: f64 = 2.5 * INTERVAL.as_secs() as f64;
/// Heartbeats after each jump. The first sample after it may be of the moment before.
const BEATS_AFTER: usize = 8;

/// Sets the clock back to what it would be.
struct Clock(Change);

impl Clock {
    fn noted() -> Result<Self, Stop> {
        let change = Change::clock().map_err(Stop::skipped)?;
        undo::note(change.clone()).map_err(Stop::skipped)?;
        Ok(Self(change))
    }

    fn set(time: Duration) -> Result<(), Stop> {
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(time))
            .map_err(|error| Stop::skipped(format_args!("the clock cannot be set: {error}")))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // Noted as long as it has not been done.
        if self.0.undo().is_ok() {
            undo::forget(&self.0);
        }
    }
}

fn now(clock: ClockId) -> Result<Duration, Stop> {
    clock_gettime(clock).map(Duration::from).map_err(Stop::skipped)
}

/// The clock jumps to the future and to the past; heartbeats keep their grid and tell the new time.
pub(crate) fn step(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    installed(context)?;
    if !context.options.may_step_clock {
        return Err(Stop::skipped("it would disturb other programs of this machine: --step-clock allows it"));
    }
    let trial = Trial::begin(context, Plan::default())?;
    trial.beat(context)?;
    let (_, mut last_at) = trial.beat(context)?;
    let mut grid = Grid::default();
    grid.add(last_at);
    let pid = trial.pid()?;
    let _clock = Clock::noted()?;
    let future = now(ClockId::CLOCK_REALTIME)?.saturating_add(FORWARD);
    for (name, wanted) in [("forward", future), ("back", PAST)] {
        Clock::set(wanted)?;
        let set_at = now(ClockId::CLOCK_BOOTTIME)?;
        let mut longest: f64 = 0.0;
        let mut told = None;
        for _ in 0..BEATS_AFTER {
            let (document, at) = trial.beat(context)?;
            longest = longest.max(at.duration_since(last_at).as_secs_f64());
            last_at = at;
            grid.add(at);
            told = document.number("/timestamp");
        }
        let gap = format!("{longest:.1} s");
        evidence.holds(
            &format!("longest gap, {name}"),
            gap,
            format!("at most {GAP_MAX} s"),
            "the receiver",
            longest <= GAP_MAX,
        );
        let passed = now(ClockId::CLOCK_BOOTTIME)?.saturating_sub(set_at);
        let now = wanted.saturating_add(passed).as_secs_f64();
        let name = format!("timestamp, {name}");
        if now < SET {
            // A clock that has not been set is not told.
            let shown = told.map_or_else(|| "null".to_owned(), |time| time.to_string());
            evidence.holds(&name, shown, "null before 2026", "the clock that was set", told.is_none());
        } else {
            evidence.number(&name, told, [now; 2], 5.0, "the clock that was set");
        }
    }
    grid.judge(INTERVAL, context.options.is_emulated, evidence);
    evidence.holds("process", trial.pid()?, pid, "systemd", trial.pid()? == pid);
    Ok(())
}
