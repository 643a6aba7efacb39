//! Waiting for a better answer, but not for ever: what is only an addition must not hold up the rest.

use std::{
    task::Poll,
    time::{Duration, Instant},
};

use heartbeat_core::{SensorError, readings::Sampled};

/// How long an addition may take; a working one takes a few milliseconds.
const LIMIT: Duration = Duration::from_millis(250);

/// The patience with one source.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waiting_since: Option<Instant>,
}

impl Patience {
    /// The source's answer; `None` when it has been waited for long enough. A source that hangs is not waited for
    /// again before it has answered.
    pub(super) fn with<T>(&mut self, polled: Sampled<T>) -> Poll<Option<Result<T, SensorError>>> {
        match polled {
            Poll::Ready(answer) => {
                self.waiting_since = None;
                Poll::Ready(Some(answer))
            }
            Poll::Pending if self.waiting_since.get_or_insert_with(Instant::now).elapsed() >= LIMIT => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The preferred source's value; the other's when that has none, or not in time.
    pub(super) fn prefer<T>(
        &mut self,
        preferred: Sampled<T>,
        other: impl FnOnce() -> Sampled<T>,
    ) -> Sampled<T> {
        match self.with(preferred) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(value))) => Poll::Ready(Ok(value)),
            Poll::Ready(failed) => other().map(|answer| match (failed, answer) {
                // What is there and fails says more than what is not there.
                (Some(Err(error)), Err(SensorError::Absent)) => Err(error),
                (_, answer) => answer,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready<T>(answer: Result<T, SensorError>) -> Sampled<T> {
        Poll::Ready(answer)
    }

    #[test]
    fn the_other_answers_for_one_that_fails_or_hangs() {
        let mut patience = Patience::default();
        assert_eq!(patience.prefer(ready(Ok(1)), || ready(Ok(2))), ready(Ok(1)));
        assert_eq!(patience.prefer(ready(Err(SensorError::Io)), || ready(Ok(2))), ready(Ok(2)));
        let absent = || ready::<u8>(Err(SensorError::Absent));
        assert_eq!(patience.prefer(ready(Err(SensorError::Denied)), absent), ready(Err(SensorError::Denied)));
        assert_eq!(patience.prefer(Poll::Pending, || ready(Ok(2))), Poll::Pending, "it has just been asked");
        patience.waiting_since = Instant::now().checked_sub(LIMIT);
        assert_eq!(patience.prefer(Poll::Pending, || ready(Ok(2))), ready(Ok(2)));
        assert_eq!(patience.prefer(Poll::Pending, || ready(Ok(2))), ready(Ok(2)), "not waited for again");
        assert_eq!(patience.prefer(ready(Ok(1)), || ready(Ok(2))), ready(Ok(1)));
        assert_eq!(patience.prefer(Poll::Pending, || ready(Ok(2))), Poll::Pending, "trusted again");
    }
}
