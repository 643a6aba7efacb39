//! What the program says to wrong flags and wrong configurations, and its exit status.

#![allow(clippy::expect_used)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

fn run(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"));
    for name in ["HEARTBEAT_URL", "HEARTBEAT_INTERVAL", "REQUEST_TIMEOUT", "PIDFILE", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    let output =
        command.args(args).envs(environment.iter().copied()).stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A command that waits for a pipe would wait for ever: the runner of the tests ends it.
#[test]
fn rejects_pipe_as_file_without_waiting() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    refused(&["--config", path.to_str().expect("UTF-8")], &[], ": expected a regular file, found a FIFO");
}

/// A configuration error of every command that needs one.
fn refused(args: &[&str], environment: &[(&str, &str)], expected: &str) {
    for command in ["run", "sample", "send", "check-config"] {
        let (status, output, errors) = run(&[&[command], args].concat(), environment);
        assert_eq!(status, Some(78), "{command}: {errors}");
        assert_eq!(output, "");
        assert!(errors.contains(expected), "{command}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn rejects_bad_flags() {
    refused(&["--interval", "0"], &[], "--interval: interval: expected from 0.05 to 86400 seconds, found 0");
    refused(
        &["--interval", "-5"],
        &[],
        "--interval: interval: expected from 0.05 to 86400 seconds, found -5",
    );
    refused(&["--interval", "NaN"], &[], "found NaN");
    refused(&["--interval", "soon"], &[], "expected a number of seconds, found string \"soon\"");
    refused(
        &["--timeout", "6"],
        &[],
        "--timeout: timeout: expected at most the interval of 5 seconds (default), found 6",
    );
    refused(&["--url", "example.org"], &[], "--url: url: expected a URL such as https://");
    refused(&["--url", "gopher://example.org/"], &[], "found the scheme \"gopher\"");
    refused(&["--method", "put"], &[], "--method: method: expected `post` or `get`, found `put`");
    refused(&["--sysroot", "/nonexistent"], &[], "--sysroot: /nonexistent: ");
}

#[test]
fn rejects_bad_environment() {
    let expected = "environment variable HEARTBEAT_INTERVAL: interval: expected a number of seconds, found string \"5s\"";
    refused(&[], &[("HEARTBEAT_INTERVAL", "5s")], expected);
    refused(
        &[],
        &[("REQUEST_TIMEOUT", "1e9")],
        "environment variable REQUEST_TIMEOUT: timeout: expected from 0.001",
    );
}

#[test]
fn rejects_bad_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    let path = path.to_str().expect("UTF-8");
    for (content, expected) in [
        (&b"interval = 5\nintervall = 6\n"[..], ":2: unknown key `intervall`; did you mean `interval`?"),
        (b"\ninterval = 'x'\n", ":2: interval: expected a number of seconds, found string \"x\""),
        (b"interval = 0.01\n", ":1: interval: expected from 0.05 to 86400 seconds, found 0.01"),
        (b"url = 'https://x/'\n\n# \xff\n", ":3: is not UTF-8 text"),
        (b"\x7fELF\x01\x02\0\0\0", ":1: "),
        (&[b'#'; 100_000], ": larger than 65536 bytes"),
    ] {
        fs::write(path, content).expect("written");
        refused(&["--config", path], &[], &format!("error: configuration: {path}{expected}"));
    }
    refused(&["--config", "/nonexistent.toml"], &[], "/nonexistent.toml: No such file or directory");
    refused(&["--config", "/"], &[], "/: expected a regular file, found a directory");
}

/// So that the service is started again. Address 0 of a process's memory is an error that any disk could give.
#[test]
fn transient_error_of_the_file_exits_with_1() {
    let (status, _, errors) = run(&["check-config", "--config", "/proc/self/mem"], &[]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("/proc/self/mem: Input/output error"), "{errors}");
}

#[test]
fn warns_about_world_writable_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    fs::write(&path, "hardware_id = 'cam-7'\nurl = 'http://127.0.0.1/'\n").expect("written");
    let check = |mode| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        run(&["check-config", "--config", path.to_str().expect("UTF-8")], &[])
    };
    let (status, _, errors) = check(0o666);
    let expected = format!("warning: {}: every user may write to this file\n", path.display());
    assert_eq!((status, errors), (Some(0), expected));
    let (status, _, errors) = check(0o664);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
}

