//! The names of the settings, each in one place.

use std::fmt;

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Seconds,
    Number,
    Flag,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident, $name:literal, $kind:ident, env: $env:expr;)*) => {
        /// A setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key { $($(#[$doc])* $key,)* }

        impl Key {
            /// All settings, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$key,)*];

            /// Name in the configuration file; the flag is the same with dashes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => $name,)* }
            }

            /// The environment variable that sets it: the names that the Python service had.
            pub const fn env(self) -> Option<&'static str> {
                match self { $(Self::$key => $env,)* }
            }

            pub(super) const fn kind(self) -> Kind {
                match self { $(Self::$key => Kind::$kind,)* }
            }
        }
    };
}

keys! {
    /// Where heartbeats go.
    Url, "url", Text, env: Some("HEARTBEAT_URL");
    /// Seconds between heartbeats.
    Interval, "interval", Seconds, env: Some("HEARTBEAT_INTERVAL");
    /// Seconds for one request.
    Timeout, "timeout", Seconds, env: Some("REQUEST_TIMEOUT");
    /// Longest gap in seconds that is left to a server that fails.
    BackoffCap, "backoff_cap", Seconds, env: None;
    /// `post` or `get`.
    Method, "method", Text, env: None;
    /// File that keeps a second instance away; empty for none.
    Pidfile, "pidfile", Text, env: Some("PIDFILE");
    /// PEM file with the certificate authorities that are trusted instead of the system's.
    CaFile, "ca_file", Text, env: None;
    /// A path on the filesystem whose space is reported.
    DiskPath, "disk_path", Text, env: None;
    /// Overrides the id that the board has by itself.
    HardwareId, "hardware_id", Text, env: None;
    /// Where the streaming application's `/tmp` is, when the service has one of its own.
    AppTmp, "app_tmp", Text, env: Some("HEARTBEAT_APP_TMP");
    /// Version of the streaming application as fixed text.
    AppVersion, "app_version", Text, env: None;
    /// File whose first line is the version of the streaming application.
    AppVersionFile, "app_version_file", Text, env: None;
    /// How many heartbeats that were not delivered are kept.
    BacklogBeats, "backlog.beats", Number, env: None;
    /// How many of them are sent in one interval once the server takes heartbeats again.
    BacklogPerInterval, "backlog.per_interval", Number, env: None;
    /// File that keeps them over a restart.
    BacklogFile, "backlog.file", Text, env: None;
    /// Whether the optional keys of the heartbeat are sent.
    Diagnostics, "diagnostics", Flag, env: None;
    /// Whether the optional keys that number the heartbeats are sent.
    Sequence, "sequence", Flag, env: None;
    /// A supply with a battery that is known by name.
    UpsPreset, "ups.preset", Text, env: None;
    /// Number of the I2C bus that the supply is on.
    UpsBus, "ups.bus", Number, env: None;
    /// Address of the supply's chip.
    UpsAddress, "ups.address", Number, env: None;
    /// Shunt of the supply's INA219 in ohms.
    UpsShunt, "ups.shunt_ohms", Number, env: None;
    /// Whether a positive current charges the battery or discharges it.
    UpsPositive, "ups.positive_current", Text, env: None;
    /// Folder of the streaming application, whose newest file dates it.
    AppDir, "app_dir", Text, env: None;
}

impl Key {
    /// The setting with this name in the configuration file.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
