//! The configuration: what is installed is valid, and what is wrong is refused.

use std::{fs, io::Write};

use super::{status_of, systemctl};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
    undo::{self, UNIT},
};

/// The status of a program that was configured wrongly (sysexits.h, EX_CONFIG).
const EX_CONFIG: i32 = 78;

/// The settings of the service are valid; a wrong key ends with 78, with its line, and the unit names 78 among what systemd
/// does not try again. Whether systemd heeds that is not tried.
pub(crate) fn check(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    super::installed(context)?;
    let settings = context.settings()?;
    evidence.holds("settings", settings.len(), "valid", "check-config", settings.contains_key("url"));
    let path = undo::folder().map_err(Stop::skipped)?.join("wrong.toml");
    let mut file = fs::File::create_new(&path)
        .map_err(|error| Stop::skipped(format_args!("{}: {error}", path.display())))?;
    file.write_all(b"interval = 5\nintervall = 5\n").map_err(Stop::skipped)?;
    let mut command = std::process::Command::new(context.daemon.program());
    command.arg("--config").arg(&path).arg("check-config");
    let output = context.daemon.run(command);
    // What is gone already is what is wanted.
    let _ = fs::remove_file(&path);
    let output = output?;
    let code = output.status.code();
    let shown = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    evidence.holds("status of a wrong file", shown, EX_CONFIG, "sysexits.h", code == Some(EX_CONFIG));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let names_line = said.contains(".toml:2") && said.contains("intervall");
    evidence.holds("complaint", said.trim(), "file, line and key", "the file", names_line);
    let prevented = systemctl(&["show", "--value", "-p", "RestartPreventExitStatus", UNIT])?;
    let prevents = prevented.split_whitespace().any(|status| status == "78");
    evidence.holds("RestartPreventExitStatus", prevented.trim(), "78 among them", "systemctl", prevents);
    let unit = context.unit.as_ref().map_err(Stop::skipped)?;
    if let Some(pid) = super::Unit::find().ok().and_then(|now| now.pid()).or(unit.pid()) {
        // The umask keeps what it writes from others.
        evidence.text("Umask", Some(&status_of(pid, "Umask")?), Some("0077"), "what the unit asks for");
    }
    Ok(())
}
