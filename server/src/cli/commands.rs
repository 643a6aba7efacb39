//! Commands that look at the database beside a running server, which sees changes within a second.

use std::{
    collections::HashMap,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

use super::{Failure, TokenAdd, table};
use crate::{
    access::{password, secret, tokens::Tokens},
    config::Config,
    limits::PASSWORD_MAX,
    page::checked_labels,
    presence::Presence,
    store::{Labels, Store, TokenRow, TokenUse},
    text::{is_plain, one_line},
    time::{DAY_MS, HOUR_MS, MINUTE_MS, UnixMs},
};

/// Opens the database of the configuration. None is made: a mistyped `--state` would be a database of its own.
fn open(config: &Config) -> Result<Box<dyn Store>, Failure> {
    let database = config.database()?;
    Ok(database.open_made()?.ok_or_else(|| database.missing())?)
}

pub(super) fn password(config: &Config) -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("New password: ")?;
        if rpassword::prompt_password("Again: ")? != password {
            return Err(Failure::Other("the two are not the same".to_owned()));
        }
        password
    } else {
        let mut line = String::new();
        io::Read::take(io::stdin().lock(), 2 * PASSWORD_MAX as u64).read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    let hash = password::hash(&password).map_err(Failure::Other)?;
    let mut store = open(config)?;
    store.set_setting(password::SETTING, &hash)?;
    // All logins that began with the old password end.
    let now = store.time()?;
    let ended = match store.end_sessions(now)? {
        1 => "1 login has ended".to_owned(),
        ended => format!("{ended} logins have ended"),
    };
    writeln!(io::stdout(), "the password is set and in effect at once; {ended}")?;
    Ok(())
}

pub(super) fn add_token(config: &Config, add: TokenAdd) -> Result<(), Failure> {
    if let Some(id) = &add.device {
        check_id(id).map_err(Failure::Other)?;
    }
    let group = add.group.as_deref().unwrap_or_default();
    let group = checked_labels("", group, "", false).map_err(Failure::Other)?.group;
    let secret = secret::new_secret().map_err(Failure::Other)?;
    let mut store = open(config)?;
    let now = store.time()?;
    let purpose = match (add.device, add.enrol, add.read) {
        (Some(device), ..) => TokenUse::Device(device),
        (None, true, _) => TokenUse::Enrol,
        (None, false, true) => TokenUse::Read,
        (None, false, false) => TokenUse::Devices,
    };
    let token = TokenRow {
        id: 0,
        hash: secret::hash(&secret),
        purpose,
        group,
        created_at: now,
        expires_at: add.expires.map(|lifetime| now.plus(lifetime)),
    };
    let id = store.add_token(&token)?;
    writeln!(io::stdout(), "{secret}")?;
    writeln!(io::stderr(), "token {id}; it is not shown again")?;
    Ok(())
}

pub(super) fn list_tokens(config: &Config) -> Result<(), Failure> {
    let mut store = open(config)?;
    let now = store.time()?;
    let mut rows = vec![["id", "for", "group", "made (UTC)", "expires (UTC)"].map(str::to_owned)];
    for token in store.tokens(0)? {
        let purpose = match token.purpose {
            TokenUse::Devices => "heartbeats".to_owned(),
            TokenUse::Device(device) => format!("device {}", one_line(&device)),
            TokenUse::Enrol => "enrolment".to_owned(),
            TokenUse::Read => "reading".to_owned(),
        };
        let expires = match token.expires_at {
            None => "never".to_owned(),
            Some(at) if at <= now => format!("{} (expired)", at.readable()),
            Some(at) => at.readable(),
        };
        let group = one_line(&token.group.unwrap_or_default());
        rows.push([token.id.to_string(), purpose, group, token.created_at.readable(), expires]);
    }
    Ok(table::write(&mut io::stdout().lock(), &rows)?)
}

pub(super) fn revoke_token(config: &Config, id: i64) -> Result<(), Failure> {
    if open(config)?.revoke_token(id)? {
        writeln!(io::stdout(), "token {id} is revoked")?;
        Ok(())
    } else {
        Err(Failure::Other(format!("there is no token {id}")))
    }
}

