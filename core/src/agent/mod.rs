//! The agent: one state machine that samples the device and sends what it found, polled by its frontend.
//!
//! Small owners of one concern each: the grid of slots (`schedule`), the sensors and their last good values (`sampling`),
//! the one request in flight (`sending`), patience with the server (`backoff`), heartbeats for later (`backlog`), what is
//! counted and logged (`stats`, `outage`). They do not know each other; [`Agent::poll`] moves them and says when to be
//! called next. It never waits.
//!
//! One beat owns one slot of the grid: its sampling and its request end, by deadline if need be, before the next
//! slot begins. That is why an overrun can neither shift the grid nor bunch beats up. What time the request leaves over,
//! the backlog may use.

pub mod backlog;
mod backoff;
mod body;
mod config;
mod log_limit;
mod outage;
pub mod persistence;
mod plausible;
mod reading;
mod sampling;
mod schedule;
mod sending;
mod sensor_log;
mod sensors;
mod stats;
mod usage;

pub use backlog::Backlog;
pub use config::{Config, ConfigError, Identity};
pub use stats::{Request, Stats};

use crate::{
    hal::Hal,
    time::{Duration, Instant},
    uplink::{Fault, Outcome, Uplink, Verdict},
};
use backoff::Backoff;
use body::Body;
use outage::OutageLog;
use sampling::{Round, Sampler};
use schedule::{Due, Schedule};
use sending::{Cargo, Ended, Sender};

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
/// Memory is fixed at compile time. One poll asks each sensor at most once, encodes at most one document of at most
/// [`BODY_MAX`](crate::payload::BODY_MAX) bytes, and starts at most one request, or as many as [`Config::late_per_interval`] when each ends at once.
pub struct Agent<'b> {
    identity: Identity,
    config: Config,
    life: Life,
    schedule: Schedule,
    sampler: Sampler,
    sender: Sender,
    backoff: Backoff,
    backlog: Backlog<'b>,
    /// How many of the backlog may still be sent in this interval.
    late_left: u8,
    stats: Stats,
    outage: OutageLog,
    body: Body,
}

impl<'b> Agent<'b> {
    /// An agent that sends its first heartbeat at its first poll.
    pub fn new(identity: Identity, config: Config) -> Self {
        Self {
            identity,
            schedule: Schedule::new(config.interval(), config.first_gap()),
            life: Life::Running,
            sampler: Sampler::default(),
            sender: Sender::default(),
            backoff: Backoff::new(config.phase()),
            backlog: Backlog::default(),
            late_left: 0,
            stats: Stats::default(),
            outage: OutageLog::default(),
            config,
            body: Body::default(),
        }
    }

    /// Gives it memory for heartbeats that are not delivered; see [`Config::with_backlog`].
    #[must_use]
    pub fn with_backlog(mut self, memory: &'b mut backlog::Ring) -> Self {
        self.backlog = Backlog::new(memory);
        self
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
        self.settle(now, uplink);
        if let Some(due) = self.schedule.take_due(now, self.config.sampling_deadline()) {
            self.begin_beat(due, hal);
        }
        let complete = self.sampler.poll(now, hal);
        if self.sampler.round().is_some_and(|round| round.is_too_late(now)) {
            self.skip_beat();
        }
        if self.sampler.round().is_some_and(|round| complete || now >= round.deadline) {
            self.send(now, uplink);
            self.settle(now, uplink);
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
        self.backoff.forget();
    }

    /// Keeps a heartbeat that an earlier start of the agent did not deliver, as the newest. Does nothing without
    /// [`Agent::with_backlog`] or when none are kept.
    pub fn restore(&mut self, document: &[u8]) {
        self.backlog.keep(document, self.config.backlog());
    }

    /// Lets heartbeats of the backlog with lower numbers than this be sent, and no others. Without a call all may.
    ///
    /// For frontends that keep the backlog over a restart, by way of [`persistence`].
    pub fn release(&mut self, below: u64) {
        self.backlog.release(below);
    }

    /// The heartbeats that were not delivered.
    pub fn backlog(&self) -> &Backlog<'b> {
        &self.backlog
    }

    /// The settings in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// When the next beat begins, if nothing stands still and nothing changes the agent's mind about the server.
    pub fn next_beat(&self) -> Instant {
        self.schedule.first_not_before(self.backoff.until())
    }

    /// The document that was sent last; empty before the first.
    pub fn last_body(&self) -> &[u8] {
        self.body.document()
    }

    fn begin_beat(&mut self, due: Due, hal: &mut impl Hal) {
        // A round that is still open here was overtaken by its next slot: its beat was never sent.
        self.skip_beat();
        self.stats.skipped = self.stats.skipped.saturating_add(due.skipped);
        self.stats.slots = self.stats.slots.saturating_add(due.skipped);
        self.late_left = 0;
        self.backlog.shrink(self.config.backlog(), 0);
        let Some(slot) = due.slot else { return };
        self.stats.slots = self.stats.slots.saturating_add(1);
        if self.backoff.holds(slot) {
            self.stats.held_back = self.stats.held_back.saturating_add(1);
        } else {
            self.sampler.begin(slot, &self.config, hal.unix_time());
        }
    }

