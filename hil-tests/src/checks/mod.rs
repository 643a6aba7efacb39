//! The checks: a table, and what all of them use.

mod activity;
mod cellular;
mod compute;
mod firmware;
mod identity;
mod network;
mod position;
mod power;
pub mod service;
mod supply;
pub(crate) mod time;
mod wifi;

use std::cell::OnceCell;

use self::service::Unit;
use crate::{
    board::Board,
    daemon::Daemon,
    finding::{Conclusion, Evidence, Stop},
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
    /// How it is judged.
    pub options: Options,
    /// The settings in use.
    settings: OnceCell<toml::Table>,
}

/// How a machine is judged.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the machine's clock may be set for a moment.
    pub may_step_clock: bool,
    /// Whether an emulator is the processor, whose time depends on how busy its host is.
    pub is_emulated: bool,
    /// Whether a value that does not agree may be compared again.
    pub repeats: bool,
}

impl Context {
    /// Puts it together.
    pub fn new(board: Board, daemon: Daemon, unit: Result<Unit, String>, options: Options) -> Self {
        Self { board, daemon, unit, options, settings: OnceCell::new() }
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
    check("identity", "the hardware id is the serial number, or the one that is set", identity::identity),
    check("cpu", "load follows a busy loop", compute::cpu),
    check("memory", "memory in use", compute::memory),
    check("disk", "size and use of the filesystem", compute::disk),
    check("temperature", "the temperature of the chip, within 2 degrees", firmware::temperature),
    check("throttled", "the firmware's mask of throttling", firmware::throttled),
    check("fan", "the fan's speed", firmware::fan),
    check("power", "the power that the board draws", power::power),
    check("supply", "voltage and charge of the battery", supply::supply),
    check("network", "interfaces, addresses and the default route", network::network),
    check("wifi", "the WiFi client or hotspot", wifi::wifi),
    check("4g", "the modem", cellular::cellular),
    check("gps", "the position", position::position),
    check("activity", "pidfiles, and a recording that grows", activity::activity),
    check("uptime", "uptime, which goes on", time::uptime),
    check("clock", "the timestamp", time::clock),
    check("service.state", "active, enabled, its user and groups, no privileges", service::state::state),
    check("service.sandbox", "what a probe in its place can do", service::sandbox::sandbox),
    check(
        "service.configuration",
        "settings are valid, wrong ones end with 78",
        service::configuration::check,
    ),
    check("service.delivery", "heartbeats arrive over TLS, on a grid, complete", service::delivery::delivery),
    check("service.values", "its values beside their witnesses", service::values::values),
    check("service.activity", "pidfiles and a recording in its heartbeats", service::activity::activity),
    check("service.kill", "it is back after kill -9", service::delivery::kill),
    check("service.freeze", "the watchdog restarts it after SIGSTOP", service::delivery::freeze),
    check("service.outage", "it outlives a network that goes away", service::outage::outage),
    check("service.clock-step", "heartbeats keep their grid while the clock jumps", service::clock::step),
    check("service.budget", "processor time, memory and wake-ups of a heartbeat", service::budget::budget),
    check("service.restored", "after all that it is what it was before", service::state::restored),
];

const fn check(name: &'static str, about: &'static str, run: Run) -> Check {
    Check { name, about, run }
}

impl Check {
    /// Whether it compares a value, which moves, and not the service.
    pub fn is_of_a_value(&self) -> bool {
        !self.changes_service() && self.name != "document"
    }

    /// Whether it may change the service.
    pub fn changes_service(&self) -> bool {
        self.name.starts_with("service.")
    }

    /// Runs it.
    pub fn run(&self, context: &Context) -> Conclusion {
        let mut evidence = Evidence::default();
        let end = (self.run)(context, &mut evidence);
        evidence.conclude(end)
    }
}

/// Ends a check of what the setting `diagnostics` turns off.
fn diagnostics(context: &Context) -> Result<(), Stop> {
    match context.settings()?.get("diagnostics").and_then(toml::Value::as_bool) {
        Some(false) => Err(Stop::skipped("the setting diagnostics = false turns it off")),
        _ => Ok(()),
    }
}

/// Where several may be what the daemon shows: of the names that all looks have, the one whose last number is nearest to the
/// reported one, with its least and its greatest number.
fn nearest(looks: &[Vec<(String, f64)>], reported: Option<f64>) -> Option<(String, [f64; 2])> {
    let numbers = |name: &str| -> Option<Vec<f64>> {
        let of_name = |look: &Vec<(String, f64)>| {
            look.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
        };
        looks.iter().map(of_name).collect()
    };
    let distance = |number: f64| (number - reported.unwrap_or(0.0)).abs();
    let last = looks.last()?.iter();
    let common = last.filter_map(|(name, number)| Some((name, *number, numbers(name)?)));
    let (name, _, numbers) = common.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))?;
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some((name.clone(), [least, greatest]))
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
    fn the_nearest_is_one_that_all_looks_have() {
        let look = |numbers: &[(&str, f64)]| -> Vec<(String, f64)> {
            numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let looks = [look(&[("a", 1.0), ("b", 5.0)]), look(&[("a", 2.0), ("b", 4.0), ("c", 9.0)])];
        assert_eq!(nearest(&looks, Some(9.0)), Some(("b".to_owned(), [4.0, 5.0])));
        assert_eq!(nearest(&looks, None), Some(("a".to_owned(), [1.0, 2.0])));
        assert_eq!(nearest(&[look(&[("a", 1.0)]), look(&[])], None), None);
        assert_eq!(nearest(&[], None), None);
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
