//! The order of names with numbers in them: `eth2` before `eth10`.

use std::cmp::Ordering;

/// Compares runs of digits as numbers and everything else as bytes.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    // Equal as numbers, as `a1` and `a01`: by their bytes, so that different names are never equal.
    parts(a).cmp(parts(b)).then_with(|| a.cmp(b))
}

/// The runs of a name: of digits by length without leading zeros, then by value.
fn parts(name: &str) -> impl Iterator<Item = (usize, &[u8])> {
    name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).map(|run| {
        if run.first().is_some_and(u8::is_ascii_digit) {
            let zeros = run.iter().take_while(|digit| **digit == b'0').count();
            let number = run.get(zeros..).unwrap_or_default();
            (number.len(), number)
        } else {
            // Behind all numbers, whatever their length, as letters are behind digits.
            (usize::MAX, run)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compares_numbers_by_their_value() {
        let mut names = ["hwmon10", "hwmon2", "eth0", "hwmon", "wlan0mon", "wlan0", "a01", "a1", "2", "10"];
        names.sort_unstable_by(|a, b| compare(a, b));
        assert_eq!(
            names,
            ["2", "10", "a01", "a1", "eth0", "hwmon", "hwmon2", "hwmon10", "wlan0", "wlan0mon"]
        );
    }

    proptest! {
        #[test]
        fn is_an_order(a in "[a-c0-3]{0,6}", b in "[a-c0-3]{0,6}", c in "[a-c0-3]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
