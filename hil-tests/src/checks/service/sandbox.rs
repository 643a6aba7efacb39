//! The sandbox, tried from within: this program in the service's place.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use super::{UNIT, Unit, installed, systemctl, trial};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
    probe,
};

const OUTPUT: &str = "/run/heartbeat-hil-probe.out";
/// A start on the slowest board.
const DEADLINE: Duration = Duration::from_secs(60);
/// What root can do at least outside: if less, the probe shows nothing.
const OUTSIDE_MIN: usize = 6;

/// Puts everything back.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        trial::restore();
        // What is gone already is what is wanted.
        let _ = fs::remove_file(OUTPUT);
        let _ = fs::remove_file(probe::SECRET);
    }
}

/// Everything that the sandbox must prevent, attempted within it and outside.
pub(crate) fn sandbox(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    installed(context)?;
    let own = env::current_exe().map_err(Stop::skipped)?;
    let program = context.daemon.program();
    let lines = format!(
        "[Service]\nType=exec\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={program} {command}\n\
         BindReadOnlyPaths={own}:{program}\nStandardOutput=truncate:{OUTPUT}\n",
        program = program.display(),
        own = own.display(),
        command = probe::COMMAND,
    );
    let _restore = Restore;
    fs::write(probe::SECRET, "secret").map_err(Stop::skipped)?;
    let _ = fs::remove_file(OUTPUT);
    trial::install(&lines).map_err(Stop::skipped)?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", UNIT])?;
    let began = Instant::now();
    while Unit::find().map_err(Stop::failed)?.pid().is_some() {
        if began.elapsed() > DEADLINE {
            return Err(Stop::failed("the probe did not end"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    let within =
        fs::read_to_string(OUTPUT).map_err(|error| Stop::failed(format_args!("the probe: {error}")))?;
    let tried = within.lines().filter(|line| line.starts_with("can")).count();
    evidence.holds("attempts", tried, probe::attempts(), "the probe", tried == probe::attempts());
    for line in within.lines() {
        let possible = line.starts_with("can ");
        evidence.holds(
            line,
            if possible { "possible" } else { "prevented" },
            "prevented",
            "the probe",
            !possible,
        );
    }
    let outside = probe::lines().iter().filter(|line| line.starts_with("can ")).count();
    let tells = outside >= OUTSIDE_MIN;
    evidence.holds(
        "possible outside",
        outside,
        format!("at least {OUTSIDE_MIN}"),
        "the same probe, as root",
        tells,
    );
    Ok(())
}
