//! The heartbeat document, version 1.
//!
//! Keys have the order of the structs' fields and are always present, except for optional ones; a value that was not read is
//! `null`. The JSON Schema in `schema/heartbeat-v1.schema.json` ([`SCHEMA`]) is the contract with servers.

#[cfg(feature = "board")]
mod board;
#[cfg(feature = "delta")]
pub(crate) mod delta;
mod unread;

use serde::{Serialize, Serializer};

#[cfg(feature = "board")]
pub use self::board::Board;
pub use self::unread::{Key, Reason, Unread};

#[cfg(feature = "delta")]
use crate::noise::exact;
use crate::{
    json_max::{JsonMax, longest, objects},
    limits::{HARDWARE_ID_MAX, RECORDING_PATH_MAX},
    readings::{
        AppVersion, Cellular, DiskSpace, Ethernet, InterfaceName, Position, Throttled, Ups, Uptime, Wifi,
    },
    text::{Text, escape_controls},
    units::{
        Celsius, Gibibytes, Load, Mebibytes, Megahertz, Percent, Rpm, UnixTime, Watts,
        serialize_optional_whole,
    },
};

/// JSON Schema (draft 2020-12) of a heartbeat body.
pub const SCHEMA: &str = include_str!("../../schema/heartbeat-v1.schema.json");

/// JSON Schema (draft 2020-12) of a delta. It refers to [`SCHEMA`].
#[cfg(feature = "delta")]
pub const DELTA_SCHEMA: &str = include_str!("../../schema/heartbeat-delta-v1.schema.json");

/// Greatest length of an encoded heartbeat in bytes, with the mark of a late one.
pub const BODY_MAX: usize = Heartbeat::JSON_MAX - 1 + REPLAYED.len();

/// One heartbeat, which borrows its values.
#[derive(Debug, Clone, Serialize)]
pub struct Heartbeat<'a> {
    /// Unique and stable across reboots and reflashes of the same board.
    pub hardwareid: &'a Text<HARDWARE_ID_MAX>,
    /// Busy share of all cores since the previous beat.
    pub cpu: Option<Percent>,
    /// Memory that is not available, as a share of the total.
    pub mem: Option<Percent>,
    /// Temperature of the system-on-chip.
    pub temp: Option<Celsius>,
    /// Power drawn.
    pub power: Option<Watts>,
    /// Speed of the fan.
    pub fan_rpm: Option<Rpm>,
    /// Space of the configured filesystem.
    pub disk: Option<Disk>,
    /// How the device is connected.
    pub connection: Connection<'a>,
    /// When the sample was taken; `None` while the clock has not been set.
    pub timestamp: Option<UnixTime>,
    /// Version of the streaming application.
    pub app_version: Option<&'a AppVersion>,
    /// The application sends live video.
    pub streaming_active: bool,
    /// The application sends positions.
    pub tracking_active: bool,
    /// The application records.
    pub recording_active: bool,
    /// Size of the recording in progress; 0 when not recording, `None` when it could not be read.
    pub recording_file_size_mb: Option<Mebibytes>,
    /// Path of the recording in progress.
    pub recording_file_path: Option<&'a Text<RECORDING_PATH_MAX>>,
    /// Time since the device booted. Optional: `None` leaves the key out, `Some(None)` is `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<Option<Uptime>>,
    /// Diagnostics of the power supply and the processor. Optional: `None` leaves the key out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
    /// What the board is. Optional: `None` leaves the key out.
    #[cfg(feature = "board")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<Board<'a>>,
    /// Identifies the start of the agent. Optional: `None` leaves the key out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    /// Number of the heartbeat since that start, counting those that were not delivered. Optional: `None` leaves the key
    /// out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_whole")]
    pub seq: Option<u64>,
}

objects! {
    Heartbeat<'a> {
        hardwareid, cpu, mem, temp, power, fan_rpm, disk, connection, timestamp, app_version, streaming_active,
        tracking_active, recording_active, recording_file_size_mb, recording_file_path, uptime_s, diagnostics,
        #[cfg(feature = "board")] board, boot_id, seq,
    }
}

