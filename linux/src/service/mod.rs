//! What the daemon reports about itself: to systemd, to `status`, to the journal once an hour. The main loop reports
//! after each of its turns, so that a loop that hangs reports nothing.

mod notify;
mod summary;

use std::{os::fd::BorrowedFd, path::Path};

use heartbeat_core::{
    Outcome, Stats,
    time::{Duration, Instant},
};
use jiff::{Timestamp, tz::TimeZone};

use self::{notify::Notifier, summary::HourlySummary};
use crate::{
    clock,
    config::Settings,
    daemon::{Observer, Turn},
    sources::{sysroot::Sysroot, time_zone},
    status_file::{Last, Late, Status, StatusFile},
};

/// Reports to systemd, `status` and the journal.
#[derive(Debug)]
pub struct Service {
    notifier: Notifier,
    file: Option<StatusFile>,
    summary: HourlySummary,
    server: String,
    zone: TimeZone,
    started: Instant,
    /// What was reported last.
    told: Stats,
    /// The latest live document that is being sent.
    sending: Vec<u8>,
    /// That of the latest heartbeat that has ended, and when that was.
    document: Vec<u8>,
    ended: Instant,
    pid: u32,
    /// The headline of before the latest heartbeats, and when it was told.
    headline: Headline,
    /// The configuration was read again.
    has_reloaded: bool,
    stopping: bool,
}

/// How often the status is told while heartbeats are delivered: to the supervisor, which it wakes, and in the file.
const HEADLINE_EVERY: Duration = Duration::from_secs(60);

/// What was told.
#[derive(Debug, Default)]
struct Headline {
    /// Whether the latest heartbeat was delivered; `None` before there was any.
    delivered: Option<bool>,
    told: Option<Instant>,
}

impl Headline {
    /// Whether it is time to tell another one.
    fn is_due(&mut self, delivered: Option<bool>, now: Instant) -> bool {
        let is_news = delivered != Some(true) || self.delivered != delivered;
        let is_due = is_news || self.told.is_none_or(|told| now.since(told) >= HEADLINE_EVERY);
        if is_due {
            *self = Self { delivered, told: Some(now) };
        }
        is_due
    }
}

impl Service {
    /// For a daemon with these settings, which is about to run. A supervisor that is missing, or `status` without a
    /// `directory`, gets no reports.
    pub fn new(settings: &Settings, directory: Option<&Path>) -> Self {
        Self {
            notifier: Notifier::new(),
            file: directory.and_then(StatusFile::in_directory),
            summary: HourlySummary::new(clock::now()),
            server: settings.endpoint.without_query().to_owned(),
            zone: Sysroot::new(Path::new("/")).map_or(TimeZone::UTC, |root| time_zone::local_zone(&root)),
            started: clock::now(),
            told: Stats::default(),
            sending: Vec::new(),
            document: Vec::new(),
            ended: Instant::ZERO,
            pid: std::process::id(),
            headline: Headline::default(),
            has_reloaded: false,
            stopping: false,
        }
    }

    /// Waits a short time until the status file says that the daemon has ended. To be called when the daemon has ended.
    pub fn finish(&mut self) {
        if let Some(file) = &mut self.file {
            file.finish();
        }
    }

    /// The time of day of the next heartbeat.
    fn next(&self, turn: &Turn<'_>) -> String {
        let left = core::time::Duration::from(turn.agent.next_beat().since(turn.now));
        let next = Timestamp::now().checked_add(left).unwrap_or(Timestamp::MAX);
        next.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    fn status(&self, turn: &Turn<'_>) -> Status {
        let (stats, backlog) = (turn.agent.stats(), turn.agent.backlog());
        let secs = |time: Instant| core::time::Duration::from_micros(time.as_micros()).as_secs_f64();
        let counts = backlog.counts();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: self.pid,
            running: !self.stopping,
            server: self.server.clone(),
            interval_s: core::time::Duration::from(turn.agent.config().interval()).as_secs_f64(),
            started_at_s: secs(self.started),
            written_at_s: secs(turn.now),
            next_beat_at_s: secs(turn.agent.next_beat()),
            delivered: stats.delivered,
            failed: stats.failed,
            consecutive_failures: stats.consecutive_failures,
            skipped: stats.skipped,
            withheld: stats.withheld,
            backing_off: turn.agent.backing_off(),
            late: (turn.agent.config().backlog() > 0 || counts.queued > 0).then(|| Late {
                waiting: backlog.len() as u64,
                delivered: counts.replayed,
                given_up: counts.dropped,
            }),
            sent_bytes: turn.traffic.sent(),
            received_bytes: turn.traffic.received(),
            last: stats.last.as_ref().map(|last| Last {
                delivered: last.outcome.verdict.is_accepted(),
                outcome: describe(&last.outcome),
                round_trip_ms: core::time::Duration::from(last.round_trip).as_secs_f64() * 1e3,
                ended_at_s: secs(self.ended),
                document: serde_json::from_slice(&self.document).unwrap_or_default(),
            }),
            sources: turn.hal.sources(),
        }
    }
}

