//! Older services in the forms that people give them: each ends with its settings kept, or with a loud reason.

#![allow(clippy::expect_used)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
};

mod machine;

use machine::{ASKS, CONFIG, FLEET, Machine, OLD_UNIT, PROGRAM, PUBLISHED, SCRIPT, UNIT, attention};

/// A unit with these lines in place of its command.
fn unit(lines: &str) -> String {
    OLD_UNIT.replace("ExecStart=/usr/bin/python3 /home/pi/flask_app/heartbeat_daemon.py", lines)
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
        assert_eq!(machine.url(), FLEET, "{program}");
        assert_eq!(attention(&notices), [""; 0], "{program}");
    }
    let machine = Machine::with_old_service("");
    let latin1 = [b"# Ger\xe4t\n", PROGRAM.as_bytes()].concat();
    fs::write(machine.path(SCRIPT), latin1).expect("written");
    machine.take_over();
    assert_eq!(machine.url(), FLEET, "Latin-1 in a comment");
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
        Machine::with_old_service(program).assert_nothing_is_sent(program);
    }
    let machine = Machine::with_old_service("");
    fs::write(machine.path(SCRIPT), b"HEARTBEAT_URL = 'https://a.example/ger\xe4t'\n").expect("written");
    machine.assert_nothing_is_sent("Latin-1 in the address");
}

/// People change where it sends in the call as well as in the constant.
#[test]
fn published_address_counts_only_where_the_program_sends_to_it() {
    for (from, to) in [
        ("        HEARTBEAT_URL,", "        'https://own.example/hb',"),
        (
            "        HEARTBEAT_URL,",
            "        HEARTBEAT_URL.replace('streamer.lambda-tek.com', 'own.example'),",
        ),
        ("        HEARTBEAT_URL,", "        url,"),
        ("def send", "url = os.environ.get('MY_URL', HEARTBEAT_URL)\ndef send"),
        ("def send", "for HEARTBEAT_URL in ['https://own.example/']: pass\ndef send"),
        ("def send", "globals()['HEARTBEAT_URL'] = 'https://own.example/'\ndef send"),
        ("def send", "exec(open('local.py').read())\ndef send"),
        ("    requests.post(\n        HEARTBEAT_URL,", "    from sender import send\n    send("),
    ] {
        assert!(PUBLISHED.contains(from), "{from}");
        Machine::with_old_service(&PUBLISHED.replacen(from, to, 1)).assert_nothing_is_sent(to);
    }
    // Also where another spelling names the same server.
    let spelled = PUBLISHED
        .replace("https://streamer.lambda", "https://Streamer.Lambda")
        .replace("    HEARTBEAT_URL", "    x");
    Machine::with_old_service(&spelled).assert_nothing_is_sent("another spelling");
    let machine = Machine::with_old_service(PUBLISHED);
    machine.write("home/pi/flask_app/requests.py", "");
    machine.assert_nothing_is_sent("another requests");
}

/// No device is sent to the published server by that, but it may not be where the program sent.
#[test]
fn call_that_sends_elsewhere_is_named_beside_an_address_of_an_operator() {
    let machine = Machine::with_old_service(&format!("{PROGRAM}requests.post('https://other.example/')\n"));
    let notices = machine.take_over();
    assert_eq!(machine.url(), FLEET);
    assert!(attention(&notices).iter().any(|text| text.starts_with("line 2 of the older")), "{notices:?}");
}

/// The default holds only if nothing else sets the variable.
#[test]
fn default_is_not_taken_where_the_program_writes_to_its_environment() {
    for before in ["load_dotenv()\n", "os.environ['HEARTBEAT_URL'] = read()\n", "import config\n"] {
        let machine = Machine::with_old_service(&format!("{before}{ASKS}"));
        machine.write("home/pi/flask_app/config.py", "from dotenv import load_dotenv\nload_dotenv()\n");
        machine.assert_nothing_is_sent(before);
        let machine = Machine::with_old_service(&format!("{before}{PROGRAM}"));
        machine.take_over();
        assert_eq!(machine.url(), FLEET, "a constant, {before}");
    }
}

