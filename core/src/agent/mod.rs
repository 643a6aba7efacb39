//! The agent: one state machine that samples the device and sends what it found, polled by its frontend.
//!
//! Two parts that do not know each other: [`sampling`](self) asks every sensor once per beat and keeps the last
//! good values; sending has at most one request in flight. [`Agent::poll`] moves both and says when to be called
//! next. It never waits.
//!
//! One beat owns one slot of the grid: its sampling and its request end, by deadline if need be, before the next
//! slot begins. That is why an overrun can neither shift the grid nor bunch beats up.

mod backoff;
mod config;
mod log_budget;
mod outage;
mod plausible;
mod reading;
mod sampling;
mod schedule;
mod sending;
mod sensors;
mod stats;

pub use config::{Config, ConfigError, Identity};
pub use stats::{Outcome, Stats};

use crate::{
    hal::Hal,
    limits::BODY_MAX,
    time::Instant,
    uplink::{SendError, Uplink},
};
use backoff::Backoff;
use log_budget::LogBudget;
use sampling::{Round, Sampler};
use schedule::{Due, Schedule};
use sending::Sender;

/// When the agent wants to be polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wake {
    /// At this time at the latest. Earlier when a sensor or the uplink that answered `Pending` has news, after
    /// [`Agent::stop`] and after [`Agent::reconfigure`]; needless calls change nothing.
    At(Instant),
    /// Never: the agent has stopped, nothing is in flight.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// [`Agent::stop`] was called; the next poll lets go of everything.
    Stopping,
    Stopped,
}

/// The heartbeat agent.
///
/// # Bounds
///
/// Memory is fixed at compile time. One poll asks each sensor at most once and the uplink at most twice, and
/// encodes at most one document of at most [`BODY_MAX`] bytes.
pub struct Agent {
    identity: Identity,
    config: Config,
    life: Life,
    schedule: Schedule,
    sampler: Sampler,
    sender: Sender,
    stats: Stats,
    log: LogBudget,
    body: [u8; BODY_MAX],
}

impl Agent {
    /// An agent that sends its first heartbeat at its first poll.
    pub fn new(identity: Identity, config: Config) -> Self {
        Self {
            identity,
            schedule: Schedule::new(config.interval(), config.first_gap()),
            life: Life::Running,
            sampler: Sampler::default(),
            sender: Sender::new(Backoff::new(config.phase())),
            stats: Stats::default(),
            log: LogBudget::default(),
            config,
            body: [0; BODY_MAX],
        }
    }

    /// Does what is due at `now` and says when to be called again.
    ///
    /// `now` comes from a monotonic clock; a value before an earlier one is harmless. Calling without need
    /// changes nothing.
    pub fn poll(&mut self, now: Instant, hal: &mut impl Hal, uplink: &mut impl Uplink) -> Wake {
        match self.life {
            Life::Running => {}
            Life::Stopping => self.let_go(now, uplink),
            Life::Stopped => return Wake::Stopped,
        }
        if self.life == Life::Stopped {
            return Wake::Stopped;
        }
        self.sender.receive(now, &self.config, uplink, &mut self.stats, &mut self.log);
        if let Some(due) = self.schedule.take_due(now, self.config.sampling_deadline()) {
            self.begin_beat(due, hal);
        }
        let complete = self.sampler.poll(now, hal, &mut self.log);
        if self.sampler.round().is_some_and(|round| round.is_too_late(now)) {
            self.skip_beat();
        }
        if self.sampler.round().is_some_and(|round| complete || now >= round.deadline) {
            self.send(now, uplink);
        }
        Wake::At(self.next_wake())
    }

    /// Asks the agent to stop. The next poll cancels what is in flight, starts nothing and returns
    /// [`Wake::Stopped`]. Calling it again changes nothing.
    pub fn stop(&mut self) {
        if self.life == Life::Running {
            self.life = Life::Stopping;
        }
    }

    /// Takes over new settings. The beat in progress goes on; a new interval counts from the next slot on. Whatever the
    /// server did so far is forgiven, as it may be another one. The boot id stays: it is this start's.
    pub fn reconfigure(&mut self, identity: Identity, config: Config) {
        if config.interval() != self.config.interval() {
            self.schedule.set_interval(config.interval());
        }
        self.identity.hardwareid = identity.hardwareid;
        self.config = config;
        self.sender.backoff.forget();
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The document of the latest beat; empty before the first.
    pub fn last_body(&self) -> &[u8] {
        self.body.get(..self.stats.last_body_len).unwrap_or_default()
    }

    fn begin_beat(&mut self, due: Due, hal: &mut impl Hal) {
        // A round that is still open here was overtaken by its next slot: its beat was never sent.
        self.skip_beat();
        self.stats.skipped = self.stats.skipped.saturating_add(due.skipped);
        self.stats.slots = self.stats.slots.saturating_add(due.skipped);
        let Some(slot) = due.slot else { return };
        self.stats.slots = self.stats.slots.saturating_add(1);
        if self.sender.backoff.holds(slot) {
            self.stats.held_back = self.stats.held_back.saturating_add(1);
        } else {
            self.sampler.begin(slot, &self.config, hal.unix_time());
        }
    }

    fn send(&mut self, now: Instant, uplink: &mut impl Uplink) {
        let Some(Round { slot, .. }) = self.sampler.round() else { return };
        self.stats.attempted = self.stats.attempted.saturating_add(1);
        let heartbeat = self.sampler.heartbeat(&self.identity, self.stats.attempted, now, &self.config);
        let encoded = heartbeat.encode(&mut self.body);
        self.sampler.end();
        self.stats.last_body_len = encoded.unwrap_or(0);
        let Some(body) = encoded.and_then(|len| self.body.get(..len)) else {
            // Impossible by the size of the buffer; a failed beat is still better than a dead daemon.
            self.sender.fail(now, SendError::Local, &mut self.stats, &mut self.log);
            return;
        };
        log_debug!("sending {} bytes", body.len());
        let deadline = (now + self.config.timeout()).min(self.schedule.next(now));
        self.sender.send(now, slot, deadline, body, uplink);
        self.sender.receive(now, &self.config, uplink, &mut self.stats, &mut self.log);
    }

    /// Gives up the beat whose sensors are being asked, if there is one.
    fn skip_beat(&mut self) {
        if self.sampler.end() {
            self.stats.skipped = self.stats.skipped.saturating_add(1);
        }
    }

    fn let_go(&mut self, now: Instant, uplink: &mut impl Uplink) {
        self.skip_beat();
        self.sender.stop(now, uplink, &mut self.stats);
        self.life = Life::Stopped;
    }

    fn next_wake(&self) -> Instant {
        let slot = self.schedule.upcoming();
        let sampling = self.sampler.round().map_or(slot, |round| round.deadline);
        let sending = self.sender.deadline().unwrap_or(slot);
        slot.min(sampling).min(sending)
    }
}
