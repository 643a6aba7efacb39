//! What starts an older service that does not run, or that no unit with its name starts.

#![allow(clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
};

mod machine;

use machine::{ASKS, CONFIG, FLEET, Machine, PROGRAM, SCRIPT, UNIT, attention};

/// Where an older service can be started that does not run while ours is installed.
const STARTERS: [(&str, &str); 8] = [
    (
        "etc/systemd/system/my-heartbeat.service",
        "[Service]\nExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py\n",
    ),
    (
        "etc/systemd/system/heart@.service",
        "[Service]\nExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py %i\n",
    ),
    (
        "home/pi/.config/systemd/user/heartbeat-daemon.service",
        "[Service]\nExecStart=/usr/bin/python3 %h/flask_app/heartbeat_daemon.py\n",
    ),
    ("etc/rc.local", "#!/bin/sh\ncd /home/pi/flask_app && python3 heartbeat_daemon.py &\nexit 0\n"),
    ("etc/cron.d/heartbeat", "@reboot pi /usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py\n"),
    (
        "var/spool/cron/crontabs/pi",
        "@reboot sleep 30 && cd flask_app && python3 heartbeat_daemon.py >/dev/null 2>&1\n",
    ),
    (
        "home/pi/.config/autostart/heartbeat.desktop",
        "[Desktop Entry]\nExec=python3 /home/pi/flask_app/heartbeat_daemon.py\n",
    ),
    ("home/pi/.bashrc", "export X=1\npython3 ~/flask_app/heartbeat_daemon.py &\n"),
];

/// As on a device whose older service has just failed, or in an image that is being built.
#[test]
fn older_service_that_does_not_run_keeps_its_settings_and_is_named() {
    for (file, text) in STARTERS {
        let machine = Machine::with_old_service(PROGRAM);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write(file, text);
        let notices = machine.take_over();
        assert_eq!(machine.url(), FLEET, "{file}: {notices:?}");
        let said = attention(&notices);
        assert!(
            said.iter().any(|text| text.contains(&format!("its settings are those in /{file};"))),
            "{file}: {notices:?}"
        );
        let again = format!("/{file} starts heartbeat_daemon.py again: ");
        assert!(said.iter().any(|text| text.starts_with(&again)), "{file}: {notices:?}");
    }
}

/// As on an image, or where the program has just failed: the directory is in the line, in forms that people give it.
#[test]
fn program_is_found_in_the_directory_that_the_line_changes_to() {
    for (file, line) in [
        ("var/spool/cron/crontabs/pi", "@reboot cd /home/pi/flask_app && python3 heartbeat_daemon.py"),
        ("var/spool/cron/crontabs/pi", "*/5 * * * * cd $HOME/flask_app && python3 heartbeat_daemon.py"),
        ("var/spool/cron/crontabs/pi", "@reboot cd flask_app && python3 -m heartbeat_daemon"),
        ("etc/crontab", "@reboot pi cd ~/flask_app && python3 heartbeat_daemon.py"),
        ("etc/cron.d/heart", "0 * * * * pi cd flask_app && python3 heartbeat_daemon.py"),
        (
            "etc/rc.local",
            "if [ -d /home/pi/flask_app ]; then cd /home/pi/flask_app; python3 heartbeat_daemon.py & fi",
        ),
        (
            "lib/systemd/system/heart.service",
            "[Service]\nWorkingDirectory=/home/pi/flask_app\nExecStart=python3 -m heartbeat_daemon",
        ),
    ] {
        let machine = Machine::with_old_service(PROGRAM);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write(file, &format!("{line}\n"));
        let notices = machine.take_over();
        assert_eq!(machine.url(), FLEET, "{line}: {notices:?}");
    }
    // Where that is not understood, it is not gone.
    for line in [
        "sudo -u pi bash -c 'cd ~/flask_app && python3 heartbeat_daemon.py'",
        "start-stop-daemon --start --chdir /home/pi/flask_app --exec /usr/bin/python3 -- heartbeat_daemon.py",
        "tmux new-session -d -c /home/pi/flask_app python3 heartbeat_daemon.py",
    ] {
        let machine = Machine::with_old_service(PROGRAM);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write("etc/rc.local", &format!("{line}\n"));
        machine.assert_nothing_is_sent(line);
    }
}