    #[inline(never)]
    fn send(&mut self, now: Instant, uplink: &mut impl Uplink) {
        let Some(Round { slot, .. }) = self.sampler.round() else { return };
        self.stats.attempted = self.stats.attempted.saturating_add(1);
        let deadline = self.request_deadline(now);
        let heartbeat = self.sampler.heartbeat(&self.identity, self.stats.attempted, now, &self.config);
        let written = self.body.replace(|buffer| heartbeat.encode(buffer));
        self.sampler.end();
        let Some(document) = written else {
            // Impossible by the size of the buffer; a failed beat is still better than a dead daemon.
            let verdict = Verdict::Failed { fault: Fault::Device, may_have_arrived: false };
            let outcome = Outcome::new(verdict, "the document did not fit");
            self.record(now, Duration::ZERO, outcome);
            return;
        };
        log_debug!("sending {} bytes", document.len());
        self.sender.send(now, Cargo::Live(slot), deadline, document, uplink);
    }

    /// A request ends before the next slot begins.
    fn request_deadline(&self, now: Instant) -> Instant {
        (now + self.config.timeout()).min(self.schedule.next(now))
    }

    /// Takes the outcome of the request in flight; then it is the backlog's turn.
    // Outcomes are large: they take no room on the stack while a heartbeat is encoded.
    #[inline(never)]
    fn settle(&mut self, now: Instant, uplink: &mut impl Uplink) {
        while let Some(ended) = self.sender.receive(now, uplink) {
            self.on_outcome(now, ended);
            self.send_late(now, uplink);
        }
    }

    /// Takes note of how a request ended.
    fn on_outcome(&mut self, now: Instant, ended: Ended) {
        let verdict = ended.outcome.verdict;
        match ended.cargo {
            Cargo::Live(slot) => {
                self.backoff.record(now, slot, verdict, &self.config);
                if verdict.is_accepted() {
                    self.late_left = self.config.late_per_interval();
                } else if !verdict.may_have_arrived() {
                    self.backlog.keep(self.body.document(), self.config.backlog());
                }
                self.record(now, now.since(ended.started), ended.outcome);
            }
            Cargo::Late => {
                // The live heartbeat has arrived, so that no failure is more than this one's own; but what the server
                // asks for is asked for.
                self.backoff.apply_retry_after(now, verdict);
                if !self.backlog.sent(now, verdict) {
                    self.late_left = 0;
                }
            }
        }
        let pause = self.backoff.remaining(now);
        if pause > self.config.interval() {
            log_debug!("leaving the server alone for {} s", pause.as_secs());
        }
    }

    /// Sends the oldest of the backlog, if the live heartbeat of this interval has arrived and left enough time: half an
    /// interval, so that the next one finds the way free.
    fn send_late(&mut self, now: Instant, uplink: &mut impl Uplink) {
        let left = self.schedule.next(now).since(now);
        if self.late_left == 0 || left < self.config.interval() / 2 || !self.backlog.may_send() {
            return;
        }
        let deadline = self.request_deadline(now);
        let Some(document) = self.body.replace(|buffer| self.backlog.write_oldest(buffer)) else { return };
        self.late_left -= 1;
        self.sender.send(now, Cargo::Late, deadline, document, uplink);
    }

    /// Counts and logs how a live heartbeat ended.
    fn record(&mut self, now: Instant, round_trip: Duration, outcome: Outcome) {
        self.outage.record(now, &outcome);
        self.stats.record(Request { outcome, round_trip });
    }

    /// Gives up the beat whose sensors are being asked, if there is one.
    fn skip_beat(&mut self) {
        if self.sampler.end() {
            self.stats.skipped = self.stats.skipped.saturating_add(1);
        }
    }

    #[inline(never)]
    fn let_go(&mut self, now: Instant, uplink: &mut impl Uplink) {
        self.skip_beat();
        match self.sender.cancel(uplink) {
            // Not an outage: nothing is logged.
            Some(Ended { cargo: Cargo::Live(_), started, outcome }) => {
                self.stats.record(Request { outcome, round_trip: now.since(started) });
            }
            Some(Ended { cargo: Cargo::Late, outcome, .. }) => {
                self.backlog.sent(now, outcome.verdict);
            }
            None => {}
        }
        self.life = Life::Stopped;
    }

    fn next_wake(&self) -> Instant {
        let slot = self.schedule.upcoming();
        let sampling = self.sampler.round().map_or(slot, |round| round.deadline);
        let sending = self.sender.deadline().unwrap_or(slot);
        slot.min(sampling).min(sending)
    }
}
