//! What must hold after every poll, modelled apart from the agent: from the contract, with other code. Properties have the
//! names that `doc/faults.md` gives them.
//!
//! - [`slots`](self): which slots have come due, and what became of each (S2, S3, S4).
//! - requests: one at a time, within its deadline, as the server permits (S1, S5, S7, S15).
//! - document: the exact bytes that must be sent (S8, S9, S10, S11).
//! - late: heartbeats that are kept, in order, and never twice (S12).
//! - deltas: what a receiver makes of them, and what they refer to (S22).

mod deltas;
mod document;
mod late;
mod requests;
mod slots;

use std::fmt;

use heartbeat_core::{Agent, Config, Stats, Wake, time::Instant};

use self::{
    deltas::Deltas,
    requests::{Requests, Stopped},
    slots::Slots,
};
pub(super) use self::{
    document::HARDWARE_ID,
    late::{Kept, Late},
};
use super::{
    coverage::{State, Stimuli, Stimulus},
    document::Told,
    recording_device::RecordingDevice,
};
use crate::fake::{End, Recorder, Sent};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub property: &'static str,
    /// How.
    pub detail: String,
    /// When, on the run's clock.
    pub at: Instant,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_micros();
        write!(f, "{} at {}.{:06} s: {}", self.property, micros / 1_000_000, micros % 1_000_000, self.detail)
    }
}

