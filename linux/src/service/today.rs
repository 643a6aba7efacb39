//! Bytes since midnight, over restarts: what a metered connection costs.

use serde::{Deserialize, Serialize};

use super::status::Status;
use crate::uplink::Traffic;

/// Bytes of one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The day where the device is, as `2026-11-25`; `None` while its clock has not been set.
    pub day: Option<String>,
    /// Bytes sent, encryption included, the headers of TCP and IP not.
    pub sent: u64,
    /// Bytes received, likewise.
    pub received: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Today {
    /// Of the day so far, before `since`.
    base: Totals,
    /// What the traffic's counters showed when `base` was taken.
    since: (u64, u64),
}

impl Today {
    /// Goes on where an earlier start has stopped, if that was today.
    pub(super) fn after(earlier: Option<Status>, day: Option<String>) -> Self {
        Self::resume(earlier.map(|status| status.today), day)
    }

    fn resume(earlier: Option<Totals>, day: Option<String>) -> Self {
        let base = match earlier {
            Some(totals) if totals.day.is_some() && totals.day == day => totals,
            _ => Totals { day, ..Totals::default() },
        };
        Self { base, since: (0, 0) }
    }

    /// Begins anew when the day has changed.
    pub(super) fn turn(&mut self, day: Option<String>, traffic: &Traffic) {
        if day == self.base.day {
            return;
        }
        // A clock that has just been set only names the day that it is.
        let base = if self.base.day.is_none() { self.totals(traffic) } else { Totals::default() };
        *self = Self { base: Totals { day, ..base }, since: (traffic.sent(), traffic.received()) };
    }

    /// The day so far.
    pub(super) fn totals(&self, traffic: &Traffic) -> Totals {
        Totals {
            day: self.base.day.clone(),
            sent: self.base.sent + traffic.sent().saturating_sub(self.since.0),
            received: self.base.received + traffic.received().saturating_sub(self.since.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str) -> Option<String> {
        Some(day.to_owned())
    }

    #[test]
    fn a_day_goes_on_over_a_restart_and_ends_at_midnight() {
        let traffic = Traffic::default();
        let mut today = Today::after(None, day("2026-11-25"));
        traffic.count_for_test(100, 10);
        assert_eq!(today.totals(&traffic), Totals { day: day("2026-11-25"), sent: 100, received: 10 });
        let earlier = today.totals(&traffic);
        let fresh = Traffic::default();
        let resumed = Today::resume(Some(earlier.clone()), day("2026-11-25"));
        fresh.count_for_test(5, 5);
        assert_eq!(resumed.totals(&fresh), Totals { day: day("2026-11-25"), sent: 105, received: 15 });
        assert_eq!(Today::resume(Some(earlier), day("2026-11-26")).totals(&Traffic::default()).sent, 0);
        today.turn(day("2026-11-25"), &traffic);
        assert_eq!(today.totals(&traffic).sent, 100);
        today.turn(day("2026-11-26"), &traffic);
        assert_eq!(today.totals(&traffic), Totals { day: day("2026-11-26"), sent: 0, received: 0 });
    }

    #[test]
    fn a_clock_that_is_set_late_names_the_day_that_it_is() {
        let traffic = Traffic::default();
        let mut today = Today::after(None, None);
        traffic.count_for_test(7, 0);
        today.turn(day("2026-11-25"), &traffic);
        assert_eq!(today.totals(&traffic).sent, 7);
    }
}
