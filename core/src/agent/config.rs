//! Identity and settings of the agent.

use core::fmt;

use crate::{
    limits::{
        BACKOFF_CAP_DEFAULT, FRESH_INTERVALS, HARDWARE_ID_MAX, INTERVAL_DEFAULT, INTERVAL_MAX, INTERVAL_MIN,
        LATE_PER_INTERVAL_DEFAULT, SAMPLING_DEADLINE_MAX, TIMEOUT_DEFAULT,
    },
    payload::BootId,
    text::Text,
    time::Duration,
};

/// Identity of the device and of this start of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Identity {
    pub(super) hardwareid: Text<HARDWARE_ID_MAX>,
    pub(super) boot_id: Option<BootId>,
}

impl Identity {
    /// `hardwareid` must be unique and stable across reboots and reflashes of the same board.
    pub fn new(hardwareid: &str) -> Self {
        Self { hardwareid: Text::new(hardwareid), boot_id: None }
    }

    /// Sets the number that identifies this start of the agent, drawn at random. With it the optional keys `boot_id` and
    /// `seq` are sent.
    #[must_use]
    pub const fn with_boot_id(mut self, random: u64) -> Self {
        self.boot_id = Some(BootId(random));
        self
    }
}

/// Settings of the agent. [`Config::new`] checks the interval and the timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    interval: Duration,
    timeout: Duration,
    phase: u32,
    backoff_cap: Duration,
    backlog: u16,
    late_per_interval: u8,
    diagnostics: bool,
    sequence: bool,
    #[cfg(feature = "delta")]
    deltas: bool,
}

/// Why settings were rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// The interval is not between [`INTERVAL_MIN`] and [`INTERVAL_MAX`].
    Interval,
    /// The timeout is zero or longer than the interval.
    Timeout,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interval => "the interval must be from 0.05 to 86400 seconds",
            Self::Timeout => "the timeout must be more than 0 seconds and at most the interval",
        })
    }
}

impl Config {
    /// One heartbeat every `interval`, each request limited to `timeout`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Interval`] outside 50 ms to 86,400 s; [`ConfigError::Timeout`] for zero and for more than
    /// the interval.
    pub fn new(interval: Duration, timeout: Duration) -> Result<Self, ConfigError> {
        if interval < INTERVAL_MIN || interval > INTERVAL_MAX {
            return Err(ConfigError::Interval);
        }
        if timeout == Duration::ZERO || timeout > interval {
            return Err(ConfigError::Timeout);
        }
        Ok(Self { interval, timeout, ..Self::default() })
    }

    /// Sets the phase of the grid after the first beat: any `u32`, drawn at random at each start so that a fleet that boots at
    /// the same time does not send at the same time.
    #[must_use]
    pub const fn with_phase(mut self, phase: u32) -> Self {
        self.phase = phase;
        self
    }

    /// Sets the longest gap of the back-off. A cap of at most the interval disables the back-off.
    #[must_use]
    pub const fn with_backoff_cap(mut self, cap: Duration) -> Self {
        self.backoff_cap = cap;
        self
    }

    /// Longest gap of the back-off: from the interval to [`INTERVAL_MAX`].
    pub fn backoff_cap(&self) -> Duration {
        // Not `clamp`, which has a path to a panic.
        self.backoff_cap.min(INTERVAL_MAX).max(self.interval)
    }

    /// Sets how many heartbeats that were not delivered are queued at most, and how many of them are sent in one interval
    /// once the server accepts heartbeats again. The default is 0; without memory
    /// ([`Agent::with_backlog`](super::Agent::with_backlog)) none are queued.
    #[must_use]
    pub const fn with_backlog(mut self, beats: u16, per_interval: u8) -> Self {
        self.backlog = beats;
        self.late_per_interval = per_interval;
        self
    }

    /// Greatest number of queued heartbeats.
    pub fn backlog(&self) -> usize {
        usize::from(self.backlog)
    }

    /// Greatest number of queued heartbeats that are sent in one interval.
    pub const fn late_per_interval(&self) -> u8 {
        self.late_per_interval
    }

    /// Sets whether the optional keys `boot_id` and `seq` are sent, if there is a boot id. They are by default.
    #[must_use]
    pub const fn with_sequence(mut self, sequence: bool) -> Self {
        self.sequence = sequence;
        self
    }

    /// Whether the optional keys `boot_id` and `seq` are sent.
    pub const fn sequence(&self) -> bool {
        self.sequence
    }

    /// Sets whether the optional keys `uptime_s` and `diagnostics` are sent. They are by default.
    #[must_use]
    pub const fn with_diagnostics(mut self, diagnostics: bool) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    /// Whether the optional keys `uptime_s` and `diagnostics` are sent.
    pub const fn diagnostics(&self) -> bool {
        self.diagnostics
    }

    /// Sets whether deltas are sent to a server that understands them, with memory for them
    /// ([`Agent::with_deltas`](super::Agent::with_deltas)) and if `boot_id` and `seq` are sent. They are not by default.
    #[cfg(feature = "delta")]
    #[must_use]
    pub const fn with_deltas(mut self, deltas: bool) -> Self {
        self.deltas = deltas;
        self
    }

