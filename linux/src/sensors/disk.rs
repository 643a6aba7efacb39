//! `disk`: space of the filesystem that is watched.

use std::path::{Path, PathBuf};

use heartbeat_core::{payload::Disk, readings::DiskSpace};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::filesystem::{self, Filesystem},
};

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
        let filesystem = Filesystem::of(path);
        let is_prompt = shared.root.is_live() && path == Path::new("/") && filesystem::is_root_local();
        vec![if is_prompt { shared.prompt(filesystem) } else { shared.blocking(filesystem) }]
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
