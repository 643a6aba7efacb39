//! `check-config` and `test-message`: whether a start would succeed, and whether messages arrive.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::TcpListener,
};

use super::Failure;
use crate::{
    access::password,
    alerts::attempt::Attempt,
    config::{Channel, Config, ConfigError},
    delivery,
    serve::tls::Acceptor,
    store::database::Database,
};

/// Says what is in effect, and everything that would keep the server from starting or messages from being sent.
pub(super) fn check_config(config: &Config) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut out = io::stdout().lock();
    writeln!(out, "listens on {}{}", config.listen, if config.tls.is_some() { " (https)" } else { "" })?;
    // A running server has the port itself.
    if let Err(error) = TcpListener::bind(config.listen)
        && error.kind() != io::ErrorKind::AddrInUse
    {
        wrong.push(format!("listen = {}: {error}", config.listen));
    }
    if let Some(tls) = config.tls.clone()
        && let Err(error) = Acceptor::new(tls)
    {
        wrong.push(format!("tls: {error}"));
    }
    match &config.postgres {
        Some(postgres) => writeln!(out, "database {}", postgres.url())?,
        None => writeln!(out, "database in {}", config.state.display())?,
    }
    match has_password(config) {
        Ok(password) => {
            if let Err(error) = config.check_public(Some(password)) {
                wrong.push(error.to_string());
            }
        }
        Err(error) => wrong.push(error),
    }
    writeln!(out, "heartbeats at {}", config.receive.paths.join(", "))?;
    let names: Vec<_> = config.channels.keys().map(String::as_str).collect();
    writeln!(out, "messages to {}", if names.is_empty() { "nobody".to_owned() } else { names.join(", ") })?;
    for (name, channel) in &config.channels {
        wrong.extend(delivery::problem(channel).map(|problem| format!("channels.{name}: {problem}")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Refused(wrong.join("\nheartbeat-server: ")).into())
}

/// Whether people need a password. Nothing is made: a start does that.
fn has_password(config: &Config) -> Result<bool, String> {
    if config.postgres.is_none() && !Database::is_in(&config.state) {
        let made = config.state.ancestors().find(|directory| directory.exists());
        let writable = made
            .is_some_and(|directory| nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok());
        let error = || format!("state = {:?}: cannot be made by this user", config.state);
        return if writable { Ok(false) } else { Err(error()) };
    }
    let database = config.database().map_err(|error| error.to_string())?;
    let Some(mut store) = database.open_made().map_err(|error| error.to_string())? else { return Ok(false) };
    Ok(store.setting(password::SETTING).map_err(|error| error.to_string())?.is_some())
}

/// Sends a message through each channel, or through one.
pub(super) fn test_message(config: &Config, only: Option<&str>) -> Result<(), Failure> {
    let channels: BTreeMap<&String, &Channel> =
        config.channels.iter().filter(|(name, _)| only.is_none_or(|only| *name == only)).collect();
    if channels.is_empty() {
        let none = only.map_or("there is no [channels.NAME]".to_owned(), |only| {
            format!("there is no [channels.{only}]")
        });
        return Err(ConfigError::Refused(none).into());
    }
    let mut failed = 0;
    for (name, channel) in channels {
        let mut out = io::stdout().lock();
        match delivery::test(name, channel) {
            Attempt::Delivered => writeln!(out, "{name}: delivered")?,
            Attempt::Failed(why) => {
                failed += 1;
                writeln!(out, "{name}: not delivered: {why}")?;
            }
            Attempt::Doubtful(why) => {
                failed += 1;
                writeln!(out, "{name}: perhaps delivered: {why}")?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Other(format!("{failed} of the messages may not have arrived"))),
    }
}
