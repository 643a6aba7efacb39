//! Processor use: the one reading for which two answers of its sensor are needed.

use super::reading::Answer;
use crate::{
    readings::{CpuTimes, SensorError},
    units::Percent,
};

impl Answer for CpuTimes {
    type Value = Percent;
    type Before = Option<Self>;

    /// The share of busy time since the previous answer. Without one (the first beat, or counters that went backwards)
    /// there is no value, and that is no error.
    fn value(self, before: &mut Self::Before) -> Result<Percent, SensorError> {
        let before = before.replace(self).ok_or(SensorError::Absent)?;
        let total = self.total.checked_sub(before.total).ok_or(SensorError::Absent)?;
        // Busy time may go back a little when a core's waiting time is corrected (kernel proc.rst, "stat").
        let busy = self.busy.saturating_sub(before.busy);
        Percent::of(busy, total).ok_or(SensorError::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(before: &mut Option<CpuTimes>, busy: u64, total: u64) -> Option<Percent> {
        CpuTimes { busy, total }.value(before).ok()
    }

    #[test]
    fn cpu_usage_is_the_busy_share_since_the_previous_answer() {
        let mut before = None;
        assert_eq!(usage(&mut before, 100, 1_000), None, "the first beat has nothing to compare with");
        assert_eq!(usage(&mut before, 150, 1_200), Some(Percent::from_raw(250)));
        assert_eq!(usage(&mut before, 150, 1_200), None, "no time has passed");
        assert_eq!(usage(&mut before, 140, 1_300), Some(Percent::ZERO), "busy time was corrected");
        assert_eq!(usage(&mut before, 10, 100), None, "the counters started again");
        assert_eq!(usage(&mut before, 20, 110), Some(Percent::FULL));
    }

    proptest! {
        #[test]
        fn cpu_usage_is_always_in_range(counters in prop::collection::vec(any::<(u64, u64)>(), 2..8)) {
            let mut before = None;
            for (busy, total) in counters {
                if let Some(percent) = usage(&mut before, busy, total) {
                    prop_assert!((Percent::ZERO..=Percent::FULL).contains(&percent));
                }
            }
        }
    }
}
