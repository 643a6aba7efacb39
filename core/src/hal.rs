//! The device: the table of its sensors, and the [`Hal`] trait made from it, which a frontend implements.
//!
//! What a sensor can answer is in [`readings`](crate::readings).

use core::task::Poll;

use crate::{
    readings::{Sampled, SensorError},
    units::UnixTime,
};

/// The table of sensors: calls the macro `$callback` with one entry for each sensor of [`Hal`].
///
/// An entry is `/// description` `method, Variant, type of its value, "name for people";`. Everything that has a part
/// for each sensor is made from this table, so that a new entry does not compile until each of them knows it: the
/// agent's readings, the simulator's device and its faults, the firmware's measurements.
///
/// ```
/// macro_rules! count {
///     ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
///         [$($label),*].len()
///     };
/// }
/// assert_eq!(heartbeat_core::for_each_sensor!(count), heartbeat_core::Sensor::COUNT);
/// ```
#[macro_export]
macro_rules! for_each_sensor {
    ($callback:ident) => {
        $crate::__with_board! { $callback {
            /// Counters of processor time. The agent takes the difference between beats.
            cpu, Cpu, $crate::readings::CpuTimes, "cpu";
            /// Working memory.
            memory, Memory, $crate::readings::Memory, "memory";
            /// Temperature of the system-on-chip.
            temperature, Temperature, $crate::units::Celsius, "temperature";
            /// Power drawn by the device.
            power, Power, $crate::units::Watts, "power";
            /// Speed of the fan.
            fan, Fan, $crate::units::Rpm, "fan";
            /// Space of the monitored filesystem.
            disk, Disk, $crate::readings::DiskSpace, "disk";
            /// Interface of the preferred default route.
            default_interface, DefaultInterface, $crate::readings::InterfaceName, "default route";
            /// The wired connection.
            ethernet, Ethernet, $crate::readings::Ethernet, "ethernet";
            /// The wireless connection.
            wifi, Wifi, $crate::readings::Wifi, "wifi";
            /// The mobile connection.
            cellular, Cellular, $crate::readings::Cellular, "4g";
            /// The satellite receiver.
            position, Position, $crate::readings::Position, "gps";
            /// Version of the streaming application.
            app_version, AppVersion, $crate::readings::AppVersion, "application version";
            /// What the streaming application is doing.
            activity, Activity, $crate::readings::Activity, "application activity";
            /// Time since the device booted.
            uptime, Uptime, $crate::readings::Uptime, "uptime";
            /// Under-voltage and throttling, from the firmware.
            throttled, Throttled, $crate::readings::Throttled, "throttling";
            /// Current frequency of the first processor core.
            cpu_mhz, CpuMhz, $crate::units::Megahertz, "cpu frequency";
            /// The battery of an uninterruptible power supply.
            ups, Ups, $crate::readings::Ups, "ups";
            /// Load, swap space, and whether the root filesystem can be written.
            system, System, $crate::readings::System, "system";
        } }
    };
}

/// The table, with the sensor that only the feature `board` has.
#[cfg(feature = "board")]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_board {
    ($callback:ident { $($table:tt)* }) => {
        $callback! {
            $($table)*
            /// What the board is, and what runs on it.
            board, Board, $crate::readings::Board, "board";
        }
    };
}

/// The table.
#[cfg(not(feature = "board"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __with_board {
    ($callback:ident { $($table:tt)* }) => {
        $callback! { $($table)* }
    };
}

fn absent<T>() -> Sampled<T> {
    Poll::Ready(Err(SensorError::Absent))
}

macro_rules! traits {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// What a device can tell about itself.
        ///
        /// Every sensor has a default that answers [`SensorError::Absent`], so that a small frontend implements only
        /// what it has. One that is to have all of them implements [`CompleteHal`] instead.
        ///
        /// No method may block: what takes time answers `Pending` and goes on beside the caller. A value must have been
        /// read after the call that first answered `Pending`, or be an error.
        pub trait Hal {
            /// Wall time. `None`: the clock has not been set.
            fn unix_time(&mut self) -> Option<UnixTime>;
            $(
                $(#[$doc])*
                fn $method(&mut self) -> Sampled<$value> {
                    absent()
                }
            )*
        }

        /// [`Hal`] without defaults, for a frontend that implements every sensor: when the table gets another one, it
        /// does not compile until it has that, too. A type that implements this implements [`Hal`], too.
        pub trait CompleteHal {
            /// Wall time. `None`: the clock has not been set.
            fn unix_time(&mut self) -> Option<UnixTime>;
            $(
                $(#[$doc])*
                fn $method(&mut self) -> Sampled<$value>;
            )*
        }

        impl<H: CompleteHal> Hal for H {
            fn unix_time(&mut self) -> Option<UnixTime> {
                CompleteHal::unix_time(self)
            }

            $(fn $method(&mut self) -> Sampled<$value> {
                CompleteHal::$method(self)
            })*
        }

        /// A sensor of a device: an entry of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub enum Sensor {
            $(
                $(#[$doc])*
                $variant,
            )*
        }

        impl Sensor {
            /// All of them, in the order of the table.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),*];
            /// How many there are.
            pub const COUNT: usize = [$($label),*].len();

            /// Name of its method of [`Hal`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($method),)*
                }
            }

            /// What people call it, as in the log.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

for_each_sensor!(traits);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Celsius;

    struct Thermometer;

    impl Hal for Thermometer {
        fn unix_time(&mut self) -> Option<UnixTime> {
            None
        }

        fn temperature(&mut self) -> Sampled<Celsius> {
            Poll::Ready(Ok(Celsius::from_raw(488)))
        }
    }

    #[test]
    fn sensors_that_are_not_implemented_are_absent() {
        assert_eq!(Thermometer.temperature(), Poll::Ready(Ok(Celsius::from_raw(488))));
        assert_eq!(Thermometer.power(), Poll::Ready(Err(SensorError::Absent)));
    }

    macro_rules! complete {
        ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
            /// Remembers which sensor it was asked for.
            struct Complete(Option<Sensor>);

            impl CompleteHal for Complete {
                fn unix_time(&mut self) -> Option<UnixTime> {
                    Some(UnixTime::from_millis(5))
                }

                $(fn $method(&mut self) -> Sampled<$value> {
                    self.0 = Some(Sensor::$variant);
                    Poll::Pending
                })*
            }

            fn ask(hal: &mut impl Hal, sensor: Sensor) -> bool {
                match sensor {
                    $(Sensor::$variant => hal.$method().is_pending(),)*
                }
            }
        };
    }

    for_each_sensor!(complete);

    #[test]
    fn a_complete_hal_is_a_hal_sensor_by_sensor() {
        let mut hal = Complete(None);
        assert_eq!(Hal::unix_time(&mut hal), Some(UnixTime::from_millis(5)));
        for sensor in Sensor::ALL {
            assert!(ask(&mut hal, sensor));
            assert_eq!(hal.0, Some(sensor));
        }
    }

    #[test]
    fn sensors_have_a_method_and_a_name_for_people() {
        assert_eq!((Sensor::Position.name(), Sensor::Position.label()), ("position", "gps"));
        assert_eq!((Sensor::DefaultInterface.name(), Sensor::ALL[0].name()), ("default_interface", "cpu"));
    }
}
