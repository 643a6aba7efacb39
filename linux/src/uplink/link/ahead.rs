//! Connections that are made ahead of their heartbeat. On a slow link one that is begun with the heartbeat comes too late
//! for it; if no connection lasts until the next, that would go on for ever.

use std::time::{Duration, Instant};

use super::super::beat::Beat;

/// How many times as long as the last connection took the next one is begun ahead.
const LEAD: u32 = 2;

/// Whether connections are made ahead, and when.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How long the latest connection took to make, if that is too long for a heartbeat.
    took: Option<Duration>,
    /// The heartbeat after which the latest one was begun: one for each, so that a server that closes it is not dialled
    /// again and again.
    begun_after: u64,
}

impl Ahead {
    /// A connection was made in this time, which was too long for a heartbeat or not.
    pub(super) fn connected(&mut self, took: Duration, too_long: bool) {
        self.took = too_long.then_some(took);
    }

    /// When to begin the connection for the heartbeat that follows `beat`; `None` if that can make its own.
    pub(super) fn due(&self, beat: &Beat, interval: Duration) -> Option<Instant> {
        let took = self.took.filter(|_| beat.generation != self.begun_after)?;
        Some(beat.began + interval.saturating_sub(took.saturating_mul(LEAD)))
    }

    /// The connection for the heartbeat that follows `beat` is begun.
    pub(super) fn begin(&mut self, beat: &Beat) {
        self.begun_after = beat.generation;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_is_begun_ahead_of_each_heartbeat_while_they_take_too_long() {
        let (began, interval) = (Instant::now(), Duration::from_secs(600));
        let beat = |generation| Beat { began, until: began, timeout: Duration::from_secs(2), generation };
        let mut ahead = Ahead::default();
        assert_eq!(ahead.due(&beat(1), interval), None, "nothing is known");
        ahead.connected(Duration::from_secs(3), true);
        assert_eq!(ahead.due(&beat(1), interval), Some(began + Duration::from_secs(594)));
        assert_eq!(ahead.due(&beat(1), Duration::from_secs(5)), Some(began), "at once");
        ahead.begin(&beat(1));
        assert_eq!(ahead.due(&beat(1), interval), None, "it is begun");
        assert!(ahead.due(&beat(2), interval).is_some());
        ahead.connected(Duration::from_secs(1), false);
        assert_eq!(ahead.due(&beat(2), interval), None, "the link is fast again");
    }
}
