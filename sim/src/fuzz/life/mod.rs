//! One start of the agent, from its first poll to its end, driven as a frontend drives it.

mod keeping;
mod world;

use heartbeat_core::{
    Agent, Config, Identity, Wake,
    agent::{backlog::Ring, deltas, persistence::Persistence},
    time::{Duration, Instant},
};

pub use self::world::Tally;
pub(super) use self::world::World;
use super::{
    checker::{Broken, Checker, HARDWARE_ID, Scene, broken},
    coverage::{Coverage, State, Stimulus},
    event::Wall,
    log_meter::LogMeter,
    planted_bugs::{BuggyClock, BuggyHal, BuggyUplink, PlantedBug},
    recording_device::RecordingDevice,
    storage::Storage,
    trace::Trace,
    wall::WallClock,
};
use crate::{
    fake::{FakeDevice, FakeServer, Recorder, Sent, Timed},
    faults::{FaultyHal, FaultyUplink},
    rig::{Clock, Rig},
};

/// Polls at one instant after which the agent is said to spin.
const POLLS_AT_ONCE_MAX: u32 = 1_000;
/// How long a frontend that blocks waits for what never comes.
const BLOCKED: Duration = Duration::from_secs(30);

type Device = BuggyHal<RecordingDevice<FaultyHal<FakeDevice>>>;
type Way = BuggyUplink<Recorder<FaultyUplink<FakeServer>>>;

/// One start.
pub(super) struct Life<'b, 't, T> {
    rig: Rig<'b, Device, Way, BuggyClock>,
    checker: Checker,
    persistence: Option<Persistence>,
    storage: Storage,
    wall: WallClock,
    log: LogMeter,
    coverage: Coverage,
    bug: Option<PlantedBug>,
    twin: Option<Agent<'static>>,
    polls: u64,
    /// The time of the latest polls, and how many there were.
    at_once: (Instant, u32),
    tally: Tally,
    persistent: bool,
    /// Deliveries that change nothing are left until the next slot.
    deferring: bool,
    trace: &'t mut T,
}

