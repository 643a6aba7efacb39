//! Taking over from an older service: what its files say becomes settings. The system is a tree, in which no process can
//! be stopped; `packaging/test-systemd` does the whole in booted containers.

#![allow(clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use heartbeat_daemon::takeover::in_our_place;

mod machine;

use machine::{CONFIG, Machine, OLD_UNIT, PUBLISHED, PUBLISHED_URL, SCRIPT, UNIT, attention};

#[test]
fn constants_of_the_program_become_settings() {
    let machine = Machine::with_old_service(
        "import time\nHEARTBEAT_URL = \"https://fleet.example/h.php\"\nHEARTBEAT_INTERVAL = 10\nREQUEST_TIMEOUT = 2.0\n\
         PIDFILE = '/tmp/heartbeat_daemon.pid'\n",
    );
    let notices = machine.take_over();
    assert_eq!(
        machine.settings(),
        [
            "url = \"https://fleet.example/h.php\"   # HEARTBEAT_URL in /home/pi/flask_app/heartbeat_daemon.py, line 2",
            "interval = 10   # HEARTBEAT_INTERVAL in /home/pi/flask_app/heartbeat_daemon.py, line 3",
            "timeout = 2   # REQUEST_TIMEOUT in /home/pi/flask_app/heartbeat_daemon.py, line 4",
            "#pidfile = \"/tmp/heartbeat_daemon.pid\"   # PIDFILE in /home/pi/flask_app/heartbeat_daemon.py, line 5; the \
             service cannot write there and has one of its own",
            "app_dir = \"/home/pi/flask_app\"   # working directory of the older service",
        ]
    );
    assert_eq!(attention(&notices), [""; 0]);
    assert!(!machine.path(UNIT).exists());
    assert_eq!(machine.read(&format!("{UNIT}.replaced")), OLD_UNIT);
    let unit = machine.read("etc/heartbeat-daemon/unit.conf");
    assert!(unit.contains("\nUser=pi\nBindReadOnlyPaths=-/home/pi\n"), "{unit}");
}

#[test]
fn nothing_is_sent_when_the_url_cannot_be_read() {
    for program in [
        "HEARTBEAT_URL = BASE + '/h.php'\n",
        "HEARTBEAT_URL = 'ftp://fleet.example/'\n",
        "HEARTBEAT_URL = 5\n",
        "# HEARTBEAT_URL = 'https://fleet.example/'\n",
        "",
    ] {
        let machine = Machine::with_old_service(program);
        let notices = machine.take_over();
        assert!(
            machine.read(CONFIG).contains("\nurl = \"\"   # set it: "),
            "{program}: {}",
            machine.read(CONFIG)
        );
        assert!(
            attention(&notices).iter().any(|text| text.starts_with("NOTHING IS SENT")),
            "{program}: {notices:?}"
        );
    }
    let machine = Machine::with_old_service("");
    fs::remove_file(machine.path(SCRIPT)).expect("removed");
    machine.take_over();
    assert!(machine.read(CONFIG).contains("\nurl = \"\""));
}

