//! Numbers as exact decimal text.

use serde::{Serialize, Serializer};

/// Longest number as text: sign, the 19 digits of an `i64`, the point; or the 20 digits of a `u64`.
pub(super) const DECIMAL_MAX: usize = 21;

/// `raw * 10^-places` as decimal text of at least `places` + 1 digits, which ends with the buffer. `places` is at most 18.
///
/// By hand: the library's formatter takes several times the size and the time, and brings a path to a panic. So does
/// what `serde-json-core` has for integers.
pub(super) fn decimal(negative: bool, raw: u64, places: u8, buffer: &mut [u8; DECIMAL_MAX]) -> &[u8] {
    let mut start = DECIMAL_MAX;
    let mut put_before = |byte| {
        start = start.saturating_sub(1);
        if let Some(place) = buffer.get_mut(start) {
            *place = byte;
        }
    };
    let mut rest = raw;
    let mut digits = 0;
    while rest > 0 || digits <= places {
        if digits == places && places > 0 {
            put_before(b'.');
        }
        // Below ten.
        #[allow(clippy::cast_possible_truncation)]
        put_before(b'0' + (rest % 10) as u8);
        rest /= 10;
        digits += 1;
    }
    if negative {
        put_before(b'-');
    }
    buffer.get(start..).unwrap_or_default()
}

/// A whole number without a unit, as JSON.
pub(crate) struct Whole(pub(crate) u64);

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(decimal(false, self.0, 0, &mut [0; DECIMAL_MAX]))
    }
}

/// For `#[serde(serialize_with)]`: a whole number without a unit.
pub(crate) fn serialize_whole<T, S>(number: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<u64>,
    S: Serializer,
{
    Whole((*number).into()).serialize(serializer)
}

/// For `#[serde(serialize_with)]`: a whole number without a unit, or `null`.
pub(crate) fn serialize_optional_whole<T, S>(number: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<u64>,
    S: Serializer,
{
    number.map(|number| Whole(number.into())).serialize(serializer)
}
