//! What errors of the kernel say about a sensor.

use heartbeat_core::SensorError;
use nix::errno::Errno;

pub(super) fn io_error(error: &std::io::Error) -> SensorError {
    error.raw_os_error().map_or(SensorError::Io, |code| sensor_error(Errno::from_raw(code)))
}

/// What an error of the kernel says about a sensor.
pub(crate) fn sensor_error(error: Errno) -> SensorError {
    match error {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ENXIO => SensorError::Absent,
        Errno::EACCES | Errno::EPERM => SensorError::Denied,
        Errno::ELOOP | Errno::EISDIR | Errno::EINVAL => SensorError::Invalid,
        _ => SensorError::Io,
    }
}