/// To disable its unit would end the application.
#[test]
fn application_that_starts_the_older_service_besides_is_left_alone() {
    for command in [
        "/bin/sh -c 'python3 /home/pi/heartbeat_daemon.py & exec python3 /home/pi/streamer.py'",
        "/usr/bin/pkill -f heartbeat_daemon.py",
    ] {
        let machine = Machine::new();
        let file = "etc/systemd/system/streamer.service";
        machine.write(file, &format!("[Service]\nExecStart={command}\n"));
        let notices = machine.take_over();
        let named = format!("/{file} names heartbeat_daemon.py beside something else");
        assert!(attention(&notices).iter().any(|text| text.starts_with(&named)), "{notices:?}");
        assert!(!format!("{notices:?}").contains("disable"), "{notices:?}");
    }
}

#[test]
fn what_others_cannot_read_of_a_starter_stays_secret() {
    for (file, text) in [STARTERS[0], STARTERS[4]] {
        let machine = Machine::with_old_service(PROGRAM);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write(file, text);
        fs::set_permissions(machine.path(file), fs::Permissions::from_mode(0o600)).expect("set");
        machine.take_over();
        assert_eq!(machine.url(), FLEET, "{file}");
        assert_eq!(machine.path(CONFIG).metadata().expect("there").mode() & 0o004, 0, "{file}");
    }
}

/// What the service is told there is not in the line that names it.
#[test]
fn lines_around_the_one_that_starts_it_count() {
    for (file, text) in [
        (
            "etc/rc.local",
            "#!/bin/sh\nexport HEARTBEAT_URL=https://fleet.example/h.php\ncd /home/pi/flask_app\npython3 heartbeat_daemon.py &\n",
        ),
        (
            "var/spool/cron/crontabs/pi",
            "HEARTBEAT_URL=https://fleet.example/h.php\n@reboot screen -dmS heart python3 flask_app/heartbeat_daemon.py\n",
        ),
        (
            "etc/supervisor/conf.d/heart.conf",
            "[program:heart]\ncommand=/usr/bin/python3 heartbeat_daemon.py\ndirectory=/home/pi/flask_app\n\
             environment=X=\"1,2\",HEARTBEAT_URL=\"https://fleet.example/h.php\"\n",
        ),
        (
            "home/pi/.config/wayfire.ini",
            "[autostart]\nheart = env HEARTBEAT_URL=https://fleet.example/h.php python3 /home/pi/flask_app/heartbeat_daemon.py\n",
        ),
    ] {
        let machine = Machine::with_old_service(ASKS);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write(file, text);
        let notices = machine.take_over();
        assert_eq!(machine.url(), FLEET, "{file}: {notices:?}");
    }
}

#[test]
fn list_of_pm2_stops_all_sending_and_is_named() {
    let machine = Machine::with_old_service(PROGRAM);
    fs::remove_file(machine.path(UNIT)).expect("removed");
    let list = r#"[{"name": "h", "pm_exec_path": "/home/pi/flask_app/heartbeat_daemon.py"}]"#;
    machine.write("home/pi/.pm2/dump.pm2", list);
    machine.assert_nothing_is_sent("pm2");
    let named = "/home/pi/.pm2/dump.pm2 starts heartbeat_daemon.py again: as pi: pm2 delete, pm2 save";
    assert!(attention(&machine.take_over()).contains(&named));
}

#[test]
fn service_in_a_container_is_named_and_is_no_process_of_this_system() {
    let machine = || {
        let machine = Machine::new();
        machine.write("proc/123/cmdline", "python3\0/app/heartbeat_daemon.py\0");
        for (pid, namespace) in [("self", "pid:[1]"), ("123", "pid:[2]")] {
            fs::create_dir_all(machine.path(&format!("proc/{pid}/ns"))).expect("created");
            symlink(namespace, machine.path(&format!("proc/{pid}/ns/pid"))).expect("linked");
        }
        machine
    };
    machine().assert_nothing_is_sent("its program cannot be read");
    let told = machine();
    told.write("proc/123/environ", "HEARTBEAT_URL=https://fleet.example/h.php\0");
    let notices = told.take_over();
    assert_eq!(told.url(), FLEET);
    let named = "an older heartbeat service runs in a container: process 123 (python3 /app/heartbeat_daemon.py): end that container";
    assert!(attention(&notices).contains(&named), "{notices:?}");
    assert!(!format!("{notices:?}").contains("is ended"), "{notices:?}");
}

