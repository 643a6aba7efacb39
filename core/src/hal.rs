//! The device: the [`Hal`] trait, which a frontend implements.
//!
//! Every sensor has a default that answers [`SensorError::Absent`], so a small frontend implements only what it has.
//! What a sensor can answer is in [`readings`](crate::readings).

use core::task::Poll;

use crate::{
    readings::{
        Activity, AppVersion, Cellular, CpuTimes, DiskSpace, Ethernet, InterfaceName, Memory, Position,
        Sampled, SensorError, Throttled, Ups, Uptime, Wifi,
    },
    units::{Celsius, Rpm, UnixTime, Watts},
};

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
    fn default_interface(&mut self) -> Sampled<InterfaceName> {
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
    fn app_version(&mut self) -> Sampled<AppVersion> {
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
