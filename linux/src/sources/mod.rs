//! Where things are read: files of the kernel, the firmware, chips on a bus, daemons and programs of this machine.
//!
//! A source knows how to read, and not what the result is used for: which value asks which sources, in which order, is
//! defined in [`sensors`](crate::sensors). Each has its parser beside it, a pure function, so that it can be tested on
//! captured samples and fuzzed.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod app_version;
pub(crate) mod board;
pub(crate) mod drawn_power;
mod file_watch;
pub(crate) mod filesystem;
pub(crate) mod firmware;
pub(crate) mod gps;
pub(crate) mod hwmon;
pub(crate) mod hwmon_fan;
pub(crate) mod hwmon_power;
pub(crate) mod hwmon_temperature;
pub(crate) mod i2c;
pub(crate) mod iw;
mod json;
mod kept;
pub(crate) mod kernel_file;
pub(crate) mod mmcli;
pub(crate) mod modem_manager;
mod natural;
mod netlink;
pub(crate) mod network;
pub(crate) mod nl80211;
pub(crate) mod pidfiles;
pub(crate) mod placeholder;
pub(crate) mod power_supply;
pub(crate) mod proc_wireless;
mod process;
pub(crate) mod procfs;
pub(crate) mod radio;
pub(crate) mod recording;
pub(crate) mod scan;
pub(crate) mod stand_ins;
pub mod sysroot;
pub(crate) mod system;
pub(crate) mod system_battery;
pub(crate) mod thermal;
pub mod time_zone;

#[cfg(fuzzing)]
pub(crate) use netlink::{attributes, messages};

use heartbeat_core::{SensorError, time::Duration};

use self::sysroot::Sysroot;

/// Re-probe interval: how long an absent source is not asked again. Hardware that is plugged in shows up within it.
pub const REPROBE: Duration = Duration::from_secs(60);

/// How long what is to be read again goes on to be used meanwhile. Otherwise a program that takes longer than the grace period
/// would lose its value at each refresh, and heartbeats would wait while what is absent is looked for. Long enough for
/// the first heartbeat after the refresh is due, at the usual intervals.
pub const MEANWHILE: Duration = Duration::from_secs(10);

/// What a source knows of the reason for having no reading, beyond the kind of error, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remark {
    /// What is there, and in which state.
    pub says: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// Whether a value that was read is still so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// Nothing has changed.
    Current,
    /// Nothing has changed as far as the source is told, but it is to be read again meanwhile.
    Due,
    /// It must be read.
    Unknown,
}

impl Currency {
    /// Of a value of this age of which no change was told, and which is read again after `refresh` all the same.
    pub(crate) fn at_age(age: Duration, refresh: Duration) -> Self {
        match age {
            age if age < refresh => Self::Current,
            age if age < refresh + MEANWHILE => Self::Due,
            _ => Self::Unknown,
        }
    }
}

/// Something that can be read again and again. Reading may block for as long as the device likes.
pub trait Source: Send + 'static {
    /// What it yields.
    type Reading: Send + 'static;

    /// Where it looks, for people: a path, a device, a program. After a read this is where it looked last.
    fn place(&self) -> String;

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when this machine has no such source.
    fn read(&mut self, root: &Sysroot) -> Result<Self::Reading, SensorError>;

    /// Whether the latest value that was read is still so, found out without waiting: this is called on the main loop. A
    /// source that is told of changes knows; by default it is not known, and is read again for each question.
    fn currency(&mut self, _: &Sysroot) -> Currency {
        Currency::Unknown
    }

    /// What more is known of the latest error.
    fn remark(&self) -> Option<Remark> {
        None
    }

    /// How long an outcome holds before there is any point in reading again. By default a value and an error are of the
    /// moment, and what is absent stays so for [`REPROBE`].
    fn holds(&self, outcome: &Result<Self::Reading, SensorError>) -> Duration {
        match outcome {
            Err(SensorError::Absent) => REPROBE,
            _ => Duration::ZERO,
        }
    }
}
