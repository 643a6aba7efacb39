//! Something that was looked up and holds for a while.

use heartbeat_core::time::{Duration, Instant};

/// A value with the time until which it holds.
#[derive(Debug)]
pub(super) struct Kept<T>(Option<(T, Instant)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Kept<T> {
    /// Keeps `value` for `time` from `now` on, instead of an earlier one.
    pub(super) fn keep(&mut self, value: T, now: Instant, time: Duration) -> &T {
        &self.0.insert((value, now + time)).0
    }

    /// The value, while it holds.
    pub(super) fn get(&self, now: Instant) -> Option<&T> {
        self.0.as_ref().filter(|(_, until)| now < *until).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_for_its_time_and_no_longer() {
        let (mut kept, at) = (Kept::default(), Instant::from_millis);
        assert_eq!(kept.get(at(0)), None::<&u8>);
        kept.keep(7, at(100), Duration::from_millis(50));
        assert_eq!(kept.get(at(149)), Some(&7));
        assert_eq!(kept.get(at(150)), None);
        kept.keep(8, at(100), Duration::ZERO);
        assert_eq!(kept.get(at(100)), None);
    }
}