#[test]
fn fifos_do_not_hang_it() {
    let machine = Machine::with_old_service("");
    fs::remove_file(machine.path(SCRIPT)).expect("removed");
    for fifo in [SCRIPT, "home/pi/environment", "tmp/rpi_streamer_heartbeat.json"] {
        fs::create_dir_all(machine.path(fifo).parent().expect("a parent")).expect("created");
        nix::unistd::mkfifo(&machine.path(fifo), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    }
    machine.write(UNIT, &format!("{OLD_UNIT}\n[Service]\nEnvironmentFile=/home/pi/environment\n"));
    machine.take_over();
    assert!(machine.read(CONFIG).contains("\nurl = \"\""));
}

#[test]
fn environment_counts_against_the_published_constant_only() {
    let changed = "HEARTBEAT_URL = \"https://changed.example/\"\n";
    let asked = "HEARTBEAT_URL = os.environ.get('HEARTBEAT_URL', 'https://default.example/')\n";
    for (program, expected) in [
        (PUBLISHED, "https://unit.example/"),
        (changed, "https://changed.example/"),
        (asked, "https://unit.example/"),
    ] {
        let machine = Machine::with_old_service(program);
        machine.write(
            UNIT,
            &format!("{OLD_UNIT}[Service]\nEnvironment=X=1 \"HEARTBEAT_URL=https://unit.example/\"\n"),
        );
        machine.take_over();
        assert!(
            machine.read(CONFIG).contains(&format!("\nurl = \"{expected}\" ")),
            "{}",
            machine.read(CONFIG)
        );
    }
    let machine = Machine::with_old_service(PUBLISHED);
    let notices = machine.take_over();
    assert_eq!(machine.url(), PUBLISHED_URL);
    assert_eq!(attention(&notices), [""; 0]);
}

#[test]
fn secrets_of_environment_files_stay_secret() {
    let machine = Machine::with_old_service("");
    machine.write(
        UNIT,
        &format!("{OLD_UNIT}[Service]\nEnvironmentFile=-/none\nEnvironmentFile=/etc/default/heartbeat\n"),
    );
    machine.write(
        "etc/default/heartbeat",
        "HEARTBEAT_URL='https://fleet.example/h?key=s3cret'\nREQUEST_TIMEOUT=1.5\n",
    );
    // Only root may give a file to another group.
    if !nix::unistd::geteuid().is_root() {
        machine.write("etc/passwd", &format!("pi:x:1000:{}::/home/pi:/bin/sh\n", nix::unistd::getegid()));
    }
    let notices = machine.take_over();
    let config = machine.read(CONFIG);
    assert!(config.contains(
        "\nurl = \"https://fleet.example/h?key=s3cret\"   # HEARTBEAT_URL, /etc/default/heartbeat\n"
    ));
    assert!(config.contains("\ntimeout = 1.5   # REQUEST_TIMEOUT, /etc/default/heartbeat\n"), "{config}");
    assert!(!format!("{notices:?}").contains("s3cret"), "{notices:?}");
    let mode = machine.path(CONFIG).metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// Also what is in a directory that others cannot enter.
#[test]
fn what_others_cannot_read_stays_secret() {
    let drop_in = "etc/systemd/system/heartbeat-daemon.service.d/a.conf";
    let module = "home/pi/flask_app/config.py";
    let parts = [("none", 0o644), (SCRIPT, 0o640), (module, 0o600), (UNIT, 0o600), (drop_in, 0o640)];
    for (private, mode) in parts.into_iter().chain([("home/pi", 0o750), ("etc/systemd/system", 0o700)]) {
        let machine = Machine::with_old_service("from config import HEARTBEAT_URL\n");
        machine.write(module, "HEARTBEAT_URL = 'https://fleet.example/s3cret'\n");
        machine.write(drop_in, "[Service]\nEnvironment=X=1\n");
        machine.write("none", "");
        if !nix::unistd::geteuid().is_root() {
            machine.write("etc/passwd", &format!("pi:x:1000:{}::/home/pi:/bin/sh\n", nix::unistd::getegid()));
        }
        fs::set_permissions(machine.path(private), fs::Permissions::from_mode(mode)).expect("set");
        machine.take_over();
        assert!(machine.read(CONFIG).contains("\nurl = \"https://fleet.example/s3cret\" "), "{private}");
        let found = machine.path(CONFIG).metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(found, if private == "none" { 0o644 } else { 0o640 }, "{private}");
    }
}

#[test]
fn module_of_another_user_beside_the_program_is_not_read() {
    let module = "home/pi/flask_app/config.py";
    for program in [
        "from config import HEARTBEAT_URL\n",
        "from config import *\n",
        "import config\nHEARTBEAT_URL = config.HEARTBEAT_URL\n",
    ] {
        for (owner, is_read) in [(0, true), (1000, true), (1001, false)] {
            let machine = Machine::with_old_service(program);
            machine.write(
                UNIT,
                &format!("{OLD_UNIT}[Service]\nEnvironment=HEARTBEAT_URL=https://unit.example/\n"),
            );
            machine.write(module, "HEARTBEAT_URL = 'https://module.example/'\n");
            if chown(machine.path(module), Some(owner), None).is_err() {
                println!("skipped: only root can give files away");
                return;
            }
            chown(machine.path(SCRIPT), Some(1000), None).expect("given");
            let notices = machine.take_over();
            let url = if is_read { "https://module.example/" } else { "" };
            assert!(machine.read(CONFIG).contains(&format!("\nurl = \"{url}\" ")), "{program}, {owner}");
            let is_said =
                attention(&notices).iter().any(|text| text.starts_with(&format!("/{module} is not read")));
            assert_eq!(is_said, !is_read, "{notices:?}");
        }
    }
}

#[test]
fn impossible_times_are_moved_into_their_range() {
    for (interval, timeout, expected) in [
        ("1", "2", ["interval = 1 ", "timeout = 1 "]),
        ("0.001", "-1", ["interval = 0.05 ", "timeout = 0.001 "]),
        ("1e9", "2", ["interval = 86400 ", "timeout = 2 "]),
    ] {
        let machine = Machine::with_old_service(&format!(
            "HEARTBEAT_URL = 'https://a/'\nHEARTBEAT_INTERVAL = {interval}\nREQUEST_TIMEOUT = {timeout}\n"
        ));
        let notices = machine.take_over();
        for line in expected {
            assert!(
                machine.settings().iter().any(|setting| setting.starts_with(line)),
                "{:?}",
                machine.settings()
            );
        }
        assert!(attention(&notices).iter().any(|text| text.contains("which is not possible")), "{notices:?}");
    }
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\nHEARTBEAT_INTERVAL = 'soon'\n");
    let notices = machine.take_over();
    assert!(!machine.read(CONFIG).contains("interval"));
    assert!(attention(&notices).iter().any(|text| text.contains("is no number (soon)")), "{notices:?}");
}

#[test]
fn what_the_configuration_sets_already_stays() {
    let machine =
        Machine::with_old_service("HEARTBEAT_URL = 'https://old.example/'\nHEARTBEAT_INTERVAL = 10\n");
    let own = "url = \"https://mine.example/\"\napp_version = \"2\"\n[backlog]\nbeats = 5\n";
    machine.write(CONFIG, own);
    machine.take_over();
    let config = machine.read(CONFIG);
    assert!(config.ends_with(own), "{config}");
    assert!(config.contains("\ninterval = 10 "), "{config}");
    assert!(!config.contains("old.example") && !config.contains("app_dir"), "{config}");
    toml::from_str::<toml::Table>(&config).expect("TOML");
}

#[test]
fn taking_over_again_changes_nothing() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\nHEARTBEAT_INTERVAL = 10\n");
    machine.take_over();
    let (config, unit) = (machine.read(CONFIG), machine.read("etc/heartbeat-daemon/unit.conf"));
    assert_eq!(machine.take_over(), []);
    // An updater of the old application brings its unit back.
    machine.write(UNIT, OLD_UNIT);
    machine.write("etc/systemd/system/heartbeat-daemon.service.d/limits.conf", "[Service]\nMemoryMax=20M\n");
    assert!(
        in_our_place(&machine.root())
            .first()
            .is_some_and(|text| text.contains("heartbeat-daemon.service is not"))
    );
    machine.take_over();
    assert_eq!(machine.read(CONFIG), config);
    assert_eq!(machine.read("etc/heartbeat-daemon/unit.conf"), unit);
    assert!(!machine.path(UNIT).exists());
    assert_eq!(machine.read(&format!("{UNIT}.replaced.2")), OLD_UNIT, "beside the first");
    let kept = machine.path("etc/systemd/system/heartbeat-daemon.service.d/limits.conf");
    assert!(kept.exists(), "a drop-in that was made for this program");
    assert_eq!(in_our_place(&machine.root()), [""; 0]);
}

#[test]
fn drop_ins_of_the_old_unit_are_moved_aside() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\n");
    let other = "home/pi/other/heartbeat_daemon.py";
    machine.write(other, "HEARTBEAT_URL = 'https://other.example/'\n");
    let drop_in = "etc/systemd/system/heartbeat-daemon.service.d/override.conf";
    machine.write(
        drop_in,
        "[Service]\nExecStart=\nExecStart=/usr/bin/python3 -u heartbeat_daemon.py\nWorkingDirectory=/home/pi/other\n",
    );
    machine.take_over();
    assert!(machine.read(CONFIG).contains("\nurl = \"https://other.example/\""), "{}", machine.read(CONFIG));
    assert!(!machine.path(drop_in).exists());
    assert!(machine.path(&format!("{drop_in}.replaced")).exists());
}

