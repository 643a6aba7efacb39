//! `cpu`: the share of the processor's time that was busy.

use heartbeat_core::{readings::CpuTimes, units::Percent};

use super::{Candidate, Definition, Shared};
use crate::{
    config::Settings,
    sources::{kernel_file::KernelFile, procfs::stat},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = CpuTimes;
    type Config = ();
    const NAME: &'static str = "cpu";
    const KEYS: &'static [&'static str] = &["cpu"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<CpuTimes>> {
        vec![shared.prompt(KernelFile::new(stat::PATH, stat::parse))]
    }

    /// One reading knows only the time since boot; the agent takes the difference between two.
    fn show(times: &CpuTimes) -> String {
        let busy = Percent::of(times.busy, times.total);
        busy.map_or("no time has passed".to_owned(), |percent| format!("{percent} % since boot"))
    }
}
