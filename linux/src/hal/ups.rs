//! Supplies with a battery on the I2C bus: which chip, where, and what its numbers mean.

use heartbeat_core::{
    SensorError,
    drivers::{
        ChipError,
        ina219::{Ina219, Measurement},
        max17040::Max17040,
    },
    readings::Ups,
    units::{Percent, Volts, Watts},
};
use linux_embedded_hal::{I2CError, I2cdev, i2cdev::linux::LinuxI2CError};
use nix::errno::Errno;

use super::{
    chain::Source,
    sysroot::{Sysroot, sensor_error},
};
use crate::setting_types::{UpsChip, UpsConfig};

/// The bus of a supply. Opened anew after every trouble, so that a board may be unplugged and come back.
struct Bus {
    path: String,
    device: Option<I2cdev>,
}

impl Bus {
    fn new(number: u8) -> Self {
        Self { path: format!("/dev/i2c-{number}"), device: None }
    }

    /// Lets `talk` use the bus.
    fn with<T>(
        &mut self,
        root: &Sysroot,
        talk: impl FnOnce(&mut I2cdev) -> Result<T, ChipError<I2CError>>,
    ) -> Result<T, SensorError> {
        // The bus of another board cannot be asked.
        if !root.is_live() {
            return Err(SensorError::Absent);
        }
        let mut device = match self.device.take() {
            Some(device) => device,
            None => I2cdev::new(&self.path)
                .map_err(|error| errno(&error).map_or(SensorError::Io, sensor_error))?,
        };
        let said = talk(&mut device).map_err(|error| match error {
            ChipError::Bus(error) => transfer_error(errno(error.inner())),
            ChipError::Invalid => SensorError::Invalid,
        })?;
        self.device = Some(device);
        Ok(said)
    }
}

/// What the system said.
fn errno(error: &LinuxI2CError) -> Option<Errno> {
    match error {
        LinuxI2CError::Errno(code) => Some(Errno::from_raw(*code)),
        LinuxI2CError::Io(error) => error.raw_os_error().map(Errno::from_raw),
    }
}

/// Nobody at the address is ordinary: the controllers of the Pi say EREMOTEIO, others ENXIO. A bus that is stuck takes
/// a second for each transfer (ETIMEDOUT), so both rest for a while.
fn transfer_error(error: Option<Errno>) -> SensorError {
    match error {
        Some(Errno::EREMOTEIO | Errno::ENXIO | Errno::ENODEV | Errno::ETIMEDOUT) => SensorError::Absent,
        // A kernel driver owns the chip: its hwmon is read instead.
        Some(Errno::EBUSY) => SensorError::Absent,
        _ => SensorError::Io,
    }
}

/// What the battery delivers, while it does.
pub(super) struct BatteryPower {
    config: UpsConfig,
    bus: Bus,
}

impl BatteryPower {
    pub(super) fn new(config: UpsConfig) -> Self {
        Self { config, bus: Bus::new(config.bus) }
    }
}

