//! The flags, and the settings that they, the environment and the file make together.

use std::path::PathBuf;

use clap::Args;
use log::LevelFilter;

use crate::config::{ConfigError, ConfigFile, DEFAULT_PATH, Key, Layers, Settings};

/// The flags of all commands. Values are checked together with those of the other sources.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where heartbeats go, http or https
    #[arg(long, global = true, value_name = "URL", allow_hyphen_values = true)]
    url: Option<String>,
    /// Seconds between heartbeats, 0.05 to 86400
    #[arg(long, global = true, value_name = "SECONDS", allow_hyphen_values = true)]
    interval: Option<String>,
    /// Seconds for one request, at most the interval
    #[arg(long, global = true, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// How to send: post, or the deprecated get
    #[arg(long, global = true, value_name = "METHOD")]
    method: Option<String>,
    /// File that keeps a second instance away, '' for none
    #[arg(long, global = true, value_name = "FILE")]
    pidfile: Option<String>,
    /// Trust the authorities in this PEM file instead of the system's
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<String>,
    /// Read this configuration instead of /etc/heartbeat-daemon/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the device's files below this directory
    #[arg(long, global = true, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub(super) sysroot: PathBuf,
    /// Log what happens in detail
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Options {
    pub(super) fn level(&self) -> LevelFilter {
        if self.verbose { LevelFilter::Debug } else { LevelFilter::Info }
    }

    /// Collects the settings from all sources, the later wins: file, environment, flags. With warnings.
    pub(super) fn layers(&self) -> Result<(Layers, Vec<String>), ConfigError> {
        let file = self.config.clone().map_or(ConfigFile::Default, ConfigFile::Named);
        let mut layers = Layers::default();
        let warnings = layers.add_file(&file)?;
        layers
            .add_environment(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()));
        let flags = [
            (Key::Url, &self.url),
            (Key::Interval, &self.interval),
            (Key::Timeout, &self.timeout),
            (Key::Method, &self.method),
            (Key::Pidfile, &self.pidfile),
            (Key::CaFile, &self.ca_file),
        ];
        for (key, value) in flags {
            layers.add_flag(key, value.as_deref());
        }
        Ok((layers, warnings))
    }

    /// The checked settings. Warnings are logged.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let (layers, warnings) = self.layers()?;
        let settings = Settings::new(&layers)?;
        for warning in warnings.into_iter().chain(settings.warnings()) {
            log::warn!("{warning}");
        }
        Ok(settings)
    }

    /// The configuration file that is read.
    pub(super) fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}
