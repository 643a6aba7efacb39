//! What can be wrong with a sensor.

use std::{fmt, task::Poll};

use heartbeat_core::{
    Hal, Sensor, SensorError, for_each_sensor,
    readings::{
        Activity, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, Memory, Position, Recording, Sampled,
        Throttled, Ups, Uptime, Wifi, WifiMode,
    },
    text::Text,
    time::{Duration, Instant},
    units::{
        Celsius, Dbm, Degrees, Heading, Mebibytes, Metres, MetresPerSecond, Percent, Rpm, SignalPercent,
        UnixTime, Volts, Watts,
    },
};

use crate::fake::{FakeDevice, Timed};

/// What is wrong with a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorFault {
    /// It answers with this error: unplugged, forbidden, broken.
    Fails(SensorError),
    /// It never answers.
    Hangs,
    /// It answers after this time.
    Slow(Duration),
    /// It claims what cannot be, or the worst that can: see [`Lie`].
    Lies,
}

/// A value that no device can mean; where every value can be meant, the largest and ugliest.
pub trait Lie {
    /// The lie.
    fn lie() -> Self;
}

/// What a sensor's questions meet.
enum Way {
    Free,
    Blocked,
    Failed(SensorError),
    Twisted,
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
            Some(SensorFault::Lies) => Way::Twisted,
            Some(SensorFault::Slow(_)) | None => Way::Free,
        }
    }

    fn due(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        match self.fault {
            Some(SensorFault::Hangs) => None,
            Some(SensorFault::Slow(time)) => Some(since + time),
            // The fault that it was asked in has passed: it answers at once.
            Some(SensorFault::Fails(_) | SensorFault::Lies) | None => Some(since),
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

    fn ask<T: Lie>(&mut self, sensor: Sensor, read: impl FnOnce(&mut H) -> Sampled<T>) -> Sampled<T> {
        let now = self.now;
        let answer = match self.line(sensor).ask(now) {
            Way::Blocked => return Poll::Pending,
            Way::Failed(error) => Poll::Ready(Err(error)),
            Way::Twisted => Poll::Ready(Ok(T::lie())),
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
            Self::Lies => f.write_str("lies"),
        }
    }
}

macro_rules! lies {
    ($($value:ty: $lie:expr;)*) => {
        $(impl Lie for $value {
            fn lie() -> Self {
                $lie
            }
        })*
    };
}

lies! {
    // The counters went back, and further than they ever came.
    CpuTimes: Self { busy: u64::MAX, total: 1 };
    Memory: Self { total: 1, available: u64::MAX };
    DiskSpace: Self { total: 1, used: u64::MAX, available: u64::MAX };
    // What a DS18B20 reads right after power-up, and other chips when unplugged.
    Celsius: Self::from_raw(-2_731);
    Watts: Self::from_raw(i64::MIN);
    Rpm: Self(u32::MAX);
    Uptime: Self(u64::MAX);
    Throttled: Self(u32::MAX);
    Ups: Self { voltage: Some(Volts::from_raw(-1)), percent: Some(Percent::from_raw(i64::MAX)) };
    Ethernet: Self { interface: Text::default(), ip: None };
    Wifi: Self {
        interface: Text::lie(),
        ip: None,
        mode: Some(WifiMode::Hotspot),
        ssid: Some(Text::from_bytes(&[0; 32])),
        signal_dbm: Some(Dbm(i16::MAX)),
        signal_percent: Some(SignalPercent(u8::MAX)),
        clients: Some(u16::MAX),
    };
    Cellular: Self {
        interface: Some(Text::default()),
        ip: None,
        state: Some(Text::lie()),
        operator: Some(Text::lie()),
        technology: Some(Text::lie()),
        signal_percent: Some(SignalPercent(101)),
    };
    Position: Self {
        fix: Fix::ThreeD,
        latitude: Some(Degrees::from_raw(i64::MAX)),
        longitude: Some(Degrees::from_raw(0)),
        altitude_m: Some(Metres::from_raw(i64::MIN)),
        speed_mps: Some(MetresPerSecond::from_raw(-1)),
        heading: Some(Heading::from_raw(3_601)),
        satellites: Some(u8::MAX),
    };
    Activity: Self {
        streaming: true,
        tracking: true,
        recording: Some(Recording { path: Text::lie(), size: Some(Mebibytes::from_bytes(u64::MAX)) }),
    };
}

impl<const N: usize> Lie for Text<N> {
    /// Quotes, backslashes, controls and broken UTF-8, longer than there is room for.
    fn lie() -> Self {
        Self::from_bytes(&b"\"\\\x07\xff\xc3\xa9".repeat(N))
    }
}
