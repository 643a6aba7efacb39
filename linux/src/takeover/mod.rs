//! Taking over from an older heartbeat service on this machine: where it sent, how often, and as which device stays.
//!
//! The older service is the Python program `heartbeat_daemon.py`, or any other service whose unit has the name of this
//! program's unit. Its settings are read, never executed, and become settings in `config.toml`; its unit and its
//! drop-ins are moved aside; its processes are stopped. What cannot be read is reported, and never guessed: a device
//! whose heartbeats went to a server that is not known sends none until an operator sets `url`.
//!
//! It runs as root, on files that others may write. So: only regular files of a bounded size are read, and of a
//! directory in which any user may create files, only what the older service itself can have written.
//!
//! - `unit`: unit files of systemd.
//! - `command`: what a command starts.
//! - `python`: constants of a Python program.
//! - `readers`: who may read these files, and who has written them.
//! - `aside`: where its unit is kept.
//! - `older`: the older service, and how it is found: units with the name of ours, processes, what would start it.
//! - `settings`: what of that becomes settings.
//! - `configuration`: their place in `config.toml`.
//! - `hardware_id`: the id under which the server knows this device.
//! - `processes`: processes of the older service.
//! - `starters`: what else starts it.
//! - `sections`: what a file of supervisor or of a desktop says beside a command.
//! - `whole`: which of these units may be stopped and disabled.
//! - `installation`: the user that our service runs as, and the home directories that it sees.

mod aside;
mod command;
mod configuration;
mod hardware_id;
mod installation;
mod older;
mod processes;
mod python;
mod readers;
mod sections;
mod settings;
mod starters;
mod unit;
mod whole;

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use heartbeat_core::SensorError;

use self::settings::Settings;
use crate::{
    files::{self, Durability},
    sensors::hardware_id as own_id,
    sources::{
        accounts,
        sysroot::{Sysroot, read_whole},
    },
};

/// The unit's name, which is also the older service's.
const UNIT: &str = "heartbeat-daemon.service";
/// The file of the Python program, and its name without the ending.
const SCRIPT: &str = "heartbeat_daemon.py";
const MODULE: &str = "heartbeat_daemon";
/// The settings.
const CONFIG: &str = "/etc/heartbeat-daemon/config.toml";
/// Files that people write by hand are smaller.
const FILE_MAX: u64 = 1024 * 1024;

/// What the person who installs it wants.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Run as this user, not as the user of the older service.
    pub user: Option<String>,
    /// Show the service these directories, which are in homes.
    pub show: Vec<PathBuf>,
}

/// Something that the person who installs it should read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What was done.
    Done(String),
    /// What needs attention.
    Attention(String),
}

/// Where notices go.
type Notices<'n> = &'n mut dyn FnMut(Notice);

/// Takes over from an older service if there is one, and writes down the user that ours runs as. Can be repeated: what
/// is done stays, and settings that were changed since are kept.
///
/// # Errors
///
/// When the system cannot be changed, or the daemon would refuse the settings that are there. The older service then goes
/// on, unless it has been stopped already.
pub fn take_over(root: &Sysroot, request: &Request, notices: Notices<'_>) -> io::Result<()> {
    for directory in &request.show {
        installation::remark(root, directory, notices);
    }
    let mut shown = request.show.clone();
    let mut user = request.user.clone();
    let mut secret = false;
    let older = older::find(root, notices);
    if let Some(older) = &older {
        notices(Notice::Done(format!("taking over from {older}")));
        let mut settings = Settings::from_older(older, root, notices);
        for other in older::others(root, older) {
            notices(Notice::Attention(format!(
                "there is another older service, {}, whose settings are not taken over; look whether they are the same",
                other.display()
            )));
        }
        // First, so that the older service goes on if that or what follows fails.
        settings.write(root, notices)?;
        secret = settings.secret;
        older.move_aside(root, notices)?;
        // systemd stops what it has loaded, with or without a file.
        if older.has_unit() && systemd_runs(root) {
            systemctl(&["stop", UNIT], notices);
        }
        end_processes(root, notices);
        if let Some(name) = older.unknown_user(root).filter(|_| user.is_none()) {
            notices(Notice::Attention(format!(
                "the older service ran as {name}, which /etc/passwd does not have: this one does not run as {name}"
            )));
        }
        user = user.or_else(|| older.unprivileged_user(root));
        shown.extend(older.application(root).map(|(directory, _)| directory));
    }
    // Also those whose settings do not count.
    end_processes(root, notices);
    for process in processes::find_contained(root) {
        notices(Notice::Attention(format!("{}: end that container", in_a_container(&process))));
    }
    for starter in starters::find(root) {
        starter.end(root, notices);
    }
    let installation = installation::Installation::choose(root, user, &shown, notices);
    // In a directory of others it may be another file by now.
    if secret && readers::untrusted_target(root, Path::new(CONFIG)).is_none() {
        installation.keep_secret(root, Path::new(CONFIG))?;
    }
    installation.keep_readable(root, Path::new(CONFIG))?;
    installation.write(root)?;
    Ok(())
}

