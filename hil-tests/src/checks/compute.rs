//! Processor, memory and disk.

use std::{fs, hint::black_box, io, os::unix::fs::OpenOptionsExt, thread, time::Duration};

use nix::{
    fcntl::{FallocateFlags, fallocate},
    libc,
};

use super::{Context, heard};
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    load::{self, BusyLoop},
    program,
    witnesses::procps::{self, Disk, Ticks},
};

/// The load that a busy loop on all processors must show, in percent.
const BUSY_MIN: f64 = 90.0;
/// Two measurements of a steady load over windows that do not fully overlap differ by so much, in percent of all processors.
const LOADED_TOLERANCE: f64 = 10.0;
/// The same without such a load, or of an emulated processor: there the start of the daemon weighs more, which is in the window
/// of the witness alone.
const QUIET_TOLERANCE: f64 = 25.0;
/// A load that leaves nothing to fall to, in percent.
const ALREADY_BUSY: f64 = 60.0;

/// The load under a busy loop on all processors, on half of them, and after it.
pub(super) fn cpu(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    // A tree of files stands still.
    if !context.board.is_live() {
        return Err(Stop::skipped("the files are not those of the running machine"));
    }
    let tolerance = if context.options.is_emulated { QUIET_TOLERANCE } else { LOADED_TOLERANCE };
    let loaded = {
        let _load = BusyLoop::on_all();
        let (sample, said) = measured(context)?;
        evidence.number(
            "cpu",
            sample.number("/cpu"),
            [said; 2],
            tolerance,
            "/proc/stat, all processors busy",
        );
        sample.number("/cpu")
    };
    let expected = BUSY_MIN * usable_share(context);
    evidence.holds(
        "cpu",
        loaded.map_or_else(|| "null".to_owned(), |cpu| format!("{cpu} %")),
        format!("at least {expected:.0} %"),
        "a busy loop on all processors that this program may use",
        loaded.is_some_and(|cpu| cpu >= expected),
    );
    {
        let _load = BusyLoop::on_half();
        let (sample, said) = measured(context)?;
        evidence.number("cpu", sample.number("/cpu"), [said; 2], tolerance, "/proc/stat, half of them busy");
    }
    let (quiet, said) = measured(context)?;
    let quiet = quiet.number("/cpu");
    evidence.number("cpu", quiet, [said; 2], QUIET_TOLERANCE, "/proc/stat, after the busy loop");
    if said > ALREADY_BUSY {
        evidence.silent(format_args!("a load that falls: this machine is busy by itself, {said:.0} %"));
        return Ok(());
    }
    let falls = quiet.zip(loaded).is_some_and(|(quiet, loaded)| quiet < loaded);
    evidence.holds("cpu falls", falls, true, "the end of the busy loop", falls);
    Ok(())
}

/// The share of the processors that this program may use: others can be kept apart (`isolcpus`).
fn usable_share(context: &Context) -> f64 {
    let all = context.board.read("/proc/stat").map_or(0, |stat| procps::processors(&stat));
    let count = |number: usize| u32::try_from(number).map_or(1.0, f64::from);
    (count(load::processors()) / count(all.max(1))).min(1.0)
}

