//! The flags, and the settings that they, the environment and the file make together.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use log::LevelFilter;

use crate::config::{ConfigFile, DEFAULT_PATH, Flag, INPUTS, Input, Layers, Settings, SettingsError};

/// The flags of all commands. Values are checked together with those of the other sources.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    settings: SettingFlags,
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
    pub(super) fn layers(&self) -> Result<(Layers, Vec<String>), SettingsError> {
        self.layers_in(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// The same in another environment.
    pub(super) fn layers_in(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Layers, Vec<String>), SettingsError> {
        let file = self.config.clone().map_or(ConfigFile::Default, ConfigFile::Named);
        let mut layers = Layers::default();
        let mut warnings = layers.add_file(&file)?;
        warnings.extend(layers.add_environment(variable));
        for (name, text) in &self.settings.0 {
            layers.add_flag(name, text);
        }
        Ok((layers, warnings))
    }

    /// The checked settings. Warnings are logged.
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let (layers, warnings) = self.layers()?;
        let settings = Settings::new(&layers)?;
        for warning in warnings.into_iter().chain(settings.warnings()) {
            log::warn!("{warning}");
        }
        Ok(settings)
    }

    /// Whether another configuration or another device is meant than those of the service.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.config.is_some() || self.sysroot != Path::new("/")
    }

    /// The same options where relative paths count from `directory`.
    pub(super) fn seen_from(mut self, directory: &Path) -> Self {
        self.config = self.config.map(|path| directory.join(path));
        self
    }

    /// The configuration file that is read.
    pub(super) fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}

/// The flags that are settings, as [`INPUTS`] lists them: name and value of those that were used.
#[derive(Debug, Clone)]
struct SettingFlags(Vec<(&'static str, String)>);

impl SettingFlags {
    fn all() -> impl Iterator<Item = (&'static Input, &'static Flag)> {
        INPUTS.iter().filter_map(|input| Some((input, input.flag.as_ref()?)))
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(Self::all().map(|(input, flag)| {
            Arg::new(flag.name)
                .long(flag.name)
                .value_name(flag.value)
                .help(flag.help)
                .global(true)
                // So that it is refused with the range.
                .allow_negative_numbers(input.number)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let used = Self::all().filter_map(|(_, flag)| {
            let text = matches.get_one::<String>(flag.name)?;
            Some((flag.name, text.clone()))
        });
        Ok(Self(used.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
