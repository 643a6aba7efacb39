//! The agent: one state machine that samples the device and sends what it found, polled by its frontend.
//!
//! Each concern has one owner: the grid of slots (`schedule`), the sensors and their last good values (`sampling`), the
//! request in flight (`sending`), back-off from a failing server (`backoff`), queued heartbeats (`backlog`), what the server
//! knows, for deltas (`deltas`), counters and the log (`stats`, `outage`, `backoff_log`). The owners do not know each other.
//! [`Agent::poll`] advances them and returns when it wants to be called next. It never blocks.
//!
//! One beat owns one slot of the grid: deadlines end its sampling and its request before the next slot begins, so that an
//! overrun can neither shift the grid nor cause a burst. The backlog may use the time that is left in the slot.

#[cfg(feature = "board")]
mod announcement;
pub mod backlog;
mod backoff;
mod backoff_log;
mod body;
mod config;
#[cfg(feature = "delta")]
pub mod deltas;
mod log_limit;
mod outage;
pub mod persistence;
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
pub use stats::{LastRequest, Stats};

use crate::{
    hal::Hal,
    time::{Duration, Instant},
    uplink::{Fault, Outcome, Uplink, Verdict},
};
use backoff::Backoff;
use backoff_log::BackoffLog;
use body::Body;
#[cfg(feature = "delta")]
use deltas::Deltas;
use outage::OutageLog;
use sampling::{Round, Sampler};
use schedule::{Due, Schedule};
use sending::{Ended, Kind, Sender};

/// When the agent wants to be polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Wake {
    /// At this time at the latest. Earlier when a sensor or the uplink that answered `Pending` is ready, after
    /// [`Agent::stop`] and after [`Agent::reconfigure`]. Additional calls change nothing.
    At(Instant),
    /// Never: the agent has stopped, nothing is in flight.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// [`Agent::stop`] was called; the next poll cancels the request in flight.
    Stopping,
    Stopped,
}

/// The heartbeat agent.
///
/// # Bounds
///
/// Memory is fixed at compile time. One poll asks each sensor at most once, encodes at most one document of at most
/// [`BODY_MAX`](crate::payload::BODY_MAX) bytes, and starts at most one request, or as many as
/// [`Config::late_per_interval`] when each ends at once.
pub struct Agent<'b> {
    identity: Identity,
    config: Config,
    state: State,
    schedule: Schedule,
    sampler: Sampler,
    sender: Sender,
    backoff: Backoff,
    backlog: Backlog<'b>,
    /// How many queued heartbeats may still be sent in this interval.
    late_left: u8,
    stats: Stats,
    outage: OutageLog,
    backoff_log: BackoffLog,
    body: Body,
    #[cfg(feature = "delta")]
    deltas: Deltas<'b>,
}

impl<'b> Agent<'b> {
    /// An agent that sends its first heartbeat at its first poll.
    pub fn new(identity: Identity, config: Config) -> Self {
        Self {
            identity,
            schedule: Schedule::new(config.interval(), config.first_gap()),
            state: State::Running,
            sampler: Sampler::default(),
            sender: Sender::default(),
            backoff: Backoff::new(config.phase()),
            backlog: Backlog::default(),
            late_left: 0,
            stats: Stats::default(),
            outage: OutageLog::default(),
            backoff_log: BackoffLog::default(),
            config,
            body: Body::default(),
            #[cfg(feature = "delta")]
            deltas: Deltas::default(),
        }
    }

    /// Lends it memory for heartbeats that were not delivered; see [`Config::with_backlog`].
    #[must_use]
    pub fn with_backlog(mut self, memory: &'b mut backlog::Ring) -> Self {
        self.backlog = Backlog::new(memory);
        self
    }

    /// Lends it memory for deltas; see [`Config::with_deltas`].
    #[cfg(feature = "delta")]
    #[must_use]
    pub fn with_deltas(mut self, memory: &'b mut deltas::Memory) -> Self {
        self.deltas = Deltas::new(memory);
        self
    }

    /// Does what is due at `now` and says when to be called again.
    ///
    /// `now` comes from a monotonic clock. A value before an earlier one is harmless, and so are additional calls.
    pub fn poll(&mut self, now: Instant, hal: &mut impl Hal, uplink: &mut impl Uplink) -> Wake {
        if self.state == State::Stopped {
            return Wake::Stopped;
        }
        self.drain_outcomes(now, uplink);
        if self.state == State::Stopping {
            self.cancel_and_stop(now, uplink);
            return Wake::Stopped;
        }
        if let Some(due) = self.schedule.take_due(now, self.config.sampling_deadline()) {
            self.begin_beat(due, hal);
        }
        let complete = self.sampler.poll(now, hal);
        if self.sampler.round().is_some_and(|round| round.is_too_late(now)) {
            self.skip_beat();
        }
        if self.sampler.round().is_some_and(|round| complete || now >= round.deadline) {
            self.send(now, uplink);
            self.drain_outcomes(now, uplink);
        }
        Wake::At(self.next_wake())
    }

