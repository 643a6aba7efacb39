//! The commands of `heartbeat-sim`.

mod beats;
mod fleet;
mod fuzz;
mod networks;
mod receive;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use heartbeat_daemon::logging;

use crate::demo;

/// Tries the heartbeat without a fleet and without a server.
#[derive(Debug, Parser)]
#[command(name = "heartbeat-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the real server, and the real daemon with this machine's sensors, on loopback
    Demo {
        /// Stop after this many heartbeats instead of at Ctrl-C
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        beats: Option<u64>,
        /// Seconds between heartbeats
        #[arg(long, value_name = "SECONDS", default_value = "5")]
        interval: String,
        /// Simulated devices beside this machine
        #[arg(long, value_name = "N", default_value = "24", value_parser = clap::value_parser!(u32).range(0..=10_000))]
        devices: u32,
    },
    /// Run the agent through random trouble in virtual time and check that it keeps its promises
    Fuzz(fuzz::Fuzz),
    /// Run frontends with planted bugs, and see that each is found
    PlantedBugs {
        /// Slots in each run
        #[arg(long, value_name = "N", default_value = "1000")]
        beats: u64,
    },
    /// Tell one run of `fuzz` event by event
    Replay(fuzz::Replay),
    /// Shorten a run that breaks a promise to what is needed for that
    Minimise(fuzz::Minimise),
    /// Let many devices beat against one server, through an outage
    Fleet(fleet::Fleet),
    /// Send heartbeats one after the other, without waiting for their time, for long runs and profilers
    Beats(beats::Beats),
    /// Receive heartbeats, check each against the schema and print a line for it
    Receive(receive::Receive),
    /// Run a daemon over slow links, in networks made for it, and print what arrives; needs root
    SlowLinks(networks::SlowLinks),
    /// Run a daemon against servers in all states, in networks made for it, and print what each costs; needs root
    Traffic(networks::Traffic),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Demo { beats, interval, devices } => {
            logging::install(log::LevelFilter::Warn);
            demo::run(beats, &interval, devices, print).map_err(|error| error.to_string())
        }
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::PlantedBugs { beats } => fuzz::planted_bugs(beats),
        Command::Replay(replay) => replay.run(),
        Command::Fleet(fleet) => fleet.run(),
        Command::Minimise(minimise) => minimise.run(),
        Command::Beats(beats) => beats.run(),
        Command::Receive(receive) => receive.run(),
        Command::SlowLinks(slow_links) => slow_links.run(),
        Command::Traffic(traffic) => traffic.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader may have closed the pipe; the exit status still reports the error.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(line: &str) {
    // If the reader has closed the pipe, the output does not matter any more.
    let _ = writeln!(io::stdout(), "{line}");
}
