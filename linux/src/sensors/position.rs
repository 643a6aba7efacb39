//! `connection.gps`: what the satellite receiver knows.

use std::path::PathBuf;

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::gps::{gpsd::Gpsd, streamer::Streamer},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Position;
    /// Where the streaming application's `/tmp` is.
    type Config = PathBuf;
    const NAME: &'static str = "gps";
    const KEYS: &'static [&'static str] = &["connection.gps"];

    fn config(settings: &Settings) -> PathBuf {
        settings.app_tmp.clone()
    }

    fn candidates(shared: &Shared, app_tmp: &PathBuf) -> Vec<Candidate<Position>> {
        vec![shared.blocking(Gpsd::new()), shared.blocking(Streamer::new(app_tmp))]
    }

    /// Without the position itself.
    fn show(position: &Position) -> String {
        let fix = match position.fix {
            Fix::None => "no fix",
            Fix::TwoD => "2D fix",
            Fix::ThreeD => "3D fix",
        };
        super::listed([
            Some(fix.to_owned()),
            position.satellites.map(|satellites| format!("{satellites} satellites")),
        ])
    }

    fn advice(problem: Problem, _: &PathBuf) -> Option<&'static str> {
        matches!(problem, Problem::Failed(SensorError::Absent)).then_some(
            "neither gpsd nor the streaming application's GPS daemon runs; start one if there is a receiver",
        )
    }
}
