//! Stands between the agent and its device and remembers what was really said, and when.

use std::task::Poll;

use heartbeat_core::{
    Hal,
    readings::{CpuTimes, Sampled},
    time::{Duration, Instant},
    units::UnixTime,
};

use super::render::{NO_ACTIVITY, Render, percent};
use crate::fake::{Timed, with_sensors};

/// The latest answer of a sensor.
#[derive(Debug, Default)]
struct Said<T> {
    value: Option<T>,
    /// What `value` becomes in a document.
    text: String,
    /// When it was said; `None` when the sensor has said since that it has no value.
    at: Option<Instant>,
    /// It was asked and has not answered.
    owes: bool,
}

impl<T: PartialEq + Clone> Said<T> {
    fn hear(&mut self, now: Instant, answer: &Sampled<T>, render: impl FnOnce(&T) -> String) {
        self.owes = answer.is_pending();
        match answer {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => self.at = None,
            Poll::Ready(Ok(value)) => {
                if self.value.as_ref() != Some(value) {
                    self.text = render(value);
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

/// Counters of the processor as they become a percentage, which needs two readings.
#[derive(Debug, Default)]
struct Usage {
    before: Option<CpuTimes>,
    said: Said<String>,
}

impl Usage {
    fn hear(&mut self, now: Instant, answer: &Sampled<CpuTimes>) {
        let usage = answer.map(|answer| {
            let after = answer?;
            let none = heartbeat_core::SensorError::Absent;
            let before = self.before.replace(after).ok_or(none)?;
            let total = after.total.checked_sub(before.total).ok_or(none)?;
            percent(after.busy.saturating_sub(before.busy), total).ok_or(none)
        });
        self.said.hear(now, &usage, String::clone);
    }
}

macro_rules! witness {
    ($($method:ident, $variant:ident, $value:ty;)*) => {
        /// A device whose answers are remembered.
        #[derive(Debug)]
        pub(super) struct Witness<H> {
            pub(super) inner: H,
            now: Instant,
            /// What the clock said when it was last read.
            pub(super) time_read: Option<UnixTime>,
            usage: Usage,
            $($method: Said<$value>,)*
        }

        impl<H> Witness<H> {
            pub(super) fn new(inner: H) -> Self {
                Self {
                    inner,
                    now: Instant::ZERO,
                    time_read: None,
                    usage: Usage::default(),
                    $($method: Said { value: None, text: String::new(), at: None, owes: false },)*
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
                witness!(@hear $method, self, answer);
                answer
            })*
        }
    };
    (@hear cpu, $self:ident, $answer:ident) => {
        $self.usage.hear($self.now, &$answer);
        $self.cpu.owes = $answer.is_pending();
    };
    (@hear $method:ident, $self:ident, $answer:ident) => {
        $self.$method.hear($self.now, &$answer, Render::render);
    };
}

with_sensors!(witness);

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
        macro_rules! put {
            ($key:literal, $said:expr) => {
                out.push_str(concat!("\"", $key, "\":"));
                out.push_str($said.fresh(now, limit, "null"));
            };
        }
        put!("cpu", self.usage.said);
        out.push(',');
        put!("mem", self.memory);
        out.push(',');
        put!("temp", self.temperature);
        out.push(',');
        put!("power", self.power);
        out.push(',');
        put!("fan_rpm", self.fan);
        out.push(',');
        put!("disk", self.disk);
        out.push_str(",\"connection\":{");
        put!("default_interface", self.default_interface);
        out.push(',');
        put!("ethernet", self.ethernet);
        out.push(',');
        put!("wifi", self.wifi);
        out.push(',');
        put!("4g", self.cellular);
        out.push(',');
        put!("gps", self.position);
        out.push_str("},");
        timestamp(out);
        out.push(',');
        put!("app_version", self.app_version);
        out.push(',');
        out.push_str(self.activity.fresh(now, limit, NO_ACTIVITY));
        if diagnostics {
            out.push(',');
            put!("uptime_s", self.uptime);
            out.push_str(",\"diagnostics\":{");
            put!("throttled", self.throttled);
            out.push(',');
            put!("ups", self.ups);
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
