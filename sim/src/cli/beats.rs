//! `beats`: heartbeats of this machine or of a tree, one after the other.

use std::path::PathBuf;

use clap::Args;
use heartbeat_daemon::{
    config::{Layers, Settings},
    daemon::open_root,
    logging,
};

use super::print;
use crate::full_speed;

/// What is sent, and where to.
#[derive(Debug, Args)]
pub(super) struct Beats {
    /// The server
    #[arg(long, value_name = "URL")]
    url: String,
    /// How many heartbeats
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    beats: u64,
    /// Certificate authorities, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Sample a captured tree instead of this machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    sysroot: PathBuf,
    /// Print a line after each so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

impl Beats {
    /// Neither files nor the environment are read: nothing can make it send elsewhere.
    pub(super) fn run(&self) -> Result<(), String> {
        logging::install(log::LevelFilter::Warn);
        let mut flags = Layers::default();
        flags.add_flag("url", &self.url);
        if let Some(file) = &self.ca_file {
            flags.add_flag("ca_file", file);
        }
        let settings = Settings::new(&flags).map_err(|error| error.to_string())?;
        let root = open_root(&self.sysroot).map_err(|error| error.to_string())?;
        let mut failed = 0;
        let told = |delivered, failed| print(&format!("{delivered} delivered, {failed} failed"));
        let sent = full_speed::send(&settings, root, self.beats, |stats| {
            failed = stats.failed;
            let ended = stats.delivered.saturating_add(stats.failed);
            if self.every.is_some_and(|every| ended.is_multiple_of(every)) {
                told(stats.delivered, stats.failed);
            }
        });
        sent.map_err(|error| error.to_string())?;
        told(self.beats.saturating_sub(failed), failed);
        if failed == 0 { Ok(()) } else { Err(format!("{failed} heartbeats were not delivered")) }
    }
}
