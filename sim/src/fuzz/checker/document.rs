//! The exact bytes that must be sent: from what the sensors really said, when it is fresh enough.

use std::fmt::Write;

use heartbeat_core::{Config, time::Instant};

use super::{Broken, broken};
use crate::fuzz::{document::Told, recording_device::RecordingDevice};

/// The id of the device in every run.
pub(in crate::fuzz) const HARDWARE_ID: &str = "10000000a1b2c3d4";

/// Writes what must be sent at `now`. `numbered`: the start and the number of the heartbeat, if they are sent.
pub(super) fn write<H>(
    device: &RecordingDevice<H>,
    now: Instant,
    config: &Config,
    numbered: Option<(&str, u64)>,
    told: &mut Told,
    out: &mut String,
) {
    out.push_str("{\"hardwareid\":\"");
    out.push_str(HARDWARE_ID);
    out.push_str("\",");
    // S10: a value is sent for three intervals after it was read.
    device.write_document(now, config.interval() * 3, config.diagnostics(), told, out, |out| {
        out.push_str("\"timestamp\":");
        // Until the year 9999.
        match device.time_read.map(|time| time.raw()).filter(|raw| (0..=253_402_300_799_999).contains(raw)) {
            Some(raw) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{}.{:03}", raw / 1_000, raw % 1_000);
            }
            None => out.push_str("null"),
        }
    });
    if let Some((boot_id, seq)) = numbered {
        // Writing to a string cannot fail.
        let _ = write!(out, ",\"boot_id\":\"{boot_id}\",\"seq\":{seq}");
    }
    out.push('}');
}

/// Compares to the byte, and says where the first difference is.
pub(super) fn compare(expected: &str, found: &[u8]) -> Result<(), Broken> {
    if expected.as_bytes() == found {
        return Ok(());
    }
    let same = expected.bytes().zip(found).take_while(|(one, other)| one == *other).count();
    let key = expected.get(..same).and_then(|same| same.rfind("\":")).unwrap_or(0);
    let part = |text: &str| {
        let start = (0..=key.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let begin = text.get(..start).and_then(|text| text.rfind('"')).unwrap_or(0);
        text.get(begin..).unwrap_or_default().chars().take(60).collect::<String>()
    };
    let found = String::from_utf8_lossy(found);
    broken!("S8 payload", "sent {}, expected {}", part(&found), part(expected));
}
