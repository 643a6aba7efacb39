//! What errors of the kernel say about a sensor.

use heartbeat_core::SensorError;
use nix::errno::Errno;

pub(super) fn io_error(error: &std::io::Error) -> SensorError {
    error.raw_os_error().map_or(SensorError::Io, |code| sensor_error(Errno::from_raw(code)))
}

/// What an error of the kernel says about a sensor.
pub(crate) fn sensor_error(error: Errno) -> SensorError {
    match error {
        // ENODATA is what an attribute of the kernel says that its driver has no value for.
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ENXIO | Errno::ENODATA => SensorError::Absent,
        Errno::EACCES | Errno::EPERM => SensorError::Denied,
        Errno::ELOOP | Errno::EISDIR | Errno::EINVAL => SensorError::Invalid,
        _ => SensorError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_without_a_value_is_absent_and_one_that_is_not_ready_has_failed() {
        // `cat` says "No data available" and "Resource temporarily unavailable" (drivers/power/supply/power_supply_core.c).
        assert_eq!(io_error(&Errno::ENODATA.into()), SensorError::Absent);
        assert_eq!(io_error(&Errno::EAGAIN.into()), SensorError::Io);
    }
}
