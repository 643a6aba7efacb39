//! One device: the real agent with nothing to measure, and its connection to the server.

use heartbeat_core::{Agent, Config, Hal, Identity, Wake, time::Instant, units::UnixTime};

use super::{
    line::{Line, Way},
    server::Load,
};

/// A device.
pub(super) struct Device {
    agent: Agent<'static>,
    line: Line,
    /// Of which time it was last counted as back.
    counted: Option<Instant>,
}

/// What a turn of the device's loop came to.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) began: bool,
    /// Connections that it began.
    pub(super) dials: u32,
    pub(super) delivered: bool,
    pub(super) failed: bool,
    /// When its loop turns again.
    pub(super) next: Instant,
}

impl Device {
    pub(super) fn new(config: Config) -> Self {
        let agent = Agent::new(Identity::new("10000000a1b2c3d4"), config);
        Self { agent, line: Line::default(), counted: None }
    }

    pub(super) fn turn(&mut self, now: Instant, load: &mut Load) -> Turn {
        let counts = |agent: &Agent<'_>| {
            let stats = agent.stats();
            (stats.attempted, stats.delivered, stats.failed)
        };
        let (attempted, delivered, failed) = counts(&self.agent);
        let mut way = Way { line: &mut self.line, load, now, dials: 0 };
        let wake = self.agent.poll(now, &mut Nothing, &mut way);
        way.watch();
        let dials = way.dials;
        let after = counts(&self.agent);
        let next = match wake {
            Wake::At(when) => self.line.next().map_or(when, |at| when.min(at)),
            Wake::Stopped => Instant::from_micros(u64::MAX),
        };
        Turn {
            began: after.0 > attempted,
            dials,
            delivered: after.1 > delivered,
            failed: after.2 > failed,
            next,
        }
    }

    /// True once for each time since when devices are counted as back.
    pub(super) fn is_news_since(&mut self, since: Instant) -> bool {
        self.counted.replace(since) != Some(since)
    }
}

/// A device without sensors.
struct Nothing;

impl Hal for Nothing {
    fn unix_time(&mut self) -> Option<UnixTime> {
        None
    }
}
