//! Logs the errors of one sensor: each once, at most one in [`SENSOR_LOG_INTERVAL`], and the end of the one that was logged.

use super::log_limit::LogLimit;
use crate::{limits::SENSOR_LOG_INTERVAL, readings::SensorError, time::Instant};

/// What was logged of one sensor.
#[derive(Debug, Default)]
pub(super) struct SensorLog {
    /// The error that was logged last, until there is a value.
    logged: Option<SensorError>,
    limit: LogLimit,
}

// One copy of this code for all sensors: it does not depend on the types of their values.
impl SensorLog {
    /// The sensor `name` has a value.
    #[inline(never)]
    pub(super) fn value(&mut self, name: &str) {
        if self.logged.take().is_some() {
            log_info!("{}: reading again", name);
        }
    }

    /// The sensor `name` has none. Absence is no error, but not the end of one either.
    #[inline(never)]
    pub(super) fn error(&mut self, now: Instant, name: &str, error: SensorError) {
        if error != SensorError::Absent
            && self.logged != Some(error)
            && self.limit.allow(now, SENSOR_LOG_INTERVAL)
        {
            log_warn!("{}: {}", name, error);
            self.logged = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs * 1_000)
    }

    #[test]
    fn errors_are_logged_once_an_hour_and_absence_never() {
        let mut log = SensorLog::default();
        for (secs, error, logged) in [
            (0, SensorError::Absent, None),
            (1, SensorError::Io, Some(SensorError::Io)),
            (2, SensorError::Io, Some(SensorError::Io)),
            (3, SensorError::Denied, Some(SensorError::Io)),
            (3_600, SensorError::Denied, Some(SensorError::Io)),
            (3_601, SensorError::Denied, Some(SensorError::Denied)),
            (7_201, SensorError::Absent, Some(SensorError::Denied)),
        ] {
            log.error(at(secs), "test", error);
            assert_eq!(log.logged, logged, "at {secs} s");
        }
    }

    #[test]
    fn a_repeated_error_uses_up_no_line() {
        let mut log = SensorLog::default();
        log.error(at(0), "test", SensorError::Io);
        log.error(at(3_599), "test", SensorError::Io);
        log.error(at(3_600), "test", SensorError::Denied);
        assert_eq!(log.logged, Some(SensorError::Denied));
    }

    #[test]
    fn a_value_ends_the_error_that_was_logged() {
        let mut log = SensorLog::default();
        log.error(at(0), "test", SensorError::Io);
        log.value("test");
        assert_eq!(log.logged, None);
    }
}
