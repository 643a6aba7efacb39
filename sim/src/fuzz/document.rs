//! The document that a device's answers must become, written down apart from the core, in the order of the contract.

use heartbeat_core::time::{Duration, Instant};

use super::{
    recording_device::{RecordingDevice, State},
    render::NO_ACTIVITY,
};

/// What there is to tell of a board: its place in the document, and its clock.
type Tells = (String, Option<bool>);

/// What the server knows of the board: until it has been delivered it is told in each heartbeat, then once an hour, and when it
/// changes.
#[derive(Debug, Default)]
pub(super) struct Told {
    delivered: Option<(Instant, Tells)>,
    in_flight: Option<(Instant, Tells)>,
}

impl Told {
    /// Whether the heartbeat that begins `now` tells this.
    fn offer(&mut self, now: Instant, board: Option<(&str, Option<bool>)>) -> bool {
        self.in_flight = board.map(|(text, clock)| (now, (text.to_owned(), clock))).filter(|(_, tells)| {
            self.delivered
                .as_ref()
                .is_none_or(|(at, told)| now.since(*at) >= Duration::from_secs(3600) || told != tells)
        });
        self.in_flight.is_some()
    }

    /// The live heartbeat has ended.
    pub(super) fn ended(&mut self, is_accepted: bool) {
        let in_flight = self.in_flight.take();
        if is_accepted && in_flight.is_some() {
            self.delivered = in_flight;
        }
    }
}

impl<H> RecordingDevice<H> {
    /// Writes the parts of a document that come from sensors, and calls `between` where the timestamp stands.
    pub(super) fn write_document(
        &self,
        now: Instant,
        limit: Duration,
        diagnostics: bool,
        told: &mut Told,
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
            board,
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
            let board = match board.state(now, limit, |_| None) {
                State::Value(value) => Some((board.fresh(now, limit, "null"), value.clock_synchronized.ok())),
                State::Unread(_) => None,
            };
            let tells = told.offer(now, board);
            match board {
                Some((_, Some(is_synchronized))) if tells || !is_synchronized => {
                    out.push_str(&format!("\"clock_synchronized\":{is_synchronized},"));
                }
                _ => {}
            }
            self.write_unread(now, limit, out);
            out.push('}');
            if let Some((text, _)) = board.filter(|_| tells) {
                out.push_str(",\"board\":");
                out.push_str(text);
            }
        } else {
            told.offer(now, None);
        }
    }
}
