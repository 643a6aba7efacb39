//! The one rule for all sources of the power that the device draws.
//!
//! A number of watts is that power only when it flows into the device. Power that flows into a battery is another
//! quantity, and a device that runs draws more than nothing: 0 W is what a sensor says that does not measure, such as
//! the gauge of a full battery on mains, and a few hundredths of a watt are the noise of one through which nothing flows.

use heartbeat_core::units::Watts;

/// In µW: less than any board draws that runs Linux. A Pi Zero without anything attached draws 0.5 W (Raspberry Pi
/// documentation, "Power supply", bare-board active current consumption).
const LEAST: i64 = 300_000;

/// The power that the device draws, from µW that are positive when they flow into it; `None` when they say nothing
/// about that.
pub(crate) fn drawn(microwatts: i64) -> Option<Watts> {
    (microwatts >= LEAST).then(|| Watts::from_microwatts(microwatts))
}

/// The power in µW of a voltage and a current in µV and µA; the greatest number for what is beyond.
pub(crate) fn microwatts(microvolts: i64, microamperes: i64) -> i64 {
    let picowatts = i128::from(microvolts).saturating_mul(i128::from(microamperes));
    i64::try_from(picowatts / 1_000_000).unwrap_or(if picowatts < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_power_that_flows_into_the_device_is_drawn() {
        assert_eq!(drawn(2_204_999), Some(Watts::from_raw(220)));
        assert_eq!(drawn(300_000), Some(Watts::from_raw(30)));
        for unknown in [0, 20_000, 299_999, -1, -12_340_000, i64::MIN] {
            assert_eq!(drawn(unknown), None, "{unknown}");
        }
        assert!(
            drawn(i64::MAX).is_some_and(|watts| !Watts::RANGE.contains(&watts)),
            "for the ranges to reject"
        );
    }

    #[test]
    fn volts_times_amperes_saturate() {
        assert_eq!(microwatts(5_100_000, 600_000), 3_060_000);
        assert_eq!(microwatts(5_100_000, -600_000), -3_060_000);
        assert_eq!(microwatts(i64::MAX, i64::MAX), i64::MAX);
        assert_eq!(microwatts(i64::MIN, i64::MAX), i64::MIN);
    }
}