/// All connections of the device; `None` for each kind that it does not have.
#[derive(Debug, Clone, Serialize)]
pub struct Connection<'a> {
    /// Interface of the preferred default route.
    pub default_interface: Option<&'a InterfaceName>,
    /// The wired connection.
    pub ethernet: Option<&'a Ethernet>,
    /// The wireless connection.
    pub wifi: Option<&'a Wifi>,
    /// The mobile connection.
    #[serde(rename = "4g")]
    pub cellular: Option<&'a Cellular>,
    /// The satellite receiver.
    pub gps: Option<&'a Position>,
}

objects! { Connection<'a> { default_interface, ethernet, wifi, cellular as "4g", gps } }

/// Identifies a start of the agent: a random number, 16 hexadecimal digits in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BootId(pub u64);

longest! { BootId: "\"0123456789abcdef\"".len(); }

#[cfg(feature = "delta")]
exact! { BootId; }

/// Diagnostics of the power supply and the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// Under-voltage and throttling.
    pub throttled: Option<Throttled>,
    /// Current frequency of the first processor core.
    pub cpu_mhz: Option<Megahertz>,
    /// The battery of a UPS HAT.
    pub ups: Option<Ups>,
    /// Load average of the last minute. Optional: `None` leaves the key out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Share of the swap space that is in use. Optional: `None` leaves the key out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Percent>,
    /// The root filesystem cannot be written. Optional: `None` leaves the key out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_read_only: Option<Fact>,
    /// Whether the clock has been synchronized. Optional: `None` leaves the key out.
    #[cfg(feature = "board")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_synchronized: Option<bool>,
    /// The keys, of the whole document, whose source is there and fails.
    pub unread: Unread,
}

objects! { Diagnostics { throttled, cpu_mhz, ups, load, swap, root_read_only, #[cfg(feature = "board")] clock_synchronized, unread } }

/// What is worth a key only when it is so: `true`, and the key is left out otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact;

longest! { Fact: "true".len(); }

#[cfg(feature = "delta")]
exact! { Fact; Unread; }

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// Space of a filesystem, as `df` computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Used share of what unprivileged programs can use.
    pub percent: Percent,
    /// Space in use.
    pub used_gb: Gibibytes,
    /// Size of the filesystem.
    pub total_gb: Gibibytes,
}

objects! { Disk { percent, used_gb, total_gb } }

impl Disk {
    /// `None` for a filesystem without any space, such as `/proc`.
    pub fn from_space(space: DiskSpace) -> Option<Self> {
        Some(Self {
            percent: Percent::of(space.used, space.used.saturating_add(space.available))?,
            used_gb: Gibibytes::from_bytes(space.used),
            total_gb: Gibibytes::from_bytes(space.total),
        })
    }
}

impl Heartbeat<'_> {
    /// Writes the document into `buffer` and returns its length in bytes; `None` if it does not fit, which
    /// cannot happen with [`BODY_MAX`] bytes when no key has both a value and a place in `diagnostics.unread`.
    pub fn encode(&self, buffer: &mut [u8]) -> Option<usize> {
        let len = serde_json_core::to_slice(self, buffer).ok()?;
        escape_controls(buffer, len)
    }
}

impl Serialize for BootId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = [0; 16];
        for (digit, shift) in digits.iter_mut().zip((0..64).step_by(4).rev()) {
            *digit = match (self.0 >> shift & 0xf) as u8 {
                value @ 0..=9 => b'0' + value,
                value => b'a' - 10 + value,
            };
        }
        // Always UTF-8.
        serializer.serialize_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

/// The end of a document that is sent late.
const REPLAYED: &[u8] = br#","replayed":true}"#;

/// Whether this can be a heartbeat that [`mark_as_replayed`] can mark.
pub(crate) fn can_be_marked(document: &[u8]) -> bool {
    document.starts_with(b"{") && document.ends_with(b"}") && document.len() <= BODY_MAX + 1 - REPLAYED.len()
}

/// Adds the optional key `replayed` to the document in the first `len` bytes of `buffer` and returns its new length;
/// `None` if that is no heartbeat or does not fit.
pub(crate) fn mark_as_replayed(buffer: &mut [u8], len: usize) -> Option<usize> {
    let end = len.checked_sub(1).filter(|end| buffer.get(*end) == Some(&b'}'))?;
    let marked = end.checked_add(REPLAYED.len())?;
    buffer.get_mut(end..marked)?.copy_from_slice(REPLAYED);
    Some(marked)
}

#[cfg(test)]
mod tests;