/// Whether the machine is busy by itself, so that a busy loop adds nothing that could be seen.
pub(super) fn is_already_busy(context: &Context) -> bool {
    let look = || context.board.read("/proc/stat").ok().and_then(|stat| procps::ticks(&stat));
    let before = look();
    thread::sleep(Duration::from_millis(500));
    let busy = before.zip(look()).and_then(|(before, after)| before.busy_percent(after));
    busy.is_some_and(|busy| busy > ALREADY_BUSY)
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
/// What is taken so that a value that stands still is seen, in percent of all memory.
const MEMORY_TAKEN: u32 = 5;
/// What must be left when it is taken, in percent.
const MEMORY_SPARE: u32 = 15;

/// Memory in use, which rises when some is taken.
pub(super) fn memory(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = compare_memory(context, evidence)?;
    evidence.some_witness("no witness for the memory in use")?;
    if !context.board.is_live() {
        return Ok(());
    }
    let meminfo = context.board.read("/proc/meminfo")?;
    let known = procps::meminfo_kib(&meminfo, "MemTotal").zip(procps::meminfo_kib(&meminfo, "MemAvailable"));
    let Some((total, available)) = known else { return Ok(()) };
    if available < total / 100 * (MEMORY_TAKEN + MEMORY_SPARE) {
        evidence.silent("a use that rises: too little memory is available");
        return Ok(());
    }
    let kib = usize::try_from(total / 100 * MEMORY_TAKEN).unwrap_or_default();
    // Written to, because memory that was only asked for is not in use.
    let taken = black_box(vec![1_u8; kib * 1024]);
    let after = compare_memory(context, evidence)?;
    drop(taken);
    let rise = before.zip(after).map(|(before, after)| after - before);
    let expected = f64::from(MEMORY_TAKEN) / 2.0;
    evidence.holds(
        "mem rises",
        rise.map_or_else(|| "null".to_owned(), |rise| format!("{rise:.1} %")),
        format!("at least {expected} %"),
        &format!("{MEMORY_TAKEN} % of the memory, taken by this program"),
        rise.is_some_and(|rise| rise >= expected),
    );
    Ok(())
}

/// What is reported.
fn compare_memory(context: &Context, evidence: &mut Evidence) -> Result<Option<f64>, Stop> {
    let free = |evidence: &mut Evidence| {
        heard(evidence, "free", program::ask("free", &["-k"]), procps::memory_percent)
    };
    let kernel = || {
        let meminfo = context.board.read("/proc/meminfo").ok()?;
        let total = f64::from(procps::meminfo_kib(&meminfo, "MemTotal")?);
        Some((total - f64::from(procps::meminfo_kib(&meminfo, "MemAvailable")?)) / total * 100.0)
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
    Ok(reported)
}

/// What is taken so that a value that stands still is seen, in hundredths of the filesystem.
const DISK_TAKEN: u64 = 2;
/// The use of a filesystem that has room for it, in percent.
const DISK_USED_MAX: f64 = 90.0;

/// The filesystem of the setting `disk_path`, before and while a file takes space in it.
pub(super) fn disk(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let path = context.settings()?.get("disk_path").and_then(|path| path.as_str()).unwrap_or("/").to_owned();
    let found = compare_disk(context, evidence, &path, "df")?;
    evidence.some_witness(&format!("df does not know {path}"))?;
    let Some(found) = found.filter(|_| context.board.is_live()) else { return Ok(()) };
    if found.percent > DISK_USED_MAX {
        evidence.silent(format_args!("a use that rises: {path} is almost full"));
        return Ok(());
    }
    match take_space(&path, found.total_bytes / 100 * DISK_TAKEN) {
        Ok(file) => {
            let witness = format!("df, while a file takes {DISK_TAKEN} % more");
            compare_disk(context, evidence, &path, &witness)?;
            drop(file);
        }
        Err(error) => {
            evidence.silent(format_args!("a use that rises: no file takes space in {path}: {error}"))
        }
    }
    Ok(())
}

/// A file without a name, which is gone when it is closed or this process ends, and for which blocks are reserved and not
/// written.
fn take_space(path: &str, bytes: u64) -> io::Result<fs::File> {
    let file = fs::File::options().write(true).custom_flags(libc::O_TMPFILE).open(path)?;
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    fallocate(&file, FallocateFlags::empty(), 0, length)?;
    Ok(file)
}

/// What `df` says.
fn compare_disk(
    context: &Context,
    evidence: &mut Evidence,
    path: &str,
    witness: &str,
) -> Result<Option<Disk>, Stop> {
    let arguments = ["--block-size=1", "--output=size,used,pcent", path];
    let look = |evidence: &mut Evidence| heard(evidence, "df", program::ask("df", &arguments), procps::disk);
    let before = look(evidence);
    let sample = context.daemon.sample()?;
    let after = look(evidence);
    if let (Some(before), Some(after)) = (before, after) {
        // `df` rounds up to a whole percent, so its half below is the middle of what it stands for.
        let middle = [before.percent, after.percent].map(|percent| percent - 0.5);
        let rounds = format!("{witness}, rounded up");
        evidence.number("disk.percent", sample.number("/disk/percent"), middle, 0.6, &rounds);
        let used = [before.used_gib, after.used_gib].map(hundredths);
        evidence.number("disk.used_gb", sample.number("/disk/used_gb"), used, 0.1, witness);
        let total = [before.total_gib, after.total_gib].map(hundredths);
        evidence.number("disk.total_gb", sample.number("/disk/total_gb"), total, 0.06, witness);
    }
    Ok(after)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_taken_without_a_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("text");
        // Not every filesystem can do it, and a check says so then.
        if let Ok(file) = take_space(path, 1 << 20) {
            assert_eq!(file.metadata().expect("open").len(), 1 << 20);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
