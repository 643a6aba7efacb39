//! How long JSON can be: the sum of the longest texts of its parts, known when the program is compiled. Each type says it
//! where it is defined.

use crate::text::Text;

/// A part of a document whose JSON has a greatest length.
pub(crate) trait JsonMax {
    /// That length, in bytes.
    const JSON_MAX: usize;
}

impl<T: JsonMax> JsonMax for &T {
    const JSON_MAX: usize = T::JSON_MAX;
}

impl<T: JsonMax> JsonMax for Option<T> {
    const JSON_MAX: usize = if T::JSON_MAX > "null".len() { T::JSON_MAX } else { "null".len() };
}

impl<const N: usize> JsonMax for Text<N> {
    const JSON_MAX: usize = N + "\"\"".len();
}

/// `JsonMax` of types whose longest JSON is known.
macro_rules! longest {
    ($($type:ty: $longest:expr;)*) => {
        $(impl $crate::json_max::JsonMax for $type {
            const JSON_MAX: usize = $longest;
        })*
    };
}

longest! {
    bool: "false".len();
    u8: "255".len();
    u16: "65535".len();
    u32: "4294967295".len();
    u64: "18446744073709551615".len();
    i16: "-32768".len();
}

/// Bytes of a member of an object, with its comma.
pub(crate) const fn member<O, T: JsonMax>(key: &str, _: fn(&O) -> &T) -> usize {
    key.len() + "\"\":,".len() + T::JSON_MAX
}

/// Bytes of an object with members of these lengths, each with its comma.
pub(crate) const fn object(members: &[usize]) -> usize {
    let (mut sum, mut rest) = ("{}".len(), members);
    while let [first, others @ ..] = rest {
        sum += *first;
        rest = others;
    }
    // No comma after the last.
    sum - 1
}

/// An object with a member for each field of a struct. Does not compile while a field is missing, or its type does not say
/// what its noise is. `within`: of a whole number that has none by its type.
macro_rules! objects {
    ($($name:ident $(<$lifetime:lifetime>)? {
        $($(#[$cfg:meta])? $field:ident $(as $key:literal)? $(within $noise:literal)?),* $(,)?
    })*) => {
        $(#[cfg(feature = "delta")]
        impl $(<$lifetime>)? $crate::noise::Noise for $name $(<$lifetime>)? {
            fn is_near(&self, other: &Self) -> bool {
                let is_near = true;
                $($(#[$cfg])? let is_near = is_near && $crate::json_max::objects!(@near self other $field $($noise)?);)*
                is_near
            }
        }

        impl $(<$lifetime>)? $crate::json_max::JsonMax for $name $(<$lifetime>)? {
            const JSON_MAX: usize = {
                let _: fn(&Self) = |Self { $($(#[$cfg])? $field: _),* }| {};
                $crate::json_max::object(&[$(
                    $(#[$cfg])?
                    $crate::json_max::member($crate::json_max::objects!(@key $field $($key)?), |object: &Self| &object.$field)
                ),*])
            };
        })*
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@near $one:ident $other:ident $field:ident) => {
        $crate::noise::Noise::is_near(&$one.$field, &$other.$field)
    };
    (@near $one:ident $other:ident $field:ident $noise:literal) => {
        $crate::noise::is_within($noise, $one.$field, $other.$field)
    };
}

pub(crate) use {longest, objects};
