//! The installed service: what systemd says about it, and trials of it.
//!
//! A trial (`trial.rs`) lets the service run for a while with a drop-in in `/run`, which a reboot would remove too, and
//! puts everything back when it ends.

pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod configuration;
pub(crate) mod delivery;
pub(crate) mod outage;
mod receiver;
pub(crate) mod sandbox;
pub(crate) mod state;
mod trial;

pub(crate) use self::trial::restore;

use std::{collections::HashMap, fs};

use nix::unistd::Uid;

use crate::{
    checks::Context,
    finding::Stop,
    program::{self, ProgramError},
};

/// The name of the unit.
pub const UNIT: &str = "heartbeat-daemon.service";

/// The unit as systemd shows it.
#[derive(Debug, Clone)]
pub struct Unit {
    properties: HashMap<String, String>,
}

impl Unit {
    /// Asks systemd.
    ///
    /// # Errors
    ///
    /// Why there is no such service, for people.
    pub fn find() -> Result<Self, String> {
        let names =
            "LoadState,ActiveState,UnitFileState,MainPID,User,SupplementaryGroups,NRestarts,ExecMainStatus";
        let text = program::ask("systemctl", &["show", "-p", names, UNIT])
            .map_err(|error| format!("systemd does not run this machine: {error}"))?;
        let unit = Self { properties: properties(&text) };
        match unit.property("LoadState") {
            "loaded" => Ok(unit),
            state => Err(format!("{UNIT} is not installed: {state}")),
        }
    }

    /// A property; empty if systemd does not show it.
    pub fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// The main process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.property("MainPID").parse().ok().filter(|pid| *pid != 0)
    }

    /// Whether it is active.
    pub fn is_active(&self) -> bool {
        self.property("ActiveState") == "active"
    }
}

fn properties(text: &str) -> HashMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The unit, if there is one and this user may try it.
fn installed(context: &Context) -> Result<Unit, Stop> {
    if !context.board.is_live() {
        return Err(Stop::skipped("the files are not those of the running machine"));
    }
    context.unit.as_ref().map_err(Stop::skipped)?;
    if !Uid::effective().is_root() {
        return Err(Stop::skipped("only root may try the service: use sudo"));
    }
    let unit = Unit::find().map_err(Stop::failed)?;
    if !unit.is_active() {
        return Err(Stop::failed(format_args!("{UNIT} is {}, not active", unit.property("ActiveState"))));
    }
    Ok(unit)
}

/// Runs systemctl.
fn systemctl(arguments: &[&str]) -> Result<String, ProgramError> {
    program::ask("systemctl", arguments)
}

/// A value of `/proc/PID/status`.
fn status_of(pid: u32, key: &str) -> Result<String, Stop> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| Stop::failed(format_args!("{path}: {error}")))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| Stop::skipped(format_args!("{path} has no {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_systemctl_shows() {
        let text = "LoadState=loaded\nMainPID=0\nUser=\nActiveState=failed\nX=a=b\n";
        let unit = Unit { properties: properties(text) };
        assert_eq!((unit.pid(), unit.is_active(), unit.property("X")), (None, false, "a=b"));
        assert_eq!(unit.property("NRestarts"), "");
        let unit = Unit { properties: properties("MainPID=17\nActiveState=active\n") };
        assert_eq!((unit.pid(), unit.is_active()), (Some(17), true));
    }
}
