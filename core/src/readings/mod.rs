//! Readings: the values of sensors, and the reasons for having none.
//!
//! A reading has the same type in a frontend, in the agent and in the document.

#[cfg(feature = "board")]
mod board;

use core::{fmt, task::Poll};

use serde::Serialize;

#[cfg(feature = "board")]
pub use self::board::{Board, PreEol, Wear};
#[cfg(feature = "delta")]
use crate::noise::{Noise, exact};

use crate::{
    json_max::{longest, objects},
    limits::{
        APP_VERSION_MAX, INTERFACE_MAX, IP_MAX, MODEM_WORD_MAX, OPERATOR_MAX, RECORDING_PATH_MAX, SSID_MAX,
    },
    plausible::{Plausible, always},
    text::Text,
    units::{
        Dbm, Degrees, Heading, Load, Mebibytes, Metres, MetresPerSecond, Percent, SignalPercent, Volts,
        serialize_optional_whole, serialize_whole,
    },
};

/// The answer of a sensor: pending, a value, or the reason for having none.
///
/// `Pending` means "not ready, ask again": the same measurement continues, and the frontend wakes its loop when it has
/// ended. The agent asks again at every poll until it has an answer, also after the beat went out without it.
pub type Sampled<T> = Poll<Result<T, SensorError>>;

/// Why a sensor has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SensorError {
    /// The device has no such sensor. This is no failure and is never logged.
    Absent,
    /// The program has no permission to read it.
    Denied,
    /// Reading failed: a bus error, a vanished file.
    Io,
    /// The reading cannot be parsed, or is outside the physical range.
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

// They mean something only as a difference, which the agent checks.
always! { CpuTimes; }

/// Working memory, in any unit that both share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Memory {
    /// Total size.
    pub total: u64,
    /// Size that programs can still allocate without swapping.
    pub available: u64,
}

impl Plausible for Memory {
    fn plausible(self) -> Option<Self> {
        (self.total > 0 && self.available <= self.total).then_some(self)
    }
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

impl Plausible for DiskSpace {
    fn plausible(self) -> Option<Self> {
        (self.total > 0 && self.used <= self.total).then_some(self)
    }
}

/// Name of a network interface.
pub type InterfaceName = Text<INTERFACE_MAX>;

/// An IP address as text (RFC 5952). Frontends format it, because formatting in the core brings a path to a panic.
pub type Ip = Text<IP_MAX>;

/// Version of the streaming application.
pub type AppVersion = Text<APP_VERSION_MAX>;

/// A wired interface that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ethernet {
    /// Name of the interface.
    pub interface: Text<INTERFACE_MAX>,
    /// Its address.
    pub ip: Option<Ip>,
}

objects! { Ethernet { interface, ip } }

impl Plausible for Ethernet {
    fn plausible(self) -> Option<Self> {
        (!self.interface.is_empty()).then_some(self)
    }
}

/// A wireless interface that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Wifi {
    /// Name of the interface.
    pub interface: Text<INTERFACE_MAX>,
    /// Its address.
    pub ip: Option<Ip>,
    /// Whether it joins a network or offers one.
    pub mode: Option<WifiMode>,
    /// Name of the network.
    pub ssid: Option<Text<SSID_MAX>>,
    /// Strength of the access point's signal; only as a client.
    pub signal_dbm: Option<Dbm>,
    /// Strength of the same signal in percent.
    pub signal_percent: Option<SignalPercent>,
    /// Number of stations; only as a hotspot.
    #[serde(serialize_with = "serialize_optional_whole")]
    pub clients: Option<u16>,
}

objects! { Wifi { interface, ip, mode, ssid, signal_dbm, signal_percent, clients } }

impl Plausible for Wifi {
    fn plausible(mut self) -> Option<Self> {
        let is_refused = self.signal_dbm.is_some_and(|level| !Dbm::RANGE.contains(&level));
        if is_refused {
            // What was made of such a level is no better.
            (self.signal_dbm, self.signal_percent) = (None, None);
        }
        self.signal_percent = self.signal_percent.and_then(Plausible::plausible);
        (!self.interface.is_empty()).then_some(self)
    }
}

/// Role of a wireless interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WifiMode {
    /// It joins a network.
    Client,
    /// It offers a network.
    Hotspot,
}

longest! { WifiMode: "\"hotspot\"".len(); }

#[cfg(feature = "delta")]
exact! { WifiMode; }

/// A mobile interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cellular {
    /// Name of the network interface, once there is one.
    pub interface: Option<Text<INTERFACE_MAX>>,
    /// Its address.
    pub ip: Option<Ip>,
    /// State of the modem, in ModemManager's words.
    pub state: Option<Text<MODEM_WORD_MAX>>,
    /// Name of the network's operator.
    pub operator: Option<Text<OPERATOR_MAX>>,
    /// Access technology, in ModemManager's words (`lte`, `umts`, ...).
    pub technology: Option<Text<MODEM_WORD_MAX>>,
    /// Strength of the signal.
    pub signal_percent: Option<SignalPercent>,
}

objects! { Cellular { interface, ip, state, operator, technology, signal_percent } }

