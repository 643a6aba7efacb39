//! The order of names that end in numbers: hwmon2 before hwmon10.

use std::cmp::Ordering;

/// Compares digits by their number and everything else by its bytes.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (first, second) = match (left.first(), right.first()) {
            (Some(first), Some(second)) => (*first, *second),
            // The same numbers with other leading zeros are other names.
            (None, None) => return a.cmp(b),
            (first, second) => return first.cmp(&second),
        };
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (x, y) = (number(&mut left), number(&mut right));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            left = left.get(1..).unwrap_or_default();
            right = right.get(1..).unwrap_or_default();
            first.cmp(&second)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the digits at the beginning, without leading zeros.
fn number<'t>(text: &mut &'t [u8]) -> &'t [u8] {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).unwrap_or_default();
    *text = rest;
    digits.get(digits.iter().take_while(|digit| **digit == b'0').count()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count_as_numbers_and_the_rest_as_text() {
        let sorted = [
            "",
            "eth",
            "eth0",
            "eth01",
            "eth1",
            "eth2",
            "eth2a1",
            "eth2a10",
            "eth10",
            "hwmon2",
            "hwmon10",
            "hwmon99999999999999999999",
            "hwmon100000000000000000000",
            "hwmonX",
        ];
        assert!(sorted.is_sorted_by(|a, b| compare(a, b).is_lt()));
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[a0-2]{0,5}", b in "[a0-2]{0,5}", c in "[a0-2]{0,5}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
