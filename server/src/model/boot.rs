//! One start of a device's agent: which of its numbers have come, and how many are lost.

use crate::time::UnixMs;

/// One start of a device's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) id: u64,
    /// Its number among the starts of the device, from 1.
    pub(crate) ordinal: i64,
    /// When the server heard of it first.
    pub(crate) first_at: UnixMs,
    /// When the server heard of it last.
    pub(crate) last_at: UnixMs,
    /// Numbers up to this one came before the server knew the device, and are not missed.
    pub(crate) base: u64,
    /// Largest number of a live heartbeat.
    pub(crate) max: u64,
    /// Which of the 64 numbers up to `max` have come: bit 0 is `max`.
    pub(crate) window: u64,
    /// Different numbers above `base` that have come.
    pub(crate) received: u64,
}

impl Boot {
    /// A start of which nothing has come yet.
    #[cfg(test)]
    pub(crate) fn new(id: u64, ordinal: i64, now: UnixMs) -> Self {
        Self { id, ordinal, first_at: now, last_at: now, base: 0, max: 0, window: 0, received: 0 }
    }

    /// Heartbeats that were sent and have not come, neither live nor late.
    pub(crate) fn lost(&self) -> u64 {
        self.max.saturating_sub(self.base).saturating_sub(self.received)
    }

    pub(super) fn in_window(&self, number: u64) -> Option<bool> {
        let age = self.max.checked_sub(number)?;
        (age < 64).then(|| self.window >> age & 1 == 1)
    }

    /// Records a live heartbeat; the answer is how many were lost right before it, or `None` if it is repeated.
    pub(super) fn advance(&mut self, number: u64, first_of_device: bool) -> Option<u64> {
        if self.max == 0 && first_of_device {
            self.base = number.saturating_sub(1);
            self.max = self.base;
            self.received = 0;
        }
        let ahead = match number.checked_sub(self.max) {
            Some(ahead) if ahead > 0 => ahead,
            _ => {
                // Below the window it has come already: an agent sends in order.
                let age = self.max - number;
                if age >= 64 || self.window >> age & 1 == 1 {
                    return None;
                }
                self.window |= 1 << age;
                self.received += 1;
                return Some(0);
            }
        };
        self.window = if ahead >= 64 { 0 } else { self.window << ahead } | 1;
        self.max = number;
        self.received += 1;
        Some(ahead - 1)
    }
}
