//! `mem`: the share of the working memory that is not available.

use heartbeat_core::readings::Memory;

use super::{Candidate, Definition, Shared};
use crate::{
    config::Settings,
    sources::{kernel_file::KernelFile, procfs::meminfo},
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Memory;
    type Config = ();
    const NAME: &'static str = "mem";
    const KEYS: &'static [&'static str] = &["mem"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Memory>> {
        vec![shared.prompt(KernelFile::new(meminfo::PATH, meminfo::parse))]
    }

    fn show(memory: &Memory) -> String {
        format!("{} of {} MiB available", memory.available / 1024, memory.total / 1024)
    }
}