/// Which promise, and how; the time is added later.
pub(super) type Broken = (&'static str, String);

/// Ends the surrounding function with a broken promise.
macro_rules! broken {
    ($property:literal, $($detail:tt)+) => {
        return Err(($property, format!($($detail)+)))
    };
}
pub(super) use broken;

/// What can be seen of the agent and its world after a poll.
pub(super) struct Scene<'a, 'b, H, U> {
    pub(super) now: Instant,
    pub(super) agent: &'a Agent<'b>,
    pub(super) wake: Wake,
    pub(super) device: &'a RecordingDevice<H>,
    pub(super) uplink: &'a mut Recorder<U>,
    /// When a sensor or the uplink has news next.
    pub(super) news: Option<Instant>,
}

/// Watches one start of the agent.
pub(super) struct Checker {
    /// Sixteen digits.
    boot_id: String,
    config: Config,
    slots: Slots,
    requests: Requests,
    deltas: Deltas,
    pub(super) late: Late,
    /// Since the last poll the program stood still or the machine slept, so that polls that were due are missing.
    stalled: bool,
    /// A sensor owed an answer after the last poll.
    waiting: bool,
    /// When there was to be news, as of the last poll.
    news: Option<Instant>,
    document: String,
    told: Told,
}

impl Checker {
    /// For an agent that will be polled first at `now`.
    pub(super) fn new(config: Config, boot_id: u64, now: Instant, late: Late) -> Self {
        Self {
            boot_id: format!("{boot_id:016x}"),
            config,
            slots: Slots::new(now, config.first_gap()),
            requests: Requests::default(),
            deltas: Deltas::default(),
            late,
            stalled: false,
            waiting: false,
            news: None,
            document: String::new(),
            told: Told::default(),
        }
    }

    /// What the agent is doing.
    pub(super) fn state(&self) -> State {
        match (self.requests.in_flight(), self.requests.is_live()) {
            _ if self.slots.passed() == 0 => State::New,
            _ if self.slots.is_open() => State::Sampling,
            (true, true) => State::Sending,
            (true, false) => State::SendingLate,
            (false, _) if self.slots.is_held_back() => State::HoldingBack,
            (false, _) => State::Resting,
        }
    }

    /// What is due for the agent at `now`, by its own time.
    pub(super) fn stimuli(&self, now: Instant) -> Stimuli {
        let mut stimuli = Stimuli::default();
        if self.slots.next() <= now {
            stimuli.add(Stimulus::Slot);
        }
        if self.slots.is_open() && self.slots.sampling_deadline() <= now {
            stimuli.add(Stimulus::SamplingDeadline);
        }
        if self.requests.deadline().is_some_and(|deadline| deadline <= now) {
            stimuli.add(Stimulus::RequestDeadline);
        }
        stimuli
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// When the next slot begins.
    pub(super) fn next_slot(&self) -> Instant {
        self.slots.next()
    }

    /// From when on back-off must not withhold the beat of a slot.
    pub(super) fn patience(&self) -> Instant {
        self.requests.patience().1
    }

    /// What was to be news is not any more, or at another time.
    pub(super) fn expect_news(&mut self, news: Option<Instant>) {
        self.news = news;
    }

    /// The program stood still, or the machine slept.
    pub(super) fn stalled(&mut self) {
        self.stalled = true;
    }

    /// The agent was given other settings.
    pub(super) fn reconfigured(&mut self, config: Config) {
        self.config = config;
        self.told = Told::default();
        self.deltas.reconfigured();
        self.requests.forgive();
    }

    /// Deltas that the server has taken.
    pub(super) fn deltas(&self) -> u64 {
        self.deltas.taken
    }

    /// Looks at everything after a poll.
    pub(super) fn after_poll<H, U>(&mut self, scene: &mut Scene<'_, '_, H, U>) -> Result<(), Broken> {
        let now = scene.now;
        if scene.uplink.overlapping > 0 {
            broken!("S1 single flight", "a request began while another was in flight");
        }
        if let Some(news) = self.news.filter(|news| *news < now && !self.stalled) {
            broken!("S20 main loop", "no poll for {:?} after there was news", now.since(news));
        }
        self.news = scene.news;
        // The request that was in flight ended before the slot that comes due began.
        if let Some(request) = scene.uplink.sent.first().filter(|_| self.requests.in_flight()) {
            self.end(request)?;
        }
        if self.slots.advance(now, &self.config, self.stalled)? {
            self.late.slot_begins(&self.config);
            self.slots.hold(scene.agent.stats(), self.requests.patience())?;
        }
        for request in scene.uplink.sent.iter().skip(self.requests.seen()) {
            self.begin(now, request, scene.device)?;
            if request.taken {
                self.late.taken(self.requests.is_live())?;
            }
            self.end(request)?;
        }
        self.requests.compact(&mut scene.uplink.sent);
        self.waiting = scene.device.any_pending();
        self.slots.settle(now, self.stalled, self.waiting)?;
        self.late.check(now, &self.config, scene.agent, self.slots.next())?;
        self.count(scene.agent.stats())?;
        self.check_wake(scene.wake)?;
        self.stalled = false;
        Ok(())
    }

    fn begin<H>(&mut self, now: Instant, request: &Sent, device: &RecordingDevice<H>) -> Result<(), Broken> {
        if self.requests.in_flight() {
            broken!("S1 single flight", "a request began before the previous one had ended");
        }
        let next_slot = self.slots.next();
        if self.late.is_late(&request.body) {
            Deltas::begin_late(request)?;
            self.late.begin_late(now, request, &self.config, next_slot)?;
            return self.requests.begin(now, request, &self.config, None, next_slot);
        }
        self.slots.attempt(now, self.stalled, self.waiting)?;
        self.requests.begin(now, request, &self.config, Some(self.slots.current()), next_slot)?;
        self.late.begin_live();
        self.document.clear();
        let numbered =
            self.config.sequence().then_some((self.boot_id.as_str(), self.requests.counts().attempted));
        document::write(device, now, &self.config, numbered, &mut self.told, &mut self.document);
        document::compare(&self.document, &request.body)?;
        self.deltas.begin_live(now, request, &self.config, numbered, &self.document)
    }

    fn end(&mut self, request: &Sent) -> Result<(), Broken> {
        let Some((at, end)) = &request.end else { return Ok(()) };
        let live = self.requests.is_live();
        let verdict = self.requests.end(*at, end, &self.config, self.stalled)?;
        if live {
            self.told.ended(verdict.is_accepted());
            self.deltas.live_ended(end);
            self.late.live_ended(verdict, request, &self.config);
        } else {
            self.late.late_ended(verdict);
        }
        Ok(())
    }

    /// Looks at everything after a stop was asked for and the agent was polled once.
    pub(super) fn after_stop<H, U>(
        &mut self,
        scene: &mut Scene<'_, '_, H, U>,
        asked: Instant,
    ) -> Result<(), Broken> {
        if scene.now > asked {
            broken!("S16 stop", "it took {:?}", scene.now.since(asked));
        }
        if scene.wake != Wake::Stopped {
            broken!("S16 stop", "it wants to go on: {:?}", scene.wake);
        }
        if scene.uplink.is_busy() {
            broken!("S16 stop", "a request is still in flight");
        }
        if scene.uplink.sent.len() > self.requests.seen() {
            broken!("S16 stop", "a request began after the stop");
        }
        self.slots.stop();
        // What had ended before the stop is known.
        let ended =
            scene.uplink.sent.first().filter(|request| matches!(request.end, Some((_, End::Outcome(_)))));
        if let Some(request) = ended.filter(|_| self.requests.in_flight()) {
            self.end(request)?;
        }
        if self.requests.stop(scene.now) == Some(Stopped::Late) {
            self.late.late_stopped();
        }
        self.count(scene.agent.stats())
    }

    /// S3: everything is counted, once.
    fn count(&self, stats: &Stats) -> Result<(), Broken> {
        let expected = Stats {
            slots: self.slots.passed(),
            skipped: self.slots.skipped(),
            withheld: self.slots.held_back(),
            ..self.requests.counts()
        };
        if *stats != expected {
            broken!("S3 conservation", "{stats:?}, expected {expected:?}");
        }
        Ok(())
    }

    fn check_wake(&self, wake: Wake) -> Result<(), Broken> {
        match wake {
            Wake::At(when) if when > self.slots.next() => {
                broken!(
                    "S4 coverage",
                    "asks to be woken {:?} after the next slot",
                    when.since(self.slots.next())
                )
            }
            Wake::Stopped => broken!("S16 stop", "it has stopped by itself"),
            Wake::At(_) => Ok(()),
        }
    }
}
