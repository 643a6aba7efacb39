//! Older services in the forms that people give them: each ends with its settings kept, or with a loud reason.

#![allow(clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
};

mod machine;

use machine::{CONFIG, Machine, OLD_UNIT, SCRIPT, UNIT, attention};

const FLEET: &str = "https://fleet.example/h.php";
const PROGRAM: &str = "HEARTBEAT_URL = 'https://fleet.example/h.php'\n";
/// Asks the environment, and has a default that must not be taken.
const ASKS: &str = "HEARTBEAT_URL = os.environ.get('HEARTBEAT_URL', 'https://default.example/')\n";

/// Its address, as the configuration has it then; empty when nothing is sent.
fn url(machine: &Machine) -> String {
    let config = machine.read(CONFIG);
    let line = config.lines().find_map(|line| line.strip_prefix("url = \"")).expect("an address, or none");
    line.split('"').next().expect("a value").to_owned()
}

/// A unit with these lines in place of its command.
fn unit(lines: &str) -> String {
    OLD_UNIT.replace("ExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py", lines)
}

/// Nothing is sent, and that is said.
fn assert_nothing_is_sent(machine: &Machine, about: &str) {
    let notices = machine.take_over();
    assert_eq!(url(machine), "", "{about}");
    let said = attention(&notices);
    assert!(said.iter().any(|text| text.starts_with("NOTHING IS SENT")), "{about}: {notices:?}");
}

#[test]
fn address_is_kept_in_every_form_of_the_program() {
    for program in [
        "HEARTBEAT_URL: str = 'https://fleet.example/h.php'\n",
        "HOST = 'fleet.example'\nHEARTBEAT_URL = f'https://{HOST}/h.php'\n",
        "BASE = 'https://fleet.example'\nHEARTBEAT_URL = BASE + '/h.php'\n",
        "HEARTBEAT_URL = os.environ.get('HEARTBEAT_URL', 'https://fleet.example/h.php')\n",
        "HEARTBEAT_URL = os.getenv(\n    'HEARTBEAT_URL',\n    'https://fleet.example/h.php',\n)\n",
        "class Config:\n    HEARTBEAT_URL = 'https://fleet.example/h.php'\n    HEARTBEAT_INTERVAL = 10\n",
        "from config import HEARTBEAT_URL, HEARTBEAT_INTERVAL\n",
        "from config import *\n",
        "import config\nHEARTBEAT_URL = config.HEARTBEAT_URL\n",
        "HEARTBEAT_URL = \"\"\"https://fleet.example/h.php\"\"\"\n",
        "HEARTBEAT_URL = ('https://fleet.example'\n                 '/h.php')\n",
        "# -*- coding: utf-8 -*-\r\nHEARTBEAT_URL = 'https://fleet.example/h.php'\r\nHEARTBEAT_INTERVAL = 10\r\n",
        "\u{feff}HEARTBEAT_URL = 'https://fleet.example/h.php'\n",
    ] {
        let machine = Machine::with_old_service(program);
        machine.write("home/pi/flask_app/config.py", &format!("{PROGRAM}HEARTBEAT_INTERVAL = 10\n"));
        let notices = machine.take_over();
        assert_eq!(url(&machine), FLEET, "{program}");
        assert_eq!(attention(&notices), [""; 0], "{program}");
    }
    let machine = Machine::with_old_service("");
    let latin1 = [b"# Ger\xe4t\n", PROGRAM.as_bytes()].concat();
    fs::write(machine.path(SCRIPT), latin1).expect("written");
    machine.take_over();
    assert_eq!(url(&machine), FLEET, "Latin-1 in a comment");
}

#[test]
fn address_that_would_have_to_be_executed_stops_all_sending() {
    for program in [
        "parser.add_argument('--url', default='https://fleet.example/h.php')\n",
        "HEARTBEAT_URL = parser.parse_args().url\n",
        "HEARTBEAT_URL = 'https://a.example/'\nHEARTBEAT_URL, X = load()\n",
        "from settings.production import HEARTBEAT_URL\n",
        "from config import OTHER as HEARTBEAT_URL\n",
        "def main():\n    HEARTBEAT_URL = 'https://a.example/'\n",
        "HEARTBEAT_URL = f'https://{socket.gethostname()}/'\n",
        "HEARTBEAT_URL = 'https://a.example/\n",
        "HEARTBEAT_URL = '''https://a.example/\nb'''\n",
    ] {
        assert_nothing_is_sent(&Machine::with_old_service(program), program);
    }
    let machine = Machine::with_old_service("");
    fs::write(machine.path(SCRIPT), b"HEARTBEAT_URL = 'https://a.example/ger\xe4t'\n").expect("written");
    assert_nothing_is_sent(&machine, "Latin-1 in the address");
}

