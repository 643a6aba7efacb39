//! The sandbox, tried from within: this program in the service's place.

use std::{
    env,
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Unit, installed, systemctl, systemd_version,
    trial::{install, quoted},
};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
    probe, program,
    undo::{self, PROBE_OUTPUT, SECRETS, UNIT},
};

/// A start on the slowest board.
const DEADLINE: Duration = Duration::from_secs(60);
/// systemd before this one has no `NoExecPaths=` (doc/security.md).
const CONFINES_PROGRAMS: u32 = 248;

/// Puts everything back.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        // What fails here shows in the check service.restored.
        let _ = undo::service();
        for path in SECRETS.into_iter().chain([PROBE_OUTPUT]) {
            // What is gone already is what is wanted.
            let _ = fs::remove_file(path);
        }
    }
}

/// Everything that the sandbox must prevent, attempted within it, and by the same user outside.
pub(crate) fn sandbox(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let unit = installed(context)?;
    let program = context.daemon.program();
    unit.must_run(program)?;
    let own = env::current_exe().map_err(Stop::skipped)?;
    let version = systemd_version().ok_or_else(|| Stop::skipped("systemctl does not tell its version"))?;
    let _restore = Restore;
    let within = within(program, &own)?;
    let outside = outside(&unit, &own)?;
    for attempt in probe::ATTEMPTS {
        let within = possible(&within, attempt.what)
            .ok_or_else(|| Stop::failed(format_args!("the probe did not try to {}", attempt.what)))?;
        let by_user = possible(&outside, attempt.what).unwrap_or(false);
        let is_accepted = attempt.is_program && version < CONFINES_PROGRAMS;
        let prevented = if is_accepted {
            format!("possible: systemd {version} cannot prevent it")
        } else {
            "prevented".to_owned()
        };
        // What the user could not do anyway says nothing about the sandbox.
        let witness =
            if by_user { "the probe; possible for its user outside" } else { "the probe; nor outside" };
        let shown = if within { "possible" } else { "prevented" };
        evidence.holds(attempt.what, shown, prevented, witness, !within || is_accepted);
        if attempt.by_anyone {
            let shown = if by_user { "possible" } else { "prevented" };
            let name = format!("{}, outside", attempt.what);
            evidence.holds(&name, shown, "possible", "the probe can tell", by_user);
        }
    }
    Ok(())
}

/// What the probe prints as the service.
fn within(program: &Path, own: &Path) -> Result<String, Stop> {
    let guard = undo::changing();
    make_secret()?;
    // A file that is there is appended to; systemd 247 knows no other way.
    let _ = fs::remove_file(PROBE_OUTPUT);
    let lines = format!(
        "Type=exec\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={exec} {command}\n\
         BindReadOnlyPaths={own}:{program}\nStandardOutput=append:{PROBE_OUTPUT}\n",
        exec = quoted(&program.to_string_lossy()),
        program = program.display(),
        own = own.display(),
        command = probe::COMMAND,
    );
    install(&lines, probe::COMMAND)?;
    systemctl(&["restart", UNIT])?;
    drop(guard);
    let began = Instant::now();
    while Unit::find().map_err(Stop::failed)?.pid().is_some() {
        if began.elapsed() > DEADLINE {
            return Err(Stop::failed("the probe did not end"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    fs::read_to_string(PROBE_OUTPUT).map_err(|error| Stop::failed(format_args!("the probe: {error}")))
}

/// What the probe prints as the same user without a sandbox.
fn outside(unit: &Unit, own: &Path) -> Result<String, Stop> {
    // A user that exists while the service runs comes with a sandbox.
    let user = if unit.property("DynamicUser") == "yes" && !is_known(unit.property("User")) {
        "nobody"
    } else {
        unit.property("User")
    };
    let (user, own) = (format!("User={user}"), own.to_string_lossy());
    let arguments = ["--quiet", "--collect", "--wait", "--pipe", "-p", &user, &own, probe::COMMAND];
    Ok(program::ask("systemd-run", &arguments)?)
}

fn is_known(user: &str) -> bool {
    program::ask("getent", &["-s", "files", "passwd", user]).is_ok()
}

/// A file that any user may read, where homes are.
fn make_secret() -> Result<(), Stop> {
    let mut problems = Vec::new();
    for path in SECRETS {
        let made = File::create_new(path).and_then(|mut file| {
            file.write_all(b"secret")?;
            file.set_permissions(Permissions::from_mode(0o644))
        });
        match made {
            Ok(()) => return Ok(()),
            Err(error) => problems.push(format!("{path}: {error}")),
        }
    }
    Err(Stop::skipped(problems.join("; ")))
}

/// Whether an attempt succeeded; `None` if it was not made.
fn possible(said: &str, what: &str) -> Option<bool> {
    said.lines().find_map(|line| {
        if line.strip_prefix("can ") == Some(what) {
            return Some(true);
        }
        line.strip_prefix("cannot ")?.strip_prefix(what)?.starts_with(": ").then_some(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_probe_prints() {
        let said = "can listen\ncannot run a program: Permission denied\ncannot write to /etc: x\n";
        assert_eq!(possible(said, "listen"), Some(true));
        assert_eq!(possible(said, "run a program"), Some(false));
        assert_eq!(possible(said, "run"), None);
        assert_eq!(possible(said, "have privileges"), None);
    }

    #[test]
    fn finds_each_attempt_of_the_probe() {
        let said = probe::lines().join("\n");
        assert!(probe::ATTEMPTS.iter().all(|attempt| possible(&said, attempt.what).is_some()), "{said}");
    }
}
