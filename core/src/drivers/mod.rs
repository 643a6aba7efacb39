//! Drivers for chips on an I2C bus, over [`embedded_hal::i2c::I2c`]: the same on Linux and on a microcontroller.
//!
//! What was looked at: for the INA219 the published `ina219` 0.2 is maintained, `no_std`, on embedded-hal 1.0 and agrees
//! with the datasheet, so [`ina219`] is a thin layer over it. For the MAX17040 family `max170xx` 1.1 computes in floating
//! point, builds a dozen procedural macros and has an `async` feature that takes the blocking interface away, and
//! `max17048` 0.1 is for embedded-hal 0.2, so [`max17040`] is our own. `lm75` 1.0 gives floating point, and of a chip
//! that measures sixteenths of a degree only halves, so [`tmp105`] is our own, too.

pub mod ina219;
pub mod max17040;
pub mod tmp105;

use crate::readings::SensorError;

/// Why a chip gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChipError<E> {
    /// The bus failed: nobody answered at the address, or the transfer broke off.
    Bus(E),
    /// The chip answered something that it never answers when it works.
    Invalid,
}

impl<E> From<ChipError<E>> for SensorError {
    fn from(error: ChipError<E>) -> Self {
        match error {
            ChipError::Bus(_) => Self::Io,
            ChipError::Invalid => Self::Invalid,
        }
    }
}
