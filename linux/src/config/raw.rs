//! The settings as they are written: a field for each key.

use std::{env, ffi::OsStr};

use heartbeat_core::{
    limits::{BACKOFF_CAP_DEFAULT, INTERVAL_DEFAULT, INTERVAL_MAX, INTERVAL_MIN},
    time::Duration,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    endpoint::Endpoint,
    proof::{Headers, Secret},
    proxy::Proxy,
    types::{AbsolutePath, HardwareId, Seconds, Whole, Word},
    ups::RawUps,
};

const INTERVAL_MIN_MS: u64 = INTERVAL_MIN.as_millis();
/// Four round trips of a link that takes three seconds for each.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
const DAY_MS: u64 = INTERVAL_MAX.as_millis();

/// The settings as they are written, in the order in which they are shown. A key that is not given has its default;
/// `None` means that nothing is set, or that the default follows from other settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSettings {
    /// Where heartbeats go: an `http` or `https` URL.
    pub(super) url: Endpoint,
    /// Time between heartbeats.
    pub(super) interval: Seconds<INTERVAL_MIN_MS, DAY_MS>,
    /// Longest time of one request, at most the interval. By default 2 s, or the interval if that is shorter.
    pub(super) timeout: Option<Seconds<1, DAY_MS>>,
    /// Longest time to make a connection, which no heartbeat waits for.
    pub(super) connect_timeout: Seconds<100, 300_000>,
    /// How heartbeats are sent.
    pub(super) method: Word<Method>,
    /// Longest gap that back-off leaves between two attempts.
    pub(super) backoff_cap: Seconds<0, DAY_MS>,
    /// File that keeps a second instance away; empty for none.
    pub(super) pidfile: String,
    /// PEM file with the certificate authorities that are trusted instead of the system's.
    pub(super) ca_file: Option<String>,
    /// The proxy through which the server is reached.
    pub(super) proxy: Option<Proxy>,
    /// Headers that are sent with each heartbeat.
    pub(super) headers: Headers,
    /// File with the token that is sent as `Authorization: Bearer`.
    pub(super) token_file: Option<AbsolutePath>,
    /// The token itself. Only the environment can give it, and nothing shows it.
    #[serde(skip_serializing)]
    pub(super) token: Option<Secret>,
    /// PEM file with a certificate that this device proves itself with.
    pub(super) client_cert: Option<AbsolutePath>,
    /// PEM file with the private key of `client_cert`.
    pub(super) client_key: Option<AbsolutePath>,
    /// A path on the filesystem whose space is reported.
    pub(super) disk_path: AbsolutePath,
    /// Overrides the board's own id.
    pub(super) hardware_id: Option<HardwareId>,
    /// Where the streaming application's `/tmp` is, when the service has one of its own.
    pub(super) app_tmp: AbsolutePath,
    /// Version of the streaming application as fixed text.
    pub(super) app_version: Option<String>,
    /// File whose first line is the version of the streaming application.
    pub(super) app_version_file: Option<AbsolutePath>,
    /// Folder of the streaming application; the newest file in it gives the version.
    pub(super) app_dir: Option<AbsolutePath>,
    /// Whether the optional keys `uptime_s` and `diagnostics` are sent.
    pub(super) diagnostics: bool,
    /// Whether the optional keys `boot_id` and `seq` are sent.
    pub(super) sequence: bool,
    /// In which form documents are sent.
    pub(super) wire: Word<Wire>,
    /// Heartbeats that were not delivered.
    pub(super) backlog: RawBacklog,
    /// The supply with a battery that the board stands on.
    pub(super) ups: RawUps,
}

/// The section `[backlog]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBacklog {
    /// How many heartbeats that were not delivered are kept, the newest. None by default. 1000 are 83 minutes of them
    /// at the default interval.
    pub(super) beats: Option<Whole<1000>>,
    /// How many of them are sent in one interval once the server accepts heartbeats again.
    pub(super) per_interval: Option<Whole<255>>,
    /// File that keeps them over a restart.
    pub(super) file: Option<AbsolutePath>,
}

/// How a heartbeat is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The document is the request's body.
    Post,
    /// The document is a parameter of the URL: deprecated, for old servers.
    Get,
}

/// In which form documents are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wire {
    /// Each is a full one.
    Full,
    /// To a server that understands it, between full ones only what has changed.
    Delta,
}

/// In the runtime directory of a service of systemd (systemd.exec(5)), else where the Python service has it. The unit does not
/// set it, because the environment would stand above the configuration file.
fn default_pidfile(runtime_directory: Option<&OsStr>) -> String {
    match runtime_directory.and_then(OsStr::to_str) {
        Some(directory) if !directory.is_empty() => format!("{directory}/pid"),
        _ => "/tmp/heartbeat_daemon.pid".to_owned(),
    }
}

