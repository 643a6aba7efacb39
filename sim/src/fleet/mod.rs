//! Many devices and one server: what an outage, or a power cut of everything, does to both.
//!
//! Each device is the real agent with nothing to measure, over a model of the daemon's connection, which outlives the
//! heartbeat that began it. The server is a model, too: it does one thing after the other, and a new connection costs it much
//! more than a request over a kept one. Time is virtual, and a run follows from its seed.

mod chart;
mod device;
mod line;
mod server;
mod summary;

use std::{cmp::Reverse, collections::BinaryHeap};

use heartbeat_core::{
    Config,
    time::{Duration, Instant},
};

pub use chart::{ChartError, draw};
pub use server::{Forgets, Outage, Overload, Server};
pub use summary::Summary;

use crate::random::Random;
use device::Device;
use server::Load;

/// What is to be simulated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many devices.
    pub devices: u32,
    /// How each beats, apart from its phase.
    pub config: Config,
    /// Whether each draws its phase, as they do, or all have the same.
    pub phases_drawn: bool,
    /// They start up within this time, evenly.
    pub start_within: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// The server that they share.
    pub server: Server,
    /// Everything that is random follows from it.
    pub seed: u64,
}

/// What happened in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Second {
    /// Requests that began.
    pub attempts: u32,
    /// Connections that began.
    pub connections: u32,
    /// Requests that ended with a delivery.
    pub delivered: u32,
    /// Requests that ended otherwise.
    pub failed: u32,
    /// Devices that have delivered something since the outage ended, or since the beginning before that.
    pub back: u32,
}

/// Runs a fleet and returns what happened, second by second. `progress` is told how many seconds have passed.
pub fn run(plan: &Plan, mut progress: impl FnMut(u64)) -> Vec<Second> {
    let mut random = Random::new(plan.seed);
    let mut load = Load::new(plan.server);
    let mut devices = Vec::new();
    let mut due = BinaryHeap::new();
    for index in 0..plan.devices {
        let phase = if plan.phases_drawn { random.phase() } else { 1 << 31 };
        devices.push(Device::new(plan.config.with_phase(phase)));
        due.push(Reverse((Instant::ZERO + random.time(plan.start_within), index)));
    }
    let seconds = usize::try_from(plan.length.as_secs()).unwrap_or(usize::MAX);
    let mut history = vec![Second::default(); seconds];
    let mut back = Back::default();
    let mut second = 0;
    while let Some(Reverse((now, index))) = due.pop() {
        let at = usize::try_from(now.as_micros() / 1_000_000).unwrap_or(usize::MAX);
        while second < at.min(seconds) {
            if let Some(entry) = history.get_mut(second) {
                entry.back = back.count;
            }
            second += 1;
            progress(second as u64);
        }
        let (Some(entry), Some(device)) = (history.get_mut(at), devices.get_mut(index as usize)) else {
            break;
        };
        back.after(plan.server.outage.end(), now);
        let turn = device.turn(now, &mut load);
        entry.attempts += u32::from(turn.began);
        entry.connections += turn.dials;
        entry.delivered += u32::from(turn.delivered);
        entry.failed += u32::from(turn.failed);
        if turn.delivered && device.is_news_since(back.since) {
            back.count += 1;
        }
        due.push(Reverse((turn.next, index)));
    }
    history
}

/// Who has delivered something since the outage ended.
#[derive(Debug, Default)]
struct Back {
    since: Instant,
    count: u32,
}

impl Back {
    /// Counts anew once the outage has ended.
    fn after(&mut self, outage: Option<Instant>, now: Instant) {
        if let Some(end) = outage.filter(|end| *end <= now && *end > self.since) {
            *self = Self { since: end, count: 0 };
        }
    }
}
