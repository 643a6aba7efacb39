//! What a process in the place of the service can do: run by systemd in the service's sandbox, and outside of it, to show
//! that the probe can tell.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::undo::SECRETS;

/// The command that runs it.
pub const COMMAND: &str = "probe";
/// Something that is tried. Success is what the sandbox must prevent.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// What it is.
    pub what: &'static str,
    /// Whether any user of the system can do it.
    pub by_anyone: bool,
    /// Whether it is to run a program.
    pub is_program: bool,
    attempt: fn() -> io::Result<()>,
}

/// What is tried. What changes this process comes last.
pub const ATTEMPTS: &[Attempt] = &[
    some("write to /etc", || write("/etc/.heartbeat-hil-probe")),
    some("write to /var", || write("/var/.heartbeat-hil-probe")),
    anyone("write to the application's /tmp", || write(application_tmp().join(".heartbeat-hil-probe"))),
    some("write to /var/tmp", || write("/var/tmp/.heartbeat-hil-probe")),
    anyone("write to /dev/shm", || write("/dev/shm/.heartbeat-hil-probe")),
    some("write to /run/lock", || write("/run/lock/.heartbeat-hil-probe")),
    some("read /etc/shadow", || fs::read("/etc/shadow").map(drop)),
    anyone("read another home", another_home),
    anyone("listen", || TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    Attempt { is_program: true, ..anyone("run a program", || run("/bin/true", &[])) },
    anyone("make a program in memory", || Ok(memfd_create("probe", MFdFlags::empty()).map(drop)?)),
    anyone("make a setuid file", setuid_file),
    some("read the kernel's log", || fs::File::open("/dev/kmsg").map(drop)),
    some("see block devices", block_device),
    some("have privileges", privileges),
    some("make a namespace", || Ok(unshare(CloneFlags::CLONE_NEWUSER)?)),
];

const fn anyone(what: &'static str, attempt: fn() -> io::Result<()>) -> Attempt {
    Attempt { what, by_anyone: true, is_program: false, attempt }
}

/// Root, and on some systems every user.
const fn some(what: &'static str, attempt: fn() -> io::Result<()>) -> Attempt {
    Attempt { by_anyone: false, ..anyone(what, attempt) }
}

/// A line for each attempt: `can WHAT` or `cannot WHAT: why`.
pub fn lines() -> Vec<String> {
    let tell = |Attempt { what, attempt, .. }: &Attempt| match attempt() {
        Ok(()) => format!("can {what}"),
        Err(error) => format!("cannot {what}: {error}"),
    };
    ATTEMPTS.iter().map(tell).collect()
}

fn another_home() -> io::Result<()> {
    let reads = SECRETS.iter().any(|path| fs::read(path).is_ok());
    if reads { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
}

/// In its own directory, where it may write.
fn setuid_file() -> io::Result<()> {
    let folder = env::var_os("RUNTIME_DIRECTORY").map_or_else(env::temp_dir, Into::into);
    let path = folder.join(".heartbeat-hil-setuid");
    fs::write(&path, "probe")?;
    let made = fs::set_permissions(&path, fs::Permissions::from_mode(0o4700));
    fs::remove_file(path)?;
    made
}

fn write(path: impl AsRef<Path>) -> io::Result<()> {
    fs::write(&path, "probe")?;
    fs::remove_file(path)
}

fn application_tmp() -> std::path::PathBuf {
    env::var_os("HEARTBEAT_APP_TMP").map_or_else(|| "/tmp".into(), Into::into)
}

fn run(program: impl AsRef<OsStr>, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

fn block_device() -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    for entry in fs::read_dir("/dev")?.flatten() {
        if entry.file_type()?.is_block_device() {
            return Ok(());
        }
    }
    Err(ErrorKind::NotFound.into())
}

fn privileges() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let some = effective.is_some_and(|mask| mask.trim().chars().any(|digit| digit != '0'));
    if some { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_line_for_each_attempt() {
        let lines = lines();
        assert_eq!(lines.len(), ATTEMPTS.len());
        assert!(
            lines.iter().all(|line| line.starts_with("can ") || line.starts_with("cannot ")),
            "{lines:?}"
        );
        assert!(lines.contains(&"can listen".to_owned()) && lines.contains(&"can run a program".to_owned()));
    }
}
