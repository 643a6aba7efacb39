//! The installed service: what systemd says about it, and trials of it.
//!
//! A trial (`trial.rs`) lets the service run for a while with a drop-in in `/run`, which a reboot would remove too, and
//! puts everything back when it ends, or when the program ends before it ([`crate::undo`]).

pub(crate) mod activity;
pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod configuration;
pub(crate) mod delivery;
mod grid;
pub(crate) mod outage;
mod receiver;
pub(crate) mod sandbox;
pub(crate) mod state;
mod trial;
pub(crate) mod values;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

use crate::{
    checks::Context,
    finding::Stop,
    program::{self, ProgramError},
    undo::UNIT,
};

/// What the kernel adds to the name of a program whose file was replaced or removed (proc_pid_exe(5)).
const DELETED: &str = " (deleted)";

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
        let names = "LoadState,ActiveState,UnitFileState,MainPID,User,UID,DynamicUser,ExecStart,Restart,WatchdogUSec,\
                     NRestarts";
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

    /// The program and arguments of `ExecStart=`; empty if systemd does not show them.
    pub fn command_line(&self) -> &str {
        let all = self.property("ExecStart");
        let arguments = all.split_once("argv[]=").map_or("", |(_, rest)| rest);
        arguments.split_once(" ; ").map_or(arguments, |(arguments, _)| arguments)
    }

    /// The program that runs as its main process, and whether its file has been replaced since. Only root sees it.
    pub fn program(&self) -> Option<(PathBuf, bool)> {
        let target = fs::read_link(format!("/proc/{}/exe", self.pid()?)).ok()?;
        let name = target.to_string_lossy();
        let Some(name) = name.strip_suffix(DELETED) else { return Some((target, false)) };
        // Of a file that the sandbox mounts by itself, no name is left.
        let path = if name == "/" { in_search_path(self.command_line())? } else { name.into() };
        Some((path, true))
    }

    /// Refuses to try a program that is not the service's: its sandbox starts no other.
    fn must_run(&self, judged: &Path) -> Result<(), Stop> {
        match self.program() {
            Some((program, _)) if is_same_file(&program, judged) => Ok(()),
            Some((program, _)) => Err(Stop::skipped(format_args!(
                "the service runs {}, and its sandbox does not start {}",
                program.display(),
                judged.display()
            ))),
            None => Err(Stop::failed("the service has no process")),
        }
    }

    /// Whether it is active.
    pub fn is_active(&self) -> bool {
        self.property("ActiveState") == "active"
    }
}

/// Where systemd finds the program of a command line (systemd.exec(5), `ExecSearchPath=`).
fn in_search_path(command_line: &str) -> Option<PathBuf> {
    let name = Path::new(command_line.split_whitespace().next()?);
    if name.is_absolute() {
        return Some(name.to_owned());
    }
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Whether two paths lead to the same file; by name if there is none.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// The version of systemd; `None` if it does not tell.
fn systemd_version() -> Option<u32> {
    version(&systemctl(&["--version"]).ok()?)
}

fn version(text: &str) -> Option<u32> {
    // systemd 252 (252.39-1~deb12u1)
    text.split_whitespace().nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
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
        let shown =
            "ExecStart={ path=/usr/bin/a ; argv[]=/usr/bin/a --config /x run ; ignore_errors=no ; pid=0 }\n";
        assert_eq!(Unit { properties: properties(shown) }.command_line(), "/usr/bin/a --config /x run");
    }

    #[test]
    fn finds_programs_as_systemd_does() {
        assert_eq!(in_search_path("/opt/a run"), Some("/opt/a".into()));
        assert_eq!(in_search_path("env run"), Some("/usr/bin/env".into()));
        assert_eq!(in_search_path("heartbeat-no-such-program run"), None);
    }

    #[test]
    fn reads_the_version_of_systemd() {
        assert_eq!(version("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT\n"), Some(252));
        assert_eq!(version("systemd 257.9-1 (x)"), Some(257));
        assert_eq!(version("what?"), None);
    }
}
