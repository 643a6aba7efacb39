//! Heartbeats of the installed service arrive, also after it was killed and after it froze.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill as send},
    unistd::Pid,
};

use super::{
    Unit,
    grid::Grid,
    trial::{BEAT_DEADLINE, INTERVAL, Plan, Trial},
};
use crate::{
    checks::Context,
    document::Document,
    finding::{Evidence, Stop},
};

/// Heartbeats over which the grid is judged: a drift of a twentieth of the interval takes most of them off it.
const BEATS: u32 = 16;
/// So long a value may be missing that a sample has: what was too slow at the start is asked again after a minute.
const LOST_MAX: Duration = Duration::from_secs(90);

/// Heartbeats over TLS: valid, numbered, on their grid, of this board, with all values that a sample has.
pub(crate) fn delivery(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Trial::begin(context, Plan::default())?;
    let began = Instant::now();
    // The first goes out at once, and tells what the board is, which the others do not.
    let (first, _) = trial.beat(context)?;
    let mut seen: BTreeSet<_> = first.present().into_iter().collect();
    let mut grid = Grid::default();
    let mut last = first.clone();
    let mut in_order = true;
    for _ in 0..BEATS {
        let (next, at) = trial.beat(context)?;
        in_order &= next.number("/seq").zip(last.number("/seq")).is_some_and(|(next, last)| next > last);
        grid.add(at);
        seen.extend(next.present());
        last = next;
    }
    grid.judge(INTERVAL, context.options.is_emulated, evidence);
    evidence.holds("seq counts up", in_order, true, "the receiver", in_order);
    evidence.text("boot_id", last.text("/boot_id"), first.text("/boot_id"), "the heartbeats before");
    let sample = context.daemon.sample()?;
    evidence.text(
        "hardwareid",
        last.text("/hardwareid"),
        sample.text("/hardwareid"),
        "a sample outside the sandbox",
    );
    while !lost(&sample, &seen).is_empty() && began.elapsed() < LOST_MAX {
        seen.extend(trial.beat(context)?.0.present());
    }
    let lost = lost(&sample, &seen);
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

/// Reasons why values are missing are those of the moment.
const REASONS: &str = "/diagnostics/unread/";

/// What a sample has and no heartbeat has had.
fn lost(sample: &Document, seen: &BTreeSet<String>) -> Vec<String> {
    let is_lost = |pointer: &String| !seen.contains(pointer) && !pointer.starts_with(REASONS);
    sample.present().into_iter().filter(is_lost).collect()
}

/// Killed, it is started again and sends.
pub(crate) fn kill(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    // A trial sets only how soon.
    let restart = context.unit.as_ref().map_err(Stop::skipped)?.property("Restart");
    let restarts = matches!(restart, "always" | "on-failure" | "on-abnormal" | "on-abort");
    evidence.holds("Restart", restart, "always", "the installed unit", restarts);
    let trial = Trial::begin(context, Plan::default())?;
    comes_back(context, evidence, &trial, Signal::SIGKILL)
}

/// Seconds without a sign of life. The unit's own watchdog takes longer than one wants to wait.
const WATCHDOG_S: u32 = 10;

/// Frozen, the watchdog has it started again.
pub(crate) fn freeze(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    // A trial sets only how soon.
    let watchdog = context.unit.as_ref().map_err(Stop::skipped)?.property("WatchdogUSec");
    evidence.holds("WatchdogUSec", watchdog, "a time", "the installed unit", is_time(watchdog));
    let trial = Trial::begin(context, Plan { watchdog_s: Some(WATCHDOG_S), ..Plan::default() })?;
    comes_back(context, evidence, &trial, Signal::SIGSTOP)
}

/// Whether systemd shows a time that is neither 0 nor without end.
fn is_time(shown: &str) -> bool {
    shown.contains(|digit: char| matches!(digit, '1'..='9'))
}

fn comes_back(context: &Context, evidence: &mut Evidence, trial: &Trial, signal: Signal) -> Result<(), Stop> {
    let (before, _) = trial.beat(context)?;
    let old = trial.pid()?;
    let restarts = restarts()?;
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
    let more = self::restarts()?;
    evidence.holds("NRestarts", more, format!("more than {restarts}"), "systemd", more > restarts);
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

/// How often systemd has started the service again by itself.
fn restarts() -> Result<u32, Stop> {
    let unit = Unit::find().map_err(Stop::failed)?;
    unit.property("NRestarts").parse().map_err(|_| Stop::skipped("systemd does not tell NRestarts"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_sample_has_must_be_in_a_heartbeat() {
        let sample = Document(json!({ "temp": 48.8, "fan_rpm": null, "disk": { "percent": 1.0 },
            "board": { "model": "x" }, "diagnostics": { "unread": { "fan_rpm": "timeout" } } }));
        let seen =
            |documents: &[Document]| documents.iter().flat_map(Document::present).collect::<BTreeSet<_>>();
        let [first, second] =
            [json!({ "temp": null, "board": { "model": "x" } }), json!({ "temp": 50.1, "disk": null })]
                .map(Document);
        assert_eq!(lost(&sample, &seen(std::slice::from_ref(&first))), ["/temp", "/disk/percent"]);
        assert_eq!(lost(&sample, &seen(&[first, second])), ["/disk/percent"]);
    }

    #[test]
    fn a_watchdog_without_a_time_is_none() {
        assert!(is_time("30s") && is_time("1min 30s"));
        assert!(!is_time("0") && !is_time("infinity") && !is_time(""));
    }
}
