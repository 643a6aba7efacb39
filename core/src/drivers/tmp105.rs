//! The temperature sensor TI TMP105 (datasheet SBOS256) and its relatives with the same registers: LM75, TMP75, TMP175.

use embedded_hal::i2c::I2c;

use super::ChipError;
use crate::units::Celsius;

/// The address with all three pins low; the pins choose up to 0x4f (table 3).
pub const ADDRESS: u8 = 0x48;

/// Registers (table 5).
struct Register;

impl Register {
    /// Temperature, 16 bits, most significant byte first: 1/256 °C per bit, of which the last four to seven are 0.
    const TEMPERATURE: u8 = 0;
    const CONFIGURATION: u8 = 1;
}

/// Resolution bits R1 and R0 set, all else as after power-up: 12 bits, a new conversion every 220 ms (tables 7 and 8).
const TWELVE_BITS: u8 = 0x60;
/// Lowest temperature that the chip can measure, in 1/256 °C; the highest is the largest 16-bit value ("Electrical Characteristics").
const COLDEST: i16 = -55 * 256;

/// A TMP105 or one of its relatives.
#[derive(Debug)]
pub struct Tmp105<I2C> {
    i2c: I2C,
    address: u8,
}

impl<I2C: I2c> Tmp105<I2C> {
    /// The chip at `address`. Does not access the bus.
    pub const fn new(i2c: I2C, address: u8) -> Self {
        Self { i2c, address }
    }

    /// Returns the bus.
    pub fn release(self) -> I2C {
        self.i2c
    }

    /// Sets the resolution to 1/16 °C; after power-up it is 1/2 °C. An LM75 stays at 1/2 °C.
    ///
    /// # Errors
    ///
    /// [`ChipError::Bus`] when the transfer failed.
    pub fn configure(&mut self) -> Result<(), ChipError<I2C::Error>> {
        self.i2c.write(self.address, &[Register::CONFIGURATION, TWELVE_BITS]).map_err(ChipError::Bus)
    }

    /// Reads the latest conversion.
    ///
    /// # Errors
    ///
    /// [`ChipError::Bus`] when the transfer failed, [`ChipError::Invalid`] for a temperature out of the chip's range.
    pub fn read(&mut self) -> Result<Celsius, ChipError<I2C::Error>> {
        let mut bytes = [0; 2];
        self.i2c.write_read(self.address, &[Register::TEMPERATURE], &mut bytes).map_err(ChipError::Bus)?;
        let raw = i16::from_be_bytes(bytes);
        if raw < COLDEST {
            return Err(ChipError::Invalid);
        }
        Ok(Celsius::from_millidegrees(i64::from(raw) * 1_000 / 256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::{string::ToString, vec};

    fn read(raw: u16) -> Result<Celsius, ChipError<ErrorKind>> {
        let answer = raw.to_be_bytes().to_vec();
        let mut sensor = Tmp105::new(Mock::new(&[Transaction::write_read(0x4a, vec![0], answer)]), 0x4a);
        let celsius = sensor.read();
        sensor.release().done();
        celsius
    }

    #[test]
    fn values_match_the_datasheet() {
        // Table 6, temperature data format.
        for (raw, celsius) in [
            (0x7ff0, "127.9"),
            (0x6400, "100.0"),
            (0x1900, "25.0"),
            (0x0040, "0.3"),
            (0x0000, "0.0"),
            (0xffc0, "-0.3"),
            (0xe700, "-25.0"),
            (0xc900, "-55.0"),
        ] {
            assert_eq!(read(raw).map(|celsius| celsius.to_string()), Ok(celsius.into()), "{raw:#06x}");
        }
    }

    #[test]
    fn rejects_temperatures_out_of_range() {
        for raw in [0xc8f0, 0x8000] {
            assert_eq!(read(raw), Err(ChipError::Invalid), "{raw:#06x}");
        }
    }

    #[test]
    fn configures_the_resolution_and_reports_a_missing_chip() {
        let no_acknowledge = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        let mut sensor = Tmp105::new(
            Mock::new(&[
                Transaction::write(ADDRESS, vec![1, 0x60]),
                Transaction::write_read(ADDRESS, vec![0], vec![0, 0]).with_error(no_acknowledge),
            ]),
            ADDRESS,
        );
        assert_eq!(sensor.configure(), Ok(()));
        assert_eq!(sensor.read(), Err(ChipError::Bus(no_acknowledge)));
        sensor.release().done();
    }
}
