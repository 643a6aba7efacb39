//! Plausibility: what is physically possible. Each type says it where it is defined: numbers beside their
//! [`units`](crate::units), the rest beside their [`readings`](crate::readings).
//!
//! The agent checks every answer of a sensor with it, whichever frontend gives it. A frontend that has several sources of a
//! value uses the same check to choose between them, so that no source has ranges of its own.

/// A reading that is checked against what is physically possible.
pub trait Plausible: Sized {
    /// The reading without its implausible parts; `None` when nothing is left.
    fn plausible(self) -> Option<Self>;
}

/// `Plausible` of numbers: those of a range.
macro_rules! within {
    ($($unit:ident: $range:ident;)*) => {
        $(impl $crate::plausible::Plausible for $unit {
            fn plausible(self) -> Option<Self> {
                Self::$range.contains(&self).then_some(self)
            }
        })*
    };
}

/// `Plausible` of readings of which every value is possible.
macro_rules! always {
    ($($reading:ident;)*) => {
        $(impl $crate::plausible::Plausible for $reading {
            fn plausible(self) -> Option<Self> {
                Some(self)
            }
        })*
    };
}

pub(crate) use {always, within};
