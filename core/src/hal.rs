//! What a device can tell about itself.
//!
//! A frontend implements [`Hal`] for its device. Every sensor has a default that answers
//! [`SensorError::Absent`], so a small frontend implements only what it has.

use core::{fmt, task::Poll};

use crate::{
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    payload::{Cellular, Ethernet, Position, Recording, Wifi},
    text::Text,
    units::{Celsius, Percent, Rpm, UnixTime, Volts, Watts},
};

/// The answer of a sensor: not ready yet, a value, or why there is none.
///
/// `Pending` means "not ready, ask again": the same measurement goes on, and the frontend wakes its loop when
/// it has ended. The agent asks again at every poll until it has an answer, also after the beat has gone
/// without it.
pub type Sampled<T> = Poll<Result<T, SensorError>>;

/// Why a sensor has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SensorError {
    /// The device has no such sensor. Ordinary, and never logged.
    Absent,
    /// It is there, but this program may not read it.
    Denied,
    /// Reading failed: a bus error, a vanished file.
    Io,
    /// What was read is not a value: unparsable, or outside the sensor's physical range.
    Invalid,
}

impl fmt::Display for SensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "not present",
            Self::Denied => "permission denied",
            Self::Io => "reading failed",
            Self::Invalid => "not a valid reading",
        })
    }
}

/// Counters of processor time since boot, in any unit that both share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CpuTimes {
    /// Time spent working, over all cores.
    pub busy: u64,
    /// All time, over all cores: working, idle and waiting.
    pub total: u64,
}

/// Working memory, in any unit that both share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Memory {
    /// What there is.
    pub total: u64,
    /// What programs could still get without swapping.
    pub available: u64,
}

/// Space of one filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DiskSpace {
    /// Size of the filesystem.
    pub total: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that an unprivileged program could still write; `used + available` can be less than `total`.
    pub available: u64,
}

/// What the streaming application is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Activity {
    /// It sends live video.
    pub streaming: bool,
    /// It sends positions.
    pub tracking: bool,
    /// The recording in progress, if there is one.
    pub recording: Option<Recording>,
}

/// Time since the device booted, in whole seconds, counting suspend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uptime(pub u64);

/// The firmware's bit mask as `vcgencmd get_throttled` prints it.
///
/// Bits 0 to 3 are now: under-voltage, ARM frequency capped, throttled, soft temperature limit; bits 16 to 19 say
/// that the same has occurred since boot (Raspberry Pi documentation, "vcgencmd").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Throttled(pub u32);

/// The battery of an uninterruptible power supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ups {
    /// Voltage of the battery.
    pub voltage: Option<Volts>,
    /// State of charge.
    pub percent: Option<Percent>,
}

fn absent<T>() -> Sampled<T> {
    Poll::Ready(Err(SensorError::Absent))
}

/// What a device can tell about itself.
///
/// No method may block: what takes time answers `Pending` and goes on beside the caller. A value must have been
/// read after the call that first answered `Pending`, or be an error.
pub trait Hal {
    /// Wall time. `None`: the clock has not been set.
    fn unix_time(&mut self) -> Option<UnixTime>;

    /// Counters of processor time. The agent takes the difference between beats.
    fn cpu(&mut self) -> Sampled<CpuTimes> {
        absent()
    }

    /// Working memory.
    fn memory(&mut self) -> Sampled<Memory> {
        absent()
    }

    /// Temperature of the system-on-chip.
    fn temperature(&mut self) -> Sampled<Celsius> {
        absent()
    }

    /// Power drawn by the device.
    fn power(&mut self) -> Sampled<Watts> {
        absent()
    }

    /// Speed of the fan.
    fn fan(&mut self) -> Sampled<Rpm> {
        absent()
    }

    /// Space of the filesystem that is watched.
    fn disk(&mut self) -> Sampled<DiskSpace> {
        absent()
    }

    /// Interface of the preferred default route.
    fn default_interface(&mut self) -> Sampled<Text<INTERFACE_MAX>> {
        absent()
    }

    /// The wired connection.
    fn ethernet(&mut self) -> Sampled<Ethernet> {
        absent()
    }

    /// The wireless connection.
    fn wifi(&mut self) -> Sampled<Wifi> {
        absent()
    }

    /// The mobile connection.
    fn cellular(&mut self) -> Sampled<Cellular> {
        absent()
    }

    /// The satellite receiver.
    fn position(&mut self) -> Sampled<Position> {
        absent()
    }

    /// Version of the streaming application.
    fn app_version(&mut self) -> Sampled<Text<APP_VERSION_MAX>> {
        absent()
    }

    /// Time since the device booted.
    fn uptime(&mut self) -> Sampled<Uptime> {
        absent()
    }

    /// Under-voltage and throttling, from the firmware.
    fn throttled(&mut self) -> Sampled<Throttled> {
        absent()
    }

    /// The battery of an uninterruptible power supply.
    fn ups(&mut self) -> Sampled<Ups> {
        absent()
    }

    /// What the streaming application is doing.
    fn activity(&mut self) -> Sampled<Activity> {
        absent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_ails_a_sensor_is_said_in_words() {
        let said = [SensorError::Absent, SensorError::Denied, SensorError::Io, SensorError::Invalid]
            .map(|error| error.to_string());
        assert_eq!(said, ["not present", "permission denied", "reading failed", "not a valid reading"]);
    }
}
