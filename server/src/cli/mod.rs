//! Commands and flags.

mod check;
mod commands;
mod permission;
mod run;
mod table;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

pub(crate) use run::run_until;

use crate::config::{Config, ConfigError, DEFAULT_PATH};

/// Exit status for a wrong configuration (`EX_CONFIG`, sysexits.h), after which starting again does not help.
const EXIT_CONFIG: u8 = 78;

/// Receives heartbeats, keeps and shows them, says when something is wrong.
#[derive(Debug, Parser)]
#[command(name = "heartbeat-server", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The flags of all commands, apart from those of one.
const OF_ALL: &str = "Options of all commands";

#[derive(Debug, Args)]
struct Flags {
    /// Configuration [/etc/heartbeat-server/config.toml]
    #[arg(long, short, global = true, value_name = "FILE", help_heading = OF_ALL)]
    config: Option<PathBuf>,
    /// Directory of the database [/var/lib/heartbeat-server]
    #[arg(long, global = true, value_name = "DIR", help_heading = OF_ALL)]
    state: Option<PathBuf>,
    /// Address and port [127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = OF_ALL, value_parser = address)]
    listen: Option<SocketAddr>,
    /// Log more
    #[arg(long, short, global = true, help_heading = OF_ALL)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive and show (default)
    Run,
    /// Check the configuration, as the user of the service if root asks
    CheckConfig {
        /// Which user that is
        #[arg(long, value_name = "NAME", default_value = permission::SERVICE_USER)]
        user: String,
    },
    /// Send a message through each channel, and say what became of it
    TestMessage {
        /// Only through this one
        channel: Option<String>,
    },
    /// Set the password of the page; asks, or reads standard input
    Password,
    /// Tokens of devices and programs
    #[command(subcommand)]
    Token(Token),
    /// Names, groups and tags of devices; remove and restore them
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Copy the database to a new file while the server runs
    Backup {
        /// File that does not exist yet
        file: PathBuf,
    },
    /// Put a copy in place of the database of a stopped server
    Restore {
        /// What `backup` made
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make a token and print it, once
    Add(TokenAdd),
    /// List tokens
    List,
    /// Revoke a token
    Revoke {
        /// Its number in the list
        #[arg(value_parser = number_of_token)]
        id: i64,
    },
}

#[derive(Debug, Args)]
struct TokenAdd {
    /// Group of the devices that come with it
    #[arg(long)]
    group: Option<String>,
    /// Valid for this long, such as 90m, 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = commands::lifetime)]
    expires: Option<i64>,
    /// Only for the device with this hardware id
    #[arg(long, value_name = "ID", conflicts_with_all = ["enrol", "read"])]
    device: Option<String>,
    /// Only to make tokens of devices (POST /api/v1/enrol)
    #[arg(long, conflicts_with = "read")]
    enrol: bool,
    /// Only to read /api/v1 and /metrics
    #[arg(long, conflicts_with = "group")]
    read: bool,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List devices
    List,
    /// Change labels; what is not given stays
    Set {
        /// Hardware id
        id: String,
        /// Name on the page; "" for none
        #[arg(long, required_unless_present_any = ["group", "tags"])]
        name: Option<String>,
        /// Group; "" for none
        #[arg(long)]
        group: Option<String>,
        /// Tags, separated by spaces; "" for none
        #[arg(long)]
        tags: Option<String>,
    },
    /// Hide a device and refuse its heartbeats; its history stays
    Remove {
        /// Hardware id
        id: String,
    },
    /// Delete what is stored of a removed device; it stays refused
    Purge {
        /// Hardware id
        id: String,
    },
    /// Take a removed device back
    Restore {
        /// Hardware id
        id: String,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Starting again does not help. It does after a file could not be read for another reason than that it is not there, or
    /// belongs to others.
    fn is_final(&self) -> bool {
        match self {
            Self::Config(ConfigError::Unreadable { error, .. }) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
            }
            Self::Config(_) => true,
            Self::Other(_) => false,
        }
    }
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// Runs the program with the arguments of the process. Exit status 78: the configuration is wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    install_log(if cli.flags.verbose { LevelFilter::Debug } else { LevelFilter::Info });
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "heartbeat-server: {failure}");
            if failure.is_final() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let config = settled(&cli.flags)?;
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => run::run(config),
        Command::CheckConfig { user } => {
            let file = cli.flags.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
            check::check_config(&config, file, &user)
        }
        Command::TestMessage { channel } => check::test_message(&config, channel.as_deref()),
        Command::Password => commands::password(&config),
        Command::Token(Token::Add(add)) => commands::add_token(&config, add),
        Command::Token(Token::List) => commands::list_tokens(&config),
        Command::Token(Token::Revoke { id }) => commands::revoke_token(&config, id),
        Command::Device(DeviceCommand::List) => commands::list_devices(&config),
        Command::Device(DeviceCommand::Set { id, name, group, tags }) => {
            commands::set_labels(&config, &id, name, group, tags)
        }
        Command::Device(DeviceCommand::Remove { id }) => commands::set_removed(&config, &id, true),
        Command::Device(DeviceCommand::Purge { id }) => commands::purge(&config, &id),
        Command::Device(DeviceCommand::Restore { id }) => commands::set_removed(&config, &id, false),
        Command::Backup { file } => commands::backup(&config, &file),
        Command::Restore { file } => commands::restore(&config, &file),
    }
}

