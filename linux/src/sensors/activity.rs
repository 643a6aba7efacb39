//! `streaming_active`, `tracking_active`, `recording_active`, `recording_file_size_mb` and `recording_file_path`: what the
//! streaming application is doing.

use std::path::PathBuf;

use heartbeat_core::readings::Activity;

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
        let active = [
            (activity.streaming, "streaming"),
            (activity.tracking, "tracking"),
            (activity.recording.is_some(), "recording"),
        ];
        let names: Vec<_> = active.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}
