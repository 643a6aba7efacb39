//! Exact text, ranges and rounding of units.

use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};

fn json(value: impl Serialize) -> String {
    let mut buffer = [0; 64];
    let len = serde_json_core::to_slice(&value, &mut buffer).expect("fits");
    String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
}

#[test]
fn numbers_are_exact_text() {
    assert_eq!(json(Celsius::from_millidegrees(48_774)), "48.8");
    assert_eq!(json(Celsius::from_millidegrees(-49)), "0.0");
    assert_eq!(json(Celsius::from_millidegrees(-50)), "-0.1");
    assert_eq!(json(Watts::from_microwatts(2_204_999)), "2.20");
    assert_eq!(json(Degrees::from_raw(-5_000_000)), "-0.5000000");
    assert_eq!(json(UnixTime::from_millis(1_795_464_000_005)), "1795464000.005");
    assert_eq!(json(Gibibytes::from_bytes(31_268_536_320)), "29.1");
    assert_eq!(json(Mebibytes::from_bytes(1_572_864)), "1.50");
    assert_eq!(json(Rpm(3012)), "3012");
    assert_eq!(Megahertz::from_hertz(1_500_398_464), Some(Megahertz(1_500)));
    assert_eq!(Megahertz::from_hertz(1_500_500_000), Some(Megahertz(1_501)));
    assert_eq!(Megahertz::from_hertz(u64::MAX), None);
    assert_eq!(json(Dbm(-51)), "-51");
}

#[test]
fn every_number_fits_its_buffer() {
    for raw in [i64::MIN, i64::MAX, 0, -1] {
        for text in [Celsius::from_raw(raw).to_string(), Degrees::from_raw(raw).to_string()] {
            assert!(text.len() <= DECIMAL_MAX, "{text}");
            assert_eq!(json(Degrees::from_raw(raw)), Degrees::from_raw(raw).to_string());
        }
    }
    assert_eq!(Gibibytes::from_bytes(u64::MAX).to_string(), "17179869184.0");
}

#[test]
fn a_number_of_steps_beyond_32_bits_is_the_nearest_that_fits() {
    let (most, least) = (i64::from(i32::MAX), i64::from(i32::MIN));
    for (steps, stored) in
        [(most, most), (most + 1, most), (least, least), (least - 1, least), (i64::MAX, most), (-5, -5)]
    {
        assert_eq!(Watts::from_raw(steps).raw(), stored);
    }
    assert_eq!(Watts::from_microwatts(i64::MIN).raw(), least);
    assert_eq!(Mebibytes::from_raw(i64::MAX).raw(), i64::MAX);
}

#[test]
fn signal_percent_matches_networkmanager() {
    let percent = |dbm| SignalPercent::from_dbm(Dbm(dbm)).0;
    assert_eq!([0, -20, -51, -90, i16::MIN].map(percent), [100, 100, 69, 30, 30]);
}

#[test]
fn percent_is_rounded_and_bounded() {
    assert_eq!(Percent::of(1, 3).map(|p| p.to_string()).as_deref(), Some("33.3"));
    assert_eq!(Percent::of(5, 3), Some(Percent::FULL));
    assert_eq!(Percent::of(u64::MAX, u64::MAX), Some(Percent::FULL));
    assert_eq!(Percent::of(0, 0), None);
}

proptest! {
    #[test]
    fn decimals_are_json_numbers_of_the_same_value(raw in -1_000_000_000_000i64..1_000_000_000_000) {
        let written = json(Gibibytes::from_raw(raw));
        let read: f64 = serde_json::from_str(&written).expect("a JSON number");
        prop_assert!((read * 10.0 - raw as f64).abs() < 1e-3);
    }

    #[test]
    fn rounding_is_within_half_a_step(millidegrees in -300_000i64..300_000) {
        let error = Celsius::from_millidegrees(millidegrees).raw() * 100 - millidegrees;
        prop_assert!(error.abs() <= 50);
    }
}