impl Default for RawSettings {
    /// The URL, the pidfile and the times are those of the Python service that this program replaces. The shared pidfile
    /// keeps the two from running at once.
    fn default() -> Self {
        Self {
            url: Endpoint::default(),
            interval: Seconds(INTERVAL_DEFAULT),
            timeout: None,
            connect_timeout: Seconds(CONNECT_TIMEOUT_DEFAULT),
            method: Word(Method::Post),
            backoff_cap: Seconds(BACKOFF_CAP_DEFAULT),
            pidfile: default_pidfile(env::var_os("RUNTIME_DIRECTORY").as_deref()),
            ca_file: None,
            proxy: None,
            headers: Headers::default(),
            token_file: None,
            token: None,
            client_cert: None,
            client_key: None,
            disk_path: AbsolutePath("/".into()),
            hardware_id: None,
            app_tmp: AbsolutePath("/tmp".into()),
            app_version: None,
            app_version_file: None,
            app_dir: None,
            diagnostics: true,
            sequence: true,
            wire: Word(Wire::Full),
            backlog: RawBacklog::default(),
            ups: RawUps::default(),
        }
    }
}

impl RawSettings {
    /// All keys, those of a section as `section.key`, and their values; JSON's null where nothing is set.
    pub(super) fn leaves(&self) -> Vec<(String, Value)> {
        // Fails only for a map whose keys are no texts.
        leaves(serde_json::to_value(self).unwrap_or_default())
    }
}

fn leaves(settings: Value) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    if let Value::Object(settings) = settings {
        for (key, value) in settings {
            match value {
                Value::Object(section) if !section.is_empty() => {
                    leaves.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
                }
                // Also a table with free keys, which is empty by default.
                value => leaves.push((key, value)),
            }
        }
    }
    leaves
}

/// A key that the environment or a flag can set. Both give text.
#[derive(Debug)]
pub struct Input {
    /// The key.
    pub key: &'static str,
    /// Whether the text stands for a number.
    pub number: bool,
    /// The environment variable.
    pub env: Option<&'static str>,
    /// The flag.
    pub flag: Option<Flag>,
}

/// A flag of the command line.
#[derive(Debug)]
pub struct Flag {
    /// Its name, without dashes in front.
    pub name: &'static str,
    /// What its value is, for `--help`.
    pub value: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

/// The keys that the environment or a flag can set. The variables are those of the Python service, where it had one.
pub const INPUTS: &[Input] = &[
    text("url").env("HEARTBEAT_URL").flag("url", "URL", "Where heartbeats go, http or https"),
    number("interval").env("HEARTBEAT_INTERVAL").flag(
        "interval",
        "SECONDS",
        "Seconds between heartbeats, 0.05 to 86400",
    ),
    number("timeout").env("REQUEST_TIMEOUT").flag(
        "timeout",
        "SECONDS",
        "Seconds for one request, at most the interval",
    ),
    text("method").flag("method", "METHOD", "How to send: post, or the deprecated get"),
    text("pidfile").env("PIDFILE").flag(
        "pidfile",
        "FILE",
        "File that keeps a second instance away, '' for none",
    ),
    text("ca_file").flag("ca-file", "FILE", "Trust the authorities in this PEM file instead of the system's"),
    text("token").env("HEARTBEAT_TOKEN"),
    text("app_tmp").env("HEARTBEAT_APP_TMP"),
];

const fn text(key: &'static str) -> Input {
    Input { key, number: false, env: None, flag: None }
}

const fn number(key: &'static str) -> Input {
    Input { number: true, ..text(key) }
}

impl Input {
    const fn env(self, name: &'static str) -> Self {
        Self { env: Some(name), ..self }
    }

    const fn flag(self, name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { flag: Some(Flag { name, value, help }), ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn default_pidfile_is_in_the_runtime_directory_of_a_service() {
        assert_eq!(default_pidfile(Some(OsStr::new("/run/x"))), "/run/x/pid");
        for without in [None, Some(OsStr::new(""))] {
            assert_eq!(default_pidfile(without), "/tmp/heartbeat_daemon.pid");
        }
    }

    #[test]
    fn leaves_are_keys_with_their_section() {
        let settings = json!({ "url": "x", "backlog": { "beats": 1, "file": null }, "free": {} });
        let expected = [
            ("url", json!("x")),
            ("backlog.beats", json!(1)),
            ("backlog.file", json!(null)),
            ("free", json!({})),
        ];
        assert_eq!(leaves(settings), expected.map(|(key, value)| (key.to_owned(), value)));
    }
}
