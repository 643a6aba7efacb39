//! What the board is, and what runs on it.

use serde::Serialize;

use super::SensorError;
#[cfg(feature = "delta")]
use crate::noise::exact;
use crate::{
    json_max::{longest, objects},
    limits::{MODEL_MAX, OS_MAX},
    plausible::Plausible,
    text::Text,
    units::serialize_optional_whole,
};

/// What the board is: each part for itself, as in [`Activity`](super::Activity).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Board {
    /// Its model.
    pub model: Result<Text<MODEL_MAX>, SensorError>,
    /// The system that runs on it, with its kernel.
    pub os: Result<Text<OS_MAX>, SensorError>,
    /// The wear of its storage; absent where no storage tells.
    pub wear: Result<Wear, SensorError>,
    /// Whether its clock has been synchronized; absent where nothing tells.
    pub clock_synchronized: Result<bool, SensorError>,
}

impl Plausible for Board {
    fn plausible(mut self) -> Option<Self> {
        self.model = self.model.and_then(|model| model.plausible().ok_or(SensorError::Invalid));
        self.os = self.os.and_then(|os| os.plausible().ok_or(SensorError::Invalid));
        self.wear = self.wear.and_then(|wear| wear.plausible().ok_or(SensorError::Invalid));
        Some(self)
    }
}

/// How far storage of flash memory is worn, in the words of eMMC (JEDEC JESD84-B51, 7.4.44 to 7.4.46).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Wear {
    /// At least so much of its life is used, in percent: a multiple of 10, and 100 when it has exceeded what it was made for.
    #[serde(serialize_with = "serialize_optional_whole")]
    pub life_used: Option<u8>,
    /// How many of its reserved blocks are used.
    pub pre_eol: Option<PreEol>,
}

objects! { Wear { life_used, pre_eol } }

impl Plausible for Wear {
    fn plausible(mut self) -> Option<Self> {
        self.life_used = self.life_used.filter(|used| *used <= 100);
        (self.life_used.is_some() || self.pre_eol.is_some()).then_some(self)
    }
}

/// What storage says of its reserved blocks, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PreEol {
    /// Most are left.
    Normal,
    /// 80 % are used.
    Warning,
    /// 90 % are used.
    Urgent,
}

longest! { PreEol: "\"warning\"".len(); }

#[cfg(feature = "delta")]
exact! { PreEol; }

impl PreEol {
    /// The word in the document.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_cannot_be_are_invalid_and_leave_the_others() {
        let board = Board {
            model: Ok("".into()),
            os: Ok("Debian".into()),
            wear: Ok(Wear { life_used: Some(101), pre_eol: None }),
            clock_synchronized: Ok(true),
        };
        let plausible = board.plausible().expect("parts are left");
        assert_eq!((plausible.model, plausible.os), (Err(SensorError::Invalid), Ok("Debian".into())));
        assert_eq!((plausible.wear, plausible.clock_synchronized), (Err(SensorError::Invalid), Ok(true)));
        let wear = Wear { life_used: Some(101), pre_eol: Some(PreEol::Urgent) };
        assert_eq!(wear.plausible(), Some(Wear { life_used: None, pre_eol: Some(PreEol::Urgent) }));
        let worn_out = Wear { life_used: Some(100), pre_eol: None };
        assert_eq!(worn_out.plausible(), Some(worn_out));
    }
}
