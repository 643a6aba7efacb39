//! One line an hour, with and without faults: the journal shows that the daemon runs.

use heartbeat_core::{
    Stats,
    time::{Duration, Instant},
};

use crate::uplink::Traffic;

const EVERY: Duration = Duration::from_secs(3_600);

/// What has happened since the last line.
#[derive(Debug)]
pub(super) struct HourlySummary {
    since: Instant,
    delivered: u64,
    failed: u64,
    slowest: Duration,
    bytes: u64,
    counted: Stats,
}

impl HourlySummary {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            delivered: 0,
            failed: 0,
            slowest: Duration::ZERO,
            bytes: 0,
            counted: Stats::default(),
        }
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, stats: &Stats) {
        self.delivered += stats.delivered - self.counted.delivered;
        self.failed += stats.failed - self.counted.failed;
        if let Some(last) = stats.last.as_ref().filter(|last| last.outcome.verdict.is_accepted()) {
            self.slowest = self.slowest.max(last.round_trip);
        }
        self.counted = stats.clone();
    }

    /// Writes the line when it is due.
    pub(super) fn turn(&mut self, now: Instant, traffic: &Traffic) {
        if now.since(self.since) < EVERY {
            return;
        }
        let bytes = traffic.sent() + traffic.received();
        log::info!("{}", self.line(bytes));
        *self = Self { bytes, counted: std::mem::take(&mut self.counted), ..Self::new(now) };
    }

    fn line(&self, bytes: u64) -> String {
        format!(
            "in the last hour {} heartbeats were delivered, {} failed; the slowest took {} ms; {} kB over the network",
            self.delivered,
            self.failed,
            self.slowest.as_millis(),
            (bytes - self.bytes) / 1_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::{Cause, Failure, Reply, Stage, outcome};
    use heartbeat_core::agent::LastRequest;

    #[test]
    fn sums_up_an_hour_and_begins_anew() {
        let at = |secs: u64| Instant::ZERO + Duration::from_secs(secs);
        let mut summary = HourlySummary::new(at(100));
        let last = |ended, millis| {
            Some(LastRequest { outcome: outcome(&ended), round_trip: Duration::from_millis(millis) })
        };
        summary.ended(&Stats { delivered: 1, last: last(Ok(Reply::new(200)), 45), ..Stats::default() });
        summary.ended(&Stats {
            delivered: 1,
            failed: 1,
            last: last(Err(Failure::new(Stage::Exchange, Cause::Timeout)), 2_000),
            ..Stats::default()
        });
        assert_eq!(
            summary.line(5_432),
            "in the last hour 1 heartbeats were delivered, 1 failed; the slowest took 45 ms; 5 kB over the network"
        );
        summary.turn(at(3_699), &Traffic::default());
        assert_eq!(summary.delivered, 1, "not yet");
        summary.turn(at(3_700), &Traffic::default());
        assert_eq!((summary.delivered, summary.failed, summary.since), (0, 0, at(3_700)));

        // The next hour counts its own heartbeats and bytes only.
        let traffic = Traffic::default();
        traffic.sent_more(7_000);
        summary.turn(at(7_300), &traffic);
        summary.ended(&Stats { delivered: 3, failed: 1, ..Stats::default() });
        assert!(
            summary.line(9_000).contains(" 2 heartbeats were delivered, 0 failed;"),
            "{}",
            summary.line(9_000)
        );
        assert!(summary.line(9_000).ends_with("; 2 kB over the network"), "{}", summary.line(9_000));
    }
}