impl Plausible for Cellular {
    fn plausible(mut self) -> Option<Self> {
        self.interface = self.interface.and_then(Plausible::plausible);
        self.signal_percent = self.signal_percent.and_then(Plausible::plausible);
        Some(self)
    }
}

/// The position from the satellite receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Position {
    /// Kind of fix.
    pub fix: Fix,
    /// North positive.
    pub latitude: Option<Degrees>,
    /// East positive.
    pub longitude: Option<Degrees>,
    /// Height above mean sea level.
    pub altitude_m: Option<Metres>,
    /// Speed over ground.
    pub speed_mps: Option<MetresPerSecond>,
    /// Course over ground.
    pub heading: Option<Heading>,
    /// Satellites in use.
    #[serde(serialize_with = "serialize_optional_whole")]
    pub satellites: Option<u8>,
}

objects! { Position { fix, latitude, longitude, altitude_m, speed_mps, heading, satellites within 2 } }

impl Plausible for Position {
    fn plausible(mut self) -> Option<Self> {
        let latitude = self.latitude.filter(|latitude| Degrees::LATITUDE.contains(latitude));
        let longitude = self.longitude.filter(|longitude| Degrees::LONGITUDE.contains(longitude));
        // A latitude without a longitude is no position, and without a position there is no fix of which anything is known.
        (self.latitude, self.longitude) = latitude.zip(longitude).unzip();
        if self.latitude.is_none() {
            (self.fix, self.altitude_m, self.speed_mps, self.heading) = (Fix::None, None, None, None);
        }
        self.altitude_m = self.altitude_m.and_then(Plausible::plausible);
        self.speed_mps = self.speed_mps.and_then(Plausible::plausible);
        self.heading = self.heading.and_then(Plausible::plausible);
        Some(self)
    }
}

/// Kind of a satellite fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fix {
    /// No position.
    #[serde(rename = "none")]
    None,
    /// Latitude and longitude.
    #[serde(rename = "2d")]
    TwoD,
    /// Latitude, longitude and height.
    #[serde(rename = "3d")]
    ThreeD,
}

longest! { Fix: "\"none\"".len(); }

#[cfg(feature = "delta")]
exact! { Fix; }

/// What the streaming application is doing: each part for itself, because one that cannot be read says nothing about the
/// others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Activity {
    /// It sends live video.
    pub streaming: Result<bool, SensorError>,
    /// It sends positions.
    pub tracking: Result<bool, SensorError>,
    /// The recording in progress, if there is one.
    pub recording: Result<Option<Recording>, SensorError>,
}

impl Activity {
    /// An application that does nothing, or does not run.
    pub const NONE: Self = Self { streaming: Ok(false), tracking: Ok(false), recording: Ok(None) };
}

always! { Activity; }

/// Time since the device booted, in whole seconds, counting suspend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uptime(#[serde(serialize_with = "serialize_whole")] pub u64);

longest! { Uptime: u64::JSON_MAX; }

#[cfg(feature = "delta")]
impl Noise for Uptime {
    /// It grows by itself: with the time since the full document it is known.
    fn is_near(&self, other: &Self) -> bool {
        self.0.abs_diff(other.0) <= 90
    }
}

always! { Uptime; }

/// The firmware's bit mask as `vcgencmd get_throttled` prints it.
///
/// Bits 0 to 3 are now: under-voltage, ARM frequency capped, throttled, soft temperature limit; bits 16 to 19 say
/// that the same has occurred since boot (Raspberry Pi documentation, "vcgencmd").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Throttled(#[serde(serialize_with = "serialize_whole")] pub u32);

longest! { Throttled: u32::JSON_MAX; }

#[cfg(feature = "delta")]
exact! { Throttled; }

always! { Throttled; }

/// The battery of an uninterruptible power supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ups {
    /// Voltage of the battery.
    pub voltage: Option<Volts>,
    /// State of charge.
    pub percent: Option<Percent>,
}

objects! { Ups { voltage, percent } }

impl Plausible for Ups {
    fn plausible(mut self) -> Option<Self> {
        self.voltage = self.voltage.and_then(Plausible::plausible);
        self.percent = self.percent.and_then(Plausible::plausible);
        (self.voltage.is_some() || self.percent.is_some()).then_some(self)
    }
}

/// The state of the system as a whole: each part for itself, as in [`Activity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct System {
    /// Load average of the last minute.
    pub load: Result<Load, SensorError>,
    /// Share of the swap space that is in use; absent without swap space.
    pub swap: Result<Percent, SensorError>,
    /// Whether the root filesystem cannot be written.
    pub root_read_only: Result<bool, SensorError>,
}

impl Plausible for System {
    fn plausible(mut self) -> Option<Self> {
        self.load = self.load.and_then(|load| load.plausible().ok_or(SensorError::Invalid));
        self.swap = self.swap.and_then(|swap| swap.plausible().ok_or(SensorError::Invalid));
        Some(self)
    }
}

/// A recording in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Recording {
    /// Path of the file, cut to the limit.
    pub path: Text<RECORDING_PATH_MAX>,
    /// Size so far, or why it could not be read.
    pub size: Result<Mebibytes, SensorError>,
}

#[cfg(test)]
mod tests;
