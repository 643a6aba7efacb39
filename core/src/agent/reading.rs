//! The agent's view of one sensor: whether it is being asked, its last good value, and when that was read.

use core::task::Poll;

use super::sensor_log::SensorLog;
use crate::{
    for_each_sensor,
    payload::Reason,
    plausible::Plausible,
    readings::{Sampled, SensorError},
    time::{Duration, Instant},
};

/// The answer of a sensor, and the value that the agent stores.
pub(super) trait Answer: Sized {
    /// The value that is stored.
    type Value;
    /// What must be remembered of earlier answers to compute the value.
    type Before: Default;

    /// Computes the value.
    ///
    /// # Errors
    ///
    /// [`SensorError::Invalid`] for an implausible answer, [`SensorError::Absent`] when earlier answers are missing.
    fn value(self, before: &mut Self::Before) -> Result<Self::Value, SensorError>;
}

/// Most answers are stored as they are, without their implausible parts.
fn plausible<T: Plausible>(answer: T) -> Result<T, SensorError> {
    answer.plausible().ok_or(SensorError::Invalid)
}

macro_rules! answers {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        $(answers!(@ $method, $value);)*
    };
    // Of the counters only a difference means something: `usage.rs`.
    (@ cpu, $value:ty) => {};
    (@ $method:ident, $value:ty) => {
        impl Answer for $value {
            type Value = Self;
            type Before = ();

            fn value(self, (): &mut ()) -> Result<Self, SensorError> {
                plausible(self)
            }
        }
    };
}

for_each_sensor!(answers);

/// The latest answer of one sensor.
#[derive(Debug)]
pub(super) struct Reading<T: Answer> {
    before: T::Before,
    waiting: bool,
    /// A beat went out without its answer: later beats do not wait for it until it has answered.
    overdue: bool,
    /// Its last good value, or why it has none.
    value: Result<T::Value, SensorError>,
    /// When it answered last.
    answered_at: Instant,
    log: SensorLog,
}

impl<T: Answer> Default for Reading<T> {
    fn default() -> Self {
        Self {
            before: T::Before::default(),
            waiting: false,
            overdue: false,
            value: Err(SensorError::Absent),
            answered_at: Instant::ZERO,
            log: SensorLog::default(),
        }
    }
}

impl<T: Answer> Reading<T> {
    /// Asks the sensor. If it is still pending, the earlier measurement continues.
    pub(super) fn ask(&mut self) {
        self.waiting = true;
    }

    /// The beat goes out. A pending answer is taken when it comes.
    pub(super) fn give_up(&mut self) {
        self.overdue = self.waiting;
    }

    /// Polls the sensor if it is pending; `name` is for the log. True when the beat need not wait for it.
    pub(super) fn poll(&mut self, now: Instant, name: &str, sensor: impl FnOnce() -> Sampled<T>) -> bool {
        if self.waiting
            && let Poll::Ready(answer) = sensor()
        {
            self.waiting = false;
            self.overdue = false;
            self.take(now, name, answer);
        }
        !self.waiting || self.overdue
    }

    /// The last value, if it is not older than `limit`.
    ///
    /// # Errors
    ///
    /// The reason for having none; `None` if it is just not there.
    pub(super) fn fresh(&self, now: Instant, limit: Duration) -> Result<&T::Value, Option<Reason>> {
        match &self.value {
            Ok(value) if now.since(self.answered_at) <= limit => Ok(value),
            _ if self.waiting => Err(Some(Reason::Silent)),
            // The agent asks before it looks, so that a value that is too old is one that is waited for.
            Ok(_) => Err(None),
            Err(error) => Err(Reason::of(*error)),
        }
    }

    fn take(&mut self, now: Instant, name: &str, answer: Result<T, SensorError>) {
        // The last value does not stand in for an error.
        self.value = answer.and_then(|answer| answer.value(&mut self.before));
        self.answered_at = now;
        match &self.value {
            Ok(_) => self.log.value(name),
            Err(error) => self.log.error(now, name, *error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Celsius;

    fn poll<T: Answer>(reading: &mut Reading<T>, now: Instant, answer: Sampled<T>) -> bool {
        reading.poll(now, "test", || answer)
    }

    const LIMIT: Duration = Duration::from_secs(15);

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs * 1000)
    }

    #[test]
    fn a_pending_sensor_keeps_its_value_until_it_is_stale() {
        let mut reading = Reading::default();
        reading.ask();
        assert!(poll(&mut reading, at(0), Poll::Ready(Ok(Celsius::from_raw(480)))));
        reading.ask();
        assert!(!poll(&mut reading, at(5), Poll::Pending));
        assert_eq!(reading.fresh(at(15), LIMIT), Ok(&Celsius::from_raw(480)));
        assert_eq!(reading.fresh(at(16), LIMIT), Err(Some(Reason::Silent)));
    }

    #[test]
    fn a_hanging_sensor_delays_only_one_beat() {
        let mut reading = Reading::default();
        reading.ask();
        assert!(!poll::<Celsius>(&mut reading, at(0), Poll::Pending));
        reading.give_up();
        reading.ask();
        assert!(poll::<Celsius>(&mut reading, at(5), Poll::Pending), "the beat does not wait");
        assert!(poll(&mut reading, at(6), Poll::Ready(Ok(Celsius::from_raw(480)))));
        assert!(reading.fresh(at(6), LIMIT).is_ok(), "its late answer is used");
        reading.ask();
        assert!(!poll::<Celsius>(&mut reading, at(10), Poll::Pending), "the beat waits again");
    }

    #[test]
    fn an_implausible_value_is_an_error() {
        let mut reading = Reading::default();
        reading.ask();
        assert!(poll(&mut reading, at(0), Poll::Ready(Ok(Celsius::from_raw(1_251)))));
        assert_eq!(reading.fresh(at(0), LIMIT), Err(Some(Reason::Invalid)));
    }

    #[test]
    fn an_error_clears_the_value() {
        let mut reading = Reading::default();
        reading.ask();
        poll(&mut reading, at(0), Poll::Ready(Ok(Celsius::from_raw(480))));
        reading.ask();
        assert!(poll(&mut reading, at(5), Poll::Ready(Err(SensorError::Io))));
        assert_eq!(reading.fresh(at(5), LIMIT), Err(Some(Reason::Failed)));
    }

    #[test]
    fn absence_has_no_reason_and_silence_has_one() {
        let mut reading = Reading::<Celsius>::default();
        assert_eq!(reading.fresh(at(0), LIMIT), Err(None), "it was not asked");
        reading.ask();
        assert_eq!(reading.fresh(at(0), LIMIT), Err(Some(Reason::Silent)));
        poll(&mut reading, at(0), Poll::Ready(Err(SensorError::Absent)));
        assert_eq!(reading.fresh(at(0), LIMIT), Err(None));
        reading.ask();
        poll(&mut reading, at(5), Poll::Ready(Err(SensorError::Denied)));
        assert_eq!(reading.fresh(at(5), LIMIT), Err(Some(Reason::Denied)));
        reading.ask();
        assert_eq!(reading.fresh(at(10), LIMIT), Err(Some(Reason::Silent)), "an old error says less");
    }

    #[test]
    fn a_sensor_is_not_asked_between_beats() {
        let mut reading = Reading::default();
        assert!(reading.poll(at(0), "test", || -> Sampled<Celsius> { panic!("asked without need") }));
    }
}