/// The file, with the flags over it.
fn settled(flags: &Flags) -> Result<Config, ConfigError> {
    let mut config = Config::load(flags.config.as_deref())?;
    if let Some(state) = &flags.state {
        config.state.clone_from(state);
    }
    if let Some(listen) = flags.listen {
        config.listen = listen;
    }
    Ok(config)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address with a port, such as 127.0.0.1:8080".to_owned())
}

fn number_of_token(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "expected the number of a token, as `token list` shows it".to_owned())
}

/// Lines on standard error: with the time on a terminal, with priorities for the journal, which has the time itself.
fn install_log(level: LevelFilter) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal();
    let mut builder = env_logger::Builder::new();
    builder.filter(None, LevelFilter::Warn).filter(Some("heartbeat_server"), level);
    builder.format(move |out, record| {
        let message = record.args();
        if journal {
            let priority = match record.level() {
                log::Level::Error => 3,
                log::Level::Warn => 4,
                log::Level::Info => 6,
                log::Level::Debug | log::Level::Trace => 7,
            };
            return writeln!(out, "<{priority}>{message}");
        }
        writeln!(out, "{} {:5} {message}", jiff::Timestamp::now().strftime("%FT%TZ"), record.level())
    });
    // Only a second call fails.
    let _ = builder.try_init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_fits_a_screen() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        let mut all = vec![command];
        while let Some(mut command) = all.pop() {
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= 24, "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
            let mute = command.get_arguments().find(|argument| argument.get_help().is_none());
            assert!(mute.is_none(), "{mute:?}");
            all.extend(command.get_subcommands().filter(|command| command.get_name() != "help").cloned());
        }
    }

    #[test]
    fn wrong_arguments_are_told_in_plain_words() {
        for (arguments, expected) in [
            (vec!["--listen", "8080"], "expected an IP address with a port, such as 127.0.0.1:8080"),
            (vec!["token", "revoke", "x"], "expected the number of a token, as `token list` shows it"),
            (vec!["token", "add", "--expires", "3w"], "expected a number with m, h or d, such as 12h or 30d"),
            (vec!["device", "set", "pi1"], "--name <NAME>"),
        ] {
            let error =
                Cli::try_parse_from(std::iter::once("heartbeat-server").chain(arguments)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(Cli::try_parse_from(["heartbeat-server", "device", "set", "pi1", "--tags", "a b"]).is_ok());
    }
}
