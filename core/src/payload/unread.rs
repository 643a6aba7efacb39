//! `diagnostics.unread`: the keys of the document whose source is there and fails, each with the reason.
//!
//! A server can tell a board without a fan from a fan that cannot be read: both have `"fan_rpm":null`, the second one
//! `"unread":{"fan_rpm":"failed"}` as well.

use core::marker::PhantomData;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Disk, Fact};
use crate::{
    json_max::{JsonMax, object},
    limits::RECORDING_PATH_MAX,
    readings::{
        AppVersion, Cellular, Ethernet, InterfaceName, Position, SensorError, Throttled, Ups, Uptime, Wifi,
    },
    text::Text,
    units::{Celsius, Load, Mebibytes, Megahertz, Percent, Rpm, Watts},
};
#[cfg(feature = "board")]
use crate::{
    limits::{MODEL_MAX, OS_MAX},
    readings::Wear,
};

/// Why a key has no value although its source is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// The program has no permission to read it.
    Denied,
    /// Reading failed.
    Failed,
    /// What was read is not a valid reading.
    Invalid,
    /// There was no answer in time, and the last value is too old to be sent.
    Silent,
}

impl Reason {
    /// The word in the document.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Silent => "silent",
        }
    }

    /// The reason that an error is; `None` for an absent source, which is no failure.
    pub const fn of(error: SensorError) -> Option<Self> {
        match error {
            SensorError::Absent => None,
            SensorError::Denied => Some(Self::Denied),
            SensorError::Io => Some(Self::Failed),
            SensorError::Invalid => Some(Self::Invalid),
        }
    }
}

/// Bytes of the longest entry for a key, with its comma.
const fn entry(key: &str) -> usize {
    "\"\":\"\",".len() + key.len() + Reason::Invalid.word().len()
}

/// How many bytes more than with a value of type `T` a document can have when the key has `instead` and an entry.
const fn extra<T: JsonMax>(key: &str, instead: &str) -> usize {
    (instead.len() + entry(key)).saturating_sub(T::JSON_MAX)
}

/// A member whose key has so many bytes, with its comma.
struct Member<const KEY: usize, T>(PhantomData<T>);

impl<const KEY: usize, T: JsonMax> JsonMax for Member<KEY, T> {
    const JSON_MAX: usize = "\"\":,".len() + KEY + T::JSON_MAX;
}

macro_rules! keys {
    ($($(#[$cfg:meta])? $variant:ident $key:literal: $value:ty, else $instead:literal;)*) => {
        /// A key that can be unread; a dot leads into an object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        // Each variant is the key that `name` gives.
        #[allow(missing_docs)]
        pub enum Key {
            $($(#[$cfg])? $variant,)*
        }

        impl Key {
            /// All of them, in the order of the document.
            pub const ALL: [Self; [$($(#[$cfg])? $key),*].len()] = [$($(#[$cfg])? Self::$variant),*];

            /// The key as it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$cfg])? Self::$variant => $key,)*
                }
            }
        }

        impl JsonMax for Unread {
            /// What the entries can add to a document in which each key has the longest value. A key that is unread has none, so
            /// that most entries take less than what they replace.
            const JSON_MAX: usize = object(&[$($(#[$cfg])? extra::<$value>($key, $instead)),*]);
        }
    };
}

keys! {
    Cpu "cpu": Percent, else "null";
    Mem "mem": Percent, else "null";
    Temp "temp": Celsius, else "null";
    Power "power": Watts, else "null";
    FanRpm "fan_rpm": Rpm, else "null";
    Disk "disk": Disk, else "null";
    DefaultInterface "connection.default_interface": InterfaceName, else "null";
    Ethernet "connection.ethernet": Ethernet, else "null";
    Wifi "connection.wifi": Wifi, else "null";
    Cellular "connection.4g": Cellular, else "null";
    Gps "connection.gps": Position, else "null";
    AppVersion "app_version": AppVersion, else "null";
    StreamingActive "streaming_active": bool, else "false";
    TrackingActive "tracking_active": bool, else "false";
    // Then there is no path either, and the path is what takes more.
    RecordingActive "recording_active": Text<RECORDING_PATH_MAX>, else "null";
    RecordingFileSizeMb "recording_file_size_mb": Mebibytes, else "null";
    UptimeS "uptime_s": Uptime, else "null";
    Throttled "diagnostics.throttled": Throttled, else "null";
    CpuMhz "diagnostics.cpu_mhz": Megahertz, else "null";
    Ups "diagnostics.ups": Ups, else "null";
    // These are left out.
    Load "diagnostics.load": Member<4, Load>, else "";
    Swap "diagnostics.swap": Member<4, Percent>, else "";
    RootReadOnly "diagnostics.root_read_only": Member<14, Fact>, else "";
    #[cfg(feature = "board")]
    ClockSynchronized "diagnostics.clock_synchronized": Member<18, bool>, else "";
    #[cfg(feature = "board")]
    BoardModel "board.model": Text<MODEL_MAX>, else "null";
    #[cfg(feature = "board")]
    BoardOs "board.os": Text<OS_MAX>, else "null";
    #[cfg(feature = "board")]
    BoardWear "board.wear": Wear, else "null";
}

/// The keys that are unread. A key that is in here has no value in the document: it is `null` or left out, an activity is `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread([Option<Reason>; Key::ALL.len()]);

impl Unread {
    /// The value, if there is one; else the reason for having none is noted for the key.
    pub fn note<T>(&mut self, key: Key, value: Result<T, Option<Reason>>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.set(key, reason);
                None
            }
        }
    }

    // One copy of this code for all keys: it does not depend on the types of their values.
    #[inline(never)]
    fn set(&mut self, key: Key, reason: Option<Reason>) {
        if let Some(place) = self.0.get_mut(key as usize) {
            *place = reason;
        }
    }

    /// The unread keys with their reasons, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Reason)> {
        Key::ALL.into_iter().zip(self.0).filter_map(|(key, reason)| Some((key, reason?)))
    }
}

impl Serialize for Unread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_map(None)?;
        for (key, reason) in self.iter() {
            entries.serialize_entry(key.name(), reason.word())?;
        }
        entries.end()
    }
}