#[test]
fn second_installation_is_named() {
    let machine = Machine::with_old_service(PROGRAM);
    machine.write("opt/b/heartbeat_daemon.py", "HEARTBEAT_URL = 'https://other.example/'\n");
    machine.write("etc/cron.d/heart", "@reboot pi python3 /opt/b/heartbeat_daemon.py\n");
    symlink("/home/pi/flask_app", machine.path("home/pi/link")).expect("linked");
    machine.write("etc/rc.local", "python3 /home/pi/flask_app/heartbeat_daemon.py\n");
    let notices = machine.take_over();
    assert_eq!(machine.url(), FLEET);
    let others: Vec<_> =
        attention(&notices).into_iter().filter(|text| text.starts_with("there is another")).collect();
    assert!(matches!(others[..], [one] if one.contains("/opt/b/heartbeat_daemon.py")), "{notices:?}");
}

#[test]
fn starter_whose_program_cannot_be_found_stops_all_sending() {
    let machine = Machine::new();
    machine.write("etc/rc.local", "cd $DIRECTORY && ./heartbeat_daemon.py\n");
    machine.assert_nothing_is_sent("rc.local");
}

#[test]
fn commented_line_or_one_whose_program_is_gone_starts_nothing() {
    for (line, said) in
        [("# python3 /home/pi/flask_app/heartbeat_daemon.py", 0), ("python3 /gone/heartbeat_daemon.py", 1)]
    {
        let machine = Machine::with_old_service(PROGRAM);
        fs::remove_file(machine.path(UNIT)).expect("removed");
        machine.write("etc/rc.local", line);
        let notices = machine.take_over();
        assert_eq!(machine.read(CONFIG), "", "{line}");
        assert_eq!(attention(&notices).len(), said, "{notices:?}");
    }
}

#[test]
fn only_root_changes_where_an_installed_service_sends() {
    for (file, text) in STARTERS {
        let machine = Machine::new();
        machine.take_over();
        machine.write(SCRIPT, PROGRAM);
        machine.write(file, text);
        machine.take_over();
        assert_eq!(machine.read(CONFIG).contains(FLEET), file.starts_with("etc/"), "{file}");
    }
    let machine = Machine::new();
    machine.take_over();
    machine.write("opt/heartbeat_daemon.py", PROGRAM);
    machine.write("proc/123/cmdline", "python3\0/opt/heartbeat_daemon.py\0");
    if chown(machine.path("proc/123"), Some(1000), None).is_err() {
        println!("skipped: only root can give files away");
        return;
    }
    machine.take_over();
    assert_eq!(machine.read(CONFIG), "", "a process of pi");
    chown(machine.path("proc/123"), Some(0), None).expect("given");
    machine.take_over();
    assert_eq!(machine.url(), FLEET, "a process of root");
}

#[test]
fn devices_and_fifos_in_homes_are_no_starters() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("home/pi/.config/systemd/user")).expect("created");
    for fifo in ["home/pi/.bashrc", "home/pi/.config/systemd/user/a.service"] {
        nix::unistd::mkfifo(&machine.path(fifo), nix::sys::stat::Mode::S_IRWXU).expect("made");
    }
    symlink("/dev/zero", machine.path("home/pi/.profile")).expect("linked");
    assert_eq!(machine.take_over(), []);
}

/// The package starts a service that was stopped if another one is in its place.
#[test]
fn process_of_a_user_is_named_and_is_not_in_our_place() {
    let machine = Machine::new();
    machine.write("proc/123/cmdline", "python3\0/opt/heartbeat_daemon.py\0");
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"));
        command.args(["takeover", "--check", "--sysroot", machine.path("").to_str().expect("a path")]);
        let output = command.output().expect("it runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("still runs: process 123"), "{output:?}");
        output.status.code()
    };
    for (user, status) in [(1000, 0), (0, 1)] {
        if chown(machine.path("proc/123"), Some(user), None).is_err() {
            println!("skipped: only root can give files away");
            return;
        }
        assert_eq!(check(), Some(status), "{user}");
    }
}
