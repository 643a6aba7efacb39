//! What the daemon reports about itself: to systemd, to `status`, to the journal once an hour. The main loop reports
//! after each of its turns, so that a loop that hangs reports nothing.

mod notify;
mod summary;

use std::path::Path;

use heartbeat_core::{Outcome, Stats, time::Instant};

use self::{notify::Notifier, summary::HourlySummary};
use crate::{
    clock,
    config::Settings,
    daemon::{Observer, Turn},
    status_file::{Last, Late, Status, StatusFile},
};

/// Reports to systemd, `status` and the journal.
#[derive(Debug)]
pub struct Service {
    notifier: Notifier,
    file: Option<StatusFile>,
    summary: HourlySummary,
    server: String,
    started: Instant,
    /// What was reported last.
    told: Stats,
    /// The latest live document.
    document: Vec<u8>,
    stopping: bool,
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
            started: clock::now(),
            told: Stats::default(),
            document: Vec::new(),
            stopping: false,
        }
    }

    /// Waits a short time until the status file says that the daemon has ended. To be called when the daemon has ended.
    pub fn finish(&mut self) {
        if let Some(file) = &mut self.file {
            file.finish();
        }
    }

    fn status(&self, turn: &Turn<'_>) -> Status {
        let (stats, backlog) = (turn.agent.stats(), turn.agent.backlog());
        let secs = |time: Instant| core::time::Duration::from_micros(time.as_micros()).as_secs_f64();
        let counts = backlog.counts();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
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
                document: serde_json::from_slice(&self.document).unwrap_or_default(),
            }),
            sources: turn.hal.sources(),
        }
    }
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
        if is_heard && stats.attempted > self.told.attempted {
            self.document = turn.agent.last_body().to_vec();
        }
        let ended = stats.delivered + stats.failed > self.told.delivered + self.told.failed;
        if ended {
            self.summary.ended(stats);
        }
        let news = ended || self.stopping || self.told == Stats::default();
        if let Some(file) = &mut self.file {
            file.turn();
        }
        let mut headline = None;
        if news && is_heard {
            let status = self.status(turn);
            if let Some(file) = &mut self.file {
                file.publish(&status);
            }
            headline = Some(status.headline());
        }
        self.notifier.news(stats.attempted > 0, headline.as_deref());
        self.summary.turn(turn.now, turn.traffic);
        self.told.clone_from(stats);
        self.notifier.tell(turn.now)
    }

    fn reloading(&mut self) {
        self.notifier.reloading();
    }

    fn reloaded(&mut self, settings: Option<&Settings>) {
        if let Some(settings) = settings {
            settings.endpoint.without_query().clone_into(&mut self.server);
        }
        self.notifier.reloaded();
    }

    fn stopping(&mut self) {
        self.stopping = true;
        self.notifier.stopping();
    }
}
