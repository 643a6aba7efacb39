//! A source that is absent rests: it is not looked for at every beat.

use std::time::{Duration, Instant};

use heartbeat_core::SensorError;

/// How long an absent source is left alone: hardware that is plugged in shows up within a minute.
const REST: Duration = Duration::from_secs(60);

/// Remembers since when a source is known to be absent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rest {
    absent_since: Option<Instant>,
}

impl Rest {
    /// Whether the source was absent a short while ago.
    pub(super) fn is_resting(&self) -> bool {
        self.absent_since.is_some_and(|since| since.elapsed() < REST)
    }

    /// Takes note of what the source said.
    pub(super) fn note<T>(&mut self, answer: &Result<T, SensorError>) {
        self.absent_since = matches!(answer, Err(SensorError::Absent)).then(Instant::now);
    }

    /// Leaves the source alone although it may be there.
    pub(super) fn begin(&mut self) {
        self.absent_since = Some(Instant::now());
    }
}
