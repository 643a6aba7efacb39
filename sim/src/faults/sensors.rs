//! What can be wrong with a sensor.

use std::{fmt, task::Poll};

use heartbeat_core::{
    Hal, Sensor, SensorError, for_each_sensor,
    readings::Sampled,
    time::{Duration, Instant},
    units::UnixTime,
};

use crate::fake::{FakeDevice, Reading, Timed};

/// What is wrong with a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorFault {
    /// It answers with this error: unplugged, forbidden, broken.
    Fails(SensorError),
    /// It never answers.
    Hangs,
    /// It answers after this time.
    Slow(Duration),
    /// Its value is one that no device can mean.
    Implausible,
}

/// What a sensor's questions meet.
enum Way {
    Free,
    Blocked,
    Failed(SensorError),
    Implausible,
}

/// The way to one sensor.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    fault: Option<SensorFault>,
    waiting_since: Option<Instant>,
    asked: u64,
}

impl Line {
    fn ask(&mut self, now: Instant) -> Way {
        if self.waiting_since.is_none() {
            self.asked += 1;
        }
        let since = *self.waiting_since.get_or_insert(now);
        match self.fault {
            Some(SensorFault::Hangs) => Way::Blocked,
            Some(SensorFault::Slow(time)) if now.since(since) < time => Way::Blocked,
            Some(SensorFault::Fails(error)) => Way::Failed(error),
            Some(SensorFault::Implausible) => Way::Implausible,
            Some(SensorFault::Slow(_)) | None => Way::Free,
        }
    }

    fn due(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        match self.fault {
            Some(SensorFault::Hangs) => None,
            Some(SensorFault::Slow(time)) => Some(since + time),
            // The fault that it was asked in has passed: it answers at once.
            Some(SensorFault::Fails(_) | SensorFault::Implausible) | None => Some(since),
        }
    }
}

/// A device with faults.
#[derive(Debug, Clone)]
pub struct FaultyHal<H> {
    /// The device.
    pub inner: H,
    now: Instant,
    lines: [Line; Sensor::COUNT],
}

impl<H> FaultyHal<H> {
    /// Around a device, without a fault yet.
    pub fn new(inner: H) -> Self {
        Self { inner, now: Instant::ZERO, lines: [Line::default(); Sensor::COUNT] }
    }

    /// Sets what is wrong with a sensor from now on; `None` heals it.
    pub fn set(&mut self, sensor: Sensor, fault: Option<SensorFault>) {
        self.line(sensor).fault = fault;
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        for line in &mut self.lines {
            line.fault = None;
        }
    }

    /// The process that asked is gone, and its questions with it.
    pub fn forget(&mut self) {
        for line in &mut self.lines {
            line.waiting_since = None;
        }
    }

    /// How many questions the sensor was asked, whether it answered or not.
    pub fn asked(&self, sensor: Sensor) -> u64 {
        self.lines.get(sensor as usize).map_or(0, |line| line.asked)
    }

    // The table has a line for each sensor.
    #[allow(clippy::indexing_slicing)]
    fn line(&mut self, sensor: Sensor) -> &mut Line {
        &mut self.lines[sensor as usize]
    }

    fn ask<T: Reading>(&mut self, sensor: Sensor, read: impl FnOnce(&mut H) -> Sampled<T>) -> Sampled<T> {
        let now = self.now;
        let answer = match self.line(sensor).ask(now) {
            Way::Blocked => return Poll::Pending,
            Way::Failed(error) => Poll::Ready(Err(error)),
            Way::Implausible => Poll::Ready(Ok(T::implausible())),
            Way::Free => read(&mut self.inner),
        };
        if answer.is_ready() {
            self.line(sensor).waiting_since = None;
        }
        answer
    }
}

impl From<FakeDevice> for FaultyHal<FakeDevice> {
    fn from(device: FakeDevice) -> Self {
        Self::new(device)
    }
}

impl<H: Timed> Timed for FaultyHal<H> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.lines.iter().filter_map(Line::due).chain(self.inner.due()).min()
    }
}

macro_rules! faulty_hal {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        impl<H: Hal> Hal for FaultyHal<H> {
            fn unix_time(&mut self) -> Option<UnixTime> {
                self.inner.unix_time()
            }

            $(fn $method(&mut self) -> Sampled<$value> {
                self.ask(Sensor::$variant, H::$method)
            })*
        }
    };
}

for_each_sensor!(faulty_hal);

impl fmt::Display for SensorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(error) => write!(f, "{error}"),
            Self::Hangs => f.write_str("hangs"),
            Self::Slow(time) => write!(f, "answers after {} ms", time.as_millis()),
            Self::Implausible => f.write_str("answers with an implausible value"),
        }
    }
}