#[test]
fn drop_in_without_a_unit_counts_as_old_service() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\n");
    fs::remove_file(machine.path(UNIT)).expect("removed");
    let directory = "etc/systemd/system/heartbeat-daemon.service.d";
    machine.write(
        &format!("{directory}/override.conf"),
        "[Service]\nExecStart=\nExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py\n",
    );
    machine.write(&format!("{directory}/limits.conf"), "[Service]\nMemoryMax=20M\n");
    machine.take_over();
    assert!(machine.read(CONFIG).contains("\nurl = \"https://a/\""));
    assert!(!machine.path(&format!("{directory}/override.conf")).exists());
    assert!(machine.path(&format!("{directory}/limits.conf")).exists());
}

#[test]
fn units_linked_from_a_home_are_read_and_unlinked() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\n");
    let real = "home/pi/flask_app/heartbeat-daemon.service";
    fs::rename(machine.path(UNIT), machine.path(real)).expect("moved");
    symlink("/home/pi/flask_app/heartbeat-daemon.service", machine.path(UNIT)).expect("linked");
    fs::create_dir(machine.path("etc/systemd/system/multi-user.target.wants")).expect("created");
    let wants = machine.path("etc/systemd/system/multi-user.target.wants/heartbeat-daemon.service");
    symlink("/home/pi/flask_app/heartbeat-daemon.service", &wants).expect("linked");
    machine.take_over();
    assert!(machine.read(CONFIG).contains("\nurl = \"https://a/\""));
    assert!(!machine.path(UNIT).is_symlink() && !wants.is_symlink());
    assert!(machine.path(real).exists());
}

