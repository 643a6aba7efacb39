//! `/proc/loadavg`: load averages (proc_loadavg(5)).

use heartbeat_core::units::Load;

/// Its path.
pub(crate) const PATH: &str = "/proc/loadavg";

/// The load average of the last minute: the first field, with two decimal places.
pub(crate) fn parse(text: &[u8]) -> Option<Load> {
    let field = str::from_utf8(text).ok()?.split_ascii_whitespace().next()?;
    let (whole, hundredths) = field.split_once('.')?;
    let is_number = !whole.is_empty()
        && hundredths.len() == 2
        && whole.bytes().chain(hundredths.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let raw = whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
    Some(Load::from_raw(raw)).filter(|load| Load::RANGE.contains(load))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_first_average() {
        assert_eq!(parse(b"0.20 0.18 0.12 1/80 11206\n"), Some(Load::from_raw(20)));
        assert_eq!(parse(b"12.05 3.00 1.00 9/300 4\n"), Some(Load::from_raw(1_205)));
        assert_eq!(parse(b"100000.00 0.00 0.00 1/1 1\n"), Some(Load::from_raw(10_000_000)));
    }

    #[test]
    fn rejects_what_is_no_load_average() {
        let beyond = ["100000.01", "92233720368547758.08", "99999999999999999999.00"];
        let odd = ["", "\n", "1", "1.5", "1.500", ".50", "1.", "-1.00", "+1.00", "1.+1", "1.-1", "nan"];
        for bad in beyond.into_iter().chain(odd) {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(b"\xff.00"), None);
    }

    proptest! {
        #[test]
        fn reads_every_average_that_the_kernel_prints(raw in 0_i64..=10_000_000) {
            let text = format!("{}.{:02} 0.00 0.00 1/80 11206\n", raw / 100, raw % 100);
            prop_assert_eq!(parse(text.as_bytes()), Some(Load::from_raw(raw)));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).is_none_or(|load| Load::RANGE.contains(&load)));
        }
    }
}
