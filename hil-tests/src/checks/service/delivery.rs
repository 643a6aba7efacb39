//! Heartbeats of the installed service arrive, also after it was killed and after it froze.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill as send},
    unistd::Pid,
};

use super::trial::{BEAT_DEADLINE, INTERVAL, Plan, Trial};
use crate::{
    checks::Context,
    document::Document,
    finding::{Evidence, Stop},
};

/// How far a heartbeat may be from its place on the grid: a sample may take a second, and this board may be busy.
const GRID_TOLERANCE: f64 = 1.0;
/// So often the grid is looked at: a handshake on a slow board makes the heartbeats after it late. What has no grid never fits.
const GRID_LOOKS: u32 = 4;
/// So long a value may be missing that a sample has: what was too slow at the start is asked again after a minute.
const LOST_MAX: Duration = Duration::from_secs(90);

/// Heartbeats over TLS: valid, numbered, on their grid, of this board, with all values that a sample has.
pub(crate) fn delivery(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Trial::begin(context, Plan::default())?;
    // The first one knows nothing about the processor, and the grid begins with the second.
    trial.beat(context)?;
    let began = Instant::now();
    let mut from = trial.beat(context)?;
    let mut to = from.clone();
    for look in 1..=GRID_LOOKS {
        for _ in 0..3 {
            to = trial.beat(context)?;
        }
        let (Some(first), Some(last)) = (from.0.number("/seq"), to.0.number("/seq")) else { break };
        let took = to.1.duration_since(from.1).as_secs_f64();
        let expected = (last - first) * INTERVAL.as_secs_f64();
        if (took - expected).abs() <= GRID_TOLERANCE || look == GRID_LOOKS {
            let name = format!("seconds from seq {first} to {last}");
            evidence.number(&name, Some(took), [expected; 2], GRID_TOLERANCE, "the interval");
            evidence.text("boot_id", to.0.text("/boot_id"), from.0.text("/boot_id"), "the heartbeats before");
            break;
        }
        from = to.clone();
    }
    let (mut last, _) = to;
    let sample = context.daemon.sample()?;
    evidence.text(
        "hardwareid",
        last.text("/hardwareid"),
        sample.text("/hardwareid"),
        "a sample outside the sandbox",
    );
    while !lost(&sample, &last).is_empty() && began.elapsed() < LOST_MAX {
        (last, _) = trial.beat(context)?;
    }
    let lost = lost(&sample, &last);
    let named = if lost.is_empty() { "none".to_owned() } else { lost.join(" ") };
    evidence.holds(
        "values lost in the sandbox",
        named,
        "none",
        "a sample outside the sandbox",
        lost.is_empty(),
    );
    Ok(())
}

/// What a sample has and a heartbeat has not.
fn lost(sample: &Document, heartbeat: &Document) -> Vec<String> {
    sample.present().into_iter().filter(|pointer| !heartbeat.has(pointer)).collect()
}

/// Killed, it is started again and sends.
pub(crate) fn kill(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Trial::begin(context, Plan::default())?;
    comes_back(context, evidence, &trial, Signal::SIGKILL)
}

/// Seconds without a sign of life. The unit's own watchdog takes longer than one wants to wait.
const WATCHDOG_S: u32 = 10;

/// Frozen, the watchdog has it started again.
pub(crate) fn freeze(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Trial::begin(context, Plan { watchdog_s: Some(WATCHDOG_S), ..Plan::default() })?;
    comes_back(context, evidence, &trial, Signal::SIGSTOP)
}

fn comes_back(context: &Context, evidence: &mut Evidence, trial: &Trial, signal: Signal) -> Result<(), Stop> {
    let (before, _) = trial.beat(context)?;
    let old = trial.pid()?;
    let pid = i32::try_from(old).map_err(Stop::failed)?;
    send(Pid::from_raw(pid), signal).map_err(Stop::failed)?;
    trial.forget();
    let began = Instant::now();
    // One that was under way may still arrive.
    let after = loop {
        let (after, _) = trial.beat(context)?;
        if after.text("/boot_id") != before.text("/boot_id") || before.text("/boot_id").is_none() {
            break after;
        }
        if began.elapsed() > BEAT_DEADLINE {
            return Err(Stop::failed(format_args!("it goes on after {signal} as if nothing had happened")));
        }
    };
    let took = began.elapsed();
    let new = trial.pid()?;
    evidence.holds("process", new, format!("another than {old}"), "systemd", new != old);
    let within = BEAT_DEADLINE;
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    evidence.holds(
        "heartbeats again after",
        seconds(took),
        format!("at most {}", seconds(within)),
        "the receiver",
        took <= within,
    );
    evidence.text(
        "hardwareid",
        after.text("/hardwareid"),
        before.text("/hardwareid"),
        "the heartbeats before",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_sample_has_must_be_in_the_heartbeat() {
        let sample = Document(json!({ "temp": 48.8, "fan_rpm": null, "disk": { "percent": 1.0 } }));
        assert_eq!(
            lost(&sample, &Document(json!({ "temp": null, "disk": null }))),
            ["/temp", "/disk/percent"]
        );
        assert!(
            lost(&sample, &Document(json!({ "temp": 50.1, "disk": { "percent": 2.0 }, "cpu": 1 })))
                .is_empty()
        );
    }
}