#[test]
fn decisions_of_people_stay() {
    let machine = Machine::new();
    machine.write(UNIT, "[Service]\nExecStart=/usr/bin/heartbeat-daemon run\nMemoryMax=20M\n");
    assert_eq!(machine.take_over(), []);
    assert!(machine.path(UNIT).exists(), "a unit of this program that somebody has edited");
    fs::remove_file(machine.path(UNIT)).expect("removed");
    symlink("/dev/null", machine.path(UNIT)).expect("linked");
    assert!(attention(&machine.take_over()).iter().any(|text| text.contains("is masked and stays so")));
    assert!(machine.path(UNIT).is_symlink());
}

#[test]
fn id_that_the_server_knows_stays() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\n");
    machine.write("proc/cpuinfo", "Serial : HKC-2132-54DF\n");
    machine.write("etc/machine-id", "8a7d5c1e0f3b4a2d9c6e5f4a3b2c1d0e\n");
    machine.take_over();
    assert!(
        machine.read(CONFIG).contains(
            "\nhardware_id = \"HKC-2132-54DF\"   # Serial in /proc/cpuinfo; by itself this program finds \
             d3d8c7bce012421e8e112233d6809dd8\n"
        ),
        "{}",
        machine.read(CONFIG)
    );
    let same = Machine::with_old_service("HEARTBEAT_URL = 'https://a/'\n");
    same.take_over();
    assert!(!same.read(CONFIG).contains("hardware_id"));
}

