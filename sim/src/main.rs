//! The `heartbeat-sim` program: a demonstration and a receiver.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use heartbeat_daemon::logging;
use heartbeat_sim::{
    demo,
    receiver::{Event, Line, Receiver},
};

/// Tries the heartbeat without a fleet and without a server.
#[derive(Debug, Parser)]
#[command(name = "heartbeat-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the real daemon with this machine's sensors against a receiver on loopback
    Demo {
        /// Stop after this many heartbeats instead of at Ctrl-C
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        beats: Option<u64>,
        /// Seconds between heartbeats
        #[arg(long, value_name = "SECONDS", default_value = "5")]
        interval: String,
    },
    /// Receive heartbeats, check each against the schema and print a line for it
    Receive {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::install(log::LevelFilter::Info);
    let result = match cli.command {
        Command::Demo { beats, interval } => {
            demo::run(beats, &interval, print).map_err(|error| error.to_string())
        }
        Command::Receive { listen } => receive(listen).map_err(|error| format!("{listen}: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn receive(listen: SocketAddr) -> io::Result<()> {
    let receiver = Receiver::listen(listen)?;
    print(&format!("Receiving at http://{}/", receiver.address()));
    for event in receiver.events() {
        match event {
            Event::Beat(beat) => {
                print(&Line { value: &beat.value, size: beat.document.len(), round_trip: None }.to_string());
            }
            Event::Refused(refusal) => print(&format!("refused with {}: {}", refusal.status, refusal.reason)),
        }
    }
    Ok(())
}

fn print(line: &str) {
    // Whoever looked has gone away; the heartbeats go on until Ctrl-C.
    let _ = writeln!(io::stdout(), "{line}");
}
