//! Counts what the agent logs: journals and SD cards wear (S18).

use std::{cell::RefCell, collections::VecDeque, sync::Once};

use heartbeat_core::time::{Duration, Instant};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Lines in an hour that are too many.
const LIMIT: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Meter;

impl Log for Meter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            LINES.with_borrow_mut(|lines| lines.push(format!("{level}: {}", record.args())));
        }
    }

    fn flush(&self) {}
}

/// Counts the lines of one start of the agent, on this thread.
#[derive(Debug)]
pub(super) struct LogMeter {
    /// When the latest lines were logged, as many as are allowed in an hour.
    recent: VecDeque<Instant>,
}

impl LogMeter {
    /// Becomes the logger of the process if there is none yet; otherwise nothing is counted.
    pub(super) fn new() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            if log::set_logger(&Meter).is_ok() {
                log::set_max_level(LevelFilter::Info);
            }
        });
        LINES.take();
        Self { recent: VecDeque::new() }
    }

    /// The lines since the last call, and whether they are few enough.
    pub(super) fn take(&mut self, now: Instant) -> (Vec<String>, bool) {
        let lines = LINES.take();
        let mut few = true;
        for _ in &lines {
            self.recent.push_back(now);
            if self.recent.len() > LIMIT {
                few &= self.recent.pop_front().is_none_or(|first| now.since(first) >= HOUR);
            }
        }
        (lines, few)
    }
}
