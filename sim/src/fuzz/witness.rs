//! Stands between the agent and its device and remembers what was really said, and when.

use std::task::Poll;

use heartbeat_core::{
    Hal, for_each_sensor,
    readings::Sampled,
    time::{Duration, Instant},
    units::UnixTime,
};

use super::render::{NO_ACTIVITY, Render};
use crate::fake::Timed;

/// The latest answer of a sensor.
#[derive(Debug)]
struct Said<T> {
    value: Option<T>,
    /// What `value` becomes in a document.
    text: String,
    /// When it was said; `None` when the sensor has said since that it has no value.
    at: Option<Instant>,
    /// It was asked and has not answered.
    owes: bool,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { value: None, text: String::new(), at: None, owes: false }
    }
}

impl<T: Render + Clone> Said<T> {
    fn hear(&mut self, now: Instant, answer: &Sampled<T>) {
        self.owes = answer.is_pending();
        match answer {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => self.at = None,
            Poll::Ready(Ok(value)) => {
                if let Some(text) = value.render_after(self.value.as_ref()) {
                    self.text = text;
                    self.value = Some(value.clone());
                }
                self.at = Some(now);
            }
        }
    }

    fn fresh(&self, now: Instant, limit: Duration, otherwise: &'static str) -> &str {
        match self.at {
            Some(at) if now.since(at) <= limit => &self.text,
            _ => otherwise,
        }
    }
}

macro_rules! witness {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// A device whose answers are remembered.
        #[derive(Debug)]
        pub(super) struct Witness<H> {
            pub(super) inner: H,
            now: Instant,
            /// What the clock said when it was last read.
            pub(super) time_read: Option<UnixTime>,
            $($method: Said<$value>,)*
        }

        impl<H> Witness<H> {
            pub(super) fn new(inner: H) -> Self {
                Self {
                    inner,
                    now: Instant::ZERO,
                    time_read: None,
                    $($method: Said::default(),)*
                }
            }

            /// Whether a sensor was asked and has not answered.
            pub(super) fn any_owes(&self) -> bool {
                $(self.$method.owes)||*
            }
        }

        impl<H: Hal> Hal for Witness<H> {
            fn unix_time(&mut self) -> Option<UnixTime> {
                self.time_read = self.inner.unix_time();
                self.time_read
            }

            $(fn $method(&mut self) -> Sampled<$value> {
                let answer = self.inner.$method();
                self.$method.hear(self.now, &answer);
                answer
            })*
        }
    };
}

for_each_sensor!(witness);

impl<H> Witness<H> {
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
            ups,
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
            put!("ups", ups);
            out.push('}');
        }
    }
}

impl<H: Timed> Timed for Witness<H> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }
}
