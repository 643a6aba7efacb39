//! Sampling: asks every sensor once per beat and builds the document from the readings.

#[cfg(feature = "board")]
use super::announcement::Announcement;
use super::{
    config::{Config, Identity},
    sensors::Sensors,
};
use crate::{
    hal::Hal,
    payload::{Connection, Diagnostics, Disk, Fact, Heartbeat, Key, Reason, Unread},
    readings::Memory,
    time::Instant,
    units::{Mebibytes, Percent, UnixTime},
};
#[cfg(feature = "board")]
use crate::{payload, readings::SensorError};

/// The beat whose sensors are being asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Its place on the grid.
    pub(super) slot: Instant,
    /// When the beat goes out without the pending sensors.
    pub(super) deadline: Instant,
    /// When it is too late for the beat.
    latest: Instant,
    taken: Option<UnixTime>,
}

impl Round {
    /// Whether the device stalled for so long that the beat would cause a burst with the next one.
    pub(super) fn is_too_late(&self, now: Instant) -> bool {
        now > self.latest
    }
}

/// All sensors, and the round in progress.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    round: Option<Round>,
    sensors: Sensors,
    #[cfg(feature = "board")]
    announcement: Announcement,
}

#[cfg(feature = "board")]
impl Sampler {
    /// Decides whether the heartbeat that goes out at `now` tells what the board is.
    pub(super) fn offer(&mut self, now: Instant, config: &Config) {
        let board = self.sensors.board.fresh(now, config.fresh()).ok();
        self.announcement.offer(now, board.filter(|_| config.diagnostics()));
    }

    /// The heartbeat was delivered, or was not.
    pub(super) fn on_outcome(&mut self, is_delivered: bool) {
        self.announcement.on_outcome(is_delivered);
    }

    /// What was told was told to another server.
    pub(super) fn forget_told(&mut self) {
        self.announcement = Announcement::default();
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
        self.sensors.ask();
    }

    /// Ends the round; true when there was one. Pending answers are taken when they come.
    pub(super) fn end(&mut self) -> bool {
        self.sensors.give_up();
        self.round.take().is_some()
    }

    /// Polls every pending sensor; true when the beat need not wait any longer.
    #[inline(never)]
    pub(super) fn poll(&mut self, now: Instant, hal: &mut impl Hal) -> bool {
        self.sensors.poll(now, hal)
    }

