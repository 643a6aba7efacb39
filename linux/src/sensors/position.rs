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

    /// The one that has a fix, gpsd first; else what they say without one.
    fn candidates(shared: &Shared, app_tmp: &PathBuf) -> Vec<Candidate<Position>> {
        let (gpsd, streamer) = (shared.reader(Gpsd::new()), shared.reader(Streamer::new(app_tmp)));
        vec![
            Candidate::part(&gpsd, with_fix),
            Candidate::part(&streamer, with_fix),
            Candidate::part(&gpsd, |position| Ok(position.clone())),
            Candidate::part(&streamer, |position| Ok(position.clone())),
        ]
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

/// A receiver without a fix does not hide another that has one.
fn with_fix(position: &Position) -> Result<Position, SensorError> {
    if position.fix == Fix::None { Err(SensorError::Absent) } else { Ok(position.clone()) }
}
