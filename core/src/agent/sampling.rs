//! The sampling part: asks every sensor once per beat and builds the document from what it knows.

use super::{
    config::{Config, Identity},
    log_budget::LogBudget,
    reading::Reading,
    sensors::Sensors,
};
use crate::{
    hal::Hal,
    payload::{Connection, Diagnostics, Disk, Heartbeat},
    readings::{CpuTimes, Memory, Sampled, SensorError},
    time::Instant,
    units::{Mebibytes, Percent, UnixTime},
};

/// The beat whose sensors are being asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Its place on the grid.
    pub(super) slot: Instant,
    /// When the beat goes out without the sensors that have not answered.
    pub(super) deadline: Instant,
    /// When it is too late for the beat.
    latest: Instant,
    taken: Option<UnixTime>,
}

impl Round {
    /// Whether the device stood still for so long that the beat would bunch up with the next one.
    pub(super) fn is_too_late(&self, now: Instant) -> bool {
        now > self.latest
    }
}

/// All sensors, and the round in progress.
#[derive(Debug)]
pub(super) struct Sampler {
    round: Option<Round>,
    cpu: Reading<Percent>,
    cpu_before: Option<CpuTimes>,
    sensors: Sensors,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { round: None, cpu: Reading::new(), cpu_before: None, sensors: Sensors::default() }
    }
}

impl Sampler {
    /// The round in progress.
    pub(super) fn round(&self) -> Option<Round> {
        self.round
    }

    /// Begins the round of `slot`. `taken` is the wall time of the sample.
    pub(super) fn begin(&mut self, slot: Instant, config: &Config, taken: Option<UnixTime>) {
        let (deadline, latest) = (slot + config.sampling_deadline(), slot + config.lateness_limit());
        let taken = taken.filter(|taken| UnixTime::RANGE.contains(taken));
        self.round = Some(Round { slot, deadline, latest, taken });
        self.cpu.ask();
        self.sensors.ask();
    }

    /// Ends the round; true when there was one. What sensors still owe is taken when it comes.
    pub(super) fn end(&mut self) -> bool {
        self.cpu.give_up();
        self.sensors.give_up();
        self.round.take().is_some()
    }

    /// Polls every sensor that owes an answer; true when there is no point in waiting any longer.
    pub(super) fn poll(&mut self, now: Instant, hal: &mut impl Hal, log: &mut LogBudget) -> bool {
        let before = &mut self.cpu_before;
        let cpu = self.cpu.poll(now, "cpu", log, || cpu_usage(before, hal.cpu()));
        self.sensors.poll(now, hal, log) && cpu
    }

    /// The document of the round in progress, the `seq`-th of this start, as `config` wants it.
    pub(super) fn heartbeat<'a>(
        &'a self,
        identity: &'a Identity,
        seq: u64,
        now: Instant,
        config: &Config,
    ) -> Heartbeat<'a> {
        let fresh = config.fresh();
        let boot_id = identity.boot_id.filter(|_| config.sequence());
        let sensors = &self.sensors;
        let activity = sensors.activity.fresh(now, fresh);
        let recording = activity.and_then(|activity| activity.recording.as_ref());
        Heartbeat {
            hardwareid: &identity.hardwareid,
            cpu: self.cpu.fresh(now, fresh).copied(),
            mem: sensors.memory.fresh(now, fresh).copied().and_then(memory_used),
            temp: sensors.temperature.fresh(now, fresh).copied(),
            power: sensors.power.fresh(now, fresh).copied(),
            fan_rpm: sensors.fan.fresh(now, fresh).copied(),
            disk: sensors.disk.fresh(now, fresh).copied().and_then(Disk::from_space),
            connection: Connection {
                default_interface: sensors.default_interface.fresh(now, fresh),
                ethernet: sensors.ethernet.fresh(now, fresh),
                wifi: sensors.wifi.fresh(now, fresh),
                cellular: sensors.cellular.fresh(now, fresh),
                gps: sensors.position.fresh(now, fresh),
            },
            timestamp: self.round.and_then(|round| round.taken),
            app_version: sensors.app_version.fresh(now, fresh),
            streaming_active: activity.is_some_and(|activity| activity.streaming),
            tracking_active: activity.is_some_and(|activity| activity.tracking),
            recording_active: recording.is_some(),
            recording_file_size_mb: recording.map_or(Some(Mebibytes::ZERO), |recording| recording.size),
            recording_file_path: recording.map(|recording| &recording.path),
            uptime_s: config.diagnostics().then(|| sensors.uptime.fresh(now, fresh).copied()),
            diagnostics: config.diagnostics().then(|| Diagnostics {
                throttled: sensors.throttled.fresh(now, fresh).copied(),
                ups: sensors.ups.fresh(now, fresh).copied(),
            }),
            boot_id,
            seq: boot_id.map(|_| seq),
        }
    }
}

