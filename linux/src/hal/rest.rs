//! A source that is absent rests: it is not looked for at every beat.

use std::time::{Duration, Instant};

use heartbeat_core::SensorError;

/// How long an absent source is left alone: hardware that is plugged in shows up within a minute.
const REST: Duration = Duration::from_secs(60);

/// Remembers since when a source is known to be absent.
#[derive(Debug, Default)]
pub(super) struct Rest {
    absent_since: Option<Instant>,
}

impl Rest {
    /// Looks for the source unless it was absent a short while ago.
    pub(super) fn unless_resting<T>(
        &mut self,
        find: impl FnOnce() -> Result<T, SensorError>,
    ) -> Result<T, SensorError> {
        if self.absent_since.is_some_and(|since| since.elapsed() < REST) {
            return Err(SensorError::Absent);
        }
        let found = find();
        self.absent_since = matches!(found, Err(SensorError::Absent)).then(Instant::now);
        found
    }
}
