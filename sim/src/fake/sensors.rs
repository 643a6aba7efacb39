//! All sensors of a device, as a table that everything which stands in for one is made from.

/// Hands the table to another macro: `method, Variant, type of the value;` for each sensor of
/// [`Hal`](heartbeat_core::Hal).
macro_rules! with_sensors {
    ($then:ident) => {
        $then! {
            cpu, Cpu, heartbeat_core::readings::CpuTimes;
            memory, Memory, heartbeat_core::readings::Memory;
            temperature, Temperature, heartbeat_core::units::Celsius;
            power, Power, heartbeat_core::units::Watts;
            fan, Fan, heartbeat_core::units::Rpm;
            disk, Disk, heartbeat_core::readings::DiskSpace;
            default_interface, DefaultInterface,
                heartbeat_core::text::Text<{ heartbeat_core::limits::INTERFACE_MAX }>;
            ethernet, Ethernet, heartbeat_core::readings::Ethernet;
            wifi, Wifi, heartbeat_core::readings::Wifi;
            cellular, Cellular, heartbeat_core::readings::Cellular;
            position, Position, heartbeat_core::readings::Position;
            app_version, AppVersion, heartbeat_core::text::Text<{ heartbeat_core::limits::APP_VERSION_MAX }>;
            activity, Activity, heartbeat_core::readings::Activity;
            uptime, Uptime, heartbeat_core::readings::Uptime;
            throttled, Throttled, heartbeat_core::readings::Throttled;
            ups, Ups, heartbeat_core::readings::Ups;
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
