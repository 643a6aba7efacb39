//! Writes the man page and the shell completions into a directory, for the package: `manual DIR`.

use std::{env, fs, io, path::PathBuf};

use clap::{Command, builder::StyledStr};
use clap_complete::{Shell, generate_to};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold},
};

/// What the command line does not know of itself.
const SECTIONS: [(&str, &[(&str, &str)]); 3] = [
    (
        "EXIT STATUS",
        &[
            ("0", "Stopped as asked; delivered; running."),
            ("1", "Not delivered; a value cannot be read; the system failed."),
            ("3", "status: the daemon is not running, or stuck."),
            ("64", "Wrong usage."),
            ("75", "Another instance is running."),
            ("78", "The configuration cannot be used; starting again will not help."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("HEARTBEAT_URL", "As --url."),
            ("HEARTBEAT_INTERVAL", "As --interval."),
            ("REQUEST_TIMEOUT", "As --timeout."),
            ("PIDFILE", "As --pidfile."),
            ("HEARTBEAT_APP_TMP", "Where the /tmp of the streaming application is; /tmp if not set."),
            ("NO_COLOR", "No colours, whatever the terminal can."),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/heartbeat-daemon/config.toml", "The configuration. Flags and environment win."),
            ("/run/heartbeat-daemon/status.json", "What the running daemon last did, for status."),
            (
                "/var/lib/heartbeat-daemon",
                "The backlog, if one is configured to outlive a restart; the id of a board without a serial.",
            ),
        ],
    ),
];

/// The configuration file of the package: it explains every key.
const CONFIGURATION: &str = include_str!("../../packaging/config.toml");

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("expected a directory"));
    };
    fs::create_dir_all(&directory)?;
    let command = heartbeat_daemon::cli::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), "heartbeat-daemon", &directory)?;
    }
    let mut page = Vec::new();
    let man = Man::new(command.clone().subcommand_value_name("COMMAND")).section("1").manual("heartbeat");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    commands(&mut rest, &command);
    for (title, entries) in SECTIONS {
        rest.control("SH", [title]);
        for (term, text) in entries {
            rest.control("TP", []).text([bold(*term)]).text([(*text).into()]);
        }
    }
    rest.control("SH", ["CONFIGURATION"]).control("nf", []);
    for line in CONFIGURATION.lines() {
        rest.text([line.into()]);
    }
    rest.control("fi", []);
    rest.control("SH", ["SEE ALSO"]);
    rest.text([bold("systemctl"), "(1), ".into(), bold("journalctl"), "(1)".into()]);
    rest.to_writer(&mut page)?;
    fs::write(directory.join("heartbeat-daemon.1"), page)
}

/// The commands in the page itself, each with its own flags: there are no other pages.
fn commands(page: &mut Roff, command: &Command) {
    page.control("SH", ["COMMANDS"]);
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        page.control("TP", []).text([bold(command.get_name())]).text([about(command.get_about())]);
        for flag in command.get_arguments() {
            let name = format!("--{}", flag.get_long().unwrap_or_default());
            page.control("RS", []).control("TP", []);
            page.text([bold(name)]).text([about(flag.get_help())]).control("RE", []);
        }
    }
}

fn about(text: Option<&StyledStr>) -> Inline {
    text.map(ToString::to_string).unwrap_or_default().into()
}
