//! One look that yields several values, so that they agree with each other and cost one reading.

use std::task::Poll;

use heartbeat_core::{SensorError, readings::Sampled};

use super::background::Background;

/// One value of a look: there until it is taken.
pub(super) type Answer<T> = Option<Result<T, SensorError>>;

/// What one look yields. `default()` has nothing left to take.
pub(super) trait Look: Default + Send + 'static {
    /// A look that failed as a whole.
    fn failed(error: SensorError) -> Self;
}

/// A source of looks, whose values are taken one by one.
#[derive(Debug)]
pub(super) struct Parts<L> {
    source: Background<L>,
    current: L,
}

impl<L: Look> Parts<L> {
    pub(super) fn of(source: Background<L>) -> Self {
        Self { source, current: L::default() }
    }

    /// Takes one value of the current look; where it was taken before, waits for a new look.
    pub(super) fn take<T>(&mut self, part: fn(&mut L) -> &mut Answer<T>) -> Sampled<T> {
        if let Some(answer) = part(&mut self.current).take() {
            return Poll::Ready(answer);
        }
        match self.source.poll() {
            Poll::Pending => Poll::Pending,
            Poll::Ready(look) => {
                self.current = look.unwrap_or_else(L::failed);
                // A new look has every part.
                part(&mut self.current).take().map_or(Poll::Pending, Poll::Ready)
            }
        }
    }
}
