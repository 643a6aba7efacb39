//! What a device of the swarm measures: values that drift as those of a board do. One in 25 is hot, one in 40 has too low
//! a voltage, so that a page has something to show.

use heartbeat_core::{
    SensorError,
    readings::{
        Activity, Board as About, Cellular, CpuTimes, DiskSpace, Fix, Memory, Position, Recording, System,
        Throttled, Uptime, Wifi, WifiMode,
    },
    time::Instant,
    units::{Celsius, Dbm, Degrees, Load, Mebibytes, Percent, SignalPercent, UnixTime, Watts},
};

use crate::{
    fake::{FakeDevice, FakeSensor},
    random::Random,
};

const GIB: u64 = 1 << 30;
const MODELS: [&str; 3] =
    ["Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi Zero 2 W Rev 1.0"];

/// The id of the device with this number: as long as the serial number of a Raspberry Pi.
pub(super) fn hardware_id(number: u32) -> String {
    format!("10000000{:08x}", number.wrapping_add(1).wrapping_mul(0x9e37_79b1))
}

/// A device.
#[derive(Debug)]
pub(super) struct Board {
    hal: FakeDevice,
    /// Where in its period its load is, 0 to 1, at the start.
    phase: f64,
    /// Its temperature without load, tenths of a degree.
    base_temperature: i64,
    /// Bytes that its recording grows by in a second.
    recording_rate: Option<u64>,
    booted_s: u64,
    last: Option<Instant>,
    times: CpuTimes,
}

impl Board {
    /// The device with this number; the same at every start.
    pub(super) fn new(number: u32) -> Self {
        let mut random = Random::new(u64::from(number));
        let mut hal = FakeDevice::default();
        let total = random.pick([30 * GIB, 59 * GIB, 117 * GIB]);
        let used = total / 100 * (20 + random.below(65));
        hal.disk = FakeSensor::new(DiskSpace { total, used, available: total - used });
        hal.app_version = FakeSensor::new(random.pick(["2.0", "2.1", "2.1"]).into());
        let octet = number % 250 + 2;
        if random.chance(75) {
            let level = Dbm(-45 - i16::try_from(random.below(35)).unwrap_or(0));
            hal.default_interface = FakeSensor::new("wlan0".into());
            hal.wifi = FakeSensor::new(Wifi {
                interface: "wlan0".into(),
                ip: Some(format!("192.0.2.{octet}").as_str().into()),
                mode: Some(WifiMode::Client),
                ssid: Some("boathouse".into()),
                signal_dbm: Some(level),
                signal_percent: Some(SignalPercent::from_dbm(level)),
                clients: None,
            });
        } else {
            hal.default_interface = FakeSensor::new("wwan0".into());
            hal.cellular = FakeSensor::new(Cellular {
                interface: Some("wwan0".into()),
                ip: Some(format!("198.51.100.{octet}").as_str().into()),
                state: Some("connected".into()),
                operator: Some("Example Mobile".into()),
                technology: Some("lte".into()),
                signal_percent: Some(SignalPercent::from_dbm(Dbm(-60))),
            });
        }
        if random.chance(60) {
            hal.position = FakeSensor::new(Position {
                fix: Fix::ThreeD,
                latitude: Some(Degrees::from_raw(360_000_000 + random.below(220_000_000).cast_signed())),
                longitude: Some(Degrees::from_raw(-80_000_000 + random.below(330_000_000).cast_signed())),
                altitude_m: None,
                speed_mps: None,
                heading: None,
                satellites: Some(9),
            });
        }
        hal.board = FakeSensor::new(About {
            model: Ok(random.pick(MODELS).into()),
            os: Ok("Debian GNU/Linux 12 (bookworm), Linux 6.6.51+rpt-rpi-v8".into()),
            wear: Err(SensorError::Absent),
            clock_synchronized: Ok(true),
        });
        let too_low = number % 40 == 39;
        hal.throttled = FakeSensor::new(Throttled(if too_low { 0x5_0005 } else { 0 }));
        let base_temperature = if number % 25 == 24 { 820 } else { 420 + random.below(90).cast_signed() };
        Self {
            hal,
            phase: random.below(1000) as f64 / 1000.0,
            base_temperature,
            recording_rate: random.chance(40).then(|| 200_000 + random.below(800_000)),
            booted_s: 3600 + random.below(40 * 86_400),
            last: None,
            times: CpuTimes::default(),
        }
    }

    /// Its sensors.
    pub(super) const fn hal(&mut self) -> &mut FakeDevice {
        &mut self.hal
    }

    /// It is now `now`, since its start.
    pub(super) fn advance(&mut self, now: Instant) {
        let seconds = now.as_micros() as f64 / 1e6;
        let wave = (std::f64::consts::TAU * (seconds / 180.0 + self.phase)).sin();
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.hal.unix_time = Some(UnixTime::from_millis(millis));
        let elapsed = now.since(self.last.replace(now).unwrap_or(now)).as_micros();
        self.times.total += elapsed;
        // Between 0 and the time itself.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let busy = (elapsed as f64 * (0.3 + 0.25 * wave)) as u64;
        self.times.busy += busy;
        self.hal.cpu = FakeSensor::new(self.times);
        // At most a thousand.
        #[allow(clippy::cast_possible_truncation)]
        let warmer = (wave * 30.0) as i64;
        self.hal.temperature = FakeSensor::new(Celsius::from_raw(self.base_temperature + warmer));
        self.hal.power = FakeSensor::new(Watts::from_raw(340 + 2 * warmer));
        let available = (2 * GIB).saturating_add_signed(-warmer * 10_000_000);
        self.hal.memory = FakeSensor::new(Memory { total: 4 * GIB, available });
        // A board that streams has something to do.
        let load = Load::from_raw(if self.recording_rate.is_some() { 150 } else { 40 } + warmer);
        let system = System { load: Ok(load), swap: Ok(Percent::ZERO), root_read_only: Ok(false) };
        self.hal.system = FakeSensor::new(system);
        let up_s = now.as_micros() / 1_000_000;
        self.hal.uptime = FakeSensor::new(Uptime(self.booted_s + up_s));
        let recording = self.recording_rate.map(|rate| Recording {
            path: "/srv/recordings/today.mp4".into(),
            size: Ok(Mebibytes::from_bytes(rate * (self.booted_s % 7200 + up_s))),
        });
        let streaming = Ok(self.recording_rate.is_some());
        let activity = Activity { streaming, tracking: Ok(false), recording: Ok(recording) };
        self.hal.activity = FakeSensor::new(activity);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, task::Poll};

    use heartbeat_core::Hal;

    use super::*;

    #[test]
    fn ids_differ() {
        let ids: HashSet<_> = (0..10_000).map(hardware_id).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn processor_time_grows_by_what_passed_and_less_of_it_is_busy() {
        let mut board = Board::new(7);
        board.advance(Instant::from_millis(1000));
        board.advance(Instant::from_millis(6000));
        let Poll::Ready(Ok(times)) = board.hal().cpu() else { panic!("no processor time") };
        assert_eq!(times.total, 5_000_000);
        assert!((250_000..2_750_000).contains(&times.busy), "{times:?}");
    }

    #[test]
    fn one_in_25_is_hot() {
        let hot = (0..100).filter(|number| Board::new(*number).base_temperature > 800).count();
        assert_eq!(hot, 4);
    }
}
