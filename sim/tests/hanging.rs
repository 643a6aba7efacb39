//! Every slow source hangs at once: helper programs that never end, a GPS daemon that says nothing.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{fs, io::Read, net::TcpListener, os::unix::fs::PermissionsExt, process::Command, thread};

use heartbeat_sim::receiver::{Event, Receiver};
use support::{Daemon, PATIENCE};

/// Ignores what it can and never ends, nor does its child.
const HANGING: &str = "#!/bin/sh\ntrap '' TERM INT HUP PIPE\nsleep 3600 &\nwhile :; do wait; done\n";

/// Whether a mount namespace with an overlay over `/usr/bin` can be made here.
fn can_overlay(lower: &str) -> bool {
    let script = format!("mount -t overlay overlay -o lowerdir={lower}:/usr/bin /usr/bin");
    Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn hanging_sources_do_not_delay_beats_or_other_values() {
    let dir = tempfile::tempdir().expect("a directory");
    let programs = dir.path().join("bin");
    fs::create_dir(&programs).expect("created");
    for name in ["vcgencmd", "mmcli"] {
        let path = programs.join(name);
        fs::write(&path, HANGING).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    }
    let programs = programs.to_str().expect("UTF-8");
    if !can_overlay(programs) {
        println!("skipped: mounting an overlay needs root and a kernel that can");
        return;
    }
    // gpsd's port, if it is free: accepts and says nothing.
    let gpsd = TcpListener::bind("127.0.0.1:2947");
    if let Ok(listener) = &gpsd {
        let listener = listener.try_clone().expect("a handle");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || stream.take(1 << 20).read_to_end(&mut Vec::new()));
            }
        });
    }

    let receiver = Receiver::listen("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", receiver.address());
    let daemon = env!("CARGO_BIN_EXE_daemon-under-test");
    let script = format!(
        "mount -t overlay overlay -o lowerdir={programs}:/usr/bin /usr/bin && \
         exec {daemon} run --config /dev/null --pidfile '' --interval 0.5 --url {url} --verbose"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    let mut daemon = Daemon::start(command);
    let mut timestamps = Vec::new();
    for _ in 0..12 {
        match receiver.events().recv_timeout(PATIENCE).expect("a beat") {
            Event::Beat(beat) => {
                assert_eq!(beat.connection, 1);
                for key in ["/mem", "/disk/percent", "/uptime_s", "/timestamp"] {
                    assert!(
                        beat.value.pointer(key).is_some_and(serde_json::Value::is_number),
                        "{key}: {}",
                        beat.value
                    );
                }
                assert!(
                    beat.value["connection"]["4g"].is_null() && beat.value["connection"]["gps"].is_null()
                );
                timestamps.push(beat.value["timestamp"].as_f64().expect("a number"));
            }
            Event::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    // At least a whole interval less the sampling deadline lies between two: they never bunch up.
    assert!(
        timestamps.windows(2).skip(1).all(|pair| matches!(pair, [a, b] if b - a > 0.24)),
        "{timestamps:?}"
    );
    println!("{timestamps:?}");
    daemon.stop();
    let logged = |text: &str| daemon.log.iter().any(|line| line.contains(text));
    assert!(!logged("not delivered:"), "{:#?}", daemon.log);
    assert!(logged("throttling: reading failed") && logged("4g: reading failed"), "{:#?}", daemon.log);
}
