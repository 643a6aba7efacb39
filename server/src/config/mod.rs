//! The configuration: one TOML file, in which every setting has a default.
//!
//! Unknown keys, wrong types and values out of range are refused with the place in the file, so that a typing error is
//! not a setting that silently does nothing. `heartbeat-server check-config` says what is in effect.
//!
//! A new setting: a field here, a line in `keys.rs`, which knows the ranges, and one in `packaging/config.toml`.

mod expect;
mod file;
mod keys;
mod postgres;
mod public;

use std::{
    collections::BTreeMap,
    env, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use axum::http::HeaderName;
use serde::Deserialize;

pub(crate) use expect::{Expect, Expectations};
pub(crate) use postgres::Postgres;

use crate::{
    store::Retention,
    time::{DAY_MS, HOUR_MS},
};

/// Where the configuration is looked for if no flag says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/heartbeat-server/config.toml";
/// Where the database is if neither the configuration nor systemd says otherwise.
pub(crate) const DEFAULT_STATE: &str = "/var/lib/heartbeat-server";

/// Paths of pages and of the API, to which no device can post.
const OWN_PATHS: [&str; 15] = [
    "/device",
    "/problems",
    "/map",
    "/events",
    "/login",
    "/logout",
    "/style.css",
    "/live.js",
    "/icon.svg",
    "/metrics",
    "/healthz",
    "/api/v1/devices",
    "/api/v1/enrol",
    "/api/v1/openapi.json",
    "/api/v1",
];

/// Why the server cannot start with this configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// Each with its line.
    #[error("{}", .0.join("\nheartbeat-server: "))]
    Invalid(Vec<String>),
    #[error("{0}")]
    Refused(String),
}

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Address and port of the page and of the heartbeats.
    pub(crate) listen: SocketAddr,
    /// Directory of the database.
    pub(crate) state: PathBuf,
    /// Connections at once; each takes about 15 KiB, over TLS 25 KiB.
    pub(crate) connections: usize,
    /// PostgreSQL in place of a file in the state directory.
    pub(crate) postgres: Option<Postgres>,
    pub(crate) receive: Receive,
    pub(crate) tls: Option<Tls>,
    pub(crate) access: Access,
    pub(crate) retention: RetentionKeys,
    /// What is expected of every device.
    pub(crate) expect: expect::ExpectKeys,
    /// What is expected of the devices of a group, where it differs.
    pub(crate) groups: BTreeMap<String, expect::ExpectKeys>,
    pub(crate) alerts: Alerts,
    /// Where messages go.
    pub(crate) channels: BTreeMap<String, Channel>,
}

/// `[receive]`: heartbeats.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Receive {
    /// Paths to which devices post.
    pub(crate) paths: Vec<String>,
    /// Refuse heartbeats without a token.
    pub(crate) require_token: bool,
    /// Take heartbeats of devices that have never been heard of.
    pub(crate) new_devices: bool,
    /// Devices that are kept at most.
    pub(crate) devices: usize,
    /// Milliseconds for which a commit waits for more heartbeats. 0: not at all.
    pub(crate) linger_ms: u64,
}

/// `[tls]`: HTTPS in this process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificate chain, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
}

/// `[access]`: people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// A header in which a proxy names the user whom it has authenticated.
    pub(crate) proxy_header: Option<String>,
    /// Addresses from which that header, and `X-Forwarded-For`, are trusted.
    pub(crate) proxies: Vec<IpAddr>,
}

/// `[retention]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionKeys {
    /// Hours for which each heartbeat is kept.
    pub(crate) beats_hours: u32,
    /// Days for which minutes are kept.
    pub(crate) minutes_days: u32,
    /// Days for which hours are kept.
    pub(crate) hours_days: u32,
    /// Days for which events are kept.
    pub(crate) events_days: u32,
}

/// `[alerts]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Alerts {
    /// Seconds for which alerts are gathered into one message.
    pub(crate) gather_s: u32,
    /// Seconds between two messages at least.
    pub(crate) pause_s: u32,
    /// Hours after which a message that cannot be delivered is given up.
    pub(crate) give_up_hours: u32,
}

/// `[channels.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Channel {
    /// POST of JSON with all details.
    Json { url: String, token_file: Option<PathBuf> },
    /// A topic of ntfy.
    Ntfy { url: String, token_file: Option<PathBuf> },
    /// A webhook that takes `{"text": ...}`: Slack, Mattermost, Rocket.Chat.
    Slack { url: String },
    /// Mail.
    Mail {
        /// `smtp://host:25`, `smtps://user@host` or `smtp://user@host?tls=required`.
        smtp: String,
        /// File with the password.
        password_file: Option<PathBuf>,
        from: String,
        to: Vec<String>,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            state: env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from(DEFAULT_STATE), PathBuf::from),
            connections: 20_000,
            postgres: None,
            receive: Receive::default(),
            tls: None,
            access: Access::default(),
            retention: RetentionKeys::default(),
            expect: expect::ExpectKeys::default(),
            groups: BTreeMap::new(),
            alerts: Alerts::default(),
            channels: BTreeMap::new(),
        }
    }
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            paths: vec!["/heartbeat.php".to_owned(), "/api/v1/heartbeat".to_owned()],
            require_token: false,
            new_devices: true,
            devices: 200_000,
            linger_ms: 20,
        }
    }
}

