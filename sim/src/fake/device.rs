//! A device whose sensors answer at once and never fail.

use std::task::Poll;

use heartbeat_core::{
    Hal, SensorError, for_each_sensor,
    readings::{Ethernet, Memory, Sampled},
    time::Instant,
    units::{Celsius, UnixTime},
};

use super::{Reading, Timed};
use crate::random::Random;

/// A sensor that has a value, or is not there.
#[derive(Debug, Clone)]
pub struct FakeSensor<T> {
    /// What it measures now.
    pub value: Option<T>,
    /// How often it was read.
    pub read: u64,
}

impl<T> FakeSensor<T> {
    /// A sensor that measures this.
    pub const fn new(value: T) -> Self {
        Self { value: Some(value), read: 0 }
    }

    /// Hardware that is not there.
    pub const fn absent() -> Self {
        Self { value: None, read: 0 }
    }

    fn drawn(random: &mut Random) -> Self
    where
        T: Reading,
    {
        Self { value: random.chance(90).then(|| T::draw(random)), read: 0 }
    }

    fn poll(&mut self) -> Sampled<T>
    where
        T: Clone,
    {
        self.read += 1;
        Poll::Ready(self.value.clone().ok_or(SensorError::Absent))
    }
}

macro_rules! device {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// A device in virtual time. Starts without any hardware.
        #[derive(Debug, Clone)]
        pub struct FakeDevice {
            /// Wall time.
            pub unix_time: Option<UnixTime>,
            $(
                #[doc = concat!("What [`Hal::", stringify!($method), "`](heartbeat_core::Hal::", stringify!($method), ") reads.")]
                pub $method: FakeSensor<$value>,
            )*
        }

        impl Default for FakeDevice {
            fn default() -> Self {
                Self { unix_time: None, $($method: FakeSensor::absent(),)* }
            }
        }

        impl FakeDevice {
            /// A device whose sensors measure anything, or are absent. The same seed gives the same device.
            pub fn drawn(seed: u64) -> Self {
                let mut random = Random::new(seed);
                let unix_time = random.chance(80).then(|| UnixTime::from_millis(random.any().cast_signed()));
                Self { unix_time, $($method: FakeSensor::drawn(&mut random),)* }
            }
        }

        impl Hal for FakeDevice {
            fn unix_time(&mut self) -> Option<UnixTime> {
                self.unix_time
            }

            $(fn $method(&mut self) -> Sampled<$value> {
                self.$method.poll()
            })*
        }
    };
}

for_each_sensor!(device);

impl FakeDevice {
    /// A board on a wired network, with everything that it has working.
    pub fn healthy() -> Self {
        Self {
            unix_time: Some(UnixTime::from_millis(1_795_464_000_000)),
            temperature: FakeSensor::new(Celsius::from_raw(488)),
            memory: FakeSensor::new(Memory { total: 4_000, available: 3_000 }),
            ethernet: FakeSensor::new(Ethernet { interface: "eth0".into(), ip: Some("192.0.2.17".into()) }),
            ..Self::default()
        }
    }
}

impl Timed for FakeDevice {
    fn advance(&mut self, _: Instant) {}

    fn due(&self) -> Option<Instant> {
        None
    }
}
