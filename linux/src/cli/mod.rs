//! The command line.

mod capture;
mod check_config;
mod doctor;
mod options;
mod run;
mod sample;
mod send;
mod service_settings;
mod status;
mod takeover;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

use self::options::Options;
use crate::{
    config::SettingsError,
    daemon::{PidfileError, StartError},
    logging,
    printable::printable_lines,
    sources::sysroot::Sysroot,
    takeover::in_our_place,
};

/// Exit statuses, as in `sysexits.h` where it has one.
mod exit {
    /// The heartbeat was not delivered, or the system failed.
    pub(super) const FAILED: u8 = 1;
    /// As the Linux Standard Base has it for "not running".
    pub(super) const NOT_RUNNING: u8 = 3;
    /// `EX_USAGE`: the command line is wrong.
    pub(super) const USAGE: u8 = 64;
    /// `EX_TEMPFAIL`: another instance is running.
    pub(super) const RUNNING: u8 = 75;
    /// `EX_CONFIG`: the configuration is wrong; starting again will not help.
    pub(super) const CONFIG: u8 = 78;
}

/// Sends a small document about this device's health to a server every few seconds.
#[derive(Debug, Parser)]
#[command(name = "heartbeat-daemon", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Send heartbeats until stopped (the default)
    Run,
    /// Print one heartbeat and send nothing
    Sample,
    /// Send one heartbeat and tell each step of it
    Send,
    /// Show each value and its source, or why it is missing and what to do
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the running daemon last did
    Status(status::Arguments),
    /// Write a tree of this machine that answers as it does, for a report
    Capture(capture::Arguments),
    /// Show the settings, and where each comes from
    CheckConfig,
    /// Take over from an older service on this machine; the installation calls it
    #[command(hide = true)]
    Takeover(takeover::Wishes),
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("configuration: {0}")]
    Config(#[from] SettingsError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Pidfile(#[from] PidfileError),
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("{0} of the values should be there and cannot be read")]
    Unwell(usize),
    #[error("{0}")]
    NotRunning(String),
    #[error("not captured: {0}")]
    NotCaptured(String),
    #[error("not delivered: {0}")]
    NotDelivered(String),
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Config(error) if error.is_transient() => exit::FAILED,
            Self::Start(StartError::Trust(error)) if error.is_transient() => exit::FAILED,
            Self::Config(_) | Self::Start(StartError::Unusable(_) | StartError::Trust(_)) => exit::CONFIG,
            Self::Pidfile(PidfileError::Running { .. }) => exit::RUNNING,
            Self::NotRunning(_) => exit::NOT_RUNNING,
            Self::Start(StartError::System(_))
            | Self::Pidfile(_)
            | Self::System(_)
            | Self::NotDelivered(_)
            | Self::NotCaptured(_)
            | Self::Unwell(_) => exit::FAILED,
        }
    }
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let wrong = usage.use_stderr();
            // What was given is in the message, and may be for a terminal. Nowhere to report that the report failed.
            let _ = match wrong {
                true => write!(io::stderr(), "{}", printable_lines(&usage.render().to_string())),
                false => usage.print(),
            };
            return if wrong { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    logging::install(cli.options.level());
    let result = match cli.command.unwrap_or(Command::Run) {
        Command::Run => run::run(cli.options),
        Command::Sample => sample::sample(&cli.options),
        Command::Send => send::send(&cli.options),
        Command::Doctor { json } => doctor::doctor(&cli.options, json),
        Command::Status(arguments) => status::status(&arguments),
        Command::Capture(arguments) => capture::capture(&cli.options, &arguments),
        Command::CheckConfig => check_config::check_config(&cli.options),
        Command::Takeover(wishes) => takeover::takeover(&cli.options, wishes),
    };
    let status = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("{failure}");
            failure.status().into()
        }
    };
    logging::finish();
    status
}

/// The commands and flags, for programs that generate documentation of them.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Warns of what stands in the place of the service, such as another unit in its name.
fn warn_of_others(root: &Sysroot) {
    for sentence in in_our_place(root) {
        log::warn!("{sentence}");
    }
}

/// Prints lines to standard output, harmless for a terminal. A reader that has gone away (`| head`) is no failure.
fn print(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout(), "{}", printable_lines(&text.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
