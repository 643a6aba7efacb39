//! The document as JSON: which keys, in which order. One place beside the schema.

use super::{BootId, Connection, Diagnostics, Disk, Heartbeat};
use crate::{
    json::{Json, Members, ToJson, key},
    readings::{Cellular, Ethernet, Fix, Position, Throttled, Ups, Uptime, Wifi, WifiMode},
};

macro_rules! objects {
    ($($type:ty { $($key:literal: $field:ident),* $(,)? })*) => {
        $(impl ToJson for $type {
            fn write(&self, json: &mut Json<'_>) {
                json.object(|members| {
                    $(members.member(key!($key), &self.$field);)*
                });
            }
        })*
    };
}

objects! {
    Connection<'_> {
        "default_interface": default_interface,
        "ethernet": ethernet,
        "wifi": wifi,
        "4g": cellular,
        "gps": gps,
    }
    Ethernet { "interface": interface, "ip": ip }
    Wifi {
        "interface": interface,
        "ip": ip,
        "mode": mode,
        "ssid": ssid,
        "signal_dbm": signal_dbm,
        "signal_percent": signal_percent,
        "clients": clients,
    }
    Cellular {
        "interface": interface,
        "ip": ip,
        "state": state,
        "operator": operator,
        "technology": technology,
        "signal_percent": signal_percent,
    }
    Position {
        "fix": fix,
        "latitude": latitude,
        "longitude": longitude,
        "altitude_m": altitude_m,
        "speed_mps": speed_mps,
        "heading": heading,
        "satellites": satellites,
    }
    Disk { "percent": percent, "used_gb": used_gb, "total_gb": total_gb }
    Diagnostics { "throttled": throttled, "ups": ups }
    Ups { "voltage": voltage, "percent": percent }
}

impl ToJson for Heartbeat<'_> {
    fn write(&self, json: &mut Json<'_>) {
        json.object(|members| {
            members.member(key!("hardwareid"), self.hardwareid);
            members.member(key!("cpu"), &self.cpu);
            members.member(key!("mem"), &self.mem);
            members.member(key!("temp"), &self.temp);
            members.member(key!("power"), &self.power);
            members.member(key!("fan_rpm"), &self.fan_rpm);
            members.member(key!("disk"), &self.disk);
            members.member(key!("connection"), &self.connection);
            members.member(key!("timestamp"), &self.timestamp);
            members.member(key!("app_version"), &self.app_version);
            members.member(key!("streaming_active"), &self.streaming_active);
            members.member(key!("tracking_active"), &self.tracking_active);
            members.member(key!("recording_active"), &self.recording_active);
            members.member(key!("recording_file_size_mb"), &self.recording_file_size_mb);
            members.member(key!("recording_file_path"), &self.recording_file_path);
            optional(members, key!("uptime_s"), &self.uptime_s);
            optional(members, key!("diagnostics"), &self.diagnostics);
            optional(members, key!("boot_id"), &self.boot_id);
            optional(members, key!("seq"), &self.seq);
        });
    }
}

/// A member that is left out when there is none.
fn optional(members: &mut Members<'_, '_>, key: &'static str, value: &Option<impl ToJson>) {
    if let Some(value) = value {
        members.member(key, value);
    }
}

impl ToJson for BootId {
    fn write(&self, json: &mut Json<'_>) {
        json.digits(self.0);
    }
}

impl ToJson for Uptime {
    fn write(&self, json: &mut Json<'_>) {
        self.0.write(json);
    }
}

impl ToJson for Throttled {
    fn write(&self, json: &mut Json<'_>) {
        self.0.write(json);
    }
}

impl ToJson for WifiMode {
    fn write(&self, json: &mut Json<'_>) {
        json.string(match self {
            Self::Client => "client",
            Self::Hotspot => "hotspot",
        });
    }
}

impl ToJson for Fix {
    fn write(&self, json: &mut Json<'_>) {
        json.string(match self {
            Self::None => "none",
            Self::TwoD => "2d",
            Self::ThreeD => "3d",
        });
    }
}
