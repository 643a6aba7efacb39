//! The machine's clock jumps.

use std::time::{Duration, Instant};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};

use super::{
    installed,
    trial::{INTERVAL, Plan, Trial},
};
use crate::{
    checks::{Context, time::SET},
    finding::{Evidence, Stop},
};

/// Years to the future and to the past, as when a board without a clock learns the time.
const STEP: Duration = Duration::from_secs(3 * 365 * 24 * 3600);
/// A longer gap between heartbeats than this is not the board's slowness.
const GAP_MAX: f64 = 2.5 * INTERVAL.as_secs() as f64;
/// The first sample after a step is of the moment before or after.
const BEATS_AFTER: usize = 4;

/// Sets the clock back to what it would be.
struct Clock {
    real: Duration,
    began: Instant,
}

impl Clock {
    fn now() -> Result<Self, Stop> {
        let real = clock_gettime(ClockId::CLOCK_REALTIME).map_err(Stop::skipped)?;
        Ok(Self { real: real.into(), began: Instant::now() })
    }

    fn without_step(&self) -> Duration {
        self.real.saturating_add(self.began.elapsed())
    }

    fn set(time: Duration) -> Result<(), Stop> {
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(time))
            .map_err(|error| Stop::skipped(format_args!("the clock cannot be set: {error}")))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // It could be set before, so it can be set now.
        let _ = Self::set(self.without_step());
    }
}

/// The clock jumps forward and back by years; heartbeats keep their grid and tell the new time.
pub(crate) fn step(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    installed(context)?;
    if !context.may_step_clock {
        return Err(Stop::skipped("it would disturb other programs of this machine: --step-clock allows it"));
    }
    let trial = Trial::begin(context, Plan::default())?;
    trial.beat(context)?;
    let (_, mut last_at) = trial.beat(context)?;
    let pid = trial.pid()?;
    let clock = Clock::now()?;
    for (name, step) in [("forward", 1.0), ("back", -1.0)] {
        let wanted = clock.without_step().as_secs_f64() + step * STEP.as_secs_f64();
        Clock::set(Duration::from_secs_f64(wanted.max(0.0)))?;
        let mut longest: f64 = 0.0;
        let mut told = None;
        for _ in 0..BEATS_AFTER {
            let (document, at) = trial.beat(context)?;
            longest = longest.max(at.duration_since(last_at).as_secs_f64());
            last_at = at;
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
        let now = clock.without_step().as_secs_f64() + step * STEP.as_secs_f64();
        let name = format!("timestamp, {name}");
        // A clock that has not been set is not told.
        if now < SET && told.is_none() {
            evidence.holds(&name, "null", format!("{now:.0}, before 2024"), "the clock that was set", true);
        } else {
            evidence.number(&name, told, [now; 2], 5.0, "the clock that was set");
        }
    }
    evidence.holds("process", trial.pid()?, pid, "systemd", trial.pid()? == pid);
    Ok(())
}
