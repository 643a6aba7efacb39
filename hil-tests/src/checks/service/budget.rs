//! What a heartbeat costs on this board.

use std::{collections::HashMap, ffi::OsString, fs, time::Instant};

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
/// Twice the memory of the packaged program after 60 heartbeats (ARCHITECTURE.md), in MiB; with pages of 16 KiB (Pi 5) it is more.
const MEMORY_MIB_MAX: f64 = 6.0;
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
    let before = cpu_ticks(pid)?;
    let mut switches = Switches::default();
    switches.look(pid)?;
    let began = Instant::now();
    for _ in 0..BEATS {
        trial.beat(context)?;
        switches.look(pid)?;
    }
    let beats = f64::from(BEATS).max(began.elapsed().as_secs_f64() / INTERVAL.as_secs_f64());
    let after = cpu_ticks(pid)?;
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
    if !context.options.is_emulated {
        let time = (after - before) * TICK_MS / beats;
        limit("processor time", time, CPU_MS_MAX, "ms per heartbeat, with programs", "/proc/PID/stat");
    }
    let resident = status_of(pid, "VmRSS")?;
    let resident: f64 =
        resident.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(f64::INFINITY);
    limit("resident memory", resident / 1024.0, MEMORY_MIB_MAX, "MiB", "/proc/PID/status");
    let wake_ups = switches.sum() / beats;
    limit("wake-ups", wake_ups, WAKE_UPS_MAX, "per heartbeat", "/proc/PID/task/*/status");
    Ok(())
}

/// Time in user and kernel mode, of the process and of the programs that it ran (proc_pid_stat(5), fields 14 to 17).
fn cpu_ticks(pid: u32) -> Result<f64, Stop> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| Stop::failed(format_args!("{path}: {error}")))?;
    ticks(&text).ok_or_else(|| Stop::skipped(format_args!("{path} is not understood")))
}

fn ticks(stat: &str) -> Option<f64> {
    // The name before may hold spaces and parentheses.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(number(11)? + number(12)? + number(13)? + number(14)?)
}

/// Context switches of all threads that were seen, those that have ended included.
#[derive(Debug, Default)]
struct Switches {
    /// For each thread: when it was seen first, and last.
    threads: HashMap<OsString, [f64; 2]>,
    has_looked: bool,
}

impl Switches {
    fn look(&mut self, pid: u32) -> Result<(), Stop> {
        let folder = format!("/proc/{pid}/task");
        let threads =
            fs::read_dir(&folder).map_err(|error| Stop::failed(format_args!("{folder}: {error}")))?;
        for thread in threads.flatten() {
            // It may end meanwhile.
            let Ok(text) = fs::read_to_string(thread.path().join("status")) else { continue };
            self.add(thread.file_name(), &text);
        }
        self.has_looked = true;
        Ok(())
    }

    fn add(&mut self, thread: OsString, status: &str) {
        let counts = status.lines().filter_map(|line| {
            let (key, count) = line.split_once(':')?;
            key.ends_with("ctxt_switches").then(|| count.trim().parse::<f64>().ok()).flatten()
        });
        let now: f64 = counts.sum();
        // One that began after the first look has all its switches in between.
        let from = if self.has_looked { 0.0 } else { now };
        self.threads.entry(thread).or_insert([from, now])[1] = now;
    }

    /// How many there were since the first look.
    fn sum(&self) -> f64 {
        self.threads.values().map(|[from, to]| to - from).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_time_in_user_and_kernel_mode() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 299 0 5 0 30 12 2 1 20 0 4 0 1234";
        assert_eq!(ticks(stat), Some(45.0));
        assert_eq!(ticks("17 (a"), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_costs() {
        assert!(cpu_ticks(u32::MAX).is_err() && Switches::default().look(u32::MAX).is_err());
    }

    #[test]
    fn switches_of_threads_that_begin_and_end_count() {
        let status = |voluntary: u32| {
            format!("Name:\tx\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t1\n")
        };
        let mut switches = Switches::default();
        switches.add("17".into(), &status(100));
        switches.has_looked = true;
        switches.add("17".into(), &status(110));
        switches.add("18".into(), &status(4));
        switches.add("17".into(), &status(120));
        assert_eq!(switches.sum(), 25.0);
    }
}
