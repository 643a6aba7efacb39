//! What the chips of battery supplies say when `i2ctransfer` reads them.

use std::time::Duration;

use crate::{
    board::Board,
    finding::Stop,
    program::{self, ProgramError},
};

/// Address of the gauges of the MAX17040 family.
pub const GAUGE_ADDRESS: i64 = 0x36;

/// A chip on a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Number of the bus: `/dev/i2c-N`.
    pub bus: i64,
    /// Address.
    pub address: i64,
}

impl Chip {
    /// A register of 16 bits, most significant byte first. `None` when no chip answers at the address.
    ///
    /// A chip that a driver of the kernel owns is read beneath it: selecting a register and reading it is one transfer, and
    /// drivers select theirs anew each time.
    ///
    /// # Errors
    ///
    /// [`Stop::Skipped`] when `i2ctransfer` cannot be asked.
    pub fn register(self, board: &Board, register: u8) -> Result<Option<Register>, Stop> {
        if !board.has(&format!("/dev/i2c-{}", self.bus)) {
            return Err(Stop::skipped(format_args!("there is no /dev/i2c-{}", self.bus)));
        }
        let (value, has_driver) = match self.transfer(&["-y"], register) {
            Err(ProgramError::Failed { said, .. }) if said.contains("resource busy") => {
                (self.transfer(&["-y", "-f"], register), true)
            }
            answer => (answer, false),
        };
        match value {
            Ok(text) => word(&text)
                .map(|value| Some(Register { value, has_driver }))
                .ok_or_else(|| Stop::skipped(format_args!("i2ctransfer printed something else: {text}"))),
            // EREMOTEIO, ENXIO, ETIMEDOUT: the controllers of the Pi when no chip acknowledges its address.
            Err(ProgramError::Failed { said, .. })
                if ["Remote I/O error", "No such device", "timed out"]
                    .iter()
                    .any(|text| said.contains(text)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn transfer(self, options: &[&str], register: u8) -> Result<String, ProgramError> {
        let mut command = std::process::Command::new("i2ctransfer");
        let (bus, register) = (self.bus.to_string(), format!("{register:#04x}"));
        command.args(options).args([&bus, &format!("w1@{:#04x}", self.address), &register, "r2"]);
        program::answer(command, Duration::from_secs(10))
    }
}

/// What a register of a chip holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    /// Its 16 bits.
    pub value: u16,
    /// A driver of the kernel owns the chip.
    pub has_driver: bool,
}

/// What `i2ctransfer` prints for two bytes: `0x1f 0x40`.
pub fn word(text: &str) -> Option<u16> {
    let bytes: Vec<u8> = text
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte.strip_prefix("0x")?, 16).ok())
        .collect::<Option<_>>()?;
    <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
}

/// Volts of an INA219's register 2 (SBOS448, figure 24: bits 15 to 3, 4 mV each).
pub fn ina219_volts(register: u16) -> f64 {
    f64::from(register >> 3) * 0.004
}

/// Amperes of an INA219's register 1 (SBOS448, section 8.6.3.1: 10 µV each, signed) over its shunt.
pub fn ina219_amperes(register: u16, shunt_ohms: f64) -> f64 {
    f64::from(register.cast_signed()) * 10e-6 / shunt_ohms
}

/// Volts of a gauge's register 2 (MAX17048 datasheet: 78.125 µV each).
pub fn gauge_volts(register: u16) -> f64 {
    f64::from(register) * 78.125e-6
}

/// Charge in percent of a gauge's register 4 (1/256 each).
pub fn gauge_percent(register: u16) -> f64 {
    f64::from(register) / 256.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_two_bytes() {
        assert_eq!(word("0x1f 0x40\n"), Some(0x1f40));
        assert_eq!(word("0x1f"), None);
        assert_eq!(word("Error: Sending messages failed: Remote I/O error"), None);
    }

    #[test]
    fn scales_are_those_of_the_datasheets() {
        // SBOS448, table 5: 11.98 V is 0x5D98.
        assert!((ina219_volts(0x5d98) - 11.98).abs() < 1e-9);
        // SBOS448, table 3: -320 mV is 0x8300.
        assert!((ina219_amperes(0x8300, 0.1) + 3.2).abs() < 1e-9);
        assert!((gauge_volts(0xc800) - 4.0).abs() < 1e-9);
        assert_eq!(gauge_percent(0x5080), 80.5);
    }
}
