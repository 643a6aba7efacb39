//! Chips that watch a battery, on an I2C bus.

use heartbeat_core::{
    SensorError,
    drivers::{
        ChipError,
        ina219::{Ina219, Measurement},
        max17040::{Charge, Max17040},
    },
    time::Duration,
};
use linux_embedded_hal::{I2CError, I2cdev, i2cdev::linux::LinuxI2CError};
use nix::errno::Errno;

use super::{
    REPROBE, Source,
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

    fn holds(&self, outcome: &Result<Measurement, SensorError>) -> Duration {
        self.bus.holds(outcome)
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

    fn holds(&self, outcome: &Result<Charge, SensorError>) -> Duration {
        self.bus.holds(outcome)
    }
}

/// A bus. Reopened after every error, so that a board may be unplugged and come back.
struct Bus {
    path: String,
    device: Option<I2cdev>,
    /// The chip has answered.
    was_found: bool,
    /// The last transfer took the time that a bus takes that is stuck.
    is_stuck: bool,
}

impl Bus {
    fn new(number: u8) -> Self {
        Self { path: format!("/dev/i2c-{number}"), device: None, was_found: false, is_stuck: false }
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
            ChipError::Bus(error) => {
                let error = errno(error.inner());
                self.is_stuck = error == Some(Errno::ETIMEDOUT);
                transfer_error(error, self.was_found)
            }
            ChipError::Invalid => SensorError::Invalid,
        })?;
        (self.was_found, self.is_stuck) = (true, false);
        self.device = Some(device);
        Ok(said)
    }

    /// A bus that is stuck takes a second for each transfer, and so long the worker: like what is absent it is not asked
    /// again before the re-probe interval is over.
    fn holds<T>(&self, outcome: &Result<T, SensorError>) -> Duration {
        match outcome {
            Err(SensorError::Absent) => REPROBE,
            Err(SensorError::Io) if self.is_stuck => REPROBE,
            _ => Duration::ZERO,
        }
    }
}

/// What the system said.
fn errno(error: &LinuxI2CError) -> Option<Errno> {
    match error {
        LinuxI2CError::Errno(code) => Some(Errno::from_raw(*code)),
        LinuxI2CError::Io(error) => error.raw_os_error().map(Errno::from_raw),
    }
}

/// That no chip answers at the address is an ordinary case, unless one did before: the controllers of the Pi report
/// EREMOTEIO, others ENXIO.
fn transfer_error(error: Option<Errno>, was_found: bool) -> SensorError {
    match error {
        Some(Errno::EREMOTEIO | Errno::ENXIO | Errno::ENODEV) if !was_found => SensorError::Absent,
        // A kernel driver owns the chip: what that tells is read instead.
        Some(Errno::EBUSY) => SensorError::Absent,
        _ => SensorError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_that_never_answered_is_absent_and_one_that_did_has_failed() {
        for code in [Errno::EREMOTEIO, Errno::ENXIO, Errno::ENODEV] {
            assert_eq!(transfer_error(Some(code), false), SensorError::Absent, "{code}");
            assert_eq!(transfer_error(Some(code), true), SensorError::Io, "{code}");
        }
        assert_eq!(transfer_error(Some(Errno::EBUSY), true), SensorError::Absent, "a driver has it");
        // A stuck bus, lost arbitration, noise on the wires.
        for code in [Errno::ETIMEDOUT, Errno::EAGAIN, Errno::EIO, Errno::EPROTO] {
            assert_eq!(transfer_error(Some(code), false), SensorError::Io, "{code}");
        }
        let io = errno(&LinuxI2CError::Io(Errno::ENXIO.into()));
        assert_eq!(transfer_error(io, false), SensorError::Absent);
        assert_eq!(transfer_error(errno(&LinuxI2CError::Errno(Errno::EIO as i32)), false), SensorError::Io);
    }

    #[test]
    fn a_stuck_bus_is_left_for_a_while_and_a_chip_that_went_is_asked_at_each_beat() {
        let mut bus = Bus::new(250);
        let failed: Result<(), _> = Err(SensorError::Io);
        assert_eq!((bus.holds(&failed), bus.holds(&Ok(()))), (Duration::ZERO, Duration::ZERO));
        assert_eq!(bus.holds::<()>(&Err(SensorError::Absent)), REPROBE);
        bus.is_stuck = true;
        assert_eq!((bus.holds(&failed), bus.holds(&Ok(()))), (REPROBE, Duration::ZERO));
    }

    #[test]
    fn a_missing_bus_is_absent() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        assert_eq!(Ina219OnBus::new(250, 0x42, 100_000).read(&root), Err(SensorError::Absent));
        assert_eq!(Max17040OnBus::new(250).read(&root), Err(SensorError::Absent));
    }
}
