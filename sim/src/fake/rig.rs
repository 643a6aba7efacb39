//! Moves the real agent through virtual time.

use heartbeat_core::{
    Agent, Config, Identity, Wake,
    time::{Duration, Instant},
};

use super::{device::FakeDevice, server::FakeServer};

/// The agent between a fake device and a fake server.
pub struct Rig {
    /// The real agent.
    pub agent: Agent<'static>,
    /// Its device.
    pub device: FakeDevice,
    /// Its server.
    pub server: FakeServer,
    now: Instant,
    wake: Wake,
}

impl Rig {
    /// A rig that has not been polled. Its clock starts at an arbitrary time, as real ones do.
    pub fn new(config: Config, device: FakeDevice, server: FakeServer) -> Self {
        let now = Instant::from_millis(86_400_000);
        let agent = Agent::new(Identity::new("10000000a1b2c3d4"), config);
        Self { agent, device, server, now, wake: Wake::At(now) }
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What the latest poll answered.
    pub fn wake(&self) -> Wake {
        self.wake
    }

    /// Polls without moving the clock.
    pub fn poll(&mut self) -> Wake {
        self.device.now = self.now;
        self.server.now = self.now;
        self.wake = self.agent.poll(self.now, &mut self.device, &mut self.server);
        self.wake
    }

    /// When the next poll is due: the agent's own wake-up, or news from a sensor or the server.
    pub fn next_event(&self) -> Option<Instant> {
        match self.wake {
            Wake::Stopped => None,
            Wake::At(when) => [Some(when), self.device.due(), self.server.due()].into_iter().flatten().min(),
        }
    }

    /// Moves to the next event and polls. False when the agent has stopped.
    pub fn step(&mut self) -> bool {
        match self.next_event() {
            None => false,
            Some(when) => {
                self.now = self.now.max(when);
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

    /// The machine stands still: time passes, and nobody is polled.
    pub fn stall(&mut self, span: Duration) {
        self.now = self.now + span;
    }
}
