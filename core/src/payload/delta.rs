//! The delta of a document: between full documents, only the keys whose values have changed by more than their noise.
//!
//! `{"boot_id":"0123456789abcdef","seq":13,"base":12,"timestamp":1795714071.113,"diagnostics.load":0.81}`
//!
//! It refers to the full document with the number `base` of the same start. What it does not have is as in that document. A key is
//! that of the table in `doc/protocol.md`, where a dot leads into an object, and has its whole new value. `null` is a value, and
//! for a key of `diagnostics` that can be left out, it says that it is. The contract with servers is [`super::DELTA_SCHEMA`].

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{BootId, Connection, Diagnostics, Disk, Fact, Heartbeat, Unread};
use crate::{
    limits::RECORDING_PATH_MAX,
    noise::Noise,
    readings::{AppVersion, Cellular, Ethernet, InterfaceName, Position, Throttled, Ups, Uptime, Wifi},
    text::{Text, escape_controls},
    units::{Celsius, Load, Mebibytes, Megahertz, Percent, Rpm, UnixTime, Watts, Whole},
};

macro_rules! values {
    ($($(#[$cfg:meta])? $field:ident $key:literal: $type:ty;)*) => {
        /// The values of a document that has a number, without what does not change while deltas refer to it, and without
        /// `board`, which belongs to its own document only.
        #[derive(Debug, Clone)]
        pub(crate) struct Values {
            boot_id: BootId,
            seq: u64,
            has_diagnostics: bool,
            $($(#[$cfg])? $field: $type,)*
        }

        impl Values {
            /// Writes the keys whose values are not near those of `base`.
            fn write_changed<M: SerializeMap>(&self, base: &Self, map: &mut M) -> Result<(), M::Error> {
                $($(#[$cfg])? {
                    if !self.$field.is_near(&base.$field) {
                        map.serialize_entry($key, &self.$field)?;
                    }
                })*
                Ok(())
            }
        }
    };
}

values! {
    timestamp "timestamp": Option<UnixTime>;
    cpu "cpu": Option<Percent>;
    mem "mem": Option<Percent>;
    temp "temp": Option<Celsius>;
    power "power": Option<Watts>;
    fan_rpm "fan_rpm": Option<Rpm>;
    disk "disk": Option<Disk>;
    default_interface "connection.default_interface": Option<InterfaceName>;
    ethernet "connection.ethernet": Option<Ethernet>;
    wifi "connection.wifi": Option<Wifi>;
    cellular "connection.4g": Option<Cellular>;
    gps "connection.gps": Option<Position>;
    app_version "app_version": Option<AppVersion>;
    streaming_active "streaming_active": bool;
    tracking_active "tracking_active": bool;
    recording_active "recording_active": bool;
    recording_file_size_mb "recording_file_size_mb": Option<Mebibytes>;
    recording_file_path "recording_file_path": Option<Text<RECORDING_PATH_MAX>>;
    uptime_s "uptime_s": Option<Uptime>;
    throttled "diagnostics.throttled": Option<Throttled>;
    cpu_mhz "diagnostics.cpu_mhz": Option<Megahertz>;
    ups "diagnostics.ups": Option<Ups>;
    load "diagnostics.load": Option<Load>;
    swap "diagnostics.swap": Option<Percent>;
    root_read_only "diagnostics.root_read_only": Option<Fact>;
    #[cfg(feature = "board")]
    clock_synchronized "diagnostics.clock_synchronized": Option<bool>;
    unread "diagnostics.unread": Unread;
}

impl Values {
    /// Those of this document; `None` if it has no number, because nothing can refer to it.
    #[inline(never)]
    pub(crate) fn of(heartbeat: &Heartbeat<'_>) -> Option<Self> {
        // Named one by one, so that no value can be forgotten.
        let Heartbeat {
            hardwareid: _,
            cpu,
            mem,
            temp,
            power,
            fan_rpm,
            disk,
            connection: Connection { default_interface, ethernet, wifi, cellular, gps },
            timestamp,
            app_version,
            streaming_active,
            tracking_active,
            recording_active,
            recording_file_size_mb,
            recording_file_path,
            uptime_s,
            diagnostics,
            #[cfg(feature = "board")]
                board: _,
            boot_id,
            seq,
        } = heartbeat;
        let has_diagnostics = diagnostics.is_some();
        let Diagnostics {
            throttled,
            cpu_mhz,
            ups,
            load,
            swap,
            root_read_only,
            #[cfg(feature = "board")]
            clock_synchronized,
            unread,
        } = diagnostics.unwrap_or(Diagnostics {
            throttled: None,
            cpu_mhz: None,
            ups: None,
            load: None,
            swap: None,
            root_read_only: None,
            #[cfg(feature = "board")]
            clock_synchronized: None,
            unread: Unread::default(),
        });
        Some(Self {
            boot_id: (*boot_id)?,
            seq: (*seq)?,
            has_diagnostics,
            timestamp: *timestamp,
            cpu: *cpu,
            mem: *mem,
            temp: *temp,
            power: *power,
            fan_rpm: *fan_rpm,
            disk: *disk,
            default_interface: default_interface.cloned(),
            ethernet: ethernet.cloned(),
            wifi: wifi.cloned(),
            cellular: cellular.cloned(),
            gps: gps.cloned(),
            app_version: app_version.cloned(),
            streaming_active: *streaming_active,
            tracking_active: *tracking_active,
            recording_active: *recording_active,
            recording_file_size_mb: *recording_file_size_mb,
            recording_file_path: recording_file_path.cloned(),
            uptime_s: uptime_s.flatten(),
            throttled,
            cpu_mhz,
            ups,
            load,
            swap,
            root_read_only,
            #[cfg(feature = "board")]
            clock_synchronized,
            unread,
        })
    }

    /// Writes what has changed since `base` into `buffer` and returns how many bytes that takes; `None` if it does not fit or if
    /// the two are not of one start with the same settings.
    pub(crate) fn encode_since(&self, base: &Self, buffer: &mut [u8]) -> Option<usize> {
        if self.boot_id != base.boot_id || self.has_diagnostics != base.has_diagnostics {
            return None;
        }
        let len = serde_json_core::to_slice(&Changes { base, new: self }, buffer).ok()?;
        escape_controls(buffer, len)
    }
}

/// What has changed.
struct Changes<'v> {
    base: &'v Values,
    new: &'v Values,
}

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { base, new } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("boot_id", &new.boot_id)?;
        map.serialize_entry("seq", &Whole(new.seq))?;
        map.serialize_entry("base", &Whole(base.seq))?;
        new.write_changed(base, &mut map)?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
