//! A device whose every sensor can be told what to do.

use heartbeat_core::{
    Hal,
    hal::{Activity, CpuTimes, DiskSpace, Memory, Sampled, Throttled, Ups, Uptime},
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    payload::{Cellular, Ethernet, Position, Wifi},
    text::Text,
    time::Instant,
    units::{Celsius, Rpm, UnixTime, Watts},
};

use super::sensor::FakeSensor;

macro_rules! device {
    ($($(#[$doc:meta])* $sensor:ident: $value:ty,)*) => {
        /// A device in virtual time. Starts without any hardware.
        #[derive(Debug, Clone)]
        pub struct FakeDevice {
            /// The time now.
            pub now: Instant,
            /// Wall time.
            pub unix_time: Option<UnixTime>,
            $($(#[$doc])* pub $sensor: FakeSensor<$value>,)*
        }

        impl Default for FakeDevice {
            fn default() -> Self {
                Self { now: Instant::ZERO, unix_time: None, $($sensor: FakeSensor::absent(),)* }
            }
        }

        impl FakeDevice {
            /// When a sensor that was asked will answer.
            pub(super) fn due(&self) -> Option<Instant> {
                [$(self.$sensor.due(),)*].into_iter().flatten().min()
            }
        }

        impl Hal for FakeDevice {
            fn unix_time(&mut self) -> Option<UnixTime> {
                self.unix_time
            }

            $(fn $sensor(&mut self) -> Sampled<$value> {
                self.$sensor.poll(self.now)
            })*
        }
    };
}

device! {
    /// Processor time.
    cpu: CpuTimes,
    /// Memory.
    memory: Memory,
    /// Temperature.
    temperature: Celsius,
    /// Power.
    power: Watts,
    /// Fan.
    fan: Rpm,
    /// Filesystem.
    disk: DiskSpace,
    /// Default route.
    default_interface: Text<INTERFACE_MAX>,
    /// Wired connection.
    ethernet: Ethernet,
    /// Wireless connection.
    wifi: Wifi,
    /// Mobile connection.
    cellular: Cellular,
    /// Satellite receiver.
    position: Position,
    /// Version of the application.
    app_version: Text<APP_VERSION_MAX>,
    /// What the application does.
    activity: Activity,
    /// Time since boot.
    uptime: Uptime,
    /// Throttling.
    throttled: Throttled,
    /// Battery.
    ups: Ups,
}