impl Default for RetentionKeys {
    fn default() -> Self {
        Self { beats_hours: 48, minutes_days: 30, hours_days: 730, events_days: 730 }
    }
}

impl Default for Alerts {
    fn default() -> Self {
        Self { gather_s: 10, pause_s: 60, give_up_hours: 72 }
    }
}

impl Config {
    /// Reads the file at `path`. Without a path the default one, which need not exist.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        file::load(path.unwrap_or(Path::new(DEFAULT_PATH)), path.is_some())
    }

    /// Whether only programs of this machine can connect.
    pub(crate) fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Files that it names, each with its key.
    pub(crate) fn files(&self) -> Vec<(String, &Path)> {
        let mut files: Vec<(String, &Path)> = Vec::new();
        if let Some(tls) = &self.tls {
            files.push(("tls.certificate".to_owned(), &tls.certificate));
            files.push(("tls.key".to_owned(), &tls.key));
        }
        let postgres = self.postgres.iter().flat_map(|postgres| postgres.files());
        files.extend(postgres.map(|(key, file)| (format!("postgres.{key}"), file)));
        for (name, channel) in &self.channels {
            let (key, file) = match channel {
                Channel::Json { token_file, .. } | Channel::Ntfy { token_file, .. } => {
                    ("token_file", token_file)
                }
                Channel::Mail { password_file, .. } => ("password_file", password_file),
                Channel::Slack { .. } => continue,
            };
            files.extend(file.as_deref().map(|file| (format!("channels.{name}.{key}"), file)));
        }
        files
    }

    /// What is expected of the devices of each group.
    pub(crate) fn expectations(&self) -> Expectations {
        Expectations::new(&self.expect, &self.groups)
    }

    /// How long rows are kept.
    pub(crate) fn retention(&self) -> Retention {
        let keys = &self.retention;
        Retention {
            beats: i64::from(keys.beats_hours) * HOUR_MS,
            minutes: i64::from(keys.minutes_days) * DAY_MS,
            hours: i64::from(keys.hours_days) * DAY_MS,
            events: i64::from(keys.events_days) * DAY_MS,
        }
    }

    /// What no key can show by itself: refuses one, and says why.
    fn check(&self) -> Result<(), (String, String)> {
        let refuse = |key: &str, problem: String| Err((key.to_owned(), problem));
        for (place, path) in self.receive.paths.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let problem = if !path.starts_with('/') || path.len() < 2 || !path.chars().all(plain) {
                "expected letters, digits and /._- after a /"
            } else if self.receive.paths.iter().take(place).any(|other| other == path) {
                "expected each path once"
            } else if OWN_PATHS.contains(&path.as_str()) || path.starts_with("/api/v1/devices/") {
                "expected a path that is no page of the server"
            } else {
                continue;
            };
            return refuse("receive.paths", format!("{problem}, found {path:?}"));
        }
        if let Some(postgres) = &self.postgres {
            postgres.check().or_else(|problem| refuse("postgres.url", problem))?;
        }
        let Some(header) = &self.access.proxy_header else { return Ok(()) };
        if HeaderName::from_bytes(header.as_bytes()).is_err() {
            return refuse("access.proxy_header", format!("expected the name of a header, found {header:?}"));
        }
        if self.access.proxies.is_empty() {
            let problem = "expected access.proxies beside it: other clients could send that header";
            return refuse("access.proxy_header", problem.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Vec<file::Mistake>> {
        file::parse(text.as_bytes())
    }

    #[test]
    fn an_empty_file_is_the_default_and_local() {
        let config = parse("").unwrap();
        assert!(config.is_local());
        assert_eq!(config.receive.paths, ["/heartbeat.php", "/api/v1/heartbeat"]);
        assert_eq!(config.retention().beats, 48 * HOUR_MS);
    }

    #[test]
    fn the_packaged_file_is_valid_and_changes_nothing() {
        let packaged = include_str!("../../packaging/config.toml");
        parse(packaged).unwrap();
        assert!(
            packaged.lines().all(|line| line.is_empty() || line.starts_with('#')),
            "all of it is commented out"
        );
    }

    #[test]
    fn the_packaged_file_has_every_setting() {
        let packaged = include_str!("../../packaging/config.toml");
        let settings: Vec<_> = packaged.lines().filter_map(|line| line.strip_prefix('#')).collect();
        let settings: Vec<_> = settings.into_iter().filter(|line| !line.starts_with(' ')).collect();
        let settings = settings.join("\n");
        parse(&settings).unwrap();
        let table: toml::Table = toml::from_str(&settings).unwrap();
        assert!(keys::TOP.iter().all(|key| table.contains_key(key.name)));
        for (section, keys) in keys::SECTIONS {
            let missing = keys.iter().find(|key| !table[*section].as_table().unwrap().contains_key(key.name));
            assert!(missing.is_none(), "{section}.{}", missing.unwrap().name);
        }
    }
}