impl Source<Watts> for BatteryPower {
    fn place(&self) -> String {
        place(&self.config)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Watts, SensorError> {
        let UpsChip::Ina219 { address, shunt_uohm, positive_charges, .. } = self.config.chip else {
            return Err(SensorError::Absent);
        };
        let measured = self.bus.with(root, |bus| measure(bus, address, shunt_uohm))?;
        drawn(measured, positive_charges).ok_or(SensorError::Absent)
    }
}

/// The battery's voltage and charge.
pub(super) struct Battery {
    config: UpsConfig,
    bus: Bus,
}

impl Battery {
    pub(super) fn new(config: UpsConfig) -> Self {
        Self { config, bus: Bus::new(config.bus) }
    }
}

impl Source<Ups> for Battery {
    fn place(&self) -> String {
        place(&self.config)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Ups, SensorError> {
        match self.config.chip {
            UpsChip::Ina219 { address, shunt_uohm, empty, full, .. } => {
                let measured = self.bus.with(root, |bus| measure(bus, address, shunt_uohm))?;
                Ok(Ups { voltage: Some(measured.bus), percent: charge(measured.bus, empty, full) })
            }
            UpsChip::Max17040 => {
                let charge = self.bus.with(root, |bus| Max17040::new(bus).read())?;
                Ok(Ups { voltage: Some(charge.cell), percent: Some(charge.state) })
            }
        }
    }
}

fn place(config: &UpsConfig) -> String {
    match config.chip {
        UpsChip::Ina219 { address, .. } => format!("/dev/i2c-{} INA219 at {address:#04x}", config.bus),
        UpsChip::Max17040 => format!("/dev/i2c-{} MAX17040 at 0x36", config.bus),
    }
}

fn measure(bus: &mut I2cdev, address: u8, shunt_uohm: u32) -> Result<Measurement, ChipError<I2CError>> {
    Ina219::new(bus, address, shunt_uohm).ok_or(ChipError::Invalid)?.measure()
}

/// What the board draws from its battery; nothing that is known while the battery is charged, because then the board
/// is fed past the chip.
fn drawn(measured: Measurement, positive_charges: bool) -> Option<Watts> {
    let sign = if positive_charges { -1 } else { 1 };
    Some(Watts::from_raw(measured.power.raw().saturating_mul(sign))).filter(|drawn| drawn.raw() > 0)
}

/// The charge that a voltage stands for, on a straight line from empty to full.
fn charge(voltage: Volts, empty: Volts, full: Volts) -> Option<Percent> {
    let above = voltage.raw().saturating_sub(empty.raw()).max(0);
    let range = full.raw().saturating_sub(empty.raw());
    Percent::of(u64::try_from(above).ok()?, u64::try_from(range).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_that_is_charged_says_nothing_about_the_board() {
        let measured =
            |power| Measurement { bus: Volts::from_raw(800), current_ua: 0, power: Watts::from_raw(power) };
        assert_eq!(drawn(measured(-450), true), Some(Watts::from_raw(450)));
        assert_eq!(drawn(measured(450), true), None);
        assert_eq!(drawn(measured(450), false), Some(Watts::from_raw(450)));
    }

    #[test]
    fn charge_is_bounded() {
        let at = |voltage| charge(Volts::from_raw(voltage), Volts::from_raw(600), Volts::from_raw(840));
        assert_eq!(at(500), Some(Percent::ZERO));
        assert_eq!(at(720), Some(Percent::from_raw(500)));
        assert_eq!(at(850), Some(Percent::FULL));
        assert_eq!(charge(Volts::from_raw(1), Volts::from_raw(2), Volts::from_raw(2)), None);
    }

    #[test]
    fn a_chip_that_is_not_there_and_a_bus_that_is_stuck_rest_and_trouble_is_told() {
        for code in [Errno::EREMOTEIO, Errno::ENXIO, Errno::ETIMEDOUT, Errno::EBUSY] {
            assert_eq!(transfer_error(Some(code)), SensorError::Absent, "{code}");
        }
        // Lost arbitration, noise on the wires.
        for code in [Errno::EAGAIN, Errno::EIO, Errno::EPROTO] {
            assert_eq!(transfer_error(Some(code)), SensorError::Io, "{code}");
        }
        assert_eq!(transfer_error(errno(&LinuxI2CError::Io(Errno::ENXIO.into()))), SensorError::Absent);
        assert_eq!(transfer_error(errno(&LinuxI2CError::Errno(Errno::EIO as i32))), SensorError::Io);
    }

    #[test]
    fn a_machine_without_the_bus_is_no_error() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        let config = UpsConfig { bus: 250, ..UpsConfig::preset("x120x").expect("known") };
        assert_eq!(Battery::new(config).read(&root), Err(SensorError::Absent));
        assert_eq!(BatteryPower::new(config).read(&root), Err(SensorError::Absent));
    }
}
