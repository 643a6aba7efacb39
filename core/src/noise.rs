//! Noise: how far a value can be from another one and still say the same. Each type says it where it is defined, as it says
//! how long its JSON can be: a new value does not compile without it.
//!
//! A delta leaves out what is near the value of the full document that it refers to. Nothing else is: what was left out is
//! wrong by its noise at most, and for a minute at most.

use crate::text::Text;

/// A value of which small differences say nothing.
pub(crate) trait Noise {
    /// Whether the difference to `other` is noise.
    fn is_near(&self, other: &Self) -> bool;
}

impl<T: Noise> Noise for &T {
    fn is_near(&self, other: &Self) -> bool {
        T::is_near(self, other)
    }
}

impl<T: Noise> Noise for Option<T> {
    fn is_near(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.is_near(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl<const N: usize> Noise for Text<N> {
    fn is_near(&self, other: &Self) -> bool {
        self == other
    }
}

/// `Noise` of types without any: each difference counts.
macro_rules! exact {
    ($($type:ty;)*) => {
        $(impl $crate::noise::Noise for $type {
            fn is_near(&self, other: &Self) -> bool {
                self == other
            }
        })*
    };
}

exact! {
    bool;
    u8;
    u16;
    u64;
}

pub(crate) use exact;

/// `is_near` of a number whose type has no noise.
pub(crate) fn is_within(noise: u8, one: Option<u8>, other: Option<u8>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) <= noise,
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        readings::{Fix, Position},
        units::{Celsius, Degrees},
    };

    #[test]
    fn differences_up_to_the_noise_are_near() {
        let at = |tenths| Celsius::from_raw(tenths);
        assert!(at(500).is_near(&at(510)) && at(510).is_near(&at(500)));
        assert!(!at(500).is_near(&at(511)) && !at(511).is_near(&at(500)));
        assert!(!at(i64::from(i32::MIN)).is_near(&at(i64::from(i32::MAX))), "no overflow");
    }

    #[test]
    fn a_value_is_not_near_none() {
        let zero = Some(Celsius::from_raw(0));
        assert!(!zero.is_near(&None) && !None.is_near(&zero));
        assert!(None::<Celsius>.is_near(&None));
        assert!(is_within(2, None, None) && is_within(2, Some(5), Some(7)));
        assert!(
            !is_within(2, Some(5), Some(8)) && !is_within(2, None, Some(0)) && !is_within(2, Some(0), None)
        );
    }

    #[test]
    fn an_object_is_near_when_all_its_parts_are() {
        let here = Position {
            fix: Fix::ThreeD,
            latitude: Some(Degrees::from_raw(480_000_000)),
            longitude: Some(Degrees::from_raw(110_000_000)),
            altitude_m: None,
            speed_mps: None,
            heading: None,
            satellites: Some(9),
        };
        assert!(here.is_near(&Position { satellites: Some(11), ..here.clone() }));
        assert!(!here.is_near(&Position { satellites: Some(12), ..here.clone() }));
        assert!(here.is_near(&Position { latitude: Some(Degrees::from_raw(480_000_300)), ..here.clone() }));
        assert!(!here.is_near(&Position { longitude: Some(Degrees::from_raw(110_000_301)), ..here.clone() }));
        assert!(!here.is_near(&Position { fix: Fix::TwoD, ..here.clone() }));
    }
}