    /// When to poll at the latest if the server takes the heartbeat in flight: nothing but counters would change before. `None`
    /// if the end of the request must be polled at once: none is in flight, or a delivery would be the first, end an outage or
    /// a back-off, or let queued heartbeats go.
    ///
    /// For a frontend whose uplink ends each request by its deadline without being polled. After a delivery it may sleep
    /// until then instead of until [`Wake::At`], and so save a wake-up a beat; [`Outcome::ended`] tells the agent when it
    /// was. Every other end is polled at once.
    pub fn wake_unless_failed(&self) -> Option<Instant> {
        let is_routine = self.sender.is_live()
            && self.state == State::Running
            && self.sampler.round().is_none()
            && self.stats.delivered > 0
            && self.stats.consecutive_failures == 0
            && self.backlog.is_empty()
            && self.backing_off().is_none();
        is_routine.then(|| self.schedule.upcoming())
    }

    /// Asks the agent to stop. The next poll takes the outcome of the request in flight, or cancels it if there is none yet,
    /// starts nothing and returns [`Wake::Stopped`]. Calling it again changes nothing.
    pub fn stop(&mut self) {
        if self.state == State::Running {
            self.state = State::Stopping;
        }
    }

    /// Applies new settings. The beat in progress continues, and a new interval counts from the next slot on. Back-off
    /// ends, because the server may be another one. The boot id stays, because it identifies this start.
    pub fn reconfigure(&mut self, identity: Identity, config: Config) {
        if config.interval() != self.config.interval() {
            self.schedule.set_interval(config.interval());
        }
        #[cfg(feature = "board")]
        self.sampler.forget_told();
        #[cfg(feature = "delta")]
        self.deltas.forget();
        self.identity.hardwareid = identity.hardwareid;
        self.config = config;
        self.backoff.reset();
        self.backoff_log.end();
    }

    /// Queues a heartbeat that an earlier start of the agent did not deliver, as the newest. Does nothing without
    /// [`Agent::with_backlog`] or when the settings allow no backlog.
    pub fn restore(&mut self, document: &[u8]) {
        self.backlog.enqueue(document, self.config.backlog());
    }

    /// Releases queued heartbeats with lower numbers than this for sending, and no others. Without a call all are.
    ///
    /// For frontends that store the backlog over a restart, see [`persistence`].
    pub fn release(&mut self, below: u64) {
        self.backlog.release(below);
    }

    /// The queued heartbeats.
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

    /// When the next beat begins, unless the device stalls or the end of a request changes the back-off.
    pub fn next_beat(&self) -> Instant {
        self.schedule.first_not_before(self.backoff.until())
    }

    /// How many beats were withheld in the back-off in progress; `None` without one. It lasts until a heartbeat is
    /// delivered or fails for a reason that the agent does not back off from; [`Self::next_beat`] is when the next is tried.
    pub fn backing_off(&self) -> Option<u64> {
        self.backoff_log.withheld()
    }

    /// The document that was sent last; empty before the first.
    pub fn last_body(&self) -> &[u8] {
        self.body.document()
    }

    fn begin_beat(&mut self, due: Due, hal: &mut impl Hal) {
        // The previous slot's round is still open: its beat was never sent.
        self.skip_beat();
        self.stats.skipped = self.stats.skipped.saturating_add(due.skipped);
        self.stats.slots = self.stats.slots.saturating_add(due.skipped);
        self.late_left = 0;
        self.backlog.shrink(self.config.backlog(), 0);
        let Some(slot) = due.slot else { return };
        self.stats.slots = self.stats.slots.saturating_add(1);
        if self.backoff.withholds(slot) {
            self.stats.withheld = self.stats.withheld.saturating_add(1);
            self.backoff_log.withhold();
        } else {
            self.sampler.begin(slot, &self.config, hal.unix_time());
        }
    }

    #[inline(never)]
    fn send(&mut self, now: Instant, uplink: &mut impl Uplink) {
        let Some(Round { slot, .. }) = self.sampler.round() else { return };
        self.stats.attempted = self.stats.attempted.saturating_add(1);
        let deadline = self.request_deadline(now);
        #[cfg(feature = "board")]
        self.sampler.offer(now, &self.config);
        let heartbeat = self.sampler.heartbeat(&self.identity, self.stats.attempted, now, &self.config);
        let written = self.body.replace(|buffer| heartbeat.encode(buffer));
        #[cfg(feature = "delta")]
        let delta = self.deltas.offer(now, &heartbeat, &self.config);
        self.sampler.end();
        let Some(document) = written else {
            // Impossible by the size of the buffer. If it happened, a failed beat would be better than a panic.
            let verdict = Verdict::Failed { fault: Fault::Device, may_have_arrived: false };
            let outcome = Outcome::new(verdict, "the document did not fit");
            self.outage.record(now, &outcome);
            self.stats.record(LastRequest { outcome, round_trip: Duration::ZERO });
            return;
        };
        #[cfg(feature = "delta")]
        if let Some(delta) = delta.filter(|delta| delta.document.len() < document.len()) {
            log_debug!("sending {} bytes, or {} as delta", document.len(), delta.document.len());
            return self.sender.send_either(now, Kind::Live(slot), deadline, document, delta, uplink);
        }
        log_debug!("sending {} bytes", document.len());
        self.sender.send(now, Kind::Live(slot), deadline, document, uplink);
    }