    /// Whether deltas are sent to a server that understands them.
    #[cfg(feature = "delta")]
    pub const fn deltas(&self) -> bool {
        self.deltas
    }

    /// Time between beats.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Longest time of one request.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Longest time that a beat waits for its sensors: 1 s, at most a quarter of the interval. It is also how late after
    /// its slot a beat may still begin when the device stalled.
    pub fn sampling_deadline(&self) -> Duration {
        SAMPLING_DEADLINE_MAX.min(Duration::from_micros(self.interval.as_micros() / 4))
    }

    /// How late after its slot a beat may still be sent: one and a half sampling deadlines. A busy moment of the device does
    /// not cost a beat, and a beat is never so late that it causes a burst with the next one.
    pub fn lateness_limit(&self) -> Duration {
        Duration::from_micros(self.sampling_deadline().as_micros() / 2 * 3)
    }

    /// Age up to which the last value of a sensor that does not answer is still sent.
    pub fn fresh(&self) -> Duration {
        self.interval * FRESH_INTERVALS
    }

    /// The phase, which also seeds the jitter of the back-off.
    pub(super) const fn phase(&self) -> u32 {
        self.phase
    }

    /// Time from the first beat to the second, which the phase decides: from half an interval to just below one and a
    /// half.
    pub const fn first_gap(&self) -> Duration {
        let interval = self.interval.as_micros();
        // In milliseconds, because 86.4e9 us * 2^32 does not fit 64 bits and 86.4e6 ms * 2^32 does.
        let fraction = ((interval / 1_000 * self.phase as u64) >> 32) * 1_000;
        Duration::from_micros(interval / 2 + fraction)
    }
}

impl Default for Config {
    /// Every 5 s, 2 s for a request, the second beat one interval after the first.
    fn default() -> Self {
        Self {
            interval: INTERVAL_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            phase: 1 << 31,
            backoff_cap: BACKOFF_CAP_DEFAULT,
            backlog: 0,
            late_per_interval: LATE_PER_INTERVAL_DEFAULT,
            diagnostics: true,
            sequence: true,
            #[cfg(feature = "delta")]
            deltas: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn rejects_intervals_and_timeouts_out_of_range() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        assert_eq!(Config::new(ms(49), ms(1)), Err(ConfigError::Interval));
        assert_eq!(Config::new(s(86_401), s(1)), Err(ConfigError::Interval));
        assert_eq!(Config::new(s(1), Duration::ZERO), Err(ConfigError::Timeout));
        assert_eq!(Config::new(s(1), ms(1_001)), Err(ConfigError::Timeout));
        assert!(Config::new(ms(50), ms(50)).is_ok());
        assert!(Config::new(s(86_400), s(86_400)).is_ok());
    }

    #[test]
    fn setters_and_getters_agree() {
        let config = Config::default().with_phase(7).with_sequence(false).with_diagnostics(false);
        assert_eq!((config.phase(), config.sequence(), config.diagnostics()), (7, false, false));
        assert!(Config::default().sequence() && Config::default().diagnostics());
        let config = Config::default().with_backlog(9, 3).with_backoff_cap(Duration::from_secs(1));
        assert_eq!((config.backlog(), config.late_per_interval()), (9, 3));
        assert_eq!(config.backoff_cap(), config.interval(), "no shorter");
        let config = config.with_backoff_cap(Duration::from_secs(u64::MAX));
        assert_eq!(config.backoff_cap(), INTERVAL_MAX, "no longer");
        let spans = [config.sampling_deadline(), config.lateness_limit(), config.fresh()];
        assert_eq!(spans.map(Duration::as_millis), [1_000, 1_500, 15_000]);
    }

    #[test]
    fn spans_are_derived_from_interval_and_phase() {
        let second = Config::new(Duration::from_secs(1), Duration::from_secs(1)).expect("in range");
        assert_eq!(second.sampling_deadline(), Duration::from_millis(250));
        let gap = |phase| Config::default().with_phase(phase).first_gap().as_millis();
        assert_eq!([0, 1 << 30, 1 << 31, u32::MAX].map(gap), [2_500, 3_750, 5_000, 7_499]);
    }

    #[test]
    fn config_errors_have_messages() {
        let said = [ConfigError::Interval, ConfigError::Timeout].map(|error| error.to_string());
        assert_eq!(
            said,
            [
                "the interval must be from 0.05 to 86400 seconds",
                "the timeout must be more than 0 seconds and at most the interval"
            ]
        );
    }

    proptest! {
        #[test]
        fn the_first_gap_is_between_half_and_one_and_a_half_intervals(
            millis in 50u64..=86_400_000, phase: u32,
        ) {
            let interval = Duration::from_millis(millis);
            let config = Config::new(interval, interval).expect("in range").with_phase(phase);
            let gap = config.first_gap().as_micros();
            prop_assert!(gap >= interval.as_micros() / 2);
            prop_assert!(gap < interval.as_micros() * 3 / 2);
            // The first beat has time for its sensors and for its request, too.
            prop_assert!(config.lateness_limit().as_micros() < gap);
        }
    }
}
