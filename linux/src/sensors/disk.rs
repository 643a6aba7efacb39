//! `disk`: space of the filesystem that is watched.

use std::path::PathBuf;

use heartbeat_core::{payload::Disk, readings::DiskSpace};

use super::{Candidate, Definition, Problem, Shared};
use crate::{config::Settings, sources::filesystem::Filesystem};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = DiskSpace;
    type Config = PathBuf;
    const NAME: &'static str = "disk";
    const KEYS: &'static [&'static str] = &["disk"];

    fn config(settings: &Settings) -> PathBuf {
        settings.disk_path.clone()
    }

    fn candidates(shared: &Shared, path: &PathBuf) -> Vec<Candidate<DiskSpace>> {
        vec![shared.blocking(Filesystem::of(path))]
    }

    fn show(space: &DiskSpace) -> String {
        Disk::from_space(*space).map_or("a filesystem without any space".to_owned(), |disk| {
            format!("{} % of {} GiB", disk.percent, disk.total_gb)
        })
    }

    fn advice(problem: Problem, _: &PathBuf) -> Option<&'static str> {
        (problem == Problem::Silent).then_some("a mount hangs: see mount, and unmount what does not answer")
    }
}