/// What has the name of our unit, or runs in its place: each a sentence for people, with what to do.
pub fn in_our_place(root: &Sysroot) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(place) = older::foreign_unit(root) {
        found.push(format!(
            "{place} is not this program's; it hides the unit of this program. The installation takes over from it \
             when it is run again"
        ));
    }
    found.extend(processes::find(root).iter().map(|process| {
        format!("an older heartbeat service still runs: process {} ({})", process.pid, process.command())
    }));
    found.extend(processes::find_contained(root).iter().map(in_a_container));
    found
}

fn in_a_container(process: &processes::Process) -> String {
    format!("an older heartbeat service runs in a container: process {} ({})", process.pid, process.command())
}

/// Whether an older service is in the place of ours by the will of root. A process of another user says nothing: it must not
/// start a service that was stopped.
pub fn is_replaced(root: &Sysroot) -> bool {
    older::foreign_unit(root).is_some() || processes::find(root).iter().any(|process| process.uid == 0)
}

fn end_processes(root: &Sysroot, notices: Notices<'_>) {
    for process in processes::find(root) {
        process.end(root, notices);
    }
}

/// Whether systemd runs this system, and not only a package manager.
fn systemd_runs(root: &Sysroot) -> bool {
    root.is_live() && Path::new("/run/systemd/system").is_dir()
}

fn systemctl(arguments: &[&str], notices: Notices<'_>) -> bool {
    let quiet = [&["--quiet"], arguments].concat();
    let problem = match run_systemctl(&quiet, Stdio::inherit()) {
        Ok(output) if output.status.success() => return true,
        Ok(output) => output.status.to_string(),
        Err(error) => error.to_string(),
    };
    notices(Notice::Attention(format!("systemctl {} failed: {problem}", arguments.join(" "))));
    false
}

/// Disables a unit, and says whether nothing starts it any more. One that a timer or another unit starts cannot be
/// disabled.
fn disable(unit: &str, notices: Notices<'_>) -> bool {
    let state = run_systemctl(&["is-enabled", unit], Stdio::piped());
    let state =
        state.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match state.as_str() {
        "enabled" | "enabled-runtime" | "linked" | "linked-runtime" | "alias" => {
            systemctl(&["disable", unit], notices)
        }
        // Where nothing is said, there is no such unit.
        "disabled" | "masked" | "masked-runtime" | "" | "not-found" => false,
        other => {
            notices(Notice::Attention(format!(
                "{unit} is the older service under another name, and not enabled by itself ({other}): something else \
                 starts it, a timer or another unit. Look there, or it comes back"
            )));
            false
        }
    }
}

/// Runs the system's own program, in no environment: `PATH` is that of the person who installs.
fn run_systemctl(arguments: &[&str], said: Stdio) -> io::Result<Output> {
    // The latter where `/bin` is a directory of its own (before Debian 12).
    let programs = ["/usr/bin/systemctl", "/bin/systemctl"];
    let program =
        programs.into_iter().find(|program| Path::new(program).exists()).unwrap_or("/bin/systemctl");
    let mut command = Command::new(program);
    command.env_clear().args(arguments).stdout(said).stderr(Stdio::inherit()).output()
}

/// A text file of at most [`FILE_MAX`] bytes; links are followed.
fn read(root: &Sysroot, path: &Path) -> Result<String, SensorError> {
    let bytes = root.read_unnoted(path, FILE_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a file as a new one in the old one's place, with the old one's owner and permissions. A link stays. A secret one
/// is closed to all others from its first moment.
fn replace(root: &Sysroot, path: &Path, text: &str, is_secret: bool) -> io::Result<()> {
    let named = root.host_path(path);
    // In a captured tree a link would lead out of it.
    let path = if root.is_live() { named.canonicalize().unwrap_or(named) } else { named };
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at)?;
    }
    let before = path.metadata().ok();
    let mode = match &before {
        _ if is_secret => 0o600,
        Some(before) => before.mode() & 0o777,
        None => 0o644,
    };
    files::replace(&path, text.as_bytes(), mode, Durability::Synced).map_err(at)?;
    // The service reads a secret as a member of the file's group.
    if let Some(before) = before {
        chown(&path, Some(before.uid()), Some(before.gid())).map_err(at)?;
    }
    Ok(())
}