/// The default holds only if nothing else sets the variable.
#[test]
fn default_is_not_taken_where_the_program_writes_to_its_environment() {
    for before in ["load_dotenv()\n", "os.environ['HEARTBEAT_URL'] = read()\n", "import config\n"] {
        let machine = Machine::with_old_service(&format!("{before}{ASKS}"));
        machine.write("home/pi/flask_app/config.py", "from dotenv import load_dotenv\nload_dotenv()\n");
        assert_nothing_is_sent(&machine, before);
        let machine = Machine::with_old_service(&format!("{before}{PROGRAM}"));
        machine.take_over();
        assert_eq!(url(&machine), FLEET, "a constant, {before}");
    }
}

#[test]
fn star_import_behind_the_address_is_not_ignored() {
    let star = "HEARTBEAT_URL = 'https://default.example/'\nfrom local_settings import *\n";
    let machine = Machine::with_old_service(star);
    machine.write("home/pi/flask_app/local_settings.py", PROGRAM);
    machine.take_over();
    assert_eq!(url(&machine), FLEET);
    let machine = Machine::with_old_service(
        "HEARTBEAT_URL = 'https://default.example/'\ntry:\n    from local_settings import *\nexcept ImportError:\n    pass\n",
    );
    machine.write("home/pi/flask_app/local_settings.py", PROGRAM);
    assert_nothing_is_sent(&machine, "inside of try");
}

#[test]
fn address_is_kept_in_every_form_of_the_unit() {
    for lines in [
        "Environment=HEARTBEAT_URL=https://fleet.example/h.php\nExecStart=-@/usr/bin/python3 heart -u heartbeat_daemon.py",
        "ExecStart=/usr/bin/env HEARTBEAT_URL=https://fleet.example/h.php python3 -u heartbeat_daemon.py",
        "ExecStart=/bin/sh -c 'cd /home/pi/flask_app && HEARTBEAT_URL=https://fleet.example/h.php exec python3 heartbeat_daemon.py'",
        "ExecStart=/bin/bash -c \"export HEARTBEAT_URL=https://fleet.example/h.php; . venv/bin/activate; python3 heartbeat_daemon.py\"",
        "Environment=APP=/home/pi/flask_app HEARTBEAT_URL=https://fleet.example/h.php\n\
         ExecStart=/home/pi/venv/bin/python ${APP}/heartbeat_daemon.py",
        "Type=oneshot\nEnvironment=HEARTBEAT_URL=https://fleet.example/h.php\nExecStart=/bin/sleep 5\n\
         ExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py",
        "Environment=HEARTBEAT_URL=https://fleet.example/h.php\nExecStart=/usr/bin/python3 -m heartbeat_daemon",
        "Environment=HEARTBEAT_URL=https://fleet.example/h.php\nExecStart=/home/pi/flask_app/heartbeat_daemon.py",
        "EnvironmentFile=/home/pi/%N.env\nExecStart=/usr/bin/python3 heartbeat_daemon.py",
    ] {
        for line_end in ["\n", "\r\n"] {
            let machine = Machine::with_old_service(ASKS);
            let environment = format!("HEARTBEAT_URL={FLEET}{line_end}");
            machine.write("home/pi/heartbeat-daemon.env", &environment);
            machine.write(UNIT, &unit(lines).replace('\n', line_end));
            let notices = machine.take_over();
            assert_eq!(url(&machine), FLEET, "{lines} with {line_end:?}");
            assert_eq!(attention(&notices), [""; 0], "{lines}");
        }
    }
}

#[test]
fn paths_of_the_unit_are_those_of_systemd() {
    for (script, lines) in [
        ("root/app/heartbeat_daemon.py", "User=pi\nExecStart=/usr/bin/python3 %h/app/heartbeat_daemon.py\n"),
        (
            "home/pi/app/heartbeat_daemon.py",
            "User=pi\nWorkingDirectory=~\nExecStart=python3 app/heartbeat_daemon.py\n",
        ),
        ("opt/heartbeat_daemon.py", "ExecStart=/usr/bin/python3 opt/heartbeat_daemon.py\n"),
    ] {
        let machine = Machine::new();
        machine.write(script, PROGRAM);
        machine.write(UNIT, &format!("[Service]\n{lines}"));
        machine.take_over();
        assert_eq!(url(&machine), FLEET, "{lines}");
    }
}

