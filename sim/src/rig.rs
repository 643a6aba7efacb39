//! Moves the real agent through virtual time.

use heartbeat_core::{
    Agent, Config, Hal, Identity, Uplink, Wake,
    time::{Duration, Instant},
};

use crate::{
    fake::{FakeDevice, FakeServer, Recorder, Timed},
    faults::{FaultyHal, FaultyUplink},
};

/// The clock that a frontend shows to its agent.
pub trait Clock {
    /// What it shows at `now`.
    fn show(&self, now: Instant) -> Instant;

    /// When it will show `shown`, as seen at `now`.
    fn when(&self, shown: Instant, now: Instant) -> Instant;
}

/// A clock that shows the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrueClock;

impl Clock for TrueClock {
    fn show(&self, now: Instant) -> Instant {
        now
    }

    fn when(&self, shown: Instant, _: Instant) -> Instant {
        shown
    }
}

/// The agent between a device and a server.
pub struct Rig<'b, D = FaultyHal<FakeDevice>, U = Recorder<FaultyUplink<FakeServer>>, C = TrueClock> {
    /// The real agent.
    pub agent: Agent<'b>,
    /// Its device.
    pub device: D,
    /// Its way to the server.
    pub uplink: U,
    /// Its clock.
    pub clock: C,
    now: Instant,
    wake: Wake,
}

impl<'b> Rig<'b> {
    /// A rig that has not been polled. Its clock starts at an arbitrary time, as real ones do.
    pub fn new(config: Config, device: impl Into<FaultyHal<FakeDevice>>) -> Self {
        Self::around(Agent::new(Identity::new("10000000a1b2c3d4"), config), device)
    }

    /// As [`Rig::new`], around an agent that was made elsewhere.
    pub fn around(agent: Agent<'b>, device: impl Into<FaultyHal<FakeDevice>>) -> Self {
        let uplink = Recorder::new(FaultyUplink::new(FakeServer::default()));
        Self::with(agent, device.into(), uplink, TrueClock, Instant::from_millis(86_400_000))
    }
}

impl<'b, D: Hal + Timed, U: Uplink + Timed, C: Clock> Rig<'b, D, U, C> {
    /// A rig of these parts that has not been polled, at `now`.
    pub fn with(agent: Agent<'b>, device: D, uplink: U, clock: C, now: Instant) -> Self {
        Self { agent, device, uplink, clock, now, wake: Wake::At(now) }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What the latest poll answered, in the agent's time.
    pub fn wake(&self) -> Wake {
        self.wake
    }

    /// Polls without moving the clock.
    pub fn poll(&mut self) -> Wake {
        self.poll_showing(self.clock.show(self.now))
    }

    /// As [`Rig::poll`], with this time instead of what the clock shows.
    pub fn poll_showing(&mut self, shown: Instant) -> Wake {
        self.device.advance(self.now);
        self.uplink.advance(self.now);
        self.wake = self.agent.poll(shown, &mut self.device, &mut self.uplink);
        self.wake
    }

    /// When the next poll is due: the agent's own wake-up, or news from a sensor or the server.
    pub fn next_event(&self) -> Option<Instant> {
        match self.wake {
            Wake::Stopped => None,
            Wake::At(shown) => {
                let due = self.clock.when(shown, self.now);
                let news = [self.device.due(), self.uplink.due()].into_iter().flatten();
                Some(news.fold(due, Instant::min))
            }
        }
    }

    /// Moves to the next event and polls. False when the agent has stopped.
    pub fn step(&mut self) -> bool {
        match self.next_event() {
            None => false,
            Some(when) => {
                self.stall_until(when);
                self.poll();
                true
            }
        }
    }

    /// Steps through everything that happens in the next `span` and leaves the clock at its end.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_event().is_some_and(|when| when <= end) {
            self.step();
        }
        self.now = end;
    }

    /// The machine stands still: time passes without polls.
    pub fn stall(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// As [`Rig::stall`], until this time at least; not at all when it has passed.
    pub fn stall_until(&mut self, when: Instant) {
        self.now = self.now.max(when);
    }
}
