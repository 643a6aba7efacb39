//! The battery gauges of the MAX17040 family: MAX17040/41/43/44/48/49 (datasheets 19-5210, 19-5811, 19-6171), as on
//! the Geekworm X120x supplies.

use embedded_hal::i2c::I2c;

use super::ChipError;
use crate::units::{Percent, Volts};

/// The address, the same for the whole family.
pub const ADDRESS: u8 = 0x36;

/// Registers, 16 bits each, most significant byte first (table 1).
struct Register;

impl Register {
    /// Cell voltage: 78.125 µV per bit. The older chips have 12 bits of 1.25 mV, left-aligned: the same scale.
    const VCELL: u8 = 0x02;
    /// State of charge: 1/256 % per bit.
    const SOC: u8 = 0x04;
}

/// Lowest cell voltage at which the chip still works, in µV (VDD, "Electrical Characteristics").
const CELL_MIN_UV: i64 = 2_000_000;
/// Highest voltage of a lithium cell with room for tolerance, in µV.
const CELL_MAX_UV: i64 = 4_800_000;
/// Highest plausible state of charge, in 1/256 %: the chip's model may give a little more than 100 %.
const SOC_MAX: u16 = 110 * 256;

/// A MAX17040 or one of its relatives.
#[derive(Debug)]
pub struct Max17040<I2C> {
    i2c: I2C,
}

/// A measurement of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Charge {
    /// Voltage of the cell.
    pub cell: Volts,
    /// State of charge, at most 100 %.
    pub state: Percent,
}

impl<I2C: I2c> Max17040<I2C> {
    /// A gauge on this bus. Does not access the bus.
    pub const fn new(i2c: I2C) -> Self {
        Self { i2c }
    }

    /// Returns the bus.
    pub fn release(self) -> I2C {
        self.i2c
    }

    /// Reads voltage and state of charge.
    ///
    /// # Errors
    ///
    /// [`ChipError::Bus`] when a transfer failed, [`ChipError::Invalid`] for implausible values.
    pub fn read(&mut self) -> Result<Charge, ChipError<I2C::Error>> {
        let cell_uv = i64::from(self.register(Register::VCELL)?) * 625 / 8;
        let soc = self.register(Register::SOC)?;
        if !(CELL_MIN_UV..=CELL_MAX_UV).contains(&cell_uv) || soc > SOC_MAX {
            return Err(ChipError::Invalid);
        }
        let tenths = (i64::from(soc) * 10 + 128) / 256;
        Ok(Charge {
            cell: Volts::from_microvolts(cell_uv),
            state: Percent::from_raw(tenths.min(Percent::FULL.raw())),
        })
    }

    fn register(&mut self, register: u8) -> Result<u16, ChipError<I2C::Error>> {
        let mut bytes = [0; 2];
        self.i2c.write_read(ADDRESS, &[register], &mut bytes).map_err(ChipError::Bus)?;
        Ok(u16::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::vec;

    fn read(vcell: u16, soc: u16) -> Result<Charge, ChipError<ErrorKind>> {
        let mut gauge = Max17040::new(Mock::new(&[
            Transaction::write_read(0x36, vec![0x02], vcell.to_be_bytes().to_vec()),
            Transaction::write_read(0x36, vec![0x04], soc.to_be_bytes().to_vec()),
        ]));
        let charge = gauge.read();
        gauge.release().done();
        charge
    }

    #[test]
    fn values_match_the_datasheet() {
        // 52,560 * 78.125 µV = 4.10625 V; 0x5980 / 256 = 89.5 %.
        assert_eq!(
            read(0xcd50, 0x5980),
            Ok(Charge { cell: Volts::from_raw(411), state: Percent::from_raw(895) })
        );
        assert_eq!(read(0xcd50, 0x6680).map(|charge| charge.state), Ok(Percent::FULL), "102.5 %");
        assert_eq!(read(0xcd50, 0x6e00).map(|charge| charge.state), Ok(Percent::FULL), "110 %, the most");
        assert_eq!(read(0xcd50, 0x6e01), Err(ChipError::Invalid));
    }

    #[test]
    fn rejects_implausible_cells() {
        for (vcell, soc) in [(0, 0x5980), (0xffff, 0x5980), (0xcd50, 0xffff), (0x50cd, 0x5980)] {
            assert_eq!(read(vcell, soc), Err(ChipError::Invalid), "{vcell:#06x} {soc:#06x}");
        }
    }

    #[test]
    fn a_broken_transfer_is_a_bus_error() {
        let mut gauge = Max17040::new(Mock::new(&[
            Transaction::write_read(0x36, vec![0x02], vec![0, 0]).with_error(ErrorKind::ArbitrationLoss)
        ]));
        assert_eq!(gauge.read(), Err(ChipError::Bus(ErrorKind::ArbitrationLoss)));
        gauge.release().done();
    }
}
