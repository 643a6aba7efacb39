//! The sensors of this board.

use core::task::Poll;

use embedded_hal::i2c::ErrorKind;
use heartbeat_core::{
    Hal, SensorError,
    drivers::{
        ChipError,
        ina219::Ina219,
        tmp105::{ADDRESS, Tmp105},
    },
    readings::{Sampled, Uptime},
    units::{Celsius, UnixTime, Watts},
};

use crate::{clock, i2c::Bus};

/// Where an INA219 would be, and its shunt in µΩ: a usual module has both pins low and 0.1 Ω.
const INA219: (u8, u32) = (0x40, 100_000);

/// The sensors. They answer at once, because a transfer takes only half a millisecond.
#[derive(Debug)]
pub(crate) struct Board {
    bus: Bus,
    /// Whether the resolution of the temperature sensor has been set; it must be set again after the sensor was unplugged.
    fine: bool,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { bus: Bus::new(), fine: false }
    }

    fn read_temperature(&mut self) -> Result<Celsius, ChipError<ErrorKind>> {
        let mut sensor = Tmp105::new(&mut self.bus, ADDRESS);
        if !self.fine {
            sensor.configure()?;
        }
        let read = sensor.read();
        self.fine = read.is_ok();
        read
    }
}

impl Hal for Board {
    /// The board has no clock that knows the date.
    fn unix_time(&mut self) -> Option<UnixTime> {
        None
    }

    fn temperature(&mut self) -> Sampled<Celsius> {
        Poll::Ready(self.read_temperature().map_err(said))
    }

    fn power(&mut self) -> Sampled<Watts> {
        let (address, shunt) = INA219;
        let Some(mut chip) = Ina219::new(&mut self.bus, address, shunt) else {
            return Poll::Ready(Err(SensorError::Absent));
        };
        Poll::Ready(chip.measure().map(|measured| measured.power).map_err(said))
    }

    fn uptime(&mut self) -> Sampled<Uptime> {
        Poll::Ready(Ok(Uptime(clock::uptime())))
    }
}

/// No acknowledge at an address is no failure: there is no such chip.
fn said(error: ChipError<ErrorKind>) -> SensorError {
    match error {
        ChipError::Bus(ErrorKind::NoAcknowledge(_)) => SensorError::Absent,
        error => error.into(),
    }
}
