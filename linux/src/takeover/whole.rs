//! Whether a unit is wholly the older service. Only such a unit may be stopped and disabled: one that starts an
//! application besides, or only names the program, belongs to somebody else.

use super::{
    MODULE, SCRIPT,
    command::{DEPTH_MAX, SHELLS, Started, assignment, name, shell_commands},
    unit::Unit,
};

/// Programs that start what their arguments say, and nothing else.
const WRAPPERS: [&str; 9] =
    ["env", "sudo", "nice", "ionice", "nohup", "setsid", "stdbuf", "systemd-cat", "exec"];
/// Commands of a line for a shell that only prepare.
const PREPARING: [&str; 3] = ["cd", "export", "."];

/// Whether the unit has one command and that starts the older service alone.
pub(super) fn is_older_service(unit: &Unit) -> bool {
    matches!(unit.commands().as_slice(), [command] if is_alone(command, 0))
}

/// What is not understood is taken for something else: then a person decides.
fn is_alone(words: &[String], depth: u32) -> bool {
    let script = Started::by(words).script;
    if depth == DEPTH_MAX || script.is_none_or(|script| script.file_name().is_none_or(|name| name != SCRIPT))
    {
        return false;
    }
    let mut before = "";
    for (at, word) in words.iter().enumerate() {
        let (program, after) = (name(word), words.get(at + 1..).unwrap_or_default());
        if before == "-S" {
            return is_alone_in(word, depth);
        }
        if program.starts_with("python") {
            return python_runs_it(after);
        }
        if program == SCRIPT {
            return true;
        }
        if SHELLS.contains(&program) {
            return line_of(program, after).is_some_and(|line| is_alone_in(line, depth));
        }
        let is_number = || word.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
        let is_value = matches!(before, "-u" | "-g" | "-C") || (matches!(before, "-n" | "-c") && is_number());
        let is_option = word.starts_with('-') || is_value || assignment(word).is_some();
        if !is_option && !WRAPPERS.contains(&program) {
            return false;
        }
        before = word;
    }
    false
}

/// A line for a shell.
fn is_alone_in(line: &str, depth: u32) -> bool {
    let mut commands = shell_commands(line);
    commands.retain(|command| command.first().is_none_or(|first| !PREPARING.contains(&first.as_str())));
    // Commands inside a word.
    let is_plain = !line.contains('`') && !line.contains("$(");
    is_plain && matches!(commands.as_slice(), [command] if is_alone(command, depth + 1))
}

/// Whether Python with these arguments runs the older program: it may be an argument of another one.
fn python_runs_it(arguments: &[String]) -> bool {
    let mut before = "";
    for word in arguments {
        if before == "-m" {
            return word.rsplit('.').next() == Some(MODULE);
        }
        if !word.starts_with('-') && !matches!(before, "-W" | "-X") {
            return name(word) == SCRIPT;
        }
        if word.starts_with('-') && !word.starts_with("--") && word.contains('c') {
            return false;
        }
        before = word;
    }
    false
}

/// The line that a shell gets with `-c`. Without it, or behind a file, the shell runs a file.
fn line_of<'w>(shell: &str, arguments: &'w [String]) -> Option<&'w str> {
    let takes_user = ["su", "runuser"].contains(&shell);
    let mut words = arguments.iter();
    for word in words.by_ref() {
        let is_short = word.starts_with('-') && !word.starts_with("--");
        if (is_short && word.ends_with('c')) || word == "--command" {
            return words.next().map(String::as_str);
        }
        if !word.starts_with('-') && !takes_user && !SHELLS.contains(&name(word)) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(command: &str) -> bool {
        is_older_service(&Unit::parse(&format!("[Service]\nExecStart={command}\n"), "u"))
    }

    #[test]
    fn unit_that_starts_the_program_alone_is_the_older_service() {
        for command in [
            "/usr/bin/python3 /home/pi/heartbeat_daemon.py",
            "-@/usr/bin/python3 heart -u -W ignore '/home/pi/my app/heartbeat_daemon.py' --debug",
            "/usr/bin/python3 -m app.heartbeat_daemon",
            "/home/pi/heartbeat_daemon.py",
            "/usr/bin/env -u B A=1 python3 heartbeat_daemon.py",
            "/usr/bin/env -S 'A=1 python3 heartbeat_daemon.py'",
            "/usr/bin/sudo -u pi nice -n 5 python3 /home/pi/heartbeat_daemon.py",
            "/bin/sh -c 'cd /a && exec python3 heartbeat_daemon.py >>/l 2>&1'",
            "/bin/bash -lc 'export A=1; . venv/bin/activate; A=1 python3 heartbeat_daemon.py'",
            "/bin/sh -c ./heartbeat_daemon.py",
            "/bin/su pi -c \"/bin/sh -c 'cd /a; python3 heartbeat_daemon.py'\"",
        ] {
            assert!(is_whole(command), "{command}");
        }
    }

    #[test]
    fn unit_that_starts_or_does_something_else_is_not_the_older_service() {
        for command in [
            "/bin/sh -c 'python3 /home/pi/heartbeat_daemon.py & exec python3 /home/pi/streamer.py'",
            "/bin/sh -c 'exec python3 /home/pi/streamer.py & python3 /home/pi/heartbeat_daemon.py'",
            "/bin/su pi -c \"/bin/sh -c 'python3 heartbeat_daemon.py & ./streamer'\"",
            "/bin/sh -c 'python3 heartbeat_daemon.py \"$(python3 /home/pi/streamer)\"'",
            "/bin/sh -c 'python3 heartbeat_daemon.py `./streamer`'",
            "/bin/bash /home/pi/streamer.sh -c 'python3 heartbeat_daemon.py'",
            "/usr/bin/python3 /home/pi/streamer.py\nExecStart=/usr/bin/python3 /home/pi/heartbeat_daemon.py",
            "/usr/bin/python3 /home/pi/heartbeat_daemon.py\nExecStart=/home/pi/streamer",
            "/usr/bin/pkill -f heartbeat_daemon.py",
            "/usr/bin/pkill -f 'python3 /home/pi/heartbeat_daemon.py'",
            "/usr/bin/env -S 'pkill -f /home/pi/heartbeat_daemon.py'",
            "/bin/sh -c 'nice pkill -f heartbeat_daemon.py'",
            "/usr/bin/python3 /opt/streamer heartbeat_daemon.py",
            "/usr/bin/python3 -u -c 'import streamer' heartbeat_daemon.py",
            "/usr/bin/python3 /home/pi/streamer.py --beside heartbeat_daemon.py",
            "/usr/bin/python3 /home/pi/not_heartbeat_daemon.py",
            "",
        ] {
            assert!(!is_whole(command), "{command}");
        }
    }
}
