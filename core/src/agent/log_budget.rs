//! A limit on what is logged: whatever flaps, journals and SD cards stay usable.

use crate::{
    limits::{LOG_TROUBLE_EVERY, LOG_TROUBLES_BURST},
    time::Instant,
};

/// A token bucket: [`LOG_TROUBLES_BURST`] troubles at once, then one per [`LOG_TROUBLE_EVERY`].
#[derive(Debug)]
pub(super) struct LogBudget {
    troubles: u32,
    refilled: Instant,
    withheld: u64,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self { troubles: LOG_TROUBLES_BURST, refilled: Instant::ZERO, withheld: 0 }
    }
}

impl LogBudget {
    /// Whether the beginning of one more trouble may be logged now, and with it later its end. Says so once when
    /// others had to be withheld before.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        let earned = now.since(self.refilled).as_micros() / LOG_TROUBLE_EVERY.as_micros();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.troubles = self.troubles.saturating_add(earned).min(LOG_TROUBLES_BURST);
            self.refilled = now;
        }
        if self.troubles == 0 {
            self.withheld = self.withheld.saturating_add(1);
            return false;
        }
        self.troubles -= 1;
        if self.withheld > 0 {
            log_warn!("{} earlier troubles were not logged", self.withheld);
            self.withheld = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_withheld_is_counted_until_it_is_told() {
        let mut budget = LogBudget::default();
        let allowed = (0..LOG_TROUBLES_BURST + 3).filter(|_| budget.allow(Instant::ZERO)).count();
        assert_eq!((allowed, budget.withheld), (LOG_TROUBLES_BURST as usize, 3));
        assert!(budget.allow(Instant::ZERO + LOG_TROUBLE_EVERY));
        assert_eq!(budget.withheld, 0);
        assert!(!budget.allow(Instant::ZERO + LOG_TROUBLE_EVERY), "one was earned");
    }

    #[test]
    fn a_storm_of_troubles_is_at_most_100_lines_an_hour() {
        let mut budget = LogBudget::default();
        let mut lines = 0;
        for millis in (0..3_600_000).step_by(50) {
            let note = u32::from(budget.withheld > 0);
            if budget.allow(Instant::from_millis(millis)) {
                lines += 2 + note;
            }
        }
        assert!((20..=100).contains(&lines), "{lines} lines");
    }
}
