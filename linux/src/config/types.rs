//! Types of settings: each refuses what is outside its range.

use std::{fmt, path::PathBuf};

use heartbeat_core::{limits::HARDWARE_ID_MAX, time::Duration};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, IntoDeserializer, Visitor},
};

/// A time, written as a number of seconds, from `MIN_MS` to `MAX_MS` milliseconds; kept to the microsecond.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds<const MIN_MS: u64, const MAX_MS: u64>(pub(super) Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> Seconds<MIN_MS, MAX_MS> {
    /// The number that stands for it.
    pub(super) fn number(self) -> f64 {
        std::time::Duration::from(self.0).as_secs_f64()
    }
}

impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Seconds<MIN_MS, MAX_MS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [min, max] = [MIN_MS, MAX_MS].map(|millis| Self(Duration::from_millis(millis)).number());
        let secs = number(deserializer, "a number of seconds")?;
        // NaN is in no range.
        if !(min..=max).contains(&secs) {
            return Err(D::Error::custom(format!("expected from {min} to {max} seconds, found {secs}")));
        }
        // In range: a day has 86.4e9 us.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let micros = (secs * 1e6).round() as u64;
        Ok(Self(Duration::from_micros(micros)))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Serialize for Seconds<MIN_MS, MAX_MS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.number())
    }
}

/// A whole number from 0 to `MAX`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Whole<const MAX: u16>(pub(super) u16);

impl<'de, const MAX: u16> Deserialize<'de> for Whole<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = number(deserializer, "a whole number")?;
        if !(0.0..=f64::from(MAX)).contains(&number) || number.fract() != 0.0 {
            return Err(D::Error::custom(format!("expected a whole number from 0 to {MAX}, found {number}")));
        }
        // In range and whole.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = number as u16;
        Ok(Self(whole))
    }
}

impl Whole<255> {
    /// As a byte.
    pub(super) fn byte(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }
}

/// Any number of TOML. `expected` says what it stands for.
pub(super) fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<f64, D::Error> {
    struct Number(&'static str);

    impl Visitor<'_> for Number {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
            // Exact up to 2^53; no setting's range reaches that far.
            Ok(number as f64)
        }

        fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
            Ok(number)
        }
    }

    deserializer.deserialize_f64(Number(expected))
}

/// One of the words that the variants of `T` are written as. Without it, TOML would take a table for a variant, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(String::deserialize(deserializer)?.into_deserializer()).map(Self)
    }
}

/// A path from the root.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AbsolutePath(pub(super) PathBuf);

impl TryFrom<String> for AbsolutePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("expected an absolute path, found {text:?}"));
        }
        Ok(Self(text.into()))
    }
}

/// An id for a board: 1 to [`HARDWARE_ID_MAX`] visible ASCII characters that JSON does not escape.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct HardwareId(pub(super) String);

impl TryFrom<String> for HardwareId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !is_hardware_id(&text) {
            return Err(format!(
                "expected 1 to {HARDWARE_ID_MAX} visible ASCII characters, no quotes or backslashes, found {text:?}"
            ));
        }
        Ok(Self(text))
    }
}

/// Whether a board can have this id.
pub(crate) fn is_hardware_id(text: &str) -> bool {
    let fits = (1..=HARDWARE_ID_MAX).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