    /// The document of the round in progress with the number `seq`.
    pub(super) fn heartbeat<'a>(
        &'a self,
        identity: &'a Identity,
        seq: u64,
        now: Instant,
        config: &Config,
    ) -> Heartbeat<'a> {
        let fresh = config.fresh();
        let boot_id = identity.boot_id.filter(|_| config.sequence());
        // Named one by one, so that no sensor can be forgotten.
        let Sensors {
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
            #[cfg(feature = "board")]
            board,
        } = &self.sensors;
        let mut unread = Unread::default();
        let activity = activity.fresh(now, fresh);
        let streaming = activity.and_then(|activity| activity.streaming.map_err(Reason::of));
        let tracking = activity.and_then(|activity| activity.tracking.map_err(Reason::of));
        let recording =
            activity.and_then(|activity| activity.recording.as_ref().map_err(|error| Reason::of(*error)));
        let recording = unread.note(Key::RecordingActive, recording).and_then(Option::as_ref);
        let system = system.fresh(now, fresh);
        let load = system.and_then(|system| system.load.map_err(Reason::of));
        let swap = system.and_then(|system| system.swap.map_err(Reason::of));
        let root_read_only = system.and_then(|system| system.root_read_only.map_err(Reason::of));
        #[cfg(feature = "board")]
        let (board, offered) = (board.fresh(now, fresh), self.announcement.offered());
        #[cfg(feature = "board")]
        {
            let part = |error: &SensorError| Reason::of(*error);
            unread.note(Key::BoardModel, board.and_then(|board| board.model.as_ref().map_err(part)));
            unread.note(Key::BoardOs, board.and_then(|board| board.os.as_ref().map_err(part)));
            unread.note(Key::BoardWear, board.and_then(|board| board.wear.map_err(Reason::of)));
        }
        Heartbeat {
            hardwareid: &identity.hardwareid,
            cpu: unread.note(Key::Cpu, cpu.fresh(now, fresh)).copied(),
            mem: unread.note(Key::Mem, memory.fresh(now, fresh)).copied().and_then(memory_used),
            temp: unread.note(Key::Temp, temperature.fresh(now, fresh)).copied(),
            power: unread.note(Key::Power, power.fresh(now, fresh)).copied(),
            fan_rpm: unread.note(Key::FanRpm, fan.fresh(now, fresh)).copied(),
            disk: unread.note(Key::Disk, disk.fresh(now, fresh)).copied().and_then(Disk::from_space),
            connection: Connection {
                default_interface: unread.note(Key::DefaultInterface, default_interface.fresh(now, fresh)),
                ethernet: unread.note(Key::Ethernet, ethernet.fresh(now, fresh)),
                wifi: unread.note(Key::Wifi, wifi.fresh(now, fresh)),
                cellular: unread.note(Key::Cellular, cellular.fresh(now, fresh)),
                gps: unread.note(Key::Gps, position.fresh(now, fresh)),
            },
            timestamp: self.round.and_then(|round| round.taken),
            app_version: unread.note(Key::AppVersion, app_version.fresh(now, fresh)),
            streaming_active: unread.note(Key::StreamingActive, streaming) == Some(true),
            tracking_active: unread.note(Key::TrackingActive, tracking) == Some(true),
            recording_active: recording.is_some(),
            recording_file_size_mb: recording.map_or(Some(Mebibytes::ZERO), |recording| {
                unread.note(Key::RecordingFileSizeMb, recording.size.map_err(Reason::of))
            }),
            recording_file_path: recording.map(|recording| &recording.path),
            uptime_s: config
                .diagnostics()
                .then(|| unread.note(Key::UptimeS, uptime.fresh(now, fresh)).copied()),
            diagnostics: config.diagnostics().then(|| Diagnostics {
                throttled: unread.note(Key::Throttled, throttled.fresh(now, fresh)).copied(),
                cpu_mhz: unread.note(Key::CpuMhz, cpu_mhz.fresh(now, fresh)).copied(),
                ups: unread.note(Key::Ups, ups.fresh(now, fresh)).copied(),
                load: unread.note(Key::Load, load),
                swap: unread.note(Key::Swap, swap),
                root_read_only: (unread.note(Key::RootReadOnly, root_read_only) == Some(true))
                    .then_some(Fact),
                #[cfg(feature = "board")]
                clock_synchronized: unread
                    .note(
                        Key::ClockSynchronized,
                        board.and_then(|board| board.clock_synchronized.map_err(Reason::of)),
                    )
                    // That it is comes as seldom as the rest of the board.
                    .filter(|is_synchronized| !is_synchronized || offered.is_some()),
                // The last: all others have been noted.
                unread,
            }),
            #[cfg(feature = "board")]
            board: offered.map(payload::Board::of),
            boot_id,
            seq: boot_id.map(|_| seq),
        }
    }
}

fn memory_used(memory: Memory) -> Option<Percent> {
    Percent::of(memory.total.checked_sub(memory.available)?, memory.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn round_is_too_late_only_after_its_limit() {
        let latest = Instant::from_millis(1_500);
        let round = Round { slot: Instant::ZERO, deadline: Instant::from_millis(1_000), latest, taken: None };
        assert!(!round.is_too_late(latest));
        assert!(round.is_too_late(latest + Duration::from_micros(1)));
    }

    #[test]
    fn rejects_more_available_memory_than_total() {
        assert_eq!(memory_used(Memory { total: 10, available: 11 }), None);
        assert_eq!(memory_used(Memory { total: 0, available: 0 }), None);
        assert_eq!(memory_used(Memory { total: 8, available: 6 }), Some(Percent::from_raw(250)));
    }
}
