//! The state of the service: active, enabled, the program that runs, the user it runs as, what it may do, and that trials
//! have left it so.

use std::path::Path;

use nix::unistd::Group;

use super::{DELETED, installed, is_same_file, status_of};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
    undo::DROP_IN,
};

/// The groups that let it ask the firmware and the I2C buses, where the system has them.
const GROUPS: [&str; 2] = ["video", "i2c"];

/// What systemd says, beside what the kernel says about the process.
pub(crate) fn state(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let unit = installed(context)?;
    evidence.text(
        "ActiveState",
        Some(unit.property("ActiveState")),
        Some("active"),
        "what a service must be",
    );
    evidence.text(
        "UnitFileState",
        Some(unit.property("UnitFileState")),
        Some("enabled"),
        "what a service must be",
    );
    let pid = unit.pid().ok_or_else(|| Stop::failed("the service has no process"))?;
    let judged = context.daemon.program();
    let (program, was_replaced) =
        unit.program().ok_or_else(|| Stop::failed("/proc/PID/exe cannot be read"))?;
    evidence.holds(
        "program",
        format!("{}{}", program.display(), if was_replaced { DELETED } else { "" }),
        judged.display(),
        "what is judged here; (deleted): restart the service after an upgrade",
        is_same_file(&program, judged) && !was_replaced,
    );
    let first = |text: String| text.split_whitespace().next().unwrap_or_default().to_owned();
    let uid = first(status_of(pid, "Uid")?);
    // A user that exists while the service runs (DynamicUser=) is in no file.
    evidence.text(
        "uid",
        Some(unit.property("UID")),
        Some(&uid),
        "/proc/PID/status of the user that systemd names",
    );
    evidence.holds("not root", &uid, "not 0", "/proc/PID/status", uid != "0");
    let groups = status_of(pid, "Groups")?;
    let has = |gid: u32| groups.split_whitespace().any(|group| group == gid.to_string());
    for name in GROUPS {
        if let Ok(Some(group)) = Group::from_name(name) {
            let member = has(group.gid.as_raw());
            evidence.holds(&format!("group {name}"), member, true, "/proc/PID/status", member);
        }
    }
    for (key, expected) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        evidence.text(key, Some(&status_of(pid, key)?), Some(expected), "what the unit asks for");
    }
    for key in ["CapEff", "CapPrm", "CapBnd"] {
        let held = status_of(pid, key)?;
        let none = held.chars().all(|digit| digit == '0');
        evidence.holds(key, &held, "none", "what the unit asks for", none);
    }
    Ok(())
}

/// After all trials the service is what it was before.
pub(crate) fn restored(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let unit = installed(context)?;
    let before = context.unit.as_ref().map_err(Stop::skipped)?;
    evidence.text("ActiveState", Some(unit.property("ActiveState")), Some("active"), "before the trials");
    evidence.text("ExecStart", Some(unit.command_line()), Some(before.command_line()), "before the trials");
    let is_left = Path::new(DROP_IN).exists();
    let shown = if is_left { "there" } else { "gone" };
    evidence.holds("drop-in of heartbeat-hil", shown, "gone", DROP_IN, !is_left);
    Ok(())
}