pub(super) fn list_devices(config: &Config) -> Result<(), Failure> {
    let mut store = open(config)?;
    let seen: HashMap<_, _> = store.seen()?.into_iter().collect();
    let (now, expectations) = (store.time()?, config.expectations());
    let mut rows = vec![["hardware id", "state", "heard (UTC)", "name", "group", "tags"].map(str::to_owned)];
    for (device, hardware_id, labels) in store.labels()? {
        let seen_at = seen.get(&device).copied();
        let state = if labels.removed {
            "removed"
        } else {
            let silence = seen_at.map(|seen_at| now.since(seen_at));
            Presence::after(silence, expectations.of(labels.group.as_deref())).word()
        };
        let heard = seen_at.map_or_else(|| "never".to_owned(), UnixMs::readable);
        let (name, group) = (labels.name.unwrap_or_default(), labels.group.unwrap_or_default());
        let (id, tags) = (one_line(&hardware_id), labels.tags.join(" "));
        rows.push([id, state.to_owned(), heard, one_line(&name), one_line(&group), one_line(&tags)]);
    }
    Ok(table::write(&mut io::stdout().lock(), &rows)?)
}

pub(super) fn set_labels(
    config: &Config,
    id: &str,
    name: Option<String>,
    group: Option<String>,
    tags: Option<String>,
) -> Result<(), Failure> {
    change(config, id, |before| {
        let name = name.or(before.name.clone()).unwrap_or_default();
        let group = group.or(before.group.clone()).unwrap_or_default();
        let tags = tags.unwrap_or_else(|| before.tags.join(" "));
        checked_labels(&name, &group, &tags, before.removed)
    })?;
    writeln!(io::stdout(), "the labels of {} are set", one_line(id))?;
    Ok(())
}

pub(super) fn set_removed(config: &Config, id: &str, removed: bool) -> Result<(), Failure> {
    change(config, id, |before| Ok(Labels { removed, ..before.clone() }))?;
    let done =
        if removed { "is removed: its heartbeats are refused, its history stays" } else { "is taken back" };
    writeln!(io::stdout(), "{} {done}", one_line(id))?;
    Ok(())
}

pub(super) fn purge(config: &Config, id: &str) -> Result<(), Failure> {
    if open(config)?.purge_device(id)? {
        writeln!(io::stdout(), "the server deletes what is stored of {}", one_line(id))?;
        return Ok(());
    }
    Err(Failure::Other(format!("there is no removed device {id}: `device remove` comes first")))
}

fn change(
    config: &Config,
    id: &str,
    change: impl FnOnce(&Labels) -> Result<Labels, String>,
) -> Result<(), Failure> {
    let mut store = open(config)?;
    let found = store.labels()?.into_iter().find(|(_, hardware_id, _)| hardware_id == id);
    let Some((_, _, before)) = found else {
        return Err(Failure::Other(format!("there is no device {id}")));
    };
    store.set_labels(id, &change(&before).map_err(Failure::Other)?)?;
    Ok(())
}

pub(super) fn backup(config: &Config, file: &Path) -> Result<(), Failure> {
    let contents = config.database()?.backup(file)?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = file.metadata()?.len() as f64 / 1024.0 / 1024.0;
    writeln!(io::stdout(), "{}: {mib:.1} MiB, {contents}", one_line(&file.display().to_string()))?;
    Ok(())
}

pub(super) fn restore(config: &Config, file: &Path) -> Result<(), Failure> {
    let contents = config.database()?.restore(file)?;
    let file = one_line(&file.display().to_string());
    writeln!(io::stdout(), "restored from {file}: {contents}. The server can be started")?;
    Ok(())
}

/// Whether a device could have this hardware id.
fn check_id(id: &str) -> Result<(), String> {
    let longest = heartbeat_core::limits::HARDWARE_ID_MAX;
    if id.trim().is_empty() || id.chars().count() > longest || !id.chars().all(is_plain) {
        return Err(format!("a hardware id has 1 to {longest} characters, and no control characters"));
    }
    Ok(())
}

/// A time such as `90m`, `12h`, `30d`, in milliseconds.
pub(super) fn lifetime(text: &str) -> Result<i64, String> {
    let units = [("m", MINUTE_MS), ("h", HOUR_MS), ("d", DAY_MS)];
    let parsed = units.into_iter().find_map(|(unit, ms)| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(ms).filter(|ms| (1..=100 * 366 * DAY_MS).contains(ms))
    });
    parsed.ok_or_else(|| "expected a number with m, h or d, such as 12h or 30d".to_owned())
}

/// Tokens that the server begins with; the engine loads them.
pub(super) fn no_tokens() -> std::sync::Arc<Tokens> {
    std::sync::Arc::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_ids_that_no_device_can_have() {
        assert_eq!(check_id("pi1"), Ok(()));
        for id in ["", " ", "a\nb", "\u{1b}[2J", &"x".repeat(65)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn lifetimes_need_a_unit_and_are_bounded() {
        assert_eq!(lifetime("30d"), Ok(30 * DAY_MS));
        assert_eq!(lifetime("12h"), Ok(12 * HOUR_MS));
        for text in ["", "30", "d", "-1d", "0d", "1w", "99999999999999d", "1.5h"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