fn count_ended(stats: &Stats) -> u64 {
    stats.delivered + stats.failed
}

fn describe(outcome: &Outcome) -> String {
    if outcome.verdict.is_accepted() {
        format!("delivered, {}", outcome.detail)
    } else {
        format!("not delivered: {}", outcome.detail)
    }
}

impl Observer for Service {
    fn turned(&mut self, turn: &Turn<'_>) -> Option<Instant> {
        let stats = turn.agent.stats();
        // Without a status file and a supervisor nothing reads the status, so it is not composed.
        let is_heard = self.file.is_some() || self.notifier.is_heard();
        let ended = count_ended(stats) > count_ended(&self.told);
        if ended && self.told.attempted > count_ended(&self.told) {
            std::mem::swap(&mut self.document, &mut self.sending);
        }
        if is_heard && stats.attempted > self.told.attempted {
            self.sending.clear();
            self.sending.extend_from_slice(turn.agent.last_body());
            if count_ended(stats) == stats.attempted {
                std::mem::swap(&mut self.document, &mut self.sending);
            }
        }
        if ended {
            self.ended = stats.last.as_ref().and_then(|last| last.outcome.ended).unwrap_or(turn.now);
            self.summary.ended(stats);
        }
        let has_changed = std::mem::take(&mut self.has_reloaded) || self.stopping;
        let news =
            ended || stats.withheld > self.told.withheld || self.stopping || self.told == Stats::default();
        let is_asked = self.file.as_mut().is_some_and(|file| file.turn(turn.now, turn.is_asked));
        let delivered = stats.last.as_ref().map(|last| last.outcome.verdict.is_accepted());
        let is_told = news && is_heard && self.headline.is_due(delivered, turn.now);
        let must_be_written = self.file.as_ref().is_some_and(|file| news && !file.is_watched());
        let mut headline = None;
        if is_told || is_heard && (is_asked || has_changed || must_be_written) {
            let status = self.status(turn);
            if let Some(file) = &mut self.file {
                file.publish(&status, turn.now);
            }
            headline = is_told.then(|| status.headline(&self.next(turn)));
        }
        self.notifier.news(stats.attempted > 0, headline.as_deref());
        self.summary.turn(turn.now, turn.traffic);
        self.told.clone_from(stats);
        let file_due = self.file.as_ref().and_then(StatusFile::due);
        self.notifier.tell(turn.now).into_iter().chain(file_due).min()
    }

    fn also_wakes(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref()?.requests()
    }

    fn reloading(&mut self) {
        self.notifier.reloading();
    }

    fn reloaded(&mut self, settings: Option<&Settings>) {
        if let Some(settings) = settings {
            settings.endpoint.without_query().clone_into(&mut self.server);
        }
        self.has_reloaded = true;
        self.notifier.reloaded();
    }

    fn stopping(&mut self) {
        self.stopping = true;
        self.notifier.stopping();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_told_once_a_minute_and_failures_at_once() {
        let (mut headline, at) = (Headline::default(), |secs| Instant::ZERO + Duration::from_secs(secs));
        assert!(headline.is_due(None, at(0)), "it has started");
        assert!(headline.is_due(Some(true), at(1)));
        assert!(!headline.is_due(Some(true), at(60)));
        assert!(headline.is_due(Some(true), at(61)));
        assert!(headline.is_due(Some(false), at(66)));
        assert!(headline.is_due(Some(false), at(71)), "an outage goes on");
        assert!(headline.is_due(Some(true), at(76)), "and ends");
        assert!(!headline.is_due(Some(true), at(81)));
    }
}
