//! The daemon as a process against the real receiver.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    process::Output,
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use heartbeat_sim::{receiver::Form, schema::Schema};
use nix::sys::signal::Signal;
use support::{Daemon, PATIENCE, bare_tree, beat, command, receiver, write};

fn output(args: &[&str]) -> (Output, String) {
    let output = command(args).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

#[test]
fn beats_arrive_one_after_the_other_on_one_connection() {
    let receiver = receiver();
    let mut daemon = Daemon::sending_to(receiver.address(), "0.2", &[]);
    let beats: Vec<_> = (0..10).map(|_| beat(&receiver)).collect();
    assert!(beats.iter().all(|beat| beat.connection == 1 && beat.form == Form::Post));
    let timestamps: Vec<_> =
        beats.iter().map(|beat| beat.value["timestamp"].as_f64().expect("the time")).collect();
    assert!(timestamps.is_sorted(), "{timestamps:?}");
    assert!(beats[1].value["cpu"].is_number());
    let overhead = beats[0].size - beats[0].document.len();
    assert!(overhead <= 400, "{overhead} bytes around the document");
    daemon.stop();
    // A reply to the last heartbeat may still be logged after it.
    assert!(daemon.log.iter().any(|line| line.starts_with("stopped: ")), "{:#?}", daemon.log);
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered:")), "{:#?}", daemon.log);
}

#[test]
fn version_comes_from_the_newest_file_below_app_dir() {
    let (receiver, dir) = (receiver(), tempfile::tempdir().expect("a directory"));
    fs::create_dir_all(dir.path().join("app/streamer/views")).expect("created");
    write(dir.path(), "app/streamer/views/live.py", b"pass");
    let config = dir.path().join("config.toml");
    let (app, address) = (dir.path().join("app"), receiver.address());
    let text =
        format!("url = 'http://{address}/'\ninterval = 0.2\npidfile = ''\napp_dir = '{}'\n", app.display());
    fs::write(&config, text).expect("written");
    let _daemon = Daemon::start(command(&["run", "--config", config.to_str().expect("UTF-8")]));
    let began = Instant::now();
    while !beat(&receiver).value["app_version"].is_string() {
        assert!(began.elapsed() < PATIENCE, "no version");
    }
}

#[test]
fn delivers_the_deprecated_get_form() {
    let receiver = receiver();
    let _daemon = Daemon::sending_to(receiver.address(), "0.2", &["--method", "get"]);
    let beats = [beat(&receiver), beat(&receiver)];
    assert!(beats.iter().all(|beat| beat.form == Form::Get && beat.connection == 1));
}

#[test]
fn sighup_takes_over_a_new_configuration_and_refuses_a_bad_one() {
    let (first, second) = (receiver(), receiver());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    let configure = |text: &str| fs::write(&path, text).expect("written");
    configure(&format!("url = 'http://{}/'\ninterval = 0.1\npidfile = ''\n", first.address()));
    let mut daemon = Daemon::start(command(&["run", "--config", path.to_str().expect("UTF-8")]));
    beat(&first);

    configure("interval = 'often'\n");
    daemon.signal(Signal::SIGHUP);
    let complaint = daemon.logs("the old one stays");
    assert!(
        complaint.ends_with("config.toml:1: interval: expected a number of seconds, found string \"often\""),
        "{complaint}"
    );
    beat(&first);

    configure(&format!("url = 'http://{}/'\ninterval = 0.1\nhardware_id = 'renamed'\n", second.address()));
    daemon.signal(Signal::SIGHUP);
    daemon.logs("configuration read again");
    let began = Instant::now();
    while beat(&second).value["hardwareid"] != "renamed" {
        assert!(began.elapsed() < PATIENCE, "the old id is still sent");
    }
    daemon.stop();
}

#[test]
fn second_instance_names_the_running_one() {
    let receiver = receiver();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("heartbeat.pid");
    let path = path.to_str().expect("UTF-8");
    let mut daemon = Daemon::sending_to(receiver.address(), "0.2", &["--pidfile", path]);
    beat(&receiver);
    let url = format!("http://{}/", receiver.address());
    let (second, errors) = output(&["run", "--url", &url, "--pidfile", path]);
    assert_eq!(second.status.code(), Some(75));
    assert_eq!(errors, format!("error: another instance is running (pid {}, {path})\n", daemon.pid()));
    daemon.stop();
    assert!(!fs::exists(path).expect("asked"), "the pidfile is gone");
}

#[test]
fn a_killed_instance_leaves_no_lock_behind() {
    let receiver = receiver();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("heartbeat.pid");
    let path = path.to_str().expect("UTF-8");
    let mut killed = Daemon::sending_to(receiver.address(), "0.2", &["--pidfile", path]);
    beat(&receiver);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    let next = Daemon::sending_to(receiver.address(), "0.2", &["--pidfile", path]);
    let own = format!("{}\n", next.pid());
    let began = Instant::now();
    while fs::read_to_string(path).ok().as_ref() != Some(&own) {
        assert!(began.elapsed() < PATIENCE, "the stale file was not taken over");
        beat(&receiver);
    }
}

#[test]
fn foreign_pidfile_does_not_stop_the_beats() {
    let receiver = receiver();
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "precious", b"do not touch");
    symlink(dir.path().join("precious"), dir.path().join("link")).expect("linked");
    for (name, problem) in [("link", "found a symbolic link"), (".", "directory")] {
        let path = dir.path().join(name);
        let mut daemon =
            Daemon::sending_to(receiver.address(), "0.2", &["--pidfile", path.to_str().expect("UTF-8")]);
        let warning = daemon.logs("going on without a pidfile");
        assert!(warning.contains(problem), "{warning}");
        beat(&receiver);
        daemon.stop();
    }
    assert_eq!(fs::read(dir.path().join("precious")).expect("read"), b"do not touch");
}

#[test]
fn unread_log_does_not_stop_the_beats() {
    use std::process::Stdio;
    let receiver = receiver();
    let url = format!("http://{}/", receiver.address());
    let args = ["run", "--url", &url, "--interval", "0.05", "--pidfile", "", "--verbose"];
    // The pipe is never read: with a line per beat it is full after a thousand.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).expect("made small");
    let mut child = command(&args).stdout(Stdio::null()).stderr(writer).spawn().expect("it runs");
    // 4 KiB are full after some 150 lines of 25 bytes.
    for _ in 0..200 {
        beat(&receiver);
    }
    child.kill().expect("killed");
    child.wait().expect("waited");
    drop(reader);
}

#[test]
fn bad_files_of_the_device_cost_their_own_values_only() {
    let files = [
        "proc/stat",
        "proc/meminfo",
        "proc/cpuinfo",
        "proc/net/route",
        "proc/net/ipv6_route",
        "proc/device-tree/serial-number",
        "sys/class/thermal/thermal_zone0/type",
        "sys/class/thermal/thermal_zone0/temp",
        "sys/class/net/eth0/type",
        "sys/class/net/eth0/operstate",
        "sys/class/net/eth0/address",
        "sys/class/net/eth0/addr_assign_type",
        "tmp/relay-ffmpeg-webcam.pid",
        "tmp/relay-ffmpeg-record-webcam.pid",
        "tmp/gps-tracker.pid",
    ];
    let schema = Schema::new();
    let contents: [&[u8]; 5] =
        [b"", b"\0\0\0\0", b"\xff\xfe garbage \x01", b"-99999999999", &[b'9'; 100_000]];
    for content in contents {
        let tree = bare_tree();
        for file in files {
            write(tree.path(), file, content);
        }
        let (output, errors) = output(&["--sysroot", tree.path().to_str().expect("UTF-8"), "sample"]);
        assert!(output.status.success(), "{errors}");
        let value = schema.check(output.stdout.trim_ascii()).expect("fits the schema");
        assert_eq!(value["hardwareid"], "d3d8c7bce012421e8e112233d6809dd8");
        for key in ["cpu", "mem", "temp"] {
            assert!(value[key].is_null(), "{key} of {:?}", &content[..content.len().min(20)]);
        }
        assert!(value["disk"]["percent"].is_number());
    }
}

#[test]
fn reports_what_is_readable_of_strange_recordings() {
    let schema = Schema::new();
    let long = format!("/{}", "ä".repeat(2_500));
    for (path, expected) in [
        (&b"/media/quote\".mp4"[..], "/media/quote\".mp4".to_owned()),
        (b"/media/back\\slash\nand line.mp4", "/media/back\\slash\nand line.mp4".to_owned()),
        (b"/media/\xff\xfe.mp4", "/media/\u{fffd}\u{fffd}.mp4".to_owned()),
        (long.as_bytes(), long.chars().take(128).collect()),
    ] {
        let tree = bare_tree();
        write(tree.path(), "proc/1/comm", b"init\n");
        write(tree.path(), "tmp/relay-ffmpeg-record-webcam.pid", &[b"1:", path].concat());
        let (output, errors) = output(&["--sysroot", tree.path().to_str().expect("UTF-8"), "sample"]);
        assert!(output.status.success(), "{errors}");
        let value = schema.check(output.stdout.trim_ascii()).expect("fits the schema");
        assert_eq!(value["recording_active"], true);
        assert_eq!(value["recording_file_path"], expected.as_str());
        assert!(value["recording_file_size_mb"].is_null(), "there is no such file");
    }
}

#[test]
fn rejects_a_board_without_identity_and_says_what_to_set() {
    let tree = tempfile::tempdir().expect("a directory");
    let (output, errors) = output(&["--sysroot", tree.path().to_str().expect("UTF-8"), "sample"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        errors.contains("this machine has no hardware id") && errors.contains("set hardware_id"),
        "{errors}"
    );
}

#[test]
fn send_prints_the_outcome() {
    let receiver = receiver();
    let url = format!("http://{}/heartbeat.php?key=secret", receiver.address());
    let (output, errors) = output(&["send", "--url", &url]);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.lines()
            .last()
            .is_some_and(|last| last.starts_with("delivered: ") && last.contains("status 200")),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
    beat(&receiver);
    assert_eq!(
        receiver.events().recv_timeout(Duration::ZERO).err(),
        Some(RecvTimeoutError::Timeout),
        "one is sent"
    );
}
