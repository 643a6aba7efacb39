//! `uptime_s`: time since the device booted.

use heartbeat_core::readings::Uptime;

use super::{Candidate, Definition, Shared};
use crate::{
    config::Settings,
    sources::{kernel_file::KernelFile, procfs::uptime},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Uptime;
    type Config = ();
    const NAME: &'static str = "uptime_s";
    const KEYS: &'static [&'static str] = &["uptime_s"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Uptime>> {
        vec![shared.prompt(KernelFile::new(uptime::PATH, uptime::parse))]
    }

    fn show(uptime: &Uptime) -> String {
        format!("{} s", uptime.0)
    }
}
