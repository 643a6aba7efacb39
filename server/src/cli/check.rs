//! `check-config` and `test-message`: whether a start would succeed, and whether messages arrive.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::TcpListener,
    path::Path,
};

use super::{
    Failure,
    permission::{become_user, forbidden},
};
use crate::{
    access::password,
    alerts::attempt::Attempt,
    config::{Channel, Config, ConfigError, DEFAULT_STATE},
    delivery,
    serve::tls::Acceptor,
    store::database::Database,
};

/// Says what is in effect, and everything that would keep the server from starting or messages from being sent. What the
/// user of the service may not read counts, if root asks.
pub(super) fn check_config(config: &Config, file: &Path, user: &str) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    let mut out = io::stdout().lock();
    writeln!(out, "listens on {}{}", config.listen, if config.tls.is_some() { " (https)" } else { "" })?;
    // A running server has the port itself.
    if let Err(error) = TcpListener::bind(config.listen)
        && error.kind() != io::ErrorKind::AddrInUse
    {
        wrong.push(format!("listen = {}: {error}", config.listen));
    }
    // Not before the port has been tried: the unit lets its user have one below 1024.
    let became = match become_user(user) {
        Ok(became) => became,
        Err(error) => {
            writeln!(out, "{error}, so this was checked as root, who may read more")?;
            None
        }
    };
    if let Some(user) = &became {
        writeln!(out, "checked as the user {user}")?;
    }
    wrong.extend(forbidden(file));
    let mut unread = Vec::new();
    for (key, file) in config.files() {
        if let Some(problem) = forbidden(file) {
            wrong.push(format!("{key}: {problem}"));
            unread.push(key);
        }
    }
    // Told already, if it cannot be read.
    let is_read = |section: &str| !unread.iter().any(|key| key.starts_with(&format!("{section}.")));
    if let Some(tls) = config.tls.clone()
        && is_read("tls")
        && let Err(error) = Acceptor::new(tls)
    {
        wrong.push(format!("tls: {error}"));
    }
    match &config.postgres {
        Some(postgres) => writeln!(out, "database {}", postgres.url())?,
        None => writeln!(out, "database in {}", config.state.display())?,
    }
    match has_password(config, became.is_some()) {
        _ if !is_read("postgres") => {}
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
        let section = format!("channels.{name}");
        let problem = delivery::problem(channel).filter(|_| is_read(&section));
        wrong.extend(problem.map(|problem| format!("{section}: {problem}")));
    }
    if wrong.is_empty() {
        writeln!(out, "no mistakes found")?;
        return Ok(());
    }
    Err(ConfigError::Refused(wrong.join("\nheartbeat-server: ")).into())
}

/// Whether people need a password. Nothing is made: a start does that.
fn has_password(config: &Config, is_service: bool) -> Result<bool, String> {
    // systemd makes that one for the service.
    if is_service
        && config.postgres.is_none()
        && config.state == Path::new(DEFAULT_STATE)
        && !config.state.exists()
    {
        return Ok(false);
    }
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
        let names: Vec<_> = config.channels.keys().map(String::as_str).collect();
        let none = match only {
            Some(only) if !names.is_empty() => {
                format!("there is no [channels.{only}], only {}", names.join(", "))
            }
            _ => "there is no [channels.NAME] in the configuration: messages go to nobody".to_owned(),
        };
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
