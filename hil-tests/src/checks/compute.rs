//! Processor, memory and disk.

use std::{thread, time::Duration};

use super::{Context, heard};
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    load::BusyLoop,
    program,
    witnesses::procps::{self, Ticks},
};

/// The load that a busy loop on all processors must show, in percent.
const BUSY_MIN: f64 = 90.0;
/// Two measurements over windows that do not fully overlap differ by so much, in percent of all processors.
const CPU_TOLERANCE: f64 = 25.0;
/// A load that leaves nothing to fall to, in percent.
const ALREADY_BUSY: f64 = 60.0;

/// The load rises under a busy loop and falls after it.
pub(super) fn cpu(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    // A tree of files stands still.
    if !context.board.is_live() {
        return Err(Stop::skipped("the files are not those of the running machine"));
    }
    let loaded = {
        let _load = BusyLoop::start();
        measured(context)?.0
    };
    let reported = loaded.number("/cpu");
    evidence.holds(
        "cpu under a busy loop",
        reported.map_or_else(|| "null".to_owned(), |cpu| format!("{cpu} %")),
        format!("at least {BUSY_MIN} %"),
        "a busy loop on all processors",
        reported.is_some_and(|cpu| cpu >= BUSY_MIN),
    );
    let (quiet, witness) = measured(context)?;
    evidence.number("cpu after it", quiet.number("/cpu"), [witness; 2], CPU_TOLERANCE, "/proc/stat");
    if witness > ALREADY_BUSY {
        return Err(Stop::skipped(format_args!("this machine is busy by itself, {witness:.0} %")));
    }
    let falls = quiet.number("/cpu").zip(reported).is_some_and(|(quiet, loaded)| quiet < loaded);
    evidence.holds("cpu falls", falls, true, "the end of the busy loop", falls);
    Ok(())
}

/// A sample, and the load while it was taken.
fn measured(context: &Context) -> Result<(Document, f64), Stop> {
    // What was started or has ended a moment ago is not measured.
    thread::sleep(Duration::from_millis(200));
    let look = || -> Result<Ticks, Stop> {
        procps::ticks(&context.board.read("/proc/stat")?)
            .ok_or_else(|| Stop::skipped("/proc/stat has no counters"))
    };
    let before = look()?;
    let sample = context.daemon.sample()?;
    let busy = before.busy_percent(look()?);
    Ok((sample, busy.ok_or_else(|| Stop::skipped("the counters of /proc/stat stand still"))?))
}

/// Memory moves between two looks, in percent of all memory.
const MEMORY_TOLERANCE: f64 = 2.5;

/// Memory in use.
pub(super) fn memory(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let free = |evidence: &mut Evidence| {
        heard(evidence, "free", program::ask("free", &["-k"]), procps::memory_percent)
    };
    let kernel = || {
        let meminfo = context.board.read("/proc/meminfo").ok()?;
        let total = procps::meminfo_kib(&meminfo, "MemTotal")?;
        Some((total - procps::meminfo_kib(&meminfo, "MemAvailable")?) / total * 100.0)
    };
    let before = (free(evidence), kernel());
    let sample = context.daemon.sample()?;
    let after = (free(evidence), kernel());
    let reported = sample.number("/mem");
    for (before, after, witness) in [(before.0, after.0, "free"), (before.1, after.1, "/proc/meminfo")] {
        if let (Some(before), Some(after)) = (before, after) {
            evidence.number("mem", reported, [before, after].map(tenths), MEMORY_TOLERANCE, witness);
        }
    }
    evidence.some_witness("no witness for the memory in use")
}

/// The filesystem of the setting `disk_path`.
pub(super) fn disk(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let path = context.settings()?.get("disk_path").and_then(|path| path.as_str()).unwrap_or("/").to_owned();
    let arguments = ["--block-size=1", "--output=size,used,pcent", &path];
    let look = |evidence: &mut Evidence| heard(evidence, "df", program::ask("df", &arguments), procps::disk);
    let before = look(evidence);
    let sample = context.daemon.sample()?;
    let after = look(evidence);
    if let (Some(before), Some(after)) = (before, after) {
        // `df` rounds up to a whole percent, so its half below is the middle of what it stands for.
        let middle = [before.percent, after.percent].map(|percent| percent - 0.5);
        evidence.number("disk.percent", sample.number("/disk/percent"), middle, 0.6, "df, which rounds up");
        let used = [before.used_gib, after.used_gib].map(hundredths);
        evidence.number("disk.used_gb", sample.number("/disk/used_gb"), used, 0.1, "df");
        let total = [before.total_gib, after.total_gib].map(hundredths);
        evidence.number("disk.total_gb", sample.number("/disk/total_gb"), total, 0.06, "df");
    }
    evidence.some_witness(&format!("df does not know {path}"))
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
