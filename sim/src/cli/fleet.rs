//! `fleet`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use heartbeat_core::{
    Config,
    time::{Duration, Instant},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::print;
use crate::fleet::{self, Forgets, Outage, Overload, Plan, Server, Summary};

/// A fleet and its server.
#[derive(Debug, Args)]
pub(super) struct Fleet {
    /// Devices
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,
    /// Hours
    #[arg(long, value_name = "H", default_value = "0.25")]
    hours: f64,
    /// Minutes between which the server cannot be reached, or the minute of what happens once
    #[arg(long, value_name = "FROM..TO|AT")]
    outage: Option<String>,
    /// What the outage is
    #[arg(long, value_enum, default_value = "unreachable")]
    kind: Kind,
    /// What the server does with more than it can do
    #[arg(long, value_enum, default_value = "kept-first")]
    overload: Policy,
    /// New connections that the server can make in a second [default: a fiftieth of the devices]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// Requests over kept connections that it can answer in a second [default: twice what the fleet sends]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests: Option<u32>,
    /// New connections that may wait; more are not answered [default: Linux's somaxconn]
    #[arg(long, value_name = "N", default_value = "4096", hide_default_value = true)]
    backlog: u32,
    /// Let the server work for connections that were given up, too
    #[arg(long)]
    in_vain: bool,
    /// Seconds within which the devices start up
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    start_within: f64,
    /// Give all devices the same phase
    #[arg(long)]
    same_phase: bool,
    /// Seconds between heartbeats
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    interval: f64,
    /// Longest pause in seconds for a server that fails, 0 for none
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    backoff_cap: f64,
    /// What is random follows from it
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Draw a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Connections break, and attempts to connect are not answered
    Unreachable,
    /// Every request is answered with 503
    Failing,
    /// Once: the name moves to another address, and the old server answers 421
    Misdirected,
    /// Once: the name moves to another address, and the old server answers 404
    Moved,
    /// Once: a carrier's router forgets all connections, and says nothing
    Forgotten,
    /// Once: a carrier's router forgets all connections, and answers with a reset
    Reset,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// All wait for their turn
    Queue,
    /// As that, but requests over kept connections do not wait behind new connections
    KeptFirst,
    /// Those who would wait for more than a second have their connection closed, or get a 503, at once
    Shed,
}

impl Fleet {
    pub(super) fn run(&self) -> Result<(), String> {
        let plan = self.plan()?;
        let bar = ProgressBar::new(plan.length.as_secs()).with_style(
            ProgressStyle::with_template("{wide_bar} {pos} of {len} s, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let history = fleet::run(&plan, |passed| bar.set_position(passed));
        bar.finish_and_clear();
        print("minute   requests/s  connections/s  deliveries/s    failures/s      back");
        for (minute, seconds) in history.chunks(60).enumerate() {
            let mean = |value: fn(&fleet::Second) -> u32| {
                seconds.iter().map(|second| u64::from(value(second))).sum::<u64>()
                    / seconds.len().max(1) as u64
            };
            let back =
                seconds.last().map_or(0, |second| u64::from(second.back) * 100 / u64::from(self.devices));
            print(&format!(
                "{minute:>6} {:>12} {:>14} {:>13} {:>13} {back:>7} %",
                mean(|second| second.attempts),
                mean(|second| second.connections),
                mean(|second| second.delivered),
                mean(|second| second.failed),
            ));
        }
        print(&Summary::new(&plan, &history).to_string());
        match &self.svg {
            Some(file) => {
                fleet::draw(&plan, &history, file).map_err(|error| format!("{}: {error}", file.display()))
            }
            None => Ok(()),
        }
    }

    fn plan(&self) -> Result<Plan, String> {
        let interval = seconds("--interval", self.interval)?;
        let config = Config::new(interval, interval.min(Duration::from_secs(2)))
            .map_err(|error| format!("--interval: {error}"))?
            .with_backoff_cap(seconds("--backoff-cap", self.backoff_cap)?);
        let sent = u64::from(self.devices) * 1_000_000 / interval.as_micros();
        let at_least_one = |count: u64| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let connections = self.connections.unwrap_or(at_least_one(u64::from(self.devices) / 50));
        let requests = self.requests.unwrap_or(at_least_one(sent * 2));
        let overload = match self.overload {
            Policy::Queue => Overload::Queue,
            Policy::KeptFirst => Overload::KeptFirst,
            Policy::Shed => Overload::Shed,
        };
        Ok(Plan {
            devices: self.devices,
            config,
            phases_drawn: !self.same_phase,
            start_within: seconds("--start-within", self.start_within)?,
            length: seconds("--hours", self.hours * 3_600.0)?,
            server: Server {
                in_vain: self.in_vain,
                ..Server::new(connections, requests, self.backlog, overload, self.outage()?)
            },
            seed: self.seed,
        })
    }

    fn outage(&self) -> Result<Outage, String> {
        let Some(text) = &self.outage else { return Ok(Outage::None) };
        let minutes = |text: &str| {
            let minutes: f64 = text.trim().parse().map_err(|_| ())?;
            seconds("--outage", minutes * 60.0).map(|after| Instant::ZERO + after).map_err(drop)
        };
        let span = || {
            let wrong = || format!("--outage: expected minutes as 5..10, found {text:?}");
            let (from, to) = text.split_once("..").ok_or_else(wrong)?;
            let span = minutes(from).and_then(|from| Ok((from, minutes(to)?))).map_err(|()| wrong())?;
            if span.0 < span.1 { Ok(span) } else { Err(wrong()) }
        };
        let once = || minutes(text).map_err(|()| format!("--outage: expected a minute as 5, found {text:?}"));
        Ok(match self.kind {
            Kind::Unreachable => span().map(|(from, to)| Outage::Unreachable(from, to))?,
            Kind::Failing => span().map(|(from, to)| Outage::Failing(from, to))?,
            Kind::Misdirected => Outage::Moved(once()?, 421),
            Kind::Moved => Outage::Moved(once()?, 404),
            Kind::Forgotten => Outage::Forgotten(once()?, Forgets::InSilence),
            Kind::Reset => Outage::Forgotten(once()?, Forgets::AndResets),
        })
    }
}

/// At most a hundred days.
fn seconds(flag: &str, secs: f64) -> Result<Duration, String> {
    if !(0.0..=8_640_000.0).contains(&secs) {
        return Err(format!("{flag}: expected from 0 to 8640000 seconds, found {secs}"));
    }
    // In range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let micros = (secs * 1e6).round() as u64;
    Ok(Duration::from_micros(micros))
}
