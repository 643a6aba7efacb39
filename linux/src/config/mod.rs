//! Configuration: built-in defaults, a file, the environment, flags; the later wins.
//!
//! [`Layers`] collects values with their origins, [`Settings::new`] checks them. What cannot be used is refused
//! with the place where it was written, before anything is started.

mod endpoint;
mod file;
mod key;
mod layers;

use std::{io, path::PathBuf};

use heartbeat_core::{
    Config,
    limits::{BACKOFF_CAP_DEFAULT, INTERVAL_DEFAULT, LATE_PER_INTERVAL_DEFAULT, TIMEOUT_DEFAULT},
    time::Duration,
};

use self::layers::Value;
pub use self::{
    endpoint::Endpoint,
    file::{ConfigFile, DEFAULT_PATH},
    key::Key,
    layers::{Layers, Origin},
};
use crate::{
    hal::{UpsChip, UpsConfig, VersionSource},
    passing::may_pass,
};

/// The server of the service that this program replaces.
const DEFAULT_URL: &str = "https://streamer.lambda-tek.com/heartbeat.php";
/// Heartbeats that can be kept: 83 minutes of them at the usual interval.
const BACKLOG_MAX: u16 = 1_000;
/// The pidfile of the service that this program replaces, so that the two keep each other away.
const DEFAULT_PIDFILE: &str = "/tmp/heartbeat_daemon.pid";

/// Where a service of systemd keeps what it has while it runs (systemd.exec(5)), else where the older service had it: a
/// default, so that the unit need not set what would then stand above the configuration file.
fn default_pidfile() -> String {
    match std::env::var("RUNTIME_DIRECTORY") {
        Ok(directory) if !directory.is_empty() => format!("{directory}/pid"),
        _ => DEFAULT_PIDFILE.to_owned(),
    }
}

/// Why a configuration cannot be used. Each says where and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a configuration.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A value cannot be used.
    #[error("{origin}: {key}: {problem}")]
    Value {
        /// Where it was given.
        origin: Origin,
        /// Which setting.
        key: Key,
        /// What was expected.
        problem: String,
    },
}

impl ConfigError {
    /// Whether the same configuration may be usable at the next start.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if may_pass(source))
    }
}

/// How a heartbeat is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The document is the request's body.
    Post,
    /// The document is a parameter of the URL: deprecated, for old servers.
    Get,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where heartbeats go.
    pub endpoint: Endpoint,
    /// How they are sent.
    pub method: Method,
    /// How often, and how long a request may take.
    pub rhythm: Config,
    /// The file that keeps a second instance away.
    pub pidfile: Option<PathBuf>,
    /// The file that keeps heartbeats that were not delivered over a restart.
    pub backlog_file: Option<PathBuf>,
    /// Certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A path on the filesystem whose space is reported.
    pub disk_path: PathBuf,
    /// Overrides the board's own id.
    pub hardware_id: Option<String>,
    /// Where the streaming application's `/tmp` is for this process.
    pub app_tmp: PathBuf,
    /// Where the version of the streaming application comes from.
    pub app_version: VersionSource,
    /// The supply with a battery that the board stands on.
    pub ups: Option<UpsConfig>,
}

impl Settings {
    /// Checks what was given.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`] for the first value that cannot be used.
    pub fn new(layers: &Layers) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::parse(&layers.text(Key::Url).unwrap_or_else(|| DEFAULT_URL.to_owned()))
            .map_err(|problem| layers.refuse(Key::Url, problem))?;
        let method = match layers.text(Key::Method).as_deref() {
            None | Some("post") => Method::Post,
            Some("get") => Method::Get,
            Some(other) => {
                return Err(layers.refuse(Key::Method, format!("expected post or get, found {other:?}")));
            }
        };
        let pidfile = layers.text(Key::Pidfile).unwrap_or_else(default_pidfile);
        Ok(Self {
            endpoint,
            method,
            rhythm: layers
                .rhythm()?
                .with_diagnostics(layers.flag(Key::Diagnostics).unwrap_or(true))
                .with_sequence(layers.flag(Key::Sequence).unwrap_or(true)),
            backlog_file: layers.absolute_path(Key::BacklogFile)?,
            pidfile: (!pidfile.is_empty()).then(|| pidfile.into()),
            ca_file: layers.text(Key::CaFile).map(PathBuf::from),
            disk_path: layers.absolute_path(Key::DiskPath)?.unwrap_or_else(|| "/".into()),
            hardware_id: layers.hardware_id()?,
            app_tmp: layers.absolute_path(Key::AppTmp)?.unwrap_or_else(|| "/tmp".into()),
            app_version: layers.app_version()?,
            ups: layers.ups()?,
        })
    }

    /// What the operator should know although it can be used.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.endpoint.is_https() && !self.endpoint.is_loopback() {
            warnings
                .push("the url is http: heartbeats travel unencrypted and can be read and forged".to_owned());
        }
        warnings
    }
}

