//! `streaming_active`, `tracking_active`, `recording_active`, `recording_file_size_mb` and `recording_file_path`: what the
//! streaming application is doing.

use std::path::PathBuf;

use heartbeat_core::{payload::Reason, readings::Activity};

use super::{Candidate, Definition, Shared};
use crate::{config::Settings, sources::pidfiles::Application};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Activity;
    /// Where the streaming application's `/tmp` is.
    type Config = PathBuf;
    const NAME: &'static str = "activity";
    const KEYS: &'static [&'static str] = &[
        "streaming_active",
        "tracking_active",
        "recording_active",
        "recording_file_size_mb",
        "recording_file_path",
    ];

    fn config(settings: &Settings) -> PathBuf {
        settings.app_tmp.clone()
    }

    fn candidates(shared: &Shared, app_tmp: &PathBuf) -> Vec<Candidate<Activity>> {
        vec![shared.blocking(Application::new(app_tmp))]
    }

    fn show(activity: &Activity) -> String {
        let Activity { streaming, tracking, recording } = activity;
        let parts = [
            ("streaming", *streaming),
            ("tracking", *tracking),
            ("recording", recording.as_ref().map(Option::is_some).map_err(|error| *error)),
        ];
        let shown = parts.iter().filter_map(|(name, part)| match part {
            Ok(true) => Some((*name).to_owned()),
            Ok(false) => None,
            Err(error) => Some(format!("{name} {}", Reason::of(*error).map_or("unknown", Reason::word))),
        });
        let shown: Vec<_> = shown.collect();
        if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::SensorError;

    #[test]
    fn shows_what_is_active_and_what_could_not_be_read() {
        let activity =
            Activity { streaming: Ok(true), tracking: Err(SensorError::Denied), recording: Ok(None) };
        assert_eq!(Sensor::show(&activity), "streaming, tracking denied");
        assert_eq!(Sensor::show(&Activity::NONE), "nothing");
    }
}
