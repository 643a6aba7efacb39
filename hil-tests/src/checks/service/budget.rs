//! What a heartbeat costs on this board.

use std::{fs, time::Instant};

use super::{
    status_of,
    trial::{INTERVAL, Plan, Trial},
};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
};

/// Heartbeats over which is measured.
const BEATS: u32 = 10;
/// Share of one processor at the default interval of 5 s that a heartbeat may take, in milliseconds of processor time.
const CPU_MS_MAX: f64 = 50.0;
/// Memory of its own and of the C library, in MiB; with pages of 16 KiB (Pi 5) it is more.
const MEMORY_MIB_MAX: f64 = 12.0;
/// Times that any of its threads runs, for one heartbeat.
const WAKE_UPS_MAX: f64 = 60.0;
/// The kernel counts processor time for programs in hundredths of a second (time(7), USER_HZ).
const TICK_MS: f64 = 10.0;

/// Processor time, memory and wake-ups per heartbeat, from the kernel's counters.
pub(crate) fn budget(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Trial::begin(context, Plan::default())?;
    // Start and handshake are not part of it.
    trial.beat(context)?;
    trial.beat(context)?;
    let pid = trial.pid()?;
    let before = (cpu_ticks(pid)?, switches(pid)?);
    let began = Instant::now();
    for _ in 0..BEATS {
        trial.beat(context)?;
    }
    let beats = f64::from(BEATS).max(began.elapsed().as_secs_f64() / INTERVAL.as_secs_f64());
    let after = (cpu_ticks(pid)?, switches(pid)?);
    let mut limit = |name: &str, value: f64, max: f64, unit: &str, witness: &str| {
        evidence.holds(
            name,
            format!("{value:.1} {unit}"),
            format!("at most {max} {unit}"),
            witness,
            value <= max,
        );
    };
    // A busy host makes an emulated processor slower than any limit.
    if !context.is_emulated {
        let time = (after.0 - before.0) * TICK_MS / beats;
        limit("processor time", time, CPU_MS_MAX, "ms per heartbeat", "/proc/PID/stat");
    }
    let resident = status_of(pid, "VmRSS")?;
    let resident: f64 =
        resident.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(f64::INFINITY);
    limit("resident memory", resident / 1024.0, MEMORY_MIB_MAX, "MiB", "/proc/PID/status");
    limit("wake-ups", (after.1 - before.1) / beats, WAKE_UPS_MAX, "per heartbeat", "/proc/PID/task/*/status");
    Ok(())
}

/// Time in user and kernel mode (proc_pid_stat(5), fields 14 and 15).
fn cpu_ticks(pid: u32) -> Result<f64, Stop> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| Stop::failed(format_args!("{path}: {error}")))?;
    ticks(&text).ok_or_else(|| Stop::skipped(format_args!("{path} is not understood")))
}

fn ticks(stat: &str) -> Option<f64> {
    // The name before may hold spaces and parentheses.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(number(11)? + number(12)?)
}

/// Context switches of all threads. Threads that end in between take theirs along.
fn switches(pid: u32) -> Result<f64, Stop> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(|error| Stop::failed(format_args!("{folder}: {error}")))?;
    let mut sum = 0.0;
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let counts = text.lines().filter_map(|line| {
            let (key, count) = line.split_once(':')?;
            key.ends_with("ctxt_switches").then(|| count.trim().parse::<f64>().ok()).flatten()
        });
        sum += counts.sum::<f64>();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_time_in_user_and_kernel_mode() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 299 0 5 0 30 12 0 0 20 0 4 0 1234";
        assert_eq!(ticks(stat), Some(42.0));
        assert_eq!(ticks("17 (a"), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_costs() {
        assert!(cpu_ticks(u32::MAX).is_err() && switches(u32::MAX).is_err());
        assert!(switches(std::process::id()).expect("it lives") > 0.0);
    }
}
