//! Which processes are heartbeat daemons: this program, or the Python service that it replaces.

use std::{fs, path::Path};

use crate::files::{self, Links};

/// Real command lines of daemons have some hundred bytes.
const CMDLINE_MAX: u64 = 64 * 1024;
const STATUS_MAX: u64 = 64 * 1024;
/// The Python service's program.
const OLD_PROGRAM: &str = "heartbeat_daemon.py";

/// Whether a process lives and is a heartbeat daemon that one of the `users` has started.
///
/// Any user can name a process as they like, so it counts only for the users that are trusted.
pub(crate) fn is_daemon_of(pid: u32, users: &[u32]) -> bool {
    user_of(pid).is_some_and(|user| users.contains(&user)) && is_daemon(pid)
}

/// Whether a process lives and calls itself a heartbeat daemon.
pub(super) fn is_daemon(pid: u32) -> bool {
    is_old_service(pid) || is_this_program(pid)
}

/// Whether it is an interpreter that runs the Python service.
pub(super) fn is_old_service(pid: u32) -> bool {
    let read = files::read(Path::new(&format!("/proc/{pid}/cmdline")), CMDLINE_MAX, Links::Refuse);
    read.is_ok_and(|(cmdline, _)| names_old_service(&cmdline))
}

/// Not an editor or a pager that shows it.
fn names_old_service(cmdline: &[u8]) -> bool {
    let mut words =
        cmdline.split(|byte| *byte == 0).map(|word| Path::new(str::from_utf8(word).unwrap_or("")));
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let interpreter = words.next().and_then(name).unwrap_or_default();
    interpreter == OLD_PROGRAM
        || interpreter.starts_with("python") && words.any(|word| name(word).as_deref() == Some(OLD_PROGRAM))
}

fn is_this_program(pid: u32) -> bool {
    let name = |pid: &str| fs::read(format!("/proc/{pid}/comm")).ok();
    name("self").is_some_and(|own| name(&pid.to_string()) == Some(own))
}

/// The user who has started it: the real one, which a set-user-ID program keeps.
fn user_of(pid: u32) -> Option<u32> {
    let (status, _) =
        files::read(Path::new(&format!("/proc/{pid}/status")), STATUS_MAX, Links::Refuse).ok()?;
    real_user(&String::from_utf8_lossy(&status))
}

/// The real user in a `/proc/PID/status` (proc_pid_status(5)): the one that started the process.
pub(crate) fn real_user(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::getuid;

    #[test]
    fn knows_the_old_service_by_its_command_line() {
        for (cmdline, expected) in [
            (&b"python3\0/home/pi/heartbeat_daemon.py\0"[..], true),
            (b"/usr/bin/python3.11\0-u\0heartbeat_daemon.py\0--debug\0", true),
            (b"./heartbeat_daemon.py\0", true),
            (b"vim\0heartbeat_daemon.py\0", false),
            (b"python3\0/home/pi/app.py\0", false),
            (b"python3\0/home/pi/not_heartbeat_daemon.py\0", false),
            (b"heartbeat-daemon\0run\0", false),
            (b"", false),
            (b"\xff\0\xff", false),
        ] {
            assert_eq!(names_old_service(cmdline), expected, "{}", String::from_utf8_lossy(cmdline));
        }
    }

    #[test]
    fn a_process_counts_for_its_user_only() {
        let (pid, user) = (std::process::id(), getuid().as_raw());
        assert!(is_daemon_of(pid, &[user]), "this program is one");
        assert!(!is_daemon_of(pid, &[user.wrapping_add(1)]));
        assert!(!is_daemon_of(0x7fff_fff0, &[user]), "there is no such process");
        assert!(!is_old_service(pid));
    }
}
