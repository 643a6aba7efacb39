//! Drivers for chips on an I2C bus, over [`embedded_hal::i2c::I2c`]: the same on Linux and on a microcontroller.
//!
//! Published drivers are used where they fit. `ina219` 0.2 is maintained, `no_std`, on embedded-hal 1.0 and agrees with the
//! datasheet; [`ina219`] is a thin layer over it. [`max17040`] is our own, because `max170xx` 1.1 computes in floating
//! point, builds a dozen procedural macros and has an `async` feature that removes the blocking interface, and `max17048`
//! 0.1 is for embedded-hal 0.2. [`tmp105`] is our own, because `lm75` 1.0 computes in floating point and has only half
//! degrees of a chip that measures sixteenths.

pub mod ina219;
pub mod max17040;
pub mod tmp105;

use crate::readings::SensorError;

/// Why a chip gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChipError<E> {
    /// The bus failed: no acknowledge at the address, or a broken transfer.
    Bus(E),
    /// The registers have values that a working chip does not have.
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
