//! What a process in the place of the service can do: run by systemd in the service's sandbox, and outside of it, to show
//! that the probe can tell.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

/// The command that runs it.
pub const COMMAND: &str = "probe";
/// A file that a user's home holds while the probe runs.
pub const SECRET: &str = "/home/.heartbeat-hil-secret";

/// What is tried, and how it is tried. Success is what the sandbox must prevent.
type Attempt = (&'static str, fn() -> io::Result<()>);

const ATTEMPTS: &[Attempt] = &[
    ("write to /etc", || write("/etc/.heartbeat-hil-probe")),
    ("write to /var", || write("/var/.heartbeat-hil-probe")),
    ("write to the application's /tmp", || write(application_tmp().join(".heartbeat-hil-probe"))),
    ("read /etc/shadow", || fs::read("/etc/shadow").map(drop)),
    ("read another home", || fs::read(SECRET).map(drop)),
    ("listen", || TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    ("run a program", || run("/bin/true", &[])),
    ("read the kernel's log", || fs::File::open("/dev/kmsg").map(drop)),
    ("see block devices", || block_device()),
    ("have privileges", privileges),
];

/// A line for each attempt: `can WHAT` or `cannot WHAT: why`.
pub fn lines() -> Vec<String> {
    let tell = |(what, attempt): &Attempt| match attempt() {
        Ok(()) => format!("can {what}"),
        Err(error) => format!("cannot {what}: {error}"),
    };
    ATTEMPTS.iter().map(tell).collect()
}

/// How many attempts there are.
pub fn attempts() -> usize {
    ATTEMPTS.len()
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
        assert_eq!(lines.len(), attempts());
        assert!(
            lines.iter().all(|line| line.starts_with("can ") || line.starts_with("cannot ")),
            "{lines:?}"
        );
        assert!(lines.contains(&"can listen".to_owned()) && lines.contains(&"can run a program".to_owned()));
    }
}