impl<'b, 't, T: Trace> Life<'b, 't, T> {
    /// A start at `now` that has not been polled.
    pub(super) fn start(
        world: World,
        memory: &'b mut Ring,
        deltas: &'b mut deltas::Memory,
        config: Config,
        boot_id: u64,
        now: Instant,
        trace: &'t mut T,
    ) -> Self {
        let World {
            device,
            network,
            mut storage,
            persistent,
            deferring,
            wall,
            mut late,
            coverage,
            bug,
            slept,
            tally,
        } = world;
        let identity = |boot_id| Identity::new(HARDWARE_ID).with_boot_id(boot_id);
        let shown = if bug == Some(PlantedBug::SamePhase) { config.with_phase(0) } else { config };
        let told_id = if bug == Some(PlantedBug::SameBootId) { 0 } else { boot_id };
        let mut agent = Agent::new(identity(told_id), shown).with_backlog(memory).with_deltas(deltas);
        let clock = BuggyClock { bug, wall_ahead: wall.ahead_micros(), slept };
        let persists = persistent && config.backlog() > 0;
        if !persists {
            storage.remove();
        }
        let found = storage.read().to_vec();
        for document in keeping::restored(&found, bug) {
            agent.restore(&document);
        }
        late.start(found, &config);
        let persistence = persists.then(|| Persistence::new(now, &mut agent));
        if persistence.is_some() {
            late.release(if late.since(0).is_empty() { u64::MAX } else { 0 });
        }
        trace.line(now, || format!("start {boot_id:016x}, {config:?}, {} found", late.since(0).len()));
        let twin = (bug == Some(PlantedBug::TwoInstances)).then(|| Agent::new(identity(boot_id), config));
        let device = BuggyHal::new(RecordingDevice::new(device), bug);
        let uplink = BuggyUplink::new(Recorder::new(network), bug);
        Self {
            rig: Rig::with(agent, device, uplink, clock, now),
            checker: Checker::new(config, boot_id, now, late),
            persistence,
            storage,
            wall,
            log: LogMeter::new(),
            coverage,
            bug,
            twin,
            polls: 0,
            at_once: (now, 0),
            tally,
            persistent,
            deferring: deferring || bug == Some(PlantedBug::LeavesFailures),
            trace,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.rig.now()
    }

    /// Does something to the device, after which it may answer at another time.
    pub(super) fn disturb(&mut self, disturb: impl FnOnce(&mut FaultyHal<FakeDevice>)) {
        disturb(&mut self.rig.device.inner.inner);
        // What has already come of it is news now.
        self.checker.expect_news(self.news().map(|news| news.max(self.rig.now())));
    }

    pub(super) fn network(&mut self) -> &mut FaultyUplink<FakeServer> {
        &mut self.rig.uplink.inner.inner
    }

    pub(super) fn storage(&mut self) -> &mut Storage {
        &mut self.storage
    }

    pub(super) fn trace(&mut self) -> &mut T {
        self.trace
    }

    pub(super) fn attempted(&self) -> u64 {
        self.rig.agent.stats().attempted
    }

    pub(super) fn delivered(&self) -> u64 {
        self.rig.agent.stats().delivered
    }

    /// How many heartbeats wait to be sent late.
    pub(super) fn waiting(&self) -> u64 {
        self.rig.agent.backlog().len() as u64
    }

    /// From when on no beat may be held back.
    pub(super) fn patience(&self) -> Instant {
        self.checker.patience()
    }

    /// Polls through everything that happens until then, and leaves the clock there.
    pub(super) fn run_until(&mut self, until: Instant) -> Result<(), Broken> {
        while let Some(next) = self.next_event().filter(|next| *next <= until) {
            self.rig.stall_until(next);
            self.poll()?;
        }
        self.rig.stall_until(until);
        Ok(())
    }

    /// When a frontend would turn its loop again.
    fn next_event(&self) -> Option<Instant> {
        let Wake::At(shown) = self.rig.wake() else { return None };
        let next = match self.bug {
            Some(PlantedBug::FixedSleep) if self.polls > 0 => {
                self.at_once.0 + self.checker.config().interval()
            }
            Some(PlantedBug::MissesNews) => self.rig.clock.when(shown, self.rig.now()),
            _ => match self.deferred() {
                Some(slot) => self.rig.device.due().map_or(slot, |due| due.min(slot)),
                None => self.rig.next_event()?,
            },
        };
        Some(self.storage.due().map_or(next, |due| next.min(due)))
    }

    /// Until when the end of the request in flight is left, if it is.
    fn deferred(&self) -> Option<Instant> {
        let Wake::At(deadline) = self.rig.wake() else { return None };
        let until = self.rig.agent.wake_unless_failed().filter(|_| self.deferring)?;
        let (now, clock) = (self.rig.now(), &self.rig.clock);
        let ends_in_time = self.rig.uplink.due().is_some_and(|due| due <= clock.when(deadline, now));
        let may_wait = self.will_be_delivered() || self.bug == Some(PlantedBug::LeavesFailures);
        (ends_in_time && may_wait).then(|| clock.when(until, now))
    }

    fn will_be_delivered(&self) -> bool {
        self.rig.uplink.inner.inner.will_accept()
    }

    /// When a sensor or the uplink has news next for which the agent must be polled.
    fn news(&self) -> Option<Instant> {
        let may_wait = self.deferred().is_some() && self.will_be_delivered();
        let reply = self.rig.uplink.due().filter(|_| !may_wait);
        [self.rig.device.due(), reply].into_iter().flatten().min()
    }

    /// One turn of a frontend's loop.
    pub(super) fn poll(&mut self) -> Result<(), Broken> {
        let shown = self.rig.clock.show(self.rig.now());
        self.poll_showing(shown)
    }

    fn poll_showing(&mut self, shown: Instant) -> Result<(), Broken> {
        let now = self.rig.now();
        self.at_once = if self.at_once.0 == now { (now, self.at_once.1 + 1) } else { (now, 1) };
        if self.at_once.1 > POLLS_AT_ONCE_MAX {
            broken!("S17 progress", "it wants to be polled for ever without time passing");
        }
        self.rig.device.inner.inner.inner.unix_time = self.wall.at(now);
        let before = self.meet(now);
        self.rig.poll_showing(shown);
        self.polls += 1;
        if let Some(twin) = &mut self.twin {
            let _ = twin.poll(shown, &mut self.rig.device, &mut self.rig.uplink);
        }
        if self.bug == Some(PlantedBug::LogsEverything) {
            log::info!("turned");
        }
        self.tell_requests(now);
        self.look(Checker::after_poll)?;
        self.coverage.turn(before, self.checker.state());
        self.poll_again(shown)?;
        self.keep_backlog(now);
        self.block();
        Ok(())
    }

    /// What a poll meets, and in which state.
    fn meet(&mut self, now: Instant) -> State {
        let state = self.checker.state();
        let due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let mut stimuli = self.checker.stimuli(now);
        if due(self.rig.device.due()) {
            stimuli.add(Stimulus::Sensor);
        }
        if due(self.rig.uplink.due()) {
            stimuli.remove(Stimulus::RequestDeadline);
            let taken = self.network().will_accept();
            stimuli.add(if taken { Stimulus::Accepted } else { Stimulus::Failed });
        }
        if stimuli.is_empty() {
            stimuli.add(Stimulus::Nothing);
        }
        for stimulus in stimuli.iter() {
            self.coverage.meet(state, stimulus);
        }
        state
    }

    /// What else meets the agent, between polls.
    pub(super) fn meet_event(&mut self, stimulus: Stimulus) {
        let state = self.checker.state();
        self.coverage.meet(state, stimulus);
    }

    fn tell_requests(&mut self, now: Instant) {
        for Sent { at, body, delta, end, .. } in &self.rig.uplink.inner.sent {
            if *at == now {
                if let Some((delta, connection)) = delta {
                    let delta = String::from_utf8_lossy(delta);
                    self.trace.line(now, || format!("over connection {connection} as delta {delta}"));
                }
                self.trace.line(now, || format!("sends {}", String::from_utf8_lossy(body)));
            }
            if let Some((_, end)) = end.as_ref().filter(|(at, _)| *at == now) {
                self.trace.line(now, || format!("ended: {end:?}"));
            }
        }
    }

    /// Lets the checker look at everything.
    fn look(
        &mut self,
        check: impl FnOnce(
            &mut Checker,
            &mut Scene<'_, 'b, FaultyHal<FakeDevice>, FaultyUplink<FakeServer>>,
        ) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let now = self.rig.now();
        let (lines, few) = self.log.take(now);
        for line in lines {
            self.trace.line(now, || line);
        }
        if !few {
            broken!("S18 log bound", "more than 100 lines in an hour");
        }
        let wake = match self.rig.wake() {
            Wake::At(shown) => Wake::At(self.rig.clock.when(shown, now)),
            Wake::Stopped => Wake::Stopped,
        };
        let news = self.news();
        let mut scene = Scene {
            now,
            agent: &self.rig.agent,
            wake,
            device: &self.rig.device.inner,
            news,
            uplink: &mut self.rig.uplink.inner,
        };
        check(&mut self.checker, &mut scene)
    }

    /// Calling without need changes nothing.
    fn poll_again(&mut self, shown: Instant) -> Result<(), Broken> {
        let glance = |rig: &Rig<'b, Device, Way, BuggyClock>| {
            (rig.agent.stats().clone(), rig.wake(), rig.agent.backlog().counts(), rig.uplink.inner.sent.len())
        };
        let before = glance(&self.rig);
        self.rig.poll_showing(shown);
        let after = glance(&self.rig);
        if before != after {
            broken!("property 6, idempotence", "{before:?} became {after:?}");
        }
        Ok(())
    }

