//! The time zone where the device is, from `/etc/localtime`.

use jiff::tz::TimeZone;

use super::sysroot::{Sysroot, read_whole};

/// Size of `/etc/localtime` that is read; real ones have 4 KiB at most.
const TZIF_MAX: u64 = 64 * 1024;

/// The device's time zone; UTC when it does not say.
pub fn local_zone(root: &Sysroot) -> TimeZone {
    let tzif = root.open("/etc/localtime").ok().and_then(|file| read_whole(file, TZIF_MAX).ok());
    tzif.and_then(|tzif| TimeZone::tzif("local", &tzif).ok()).unwrap_or(TimeZone::UTC)
}