fn memory_used(memory: Memory) -> Option<Percent> {
    Percent::of(memory.total.checked_sub(memory.available)?, memory.total)
}

/// The share of busy time since the previous answer. Without one (the first beat, or counters that went
/// backwards) there is no value, and that is no error.
fn cpu_usage(before: &mut Option<CpuTimes>, sampled: Sampled<CpuTimes>) -> Sampled<Percent> {
    sampled.map(|answer| {
        let after = answer?;
        let before = before.replace(after).ok_or(SensorError::Absent)?;
        let total = after.total.checked_sub(before.total).ok_or(SensorError::Absent)?;
        // Busy time may go back a little when a core's waiting time is corrected (kernel proc.rst, "stat").
        let busy = after.busy.saturating_sub(before.busy);
        Percent::of(busy, total).ok_or(SensorError::Absent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;
    use core::task::Poll;
    use proptest::prelude::*;

    fn usage(before: &mut Option<CpuTimes>, busy: u64, total: u64) -> Option<Percent> {
        match cpu_usage(before, Poll::Ready(Ok(CpuTimes { busy, total }))) {
            Poll::Ready(answer) => answer.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_beat_may_go_out_in_its_last_moment() {
        let latest = Instant::from_millis(1_500);
        let round = Round { slot: Instant::ZERO, deadline: Instant::from_millis(1_000), latest, taken: None };
        assert!(!round.is_too_late(latest));
        assert!(round.is_too_late(latest + Duration::from_micros(1)));
    }

    #[test]
    fn cpu_is_the_busy_share_since_the_previous_beat() {
        let mut before = None;
        assert_eq!(usage(&mut before, 100, 1_000), None, "the first beat has nothing to compare with");
        assert_eq!(usage(&mut before, 150, 1_200), Some(Percent::from_raw(250)));
        assert_eq!(usage(&mut before, 150, 1_200), None, "no time has passed");
        assert_eq!(usage(&mut before, 140, 1_300), Some(Percent::ZERO), "busy time was corrected");
        assert_eq!(usage(&mut before, 10, 100), None, "the counters started again");
        assert_eq!(usage(&mut before, 20, 110), Some(Percent::FULL));
    }

    proptest! {
        #[test]
        fn cpu_is_never_out_of_range(counters in prop::collection::vec(any::<(u64, u64)>(), 2..8)) {
            let mut before = None;
            for (busy, total) in counters {
                if let Some(percent) = usage(&mut before, busy, total) {
                    prop_assert!((Percent::ZERO..=Percent::FULL).contains(&percent));
                }
            }
        }
    }

    #[test]
    fn more_available_than_there_is_is_not_a_value() {
        assert_eq!(memory_used(Memory { total: 10, available: 11 }), None);
        assert_eq!(memory_used(Memory { total: 0, available: 0 }), None);
        assert_eq!(memory_used(Memory { total: 8, available: 6 }), Some(Percent::from_raw(250)));
    }
}