    /// A loop that waits where it must not.
    fn block(&mut self) {
        let waits = match self.bug {
            Some(PlantedBug::WaitsForReply) => self.rig.uplink.inner.is_busy(),
            Some(PlantedBug::WaitsForSensor) => self.rig.device.inner.any_pending(),
            _ => false,
        };
        if waits {
            self.rig.stall_until(self.news().unwrap_or(self.rig.now() + BLOCKED));
        }
    }

    /// Time passes without polls; then the agent is polled.
    pub(super) fn stall(&mut self, span: Duration, asleep: bool) -> Result<(), Broken> {
        let began = self.rig.now();
        self.rig.stall(span);
        self.checker.stalled();
        if asleep {
            self.rig.clock.slept = self.rig.clock.slept + span;
        }
        if self.bug == Some(PlantedBug::CatchesUp) {
            let mut missed = self.checker.next_slot();
            while missed > began && missed <= self.rig.now() {
                self.poll_showing(missed)?;
                missed = missed + self.checker.config().interval();
            }
        }
        self.poll()
    }

    pub(super) fn set_wall(&mut self, change: Wall) {
        self.wall.change(self.rig.now(), change);
        self.rig.clock.wall_ahead = self.wall.ahead_micros();
    }

    pub(super) fn reload(&mut self, config: Config) -> Result<(), Broken> {
        if self.bug != Some(PlantedBug::IgnoresReload) {
            self.rig.agent.reconfigure(Identity::new(HARDWARE_ID), config);
        }
        self.checker.reconfigured(config);
        self.poll()
    }

    /// Stops the agent in order, and waits a little for storage.
    pub(super) fn stop(&mut self) -> Result<(), Broken> {
        let asked = self.rig.now();
        if self.bug == Some(PlantedBug::JoinsAtStop) {
            // Without leaving its end: the next slot would begin another one.
            while self.rig.uplink.inner.is_busy()
                && let Some(next) = self.rig.next_event()
            {
                self.rig.stall_until(next);
                self.poll()?;
            }
        }
        if self.bug != Some(PlantedBug::IgnoresStop) {
            self.rig.agent.stop();
        }
        for _ in 0..2 {
            self.rig.poll();
        }
        self.look(|checker, scene| checker.after_stop(scene, asked))?;
        self.store_last()
    }

    /// Gives back what outlives this start, whose process is gone. `lucky`: what was being written is there.
    pub(super) fn end(mut self, lucky: bool) -> World {
        let stats = self.rig.agent.stats();
        let counts = self.rig.agent.backlog().counts();
        self.tally.slots += stats.slots;
        self.tally.attempted += stats.attempted;
        self.tally.delivered += stats.delivered;
        self.tally.replayed += counts.replayed;
        self.tally.dropped += counts.dropped;
        self.tally.deltas += self.checker.deltas();
        self.tally.polls += self.polls;
        self.storage.crash(lucky);
        let mut device = self.rig.device.inner.inner;
        device.forget();
        let mut network = self.rig.uplink.inner.inner;
        // The connection goes with the process.
        let _ = heartbeat_core::Uplink::cancel(&mut network);
        World {
            device,
            network,
            storage: self.storage,
            persistent: self.persistent,
            deferring: self.deferring,
            wall: self.wall,
            late: self.checker.late,
            coverage: self.coverage,
            bug: self.bug,
            slept: self.rig.clock.slept,
            tally: self.tally,
        }
    }
}