#[test]
fn process_without_a_unit_tells_its_settings() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = os.environ.get('HEARTBEAT_URL')\n");
    fs::remove_file(machine.path(UNIT)).expect("removed");
    machine.write("proc/123/cmdline", "python3\0heartbeat_daemon.py\0");
    machine.write("proc/123/environ", "HOME=/home/pi\0HEARTBEAT_URL=https://process.example/\0");
    machine.write("proc/123/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n");
    symlink("/home/pi/flask_app", machine.path("proc/123/cwd")).expect("linked");
    // Of pi, where the test may give it away.
    let is_of_pi = chown(machine.path("proc/123"), Some(1000), None).is_ok();
    let state = "tmp/rpi_streamer_heartbeat.json";
    machine.write(state, r#"{"hardwareid": "024200c0ffee"}"#);
    let _ = chown(machine.path(state), Some(1000), None);
    machine.write("etc/rc.local", "#!/bin/sh\nsudo -u pi python3 /home/pi/flask_app/heartbeat_daemon.py &\n");
    let notices = machine.take_over();
    assert!(
        machine
            .read(CONFIG)
            .contains("\nurl = \"https://process.example/\"   # HEARTBEAT_URL, environment of process 123\n"),
        "{}",
        machine.read(CONFIG)
    );
    assert!(attention(&notices).iter().any(|text| text.starts_with("/etc/rc.local starts ")), "{notices:?}");
    assert!(
        attention(&notices).iter().any(|text| text.contains("those of process 123, which")),
        "{notices:?}"
    );
    let settings = machine.settings().join("\n");
    assert!(settings.contains("\napp_dir = \"/home/pi/flask_app\" "), "{settings}");
    assert!(!is_of_pi || settings.contains("\nhardware_id = \"024200c0ffee\" "), "{settings}");
    let unit = machine.read("etc/heartbeat-daemon/unit.conf");
    assert!(unit.contains("\nUser=heartbeat-daemon\n"), "anybody can start a process: {unit}");
}

#[test]
fn variable_of_a_process_stays_secret_whatever_its_name() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = os.environ['WHERE']\n");
    fs::remove_file(machine.path(UNIT)).expect("removed");
    machine.write("proc/123/cmdline", "python3\0/home/pi/flask_app/heartbeat_daemon.py\0");
    machine.write("proc/123/environ", "WHERE=https://process.example/\0");
    machine.take_over();
    assert_eq!(machine.url(), "https://process.example/");
    assert_eq!(machine.path(CONFIG).metadata().expect("there").permissions().mode() & 0o004, 0);
}

#[test]
fn without_an_older_service_only_the_user_is_written_down() {
    let machine = Machine::new();
    assert_eq!(machine.take_over(), []);
    assert!(!machine.path(CONFIG).exists());
    assert!(
        machine.read("etc/heartbeat-daemon/unit.conf").ends_with("\nDynamicUser=no\nUser=heartbeat-daemon\n")
    );
    assert!(Path::new(&machine.path("etc/heartbeat-daemon")).is_dir());
}

#[test]
fn doctor_warns_of_another_unit_in_our_name() {
    let machine = Machine::new();
    let warnings = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"))
            .args(["--sysroot", machine.0.path().to_str().expect("a path"), "doctor"])
            .output()
            .expect("run");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(!warnings().contains("is not this program's"), "no unit");
    machine.write(UNIT, OLD_UNIT);
    let warned = warnings();
    assert!(warned.contains("heartbeat-daemon.service is not this program's"), "{warned}");
}
