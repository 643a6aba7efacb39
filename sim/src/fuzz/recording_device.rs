//! Stands between the agent and its device and remembers what was really said, and when.

use std::task::Poll;

use heartbeat_core::{
    Hal, SensorError, for_each_sensor,
    readings::Sampled,
    time::{Duration, Instant},
    units::UnixTime,
};

use super::render::Render;
use crate::fake::Timed;

/// The latest answer of a sensor.
#[derive(Debug)]
pub(super) struct Said<T> {
    value: Option<T>,
    /// What `value` becomes in a document.
    text: String,
    /// When it was said; `None` when the sensor has said since that it has no value.
    at: Option<Instant>,
    /// The error that it answered last, until it has a value.
    error: Option<SensorError>,
    /// It was asked and has not answered.
    pending: bool,
}

/// What there is of a sensor for a document.
pub(super) enum State<'a, T> {
    /// A value that is fresh enough.
    Value(&'a T),
    /// No value, and the word for the reason, if it is one.
    Unread(Option<&'static str>),
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { value: None, text: String::new(), at: None, error: None, pending: false }
    }
}

impl<T: Render + Clone> Said<T> {
    fn hear(&mut self, now: Instant, answer: &Sampled<T>) {
        self.pending = answer.is_pending();
        match answer {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                self.at = None;
                self.error = Some(*error);
            }
            Poll::Ready(Ok(value)) => {
                if let Some(text) = value.render_after(self.value.as_ref()) {
                    self.text = text;
                    self.value = Some(value.clone());
                }
                self.at = Some(now);
                self.error = None;
            }
        }
    }

    /// Its text when the answer is not older than `limit`.
    pub(super) fn fresh(&self, now: Instant, limit: Duration, otherwise: &'static str) -> &str {
        match self.at {
            Some(at) if now.since(at) <= limit => &self.text,
            _ => otherwise,
        }
    }

    /// What there is at `now`; `word` names errors.
    pub(super) fn state(
        &self,
        now: Instant,
        limit: Duration,
        word: fn(SensorError) -> Option<&'static str>,
    ) -> State<'_, T> {
        let is_fresh = self.at.is_some_and(|at| now.since(at) <= limit);
        match &self.value {
            Some(value) if is_fresh && value.is_value(&self.text) => State::Value(value),
            _ if self.pending => State::Unread(Some("silent")),
            _ if is_fresh => State::Unread(T::NULL_IS_INVALID.then_some("invalid")),
            _ => State::Unread(self.error.and_then(word)),
        }
    }
}

macro_rules! recording_device {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// A device whose answers are remembered.
        #[derive(Debug)]
        pub(super) struct RecordingDevice<H> {
            pub(super) inner: H,
            pub(super) now: Instant,
            /// What the clock said when it was last read.
            pub(super) time_read: Option<UnixTime>,
            $(pub(super) $method: Said<$value>,)*
        }

        impl<H> RecordingDevice<H> {
            pub(super) fn new(inner: H) -> Self {
                Self {
                    inner,
                    now: Instant::ZERO,
                    time_read: None,
                    $($method: Said::default(),)*
                }
            }

            /// Whether a sensor was asked and has not answered.
            pub(super) fn any_pending(&self) -> bool {
                $(self.$method.pending)||*
            }
        }

        impl<H: Hal> Hal for RecordingDevice<H> {
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

for_each_sensor!(recording_device);

impl<H: Timed> Timed for RecordingDevice<H> {
    fn advance(&mut self, now: Instant) {
        self.now = now;
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }
}