    /// A request ends before the next slot begins.
    fn request_deadline(&self, now: Instant) -> Instant {
        (now + self.config.timeout()).min(self.schedule.next(now))
    }

    /// Takes the outcome of the request in flight; then the backlog may send.
    // A frame of its own, so that an outcome takes no stack while the sensors are asked and the document is encoded.
    #[inline(never)]
    fn drain_outcomes(&mut self, now: Instant, uplink: &mut impl Uplink) {
        while let Some(ended) = self.sender.receive(now, uplink) {
            self.on_outcome(now, ended);
            if self.state == State::Running {
                self.send_late(now, uplink);
            }
        }
    }

    /// Records how a request ended.
    fn on_outcome(&mut self, now: Instant, ended: Ended) {
        let Ended { kind, started, outcome } = ended;
        let verdict = outcome.verdict;
        let mut may_back_off = true;
        match kind {
            Kind::Live(slot) => {
                #[cfg(feature = "board")]
                self.sampler.on_outcome(verdict.is_accepted());
                #[cfg(feature = "delta")]
                self.deltas.on_outcome(verdict, outcome.wire);
                may_back_off = self.backoff.record(now, slot, verdict, &self.config);
                if verdict.is_accepted() {
                    self.late_left = self.config.late_per_interval();
                } else if !verdict.may_have_arrived() {
                    self.backlog.enqueue(self.body.document(), self.config.backlog());
                }
                self.outage.record(now, &outcome);
            }
            Kind::Late => {
                // The live heartbeat has been delivered, so that a failure of a late one does not count as the server's.
                // A `Retry-After` applies all the same.
                self.backoff.apply_retry_after(now, verdict);
                if !self.backlog.on_outcome(now, verdict) {
                    self.late_left = 0;
                }
            }
        }
        let (next, pause) = (self.next_beat(), self.backoff.until().since(now));
        if pause > self.config.interval() {
            log_debug!("backing off for {} s", pause.as_secs());
        }
        if next > self.schedule.next(now) {
            self.backoff_log.begin(now, next.since(now), &outcome.detail);
        } else if !may_back_off {
            // An outage of the network after failures of the server is one in which every beat is tried.
            self.backoff_log.end();
        }
        if matches!(kind, Kind::Live(_)) {
            let round_trip = outcome.ended.unwrap_or(now).since(started);
            self.stats.record(LastRequest { outcome, round_trip });
        }
    }

    /// Sends the oldest queued heartbeat, if the live one of this interval was delivered and at least half an interval is
    /// left, so that the next live one does not have to wait.
    fn send_late(&mut self, now: Instant, uplink: &mut impl Uplink) {
        let left = self.schedule.next(now).since(now);
        if self.late_left == 0 || left < self.config.interval() / 2 || !self.backlog.may_send() {
            return;
        }
        let deadline = self.request_deadline(now);
        let Some(document) = self.body.replace(|buffer| self.backlog.write_oldest(buffer)) else { return };
        self.late_left -= 1;
        self.sender.send(now, Kind::Late, deadline, document, uplink);
    }

    /// Skips the beat whose sensors are being asked, if there is one.
    fn skip_beat(&mut self) {
        if self.sampler.end() {
            self.stats.skipped = self.stats.skipped.saturating_add(1);
        }
    }

    #[inline(never)]
    fn cancel_and_stop(&mut self, now: Instant, uplink: &mut impl Uplink) {
        self.skip_beat();
        match self.sender.cancel(uplink) {
            // Not an outage, therefore not logged.
            Some(Ended { kind: Kind::Live(_), started, outcome }) => {
                self.stats.record(LastRequest { outcome, round_trip: now.since(started) });
            }
            Some(Ended { kind: Kind::Late, outcome, .. }) => {
                self.backlog.on_outcome(now, outcome.verdict);
            }
            None => {}
        }
        self.state = State::Stopped;
    }

    fn next_wake(&self) -> Instant {
        let slot = self.schedule.upcoming();
        let sampling = self.sampler.round().map_or(slot, |round| round.deadline);
        let sending = self.sender.deadline().unwrap_or(slot);
        slot.min(sampling).min(sending)
    }
}
