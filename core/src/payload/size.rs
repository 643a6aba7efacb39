//! How long a document can be: the sum of the longest texts of its parts, known when the program is compiled.

use super::{BootId, Connection, Diagnostics, Disk, Heartbeat};
use crate::{
    readings::{Cellular, Ethernet, Fix, Position, Throttled, Ups, Uptime, Wifi, WifiMode},
    text::Text,
    units::{
        Celsius, DECIMAL_MAX, Dbm, Degrees, Gibibytes, Heading, Mebibytes, Metres, MetresPerSecond, Percent,
        Rpm, SignalPercent, UnixTime, Volts, Watts,
    },
};

/// A part of a document whose JSON has a greatest length.
pub(super) trait JsonMax {
    /// That length, in bytes.
    const JSON_MAX: usize;
}

impl<T: JsonMax> JsonMax for &T {
    const JSON_MAX: usize = T::JSON_MAX;
}

impl<T: JsonMax> JsonMax for Option<T> {
    const JSON_MAX: usize = if T::JSON_MAX > "null".len() { T::JSON_MAX } else { "null".len() };
}

impl<const N: usize> JsonMax for Text<N> {
    const JSON_MAX: usize = N + "\"\"".len();
}

macro_rules! longest {
    ($($type:ty: $longest:expr;)*) => {
        $(impl JsonMax for $type {
            const JSON_MAX: usize = $longest;
        })*
    };
}

longest! {
    bool: "false".len();
    u8: "255".len();
    u16: "65535".len();
    u64: "18446744073709551615".len();
    Dbm: "-32768".len();
    SignalPercent: u8::JSON_MAX;
    Rpm: "4294967295".len();
    Throttled: "4294967295".len();
    Uptime: u64::JSON_MAX;
    BootId: "\"0123456789abcdef\"".len();
    Fix: "\"none\"".len();
    WifiMode: "\"hotspot\"".len();
    Celsius: DECIMAL_MAX;
    Degrees: DECIMAL_MAX;
    Gibibytes: DECIMAL_MAX;
    Heading: DECIMAL_MAX;
    Mebibytes: DECIMAL_MAX;
    Metres: DECIMAL_MAX;
    MetresPerSecond: DECIMAL_MAX;
    Percent: DECIMAL_MAX;
    UnixTime: DECIMAL_MAX;
    Volts: DECIMAL_MAX;
    Watts: DECIMAL_MAX;
}

/// The greatest length of a member's value, whose type follows from how it is reached.
const fn value<O, T: JsonMax>(_: fn(&O) -> &T) -> usize {
    T::JSON_MAX
}

/// Bytes of an object with members of these lengths, each with its comma.
const fn object(members: &[usize]) -> usize {
    let (mut sum, mut rest) = ("{}".len(), members);
    while let [first, others @ ..] = rest {
        sum += *first;
        rest = others;
    }
    // No comma after the last.
    sum - 1
}

/// An object with a member for each field of a struct. Does not compile while a field is missing.
macro_rules! objects {
    ($($name:ident $(<$lifetime:lifetime>)? { $($field:ident $(as $key:literal)?),* $(,)? })*) => {
        $(impl $(<$lifetime>)? JsonMax for $name $(<$lifetime>)? {
            const JSON_MAX: usize = {
                let _: fn(&Self) = |Self { $($field: _),* }| {};
                object(&[$(
                    objects!(@key $field $($key)?).len() + "\"\":,".len() + value(|object: &Self| &object.$field)
                ),*])
            };
        })*
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}

objects! {
    Heartbeat<'a> {
        hardwareid, cpu, mem, temp, power, fan_rpm, disk, connection, timestamp, app_version, streaming_active,
        tracking_active, recording_active, recording_file_size_mb, recording_file_path, uptime_s, diagnostics, boot_id, seq,
    }
    Connection<'a> { default_interface, ethernet, wifi, cellular as "4g", gps }
    Ethernet { interface, ip }
    Wifi { interface, ip, mode, ssid, signal_dbm, signal_percent, clients }
    Cellular { interface, ip, state, operator, technology, signal_percent }
    Position { fix, latitude, longitude, altitude_m, speed_mps, heading, satellites }
    Disk { percent, used_gb, total_gb }
    Diagnostics { throttled, ups }
    Ups { voltage, percent }
}
