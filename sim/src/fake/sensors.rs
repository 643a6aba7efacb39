//! All sensors of a device, as a table that everything which stands in for one is made from.

/// Hands the table to another macro: `method, Variant, type of the value;` for each sensor of
/// [`Hal`](heartbeat_core::Hal).
macro_rules! with_sensors {
    ($then:ident) => {
        $then! {
            cpu, Cpu, heartbeat_core::hal::CpuTimes;
            memory, Memory, heartbeat_core::hal::Memory;
            temperature, Temperature, heartbeat_core::units::Celsius;
            power, Power, heartbeat_core::units::Watts;
            fan, Fan, heartbeat_core::units::Rpm;
            disk, Disk, heartbeat_core::hal::DiskSpace;
            default_interface, DefaultInterface,
                heartbeat_core::text::Text<{ heartbeat_core::limits::INTERFACE_MAX }>;
            ethernet, Ethernet, heartbeat_core::payload::Ethernet;
            wifi, Wifi, heartbeat_core::payload::Wifi;
            cellular, Cellular, heartbeat_core::payload::Cellular;
            position, Position, heartbeat_core::payload::Position;
            app_version, AppVersion, heartbeat_core::text::Text<{ heartbeat_core::limits::APP_VERSION_MAX }>;
            activity, Activity, heartbeat_core::hal::Activity;
            uptime, Uptime, heartbeat_core::hal::Uptime;
            throttled, Throttled, heartbeat_core::hal::Throttled;
            ups, Ups, heartbeat_core::hal::Ups;
        }
    };
}

pub(crate) use with_sensors;

macro_rules! sensor {
    ($($method:ident, $variant:ident, $value:ty;)*) => {
        /// A sensor of a device.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Sensor {
            $(
                #[doc = concat!("[`Hal::", stringify!($method), "`](heartbeat_core::Hal::", stringify!($method), ").")]
                $variant,
            )*
        }

        impl Sensor {
            /// All of them.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = [$(stringify!($variant),)*].len();

            /// Name of the method that asks it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($method),)*
                }
            }
        }
    };
}

with_sensors!(sensor);