#[test]
fn command_that_cannot_be_followed_stops_all_sending() {
    for lines in [
        "ExecStart=/home/pi/start.sh",
        "ExecStart=/usr/bin/python3 %Z/heartbeat_daemon.py",
        "ExecStart=/bin/sh -c 'cd $(cat /etc/where) && python3 heartbeat_daemon.py'",
        "ExecStart=/usr/bin/docker run --rm heartbeat",
        "ExecStart=/usr/bin/python3 heartbeat_daemon.py --url https://other.example/",
        "ExecStart=/usr/bin/python3 heartbeat_daemon.py --url=https://other.example/",
        "",
    ] {
        let machine = Machine::with_old_service(PROGRAM);
        machine.write(UNIT, &unit(lines));
        assert_nothing_is_sent(&machine, lines);
    }
    for file in ["/etc/none", "-/etc/heartbeat/*.env"] {
        let machine = Machine::with_old_service(ASKS);
        machine.write(UNIT, &format!("{OLD_UNIT}[Service]\nEnvironmentFile={file}\n"));
        assert_nothing_is_sent(&machine, file);
    }
}

#[test]
fn arguments_of_the_program_are_named() {
    let machine = Machine::with_old_service(PROGRAM);
    let command = "ExecStart=/usr/bin/python3 heartbeat_daemon.py --debug https://fleet.example/h.php";
    machine.write(UNIT, &unit(command));
    let notices = machine.take_over();
    assert_eq!(url(&machine), FLEET);
    let end = "not taken over: --debug https://fleet.example/h.php";
    assert!(attention(&notices).iter().any(|text| text.ends_with(end)), "{notices:?}");
}

#[test]
fn running_process_of_the_unit_tells_variables_that_no_file_has() {
    let machine = Machine::with_old_service("HEARTBEAT_URL = os.environ['HEARTBEAT_URL']\n");
    machine.write("proc/123/cmdline", "/usr/bin/python3\0/home/pi/flask_app/heartbeat_daemon.py\0");
    machine.write("proc/123/environ", "HEARTBEAT_URL=https://fleet.example/h.php\0");
    machine.write("proc/123/cgroup", "0::/system.slice/heartbeat-daemon.service\n");
    machine.take_over();
    assert_eq!(url(&machine), FLEET);
}

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
        assert_eq!(url(&machine), FLEET, "{file}: {notices:?}");
        let said = attention(&notices);
        assert!(said.iter().any(|text| text.contains("its settings are those in")), "{file}: {notices:?}");
        let again = format!("/{file} starts heartbeat_daemon.py again: ");
        assert!(said.iter().any(|text| text.starts_with(&again)), "{file}: {notices:?}");
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
        assert_eq!(url(&machine), FLEET, "{file}");
        assert_eq!(machine.path(CONFIG).metadata().expect("there").mode() & 0o004, 0, "{file}");
    }
}

#[test]
fn starter_whose_program_cannot_be_found_stops_all_sending() {
    let machine = Machine::new();
    machine.write("etc/rc.local", "cd $DIRECTORY && ./heartbeat_daemon.py\n");
    assert_nothing_is_sent(&machine, "rc.local");
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
    assert_eq!(url(&machine), FLEET, "a process of root");
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

#[test]
fn secret_of_a_file_that_others_read_closes_it_and_its_group_stays() {
    let machine = Machine::with_old_service(PROGRAM);
    machine.write(CONFIG, "interval = 5\n");
    let mode =
        |mode| fs::set_permissions(machine.path(CONFIG), fs::Permissions::from_mode(mode)).expect("set");
    let found = || {
        let metadata = machine.path(CONFIG).metadata().expect("there");
        (metadata.mode() & 0o777, metadata.gid())
    };
    mode(0o640);
    if chown(machine.path(CONFIG), None, Some(900)).is_err() {
        println!("skipped: only root can give files away");
        return;
    }
    machine.take_over();
    assert_eq!(url(&machine), FLEET);
    assert_eq!(found(), (0o640, 900), "the service can read it");

    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://fleet.example/h?key=s3cret'\n");
    machine.write(CONFIG, "interval = 5\n");
    fs::set_permissions(machine.path(CONFIG), fs::Permissions::from_mode(0o644)).expect("set");
    machine.take_over();
    let metadata = machine.path(CONFIG).metadata().expect("there");
    // It runs as pi.
    assert_eq!((metadata.mode() & 0o777, metadata.gid()), (0o640, 1000));
}

#[test]
fn notice_is_one_line_without_control_characters() {
    let machine = Machine::with_old_service(PROGRAM);
    machine.write(
        UNIT,
        &unit("ExecStart=/usr/bin/python3 heartbeat_daemon.py \"\\x1b[2J\u{1b}]0;x\u{7}\u{202e}\"\nUser=pi"),
    );
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"))
        .args(["takeover", "--sysroot", machine.path("").to_str().expect("a path")])
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.contains("has arguments, which are not taken over"), "{said}");
    assert!(
        !said.contains(|letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}'),
        "{said:?}"
    );
    assert!(said.lines().all(|line| line.starts_with("heartbeat-daemon: ")), "{said}");
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
