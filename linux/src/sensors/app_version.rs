//! `app_version`: version of the streaming application.

use heartbeat_core::{SensorError, readings::AppVersion, text::Text};

use super::{Candidate, Configured, Definition, Problem, Shared};
use crate::{
    config::Settings,
    config::VersionSource,
    sources::app_version::{FirstLine, NewestFile},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = AppVersion;
    type Config = VersionSource;
    const NAME: &'static str = "app_version";
    const KEYS: &'static [&'static str] = &["app_version"];

    fn config(settings: &Settings) -> VersionSource {
        settings.app_version.clone()
    }

    fn candidates(shared: &Shared, source: &VersionSource) -> Vec<Candidate<AppVersion>> {
        match source {
            VersionSource::Unknown => Vec::new(),
            VersionSource::Fixed(version) => vec![shared.prompt(Configured(Text::new(version)))],
            VersionSource::File(path) => vec![shared.blocking(FirstLine(path.clone()))],
            VersionSource::Folder(path) => vec![shared.blocking(NewestFile(path.clone()))],
        }
    }

    fn show(version: &AppVersion) -> String {
        version.to_string()
    }

    fn advice(problem: Problem, _: &VersionSource) -> Option<&'static str> {
        match problem {
            Problem::NotConfigured => Some("set app_version, app_version_file or app_dir"),
            Problem::Failed(SensorError::Absent) => Some("is the configured path right?"),
            _ => None,
        }
    }
}
