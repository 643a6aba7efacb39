//! The current and power monitor TI INA219 (datasheet SBOS448), over the published driver of the same name.
//!
//! Only the shunt and the bus voltage are read. The chip's current and power registers would need its calibration
//! register, which a brown-out clears silently and other programs write; Ohm's law needs neither. The chip is not
//! configured: after power-up it measures both voltages continuously with the widest ranges (table 6, 0x399F).

use embedded_hal::i2c::I2c;
use ina219::{SyncIna219, address::Address, calibration::UnCalibrated, errors, measurements::BusVoltage};

use super::ChipError;
use crate::units::{Volts, Watts};

/// Lowest bus voltage that a running computer's supply can have, in mV: a bus that is stuck low reads as 0.
const BUS_MIN_MV: u16 = 500;

/// An INA219 with its shunt.
pub struct Ina219<I2C> {
    chip: SyncIna219<I2C, UnCalibrated>,
    shunt_uohm: u32,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Measurement {
    /// Voltage of the bus, at the load's side of the shunt.
    pub bus: Volts,
    /// Current through the shunt in µA; its sign depends on how the board is wired.
    pub current_ua: i64,
    /// Bus voltage times current, with the current's sign.
    pub power: Watts,
}

impl<I2C: I2c> Ina219<I2C> {
    /// The chip at `address` (0x40 to 0x4f, datasheet table 1) with a shunt of `shunt_uohm` µΩ. Does not access the bus.
    ///
    /// `None` for an address that no INA219 can have, and for a shunt of 0.
    pub fn new(i2c: I2C, address: u8, shunt_uohm: u32) -> Option<Self> {
        let address = Address::from_byte(address).ok()?;
        (shunt_uohm > 0)
            .then(|| Self { chip: SyncIna219::new_unchecked(i2c, address, UnCalibrated), shunt_uohm })
    }

    /// Returns the bus.
    pub fn release(self) -> I2C {
        self.chip.destroy()
    }

    /// Measures: two reads of a register.
    ///
    /// # Errors
    ///
    /// [`ChipError::Bus`] when a transfer failed, [`ChipError::Invalid`] for implausible registers.
    pub fn measure(&mut self) -> Result<Measurement, ChipError<I2C::Error>> {
        let bus = self.chip.bus_voltage().map_err(|error| match error {
            errors::BusVoltageReadError::I2cError(error) => ChipError::Bus(error),
            errors::BusVoltageReadError::BusVoltageOutOfRange { .. } => ChipError::Invalid,
        })?;
        let shunt = self.chip.shunt_voltage().map_err(|error| match error {
            errors::ShuntVoltageReadError::I2cError(error) => ChipError::Bus(error),
            errors::ShuntVoltageReadError::ShuntVoltageOutOfRange { .. } => ChipError::Invalid,
        })?;
        let bus_mv = plausible_mv(bus).ok_or(ChipError::Invalid)?;
        // At most 32,767 * 10 µV * 10^6 < 2^39; the shunt is not 0.
        let current_ua = i64::from(shunt.shunt_voltage_uv()) * 1_000_000 / i64::from(self.shunt_uohm);
        // mV * µA = nW; below 2^16 * 2^39.
        let power_uw = i64::from(bus_mv) * current_ua / 1_000;
        Ok(Measurement {
            bus: Volts::from_microvolts(i64::from(bus_mv) * 1_000),
            current_ua,
            power: Watts::from_microwatts(power_uw),
        })
    }
}

/// The voltage; `None` before the first conversion and after an overflow (datasheet 8.6.3.2). All
/// ones, which a bus without pull-downs reads, have the overflow bit.
fn plausible_mv(bus: BusVoltage) -> Option<u16> {
    let valid = bus.is_conversion_ready() && !bus.has_math_overflowed();
    Some(bus.voltage_mv()).filter(|mv| valid && *mv >= BUS_MIN_MV)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::{vec, vec::Vec};

    fn registers(bus: u16, shunt: i16) -> Vec<Transaction> {
        let [bus_high, bus_low] = bus.to_be_bytes();
        let [shunt_high, shunt_low] = shunt.to_be_bytes();
        vec![
            Transaction::write_read(0x42, vec![2], vec![bus_high, bus_low]),
            Transaction::write_read(0x42, vec![1], vec![shunt_high, shunt_low]),
        ]
    }

    fn measure(transactions: &[Transaction], shunt_uohm: u32) -> Result<Measurement, ChipError<ErrorKind>> {
        let mut chip = Ina219::new(Mock::new(transactions), 0x42, shunt_uohm).expect("an address");
        let measured = chip.measure();
        chip.release().done();
        measured
    }

    #[test]
    fn power_is_computed_by_ohms_law() {
        // 0x5dc0 >> 3 = 3000 * 4 mV = 12 V; bit 1: conversion ready. -100 * 10 µV over 10 mΩ = -100 mA.
        let measured = measure(&registers(0x5dc2, -100), 10_000);
        let expected =
            Measurement { bus: Volts::from_raw(1_200), current_ua: -100_000, power: Watts::from_raw(-120) };
        assert_eq!(measured, Ok(expected));
        // The largest of everything over the smallest shunt.
        assert!(measure(&registers(0xfa02, -32_000), 1).is_ok());
    }

    #[test]
    fn rejects_implausible_registers() {
        for (bus, shunt) in [(0x0000, 0), (0x5dc0, 0), (0x5dc3, 0), (0x5dc2, -32_001)] {
            assert_eq!(
                measure(&registers(bus, shunt), 10_000),
                Err(ChipError::Invalid),
                "{bus:#06x} {shunt}"
            );
        }
        assert_eq!(measure(&registers(0xffff, 0)[..1], 10_000), Err(ChipError::Invalid), "beyond 32 V");
    }

    #[test]
    fn an_unplugged_chip_is_a_bus_error() {
        let nack = ErrorKind::NoAcknowledge(embedded_hal::i2c::NoAcknowledgeSource::Address);
        let absent = [Transaction::write_read(0x42, vec![2], vec![0, 0]).with_error(nack)];
        assert_eq!(measure(&absent, 10_000), Err(ChipError::Bus(nack)));
    }

    #[test]
    fn rejects_addresses_and_shunts_out_of_range() {
        let mut bus = Mock::new(&[]);
        assert!(Ina219::new(bus.clone(), 0x36, 10_000).is_none());
        assert!(Ina219::new(bus.clone(), 0x42, 0).is_none());
        bus.done();
    }
}
