//! What becomes of an attempt to deliver a message, and when the next is due.

use crate::limits::DELIVERY_PAUSE_MAX_MS;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Delivered,
    /// It has not arrived.
    Failed(String),
    /// It may have arrived: the connection broke before the answer.
    Doubtful(String),
}

/// Milliseconds until the next attempt: 10 s, then twice as long each time, an hour at most.
pub(crate) fn pause_ms(attempts: u32) -> i64 {
    10_000i64.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(DELIVERY_PAUSE_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        let pauses: Vec<_> = [1, 2, 3, 9, 10, 100].map(|attempts| pause_ms(attempts) / 1000).into();
        assert_eq!(pauses, [10, 20, 40, 2560, 3600, 3600]);
    }
}