#[test]
fn wrong_usage_exits_with_64() {
    let (status, _, errors) = run(&["--frequency", "5"], &[]);
    assert_eq!(status, Some(64));
    assert!(errors.contains("unexpected argument '--frequency'"), "{errors}");
    // A flag is not the value of another.
    let (status, _, errors) = run(&["--pidfile", "--verbose"], &[]);
    assert_eq!(status, Some(64));
    assert!(errors.contains("a value is required for '--pidfile <FILE>'"), "{errors}");
    let (status, _, errors) = run(&["dance"], &[]);
    assert_eq!(status, Some(64));
    assert!(errors.contains("unrecognized subcommand 'dance'"), "{errors}");
}

#[test]
fn help_fits_on_a_screen() {
    let (status, output, _) = run(&["--help"], &[]);
    assert_eq!(status, Some(0));
    assert!(output.lines().count() <= 25, "{} lines", output.lines().count());
    assert!(output.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn check_config_shows_where_each_setting_comes_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    fs::write(&path, "# comment\nhardware_id = 'cam-7'\ntimeout = 1.5\n").expect("written");
    let path = path.to_str().expect("UTF-8");
    let args = ["check-config", "--config", path, "--url", "http://127.0.0.1/"];
    let (status, output, errors) = run(&args, &[("HEARTBEAT_INTERVAL", "10")]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let origin = |key: &str| {
        let line = output.lines().find(|line| line.starts_with(key)).expect("shown");
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(origin("url"), "= \"http://127.0.0.1/\" # --url");
    assert_eq!(origin("interval"), "= 10.0 # environment variable HEARTBEAT_INTERVAL");
    assert_eq!(origin("timeout"), format!("= 1.5 # {path}:3"));
    assert_eq!(origin("hardware_id"), format!("= \"cam-7\" # {path}:2"));
    assert_eq!(origin("method"), "= \"post\" # default");
    assert!(output.ends_with(&format!("# {path}: valid\n")), "{output}");
}

#[test]
fn check_config_shows_no_query() {
    let (status, output, errors) =
        run(&["check-config", "--config", "/dev/null", "--url", "https://a.example/h?key=s3cret"], &[]);
    assert_eq!(status, Some(0), "{errors}");
    assert!(
        output.contains("url = \"https://a.example/h?(not shown)\" ") && output.contains("# --url"),
        "{output}"
    );
    assert!(!(output + &errors).contains("s3cret"));
}

/// A link to a volume that is mounted late is no mistake; one into a home, which the service never sees, is.
#[test]
fn configuration_that_is_not_mounted_yet_is_transient() {
    let dir = tempfile::tempdir().expect("a directory");
    for (target, status) in [("volume/c.toml", 1), ("/home/nobody-here/c.toml", 78)] {
        let link = dir.path().join(format!("link-{status}"));
        std::os::unix::fs::symlink(target, &link).expect("linked");
        let output = Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"))
            .arg("--config")
            .arg(&link)
            .arg("run")
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("is a link to what is not there"),
            "{output:?}"
        );
    }
}

#[test]
fn what_was_given_reaches_no_terminal_raw() {
    for arguments in [&["\x1b]0;owned\x07"][..], &["--x\u{202e}\u{9b}31m"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon")).args(arguments).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(64), "{said}");
        let is_raw = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!said.contains(is_raw), "{said:?}");
    }
    // Until the reader ends it.
    let mut watching = Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"))
        .args(["status", "--watch", "--file", "/no\x1b[31mx"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut first = String::new();
    let pipe = watching.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(pipe), &mut first).expect("a line");
    let _ = watching.kill();
    let _ = watching.wait();
    assert!(first.contains("31mx") && !first.contains('\x1b'), "{first:?}");
}
