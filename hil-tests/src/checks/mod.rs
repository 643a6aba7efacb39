//! The checks: a table, and what all of them use.

mod activity;
mod compute;
mod firmware;
mod identity;
mod network;
mod power;
pub mod service;
pub(crate) mod time;

use std::cell::OnceCell;

use self::service::Unit;
use crate::{
    board::Board,
    daemon::Daemon,
    finding::{Comparison, Evidence, Stop, Verdict},
    program::ProgramError,
};

/// What a check works with.
#[derive(Debug)]
pub struct Context {
    /// The machine.
    pub board: Board,
    /// The program that is judged.
    pub daemon: Daemon,
    /// The installed service, or why there is none.
    pub unit: Result<Unit, String>,
    /// Whether the machine's clock may be set for a moment.
    pub may_step_clock: bool,
    /// Whether an emulator is the processor, whose time depends on how busy its host is.
    pub is_emulated: bool,
    /// The settings in use.
    settings: OnceCell<toml::Table>,
}

impl Context {
    /// Puts it together.
    pub fn new(
        board: Board,
        daemon: Daemon,
        unit: Result<Unit, String>,
        may_step_clock: bool,
        is_emulated: bool,
    ) -> Self {
        Self { board, daemon, unit, may_step_clock, is_emulated, settings: OnceCell::new() }
    }

    /// The daemon's settings.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when the daemon does not show them.
    pub fn settings(&self) -> Result<&toml::Table, Stop> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = self.daemon.settings()?;
        Ok(self.settings.get_or_init(|| settings))
    }
}

/// Runs a check.
type Run = fn(&Context, &mut Evidence) -> Result<(), Stop>;

/// Something that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, by which it is chosen and required.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    run: Run,
}

/// All checks, in the order in which they run: values first, then the service.
pub const CHECKS: &[Check] = &[
    check("document", "a sample fits the published schema", identity::document),
    check("identity", "the hardware id beside cpuinfo and the device tree", identity::identity),
    check("cpu", "load rises under a busy loop and falls after it, as /proc/stat says", compute::cpu),
    check("memory", "memory beside free and /proc/meminfo", compute::memory),
    check("disk", "the filesystem beside df", compute::disk),
    check("temperature", "within 2 degrees of vcgencmd and the thermal zone", firmware::temperature),
    check("throttled", "the firmware's mask beside vcgencmd and rpi_volt", firmware::throttled),
    check("fan", "the fan beside hwmon", firmware::fan),
    check("power", "power beside the INA219, hwmon, power_supply or the PMIC", power::power),
    check("supply", "the battery beside i2ctransfer and power_supply", power::supply),
    check("network", "addresses and default route beside ip", network::network),
    check("wifi", "the WiFi client or hotspot beside iw", network::wifi),
    check("4g", "the modem beside mmcli", network::cellular),
    check("gps", "the position beside gpspipe", network::position),
    check("activity", "real pidfiles and a growing recording", activity::activity),
    check("uptime", "uptime beside /proc/uptime and the boot clock", time::uptime),
    check("clock", "the timestamp beside date", time::clock),
    check("service.state", "active, enabled, its user and groups, no privileges", service::state::state),
    check("service.sandbox", "what a probe in its place can do", service::sandbox::sandbox),
    check(
        "service.configuration",
        "settings are valid, wrong ones end with 78",
        service::configuration::check,
    ),
    check("service.delivery", "heartbeats arrive over TLS and are complete", service::delivery::delivery),
    check("service.kill", "it is back after kill -9", service::delivery::kill),
    check("service.freeze", "the watchdog restarts it after SIGSTOP", service::delivery::freeze),
    check("service.outage", "it outlives a network that goes away", service::outage::outage),
    check("service.clock-step", "heartbeats keep their grid while the clock jumps", service::clock::step),
    check("service.budget", "processor time, memory and wake-ups of a heartbeat", service::budget::budget),
];

const fn check(name: &'static str, about: &'static str, run: Run) -> Check {
    Check { name, about, run }
}

impl Check {
    /// Runs it.
    pub fn run(&self, context: &Context) -> (Verdict, Vec<Comparison>) {
        let mut evidence = Evidence::default();
        let end = (self.run)(context, &mut evidence);
        evidence.conclude(end)
    }
}

/// What a witness said, understood; else the witness is silent, and why is noted.
fn heard<T>(
    evidence: &mut Evidence,
    program: &str,
    answer: Result<String, ProgramError>,
    understand: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    match answer {
        Ok(text) => {
            let understood = understand(&text);
            if understood.is_none() {
                let start: String = text.trim().chars().take(60).collect();
                evidence.silent(format_args!("{program} printed something else: {start}"));
            }
            understood
        }
        Err(error) => {
            evidence.silent(error);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checks_are_unique() {
        let mut names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
    }

    #[test]
    fn a_witness_that_is_not_understood_is_silent_with_what_it_printed() {
        let mut evidence = Evidence::default();
        assert_eq!(
            heard(&mut evidence, "free", Ok("17\n".to_owned()), |text| text.trim().parse().ok()),
            Some(17)
        );
        assert_eq!(heard(&mut evidence, "free", Ok("what?".to_owned()), |_| None::<u8>), None);
        let missing = Err(ProgramError::Missing("df".to_owned()));
        assert_eq!(heard(&mut evidence, "df", missing, |_| Some(1)), None);
        assert_eq!(
            evidence.some_witness("no witness"),
            Err(Stop::skipped("no witness; free printed something else: what?; df is not installed"))
        );
    }
}