impl Layers {
    fn refuse(&self, key: Key, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value { origin: self.origin(key), key, problem: problem.into() }
    }

    fn text(&self, key: Key) -> Option<String> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Flag(flag) => Some(flag.to_string()),
        }
    }

    fn flag(&self, key: Key) -> Option<bool> {
        match self.get(key)?.value {
            Value::Flag(flag) => Some(flag),
            Value::Text(_) | Value::Number(_) => None,
        }
    }

    /// A whole number from 0 to `max`.
    fn whole(&self, key: Key, max: u16) -> Result<Option<u16>, ConfigError> {
        let Some(Value::Number(number)) = self.get(key).map(|given| &given.value) else { return Ok(None) };
        let fits = (0.0..=f64::from(max)).contains(number) && number.fract() == 0.0;
        // In range and whole.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = fits.then_some(*number as u16);
        whole.map(Some).ok_or_else(|| {
            self.refuse(key, format!("expected a whole number from 0 to {max}, found {number}"))
        })
    }

    /// A whole number from 0 to 255, as bus numbers and addresses are.
    fn byte(&self, key: Key) -> Result<Option<u8>, ConfigError> {
        // In range.
        Ok(self.whole(key, u8::MAX.into())?.map(|byte| u8::try_from(byte).unwrap_or(u8::MAX)))
    }

    /// Takes over how many heartbeats are kept, and how fast they are sent.
    fn backlog(&self, rhythm: Config) -> Result<Config, ConfigError> {
        let beats = self.whole(Key::BacklogBeats, BACKLOG_MAX)?.unwrap_or(0);
        let per_interval = self.byte(Key::BacklogPerInterval)?.unwrap_or(LATE_PER_INTERVAL_DEFAULT);
        for key in [Key::BacklogPerInterval, Key::BacklogFile] {
            if beats == 0 && self.get(key).is_some() && self.get(Key::BacklogBeats).is_none() {
                return Err(self.refuse(key, format!("needs {} beside it", Key::BacklogBeats)));
            }
        }
        Ok(rhythm.with_backlog(beats, per_interval))
    }

    fn ups(&self) -> Result<Option<UpsConfig>, ConfigError> {
        let Some(name) = self.text(Key::UpsPreset) else {
            let details = [Key::UpsBus, Key::UpsAddress, Key::UpsShunt, Key::UpsPositive];
            return match details.into_iter().find(|key| self.get(*key).is_some()) {
                Some(key) => Err(self.refuse(key, format!("needs {} beside it", Key::UpsPreset))),
                None => Ok(None),
            };
        };
        let mut ups = UpsConfig::preset(&name).ok_or_else(|| {
            let known = UpsConfig::PRESETS.join(", ");
            self.refuse(Key::UpsPreset, format!("expected one of {known}, found {name:?}"))
        })?;
        if let Some(bus) = self.byte(Key::UpsBus)? {
            ups.bus = bus;
        }
        let UpsChip::Ina219 { address, shunt_uohm, positive_charges, .. } = &mut ups.chip else {
            let unused = [Key::UpsAddress, Key::UpsShunt, Key::UpsPositive];
            return match unused.into_iter().find(|key| self.get(*key).is_some()) {
                Some(key) => Err(self.refuse(key, format!("the chip of {name} has no such setting"))),
                None => Ok(Some(ups)),
            };
        };
        if let Some(given) = self.byte(Key::UpsAddress)? {
            if !(0x40..=0x4f).contains(&given) {
                return Err(
                    self.refuse(Key::UpsAddress, format!("expected 0x40 to 0x4f, found {given:#04x}"))
                );
            }
            *address = given;
        }
        if let Some(Value::Number(ohms)) = self.get(Key::UpsShunt).map(|given| &given.value) {
            if !(0.0001..=10.0).contains(ohms) {
                return Err(
                    self.refuse(Key::UpsShunt, format!("expected from 0.0001 to 10 ohms, found {ohms}"))
                );
            }
            // In range: at most ten million.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let uohm = (ohms * 1e6).round() as u32;
            *shunt_uohm = uohm;
        }
        match self.text(Key::UpsPositive).as_deref() {
            None => {}
            Some("charges") => *positive_charges = true,
            Some("discharges") => *positive_charges = false,
            Some(other) => {
                return Err(
                    self.refuse(Key::UpsPositive, format!("expected charges or discharges, found {other:?}"))
                );
            }
        }
        Ok(Some(ups))
    }

    fn absolute_path(&self, key: Key) -> Result<Option<PathBuf>, ConfigError> {
        let Some(path) = self.text(key).map(PathBuf::from) else { return Ok(None) };
        if !path.is_absolute() {
            return Err(self.refuse(key, format!("expected an absolute path, found {path:?}")));
        }
        Ok(Some(path))
    }

    /// A number of seconds from `min` to `max`.
    fn seconds(&self, key: Key, min: f64, max: f64) -> Result<Option<Duration>, ConfigError> {
        let Some(given) = self.get(key) else { return Ok(None) };
        let secs = match &given.value {
            Value::Number(secs) => *secs,
            Value::Flag(_) => return Err(self.refuse(key, "expected a number of seconds")),
            Value::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| self.refuse(key, format!("expected a number of seconds, found {text:?}")))?,
        };
        // Not a number is in no range.
        if !(min..=max).contains(&secs) {
            return Err(self.refuse(key, format!("expected from {min} to {max} seconds, found {secs}")));
        }
        // In range: at most 86.4e9.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let micros = (secs * 1e6).round() as u64;
        Ok(Some(Duration::from_micros(micros)))
    }

    fn rhythm(&self) -> Result<Config, ConfigError> {
        let interval = self.seconds(Key::Interval, 0.05, 86_400.0)?.unwrap_or(INTERVAL_DEFAULT);
        let timeout = match self.seconds(Key::Timeout, 0.001, 86_400.0)? {
            Some(timeout) => timeout,
            None => TIMEOUT_DEFAULT.min(interval),
        };
        let backoff_cap = self.seconds(Key::BackoffCap, 0.0, 86_400.0)?.unwrap_or(BACKOFF_CAP_DEFAULT);
        let rhythm = Config::new(interval, timeout).map_err(|_| {
            let secs = |duration: Duration| core::time::Duration::from(duration).as_secs_f64();
            self.refuse(
                Key::Timeout,
                format!(
                    "expected at most the interval of {} seconds ({}), found {}",
                    secs(interval),
                    self.origin(Key::Interval),
                    secs(timeout)
                ),
            )
        })?;
        self.backlog(rhythm.with_backoff_cap(backoff_cap))
    }

    fn hardware_id(&self) -> Result<Option<String>, ConfigError> {
        let Some(id) = self.text(Key::HardwareId) else { return Ok(None) };
        let fits = (1..=heartbeat_core::limits::HARDWARE_ID_MAX).contains(&id.len());
        if !fits || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            return Err(self.refuse(
                Key::HardwareId,
                "expected 1 to 64 visible ASCII characters, no quotes or backslashes",
            ));
        }
        Ok(Some(id))
    }

    fn app_version(&self) -> Result<VersionSource, ConfigError> {
        // The most definite of what was given.
        if let Some(version) = self.text(Key::AppVersion) {
            return Ok(VersionSource::Fixed(version));
        }
        if let Some(path) = self.absolute_path(Key::AppVersionFile)? {
            return Ok(VersionSource::File(path));
        }
        Ok(self.absolute_path(Key::AppDir)?.map_or(VersionSource::Unknown, VersionSource::Folder))
    }
}

#[cfg(test)]
mod tests;
