//! `slow-links` and `traffic`.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::print;
use crate::networks::{slow_links, traffic};

/// The daemon that is tried.
#[derive(Debug, Args)]
struct Tried {
    /// The daemon [default: heartbeat-daemon beside this program]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Tried {
    fn path(&self) -> Result<PathBuf, String> {
        let path = match &self.program {
            Some(path) => path.clone(),
            None => {
                let own = env::current_exe().map_err(|error| error.to_string())?;
                own.parent().unwrap_or(Path::new("/")).join("heartbeat-daemon")
            }
        };
        path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The daemon over slow links.
#[derive(Debug, Args)]
pub(super) struct SlowLinks {
    #[command(flatten)]
    tried: Tried,
    /// Seconds after the first minute
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u32).range(5..))]
    seconds: u32,
}

impl SlowLinks {
    pub(super) fn run(&self) -> Result<(), String> {
        let length = Duration::from_secs(self.seconds.into());
        let rows = slow_links::run(&self.tried.path()?, &slow_links::LINKS, length)
            .map_err(|error| error.to_string())?;
        print(slow_links::HEAD);
        rows.iter().for_each(|row| print(&row.to_string()));
        Ok(())
    }
}

/// What each state of a server costs.
#[derive(Debug, Args)]
pub(super) struct Traffic {
    #[command(flatten)]
    tried: Tried,
    /// Time to the server and back, in milliseconds [default: that of a good mobile network]
    #[arg(long, value_name = "MS", default_value = "60", hide_default_value = true)]
    round_trip: u32,
    /// Seconds before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "180")]
    settling: u32,
    /// Seconds that are measured
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

impl Traffic {
    pub(super) fn run(&self) -> Result<(), String> {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        let plan = traffic::Plan {
            round_trip: Duration::from_millis(self.round_trip.into()),
            settling: secs(self.settling),
            length: secs(self.seconds),
        };
        let rows =
            traffic::run(&self.tried.path()?, traffic::STATES, plan).map_err(|error| error.to_string())?;
        print(traffic::HEAD);
        rows.iter().for_each(|row| print(&row.to_string()));
        Ok(())
    }
}
