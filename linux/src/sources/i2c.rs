//! Chips that watch a battery, on an I2C bus.

use heartbeat_core::{
    SensorError,
    drivers::{
        ChipError,
        ina219::{Ina219, Measurement},
        max17040::{Charge, Max17040},
    },
};
use linux_embedded_hal::{I2CError, I2cdev, i2cdev::linux::LinuxI2CError};
use nix::errno::Errno;

use super::{
    Source,
    sysroot::{Sysroot, sensor_error},
};

/// A current monitor beside the battery.
pub(crate) struct Ina219OnBus {
    bus: Bus,
    address: u8,
    shunt_uohm: u32,
}

impl Ina219OnBus {
    /// At `address` of `/dev/i2c-BUS`, with its shunt in µΩ.
    pub(crate) fn new(bus: u8, address: u8, shunt_uohm: u32) -> Self {
        Self { bus: Bus::new(bus), address, shunt_uohm }
    }
}

impl Source for Ina219OnBus {
    type Reading = Measurement;

    fn place(&self) -> String {
        format!("{} INA219 at {:#04x}", self.bus.path, self.address)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Measurement, SensorError> {
        let (address, shunt_uohm) = (self.address, self.shunt_uohm);
        self.bus.with(root, |bus| Ina219::new(bus, address, shunt_uohm).ok_or(ChipError::Invalid)?.measure())
    }
}

/// A battery gauge.
pub(crate) struct Max17040OnBus {
    bus: Bus,
}

impl Max17040OnBus {
    /// On `/dev/i2c-BUS`; its address is fixed.
    pub(crate) fn new(bus: u8) -> Self {
        Self { bus: Bus::new(bus) }
    }
}

impl Source for Max17040OnBus {
    type Reading = Charge;

    fn place(&self) -> String {
        format!("{} MAX17040 at 0x36", self.bus.path)
    }

    fn read(&mut self, root: &Sysroot) -> Result<Charge, SensorError> {
        self.bus.with(root, |bus| Max17040::new(bus).read())
    }
}

/// A bus. Reopened after every error, so that a board may be unplugged and come back.
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

/// That no chip answers at the address is an ordinary case: the controllers of the Pi report EREMOTEIO, others ENXIO. A
/// bus that is stuck takes a second for each transfer (ETIMEDOUT), so both are not asked again before the re-probe
/// interval is over.
fn transfer_error(error: Option<Errno>) -> SensorError {
    match error {
        Some(Errno::EREMOTEIO | Errno::ENXIO | Errno::ENODEV | Errno::ETIMEDOUT) => SensorError::Absent,
        // A kernel driver owns the chip: its hwmon is read instead.
        Some(Errno::EBUSY) => SensorError::Absent,
        _ => SensorError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_chips_and_stuck_buses_are_absent_and_noise_is_an_error() {
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
    fn a_missing_bus_is_absent() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        assert_eq!(Ina219OnBus::new(250, 0x42, 100_000).read(&root), Err(SensorError::Absent));
        assert_eq!(Max17040OnBus::new(250).read(&root), Err(SensorError::Absent));
    }
}