/// What the unit sets, the program may replace before it asks.
#[test]
fn variable_of_the_unit_is_not_taken_where_the_program_replaces_it() {
    let sets = format!("{OLD_UNIT}[Service]\nEnvironment=HEARTBEAT_URL={FLEET}\n");
    for (before, is_taken) in [
        ("load_dotenv()\n", true),
        ("os.environ.setdefault('HEARTBEAT_URL', 'https://a.example/')\n", true),
        ("os.environ['TZ'] = 'UTC'\n", true),
        ("load_dotenv(override=True)\n", false),
        ("os.environ['HEARTBEAT_URL'] = 'https://a.example/'\n", false),
        ("os.environ.update(json.load(open('settings.json')))\n", false),
    ] {
        let machine = Machine::with_old_service(&format!("{before}{ASKS}"));
        machine.write(UNIT, &sets);
        if is_taken {
            machine.take_over();
            assert_eq!(machine.url(), FLEET, "{before}");
        } else {
            machine.assert_nothing_is_sent(before);
        }
    }
}

#[test]
fn star_import_behind_the_address_is_not_ignored() {
    let star = "HEARTBEAT_URL = 'https://default.example/'\nfrom local_settings import *\n";
    let machine = Machine::with_old_service(star);
    machine.write("home/pi/flask_app/local_settings.py", PROGRAM);
    machine.take_over();
    assert_eq!(machine.url(), FLEET);
    let machine = Machine::with_old_service(
        "HEARTBEAT_URL = 'https://default.example/'\ntry:\n    from local_settings import *\nexcept ImportError:\n    pass\n",
    );
    machine.write("home/pi/flask_app/local_settings.py", PROGRAM);
    machine.assert_nothing_is_sent("inside of try");
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
            assert_eq!(machine.url(), FLEET, "{lines} with {line_end:?}");
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
        assert_eq!(machine.url(), FLEET, "{lines}");
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
        machine.assert_nothing_is_sent(lines);
    }
    for file in ["/etc/none", "-/etc/heartbeat/*.env"] {
        let machine = Machine::with_old_service(ASKS);
        machine.write(UNIT, &format!("{OLD_UNIT}[Service]\nEnvironmentFile={file}\n"));
        machine.assert_nothing_is_sent(file);
    }
}

#[test]
fn arguments_of_the_program_are_named() {
    let machine = Machine::with_old_service(PROGRAM);
    let command = "ExecStart=/usr/bin/python3 heartbeat_daemon.py --debug https://fleet.example/h.php";
    machine.write(UNIT, &unit(command));
    let notices = machine.take_over();
    assert_eq!(machine.url(), FLEET);
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
    assert_eq!(machine.url(), FLEET);
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
    assert_eq!(machine.url(), FLEET);
    assert_eq!(found(), (0o640, 900), "the service can read it");

    let machine = Machine::with_old_service("HEARTBEAT_URL = 'https://fleet.example/h?key=s3cret'\n");
    machine.write(CONFIG, "interval = 5\n");
    fs::set_permissions(machine.path(CONFIG), fs::Permissions::from_mode(0o644)).expect("set");
    machine.take_over();
    let metadata = machine.path(CONFIG).metadata().expect("there");
    // It runs as pi.
    assert_eq!((metadata.mode() & 0o777, metadata.gid()), (0o640, 1000));
}

/// As root, it would write where another user can put any file.
#[test]
fn configuration_that_is_a_link_into_a_directory_of_others_becomes_a_file() {
    for (mode, is_kept) in [(0o755, true), (0o777, false)] {
        let machine = Machine::with_old_service(PROGRAM);
        machine.write("home/pi/git/heart.toml", "interval = 7\n");
        fs::set_permissions(machine.path("home/pi/git"), fs::Permissions::from_mode(mode)).expect("set");
        fs::create_dir_all(machine.path("etc/heartbeat-daemon")).expect("created");
        symlink("../../home/pi/git/heart.toml", machine.path(CONFIG)).expect("linked");
        let notices = machine.take_over();
        let said = attention(&notices).iter().any(|text| text.contains("it is a file of its own now"));
        assert_eq!(said, !is_kept, "{notices:?}");
        assert!(machine.read(CONFIG).ends_with("\ninterval = 7\n"), "{}", machine.read(CONFIG));
        assert_eq!(machine.url(), FLEET);
        if !is_kept {
            assert_eq!(machine.read("home/pi/git/heart.toml"), "interval = 7\n");
            assert!(machine.path(&format!("{CONFIG}.replaced")).is_symlink());
        }
    }
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
