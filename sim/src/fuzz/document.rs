//! The document that a device's answers must become, written down apart from the core, in the order of the contract.

use heartbeat_core::time::{Duration, Instant};

use super::{recording_device::RecordingDevice, render::NO_ACTIVITY};

impl<H> RecordingDevice<H> {
    /// Writes the parts of a document that come from sensors, and calls `between` where the timestamp stands.
    pub(super) fn write_document(
        &self,
        now: Instant,
        limit: Duration,
        diagnostics: bool,
        out: &mut String,
        timestamp: impl FnOnce(&mut String),
    ) {
        // Named one by one, so that no sensor can be forgotten.
        let Self {
            inner: _,
            now: _,
            time_read: _,
            cpu,
            memory,
            temperature,
            power,
            fan,
            disk,
            default_interface,
            ethernet,
            wifi,
            cellular,
            position,
            app_version,
            activity,
            uptime,
            throttled,
            cpu_mhz,
            ups,
            system,
        } = self;
        macro_rules! put {
            ($key:literal, $said:expr) => {
                out.push_str(concat!("\"", $key, "\":"));
                out.push_str($said.fresh(now, limit, "null"));
            };
        }
        put!("cpu", cpu);
        out.push(',');
        put!("mem", memory);
        out.push(',');
        put!("temp", temperature);
        out.push(',');
        put!("power", power);
        out.push(',');
        put!("fan_rpm", fan);
        out.push(',');
        put!("disk", disk);
        out.push_str(",\"connection\":{");
        put!("default_interface", default_interface);
        out.push(',');
        put!("ethernet", ethernet);
        out.push(',');
        put!("wifi", wifi);
        out.push(',');
        put!("4g", cellular);
        out.push(',');
        put!("gps", position);
        out.push_str("},");
        timestamp(out);
        out.push(',');
        put!("app_version", app_version);
        out.push(',');
        out.push_str(activity.fresh(now, limit, NO_ACTIVITY));
        if diagnostics {
            out.push(',');
            put!("uptime_s", uptime);
            out.push_str(",\"diagnostics\":{");
            put!("throttled", throttled);
            out.push(',');
            put!("cpu_mhz", cpu_mhz);
            out.push(',');
            put!("ups", ups);
            out.push(',');
            out.push_str(system.fresh(now, limit, ""));
            self.write_unread(now, limit, out);
            out.push('}');
        }
    }
}
