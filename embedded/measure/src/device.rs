//! A device whose sensors say everything, and a server that does everything, both from one seed. The host's test compiles this
//! file, too, and compares what is sent.

use core::task::Poll;

use heartbeat_core::{
    Agent, CompleteHal, Config, Hal, Identity, Outcome, SensorError, Uplink, Verdict, Wake, for_each_sensor,
    readings::{
        Activity, AppVersion, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, InterfaceName, Ip, Memory,
        Position, Recording, Sampled, System, Throttled, Ups, Uptime, Wifi, WifiMode,
    },
    text::Text,
    time::{Duration, Instant},
    units::{
        Celsius, Dbm, Degrees, Heading, Load, Mebibytes, Megahertz, Metres, MetresPerSecond, Percent, Rpm,
        SignalPercent, UnixTime, Volts, Watts,
    },
    uplink::Fault,
};

/// Heartbeats that one run sends.
pub(crate) const BEATS: u32 = 300;

/// xorshift64: any number but 0 follows.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low).saturating_add(1);
        low.saturating_add_unsigned(self.below(span))
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (!self.one_in(4)).then_some(value)
    }

    /// Text that is as long as it may be, more often than not, and needs escapes now and then.
    fn text<const N: usize>(&mut self) -> Text<N> {
        let mut bytes = [b'x'; 256];
        for byte in &mut bytes {
            let [low, ..] = self.next().to_le_bytes();
            *byte = if low < 0xf0 { b' ' + low % 95 } else { low };
        }
        let len = if self.one_in(2) { bytes.len() } else { self.below(N as u64) as usize };
        Text::from_bytes(bytes.get(..len).unwrap_or_default())
    }

    fn ip(&mut self) -> Option<Ip> {
        let ip = match self.below(3) {
            0 => "192.0.2.17",
            1 => "2001:db8::17",
            _ => "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        };
        self.maybe(ip.into())
    }

    /// An answer, no answer yet, or why there is none.
    fn sampled<T>(&mut self, value: T) -> Sampled<T> {
        match self.below(12) {
            0 => Poll::Pending,
            1 => Poll::Ready(Err(SensorError::Io)),
            2 => Poll::Ready(Err(SensorError::Absent)),
            _ => Poll::Ready(Ok(value)),
        }
    }
}

/// Where what the sensors say comes from.
struct Source {
    random: Random,
    cpu: CpuTimes,
}

impl CompleteHal for Source {
    fn unix_time(&mut self) -> Option<UnixTime> {
        let millis = self.random.between(0, 4_000_000_000_000);
        self.random.maybe(UnixTime::from_millis(millis))
    }

    fn cpu(&mut self) -> Sampled<CpuTimes> {
        let total = self.random.below(10_000);
        let busy = self.random.below(total.saturating_add(1));
        self.cpu = CpuTimes {
            busy: self.cpu.busy.saturating_add(busy),
            total: self.cpu.total.saturating_add(total),
        };
        self.random.sampled(self.cpu)
    }

    fn memory(&mut self) -> Sampled<Memory> {
        let total = self.random.next();
        let available = self.random.below(total);
        self.random.sampled(Memory { total, available })
    }

    fn temperature(&mut self) -> Sampled<Celsius> {
        let raw = self.random.between(-500, 1_400);
        self.random.sampled(Celsius::from_raw(raw))
    }

    fn power(&mut self) -> Sampled<Watts> {
        let raw = self.random.between(-110_000, 110_000);
        self.random.sampled(Watts::from_raw(raw))
    }

    fn fan(&mut self) -> Sampled<Rpm> {
        let rpm = self.random.below(20_000) as u32;
        self.random.sampled(Rpm(rpm))
    }

    fn disk(&mut self) -> Sampled<DiskSpace> {
        let total = self.random.next();
        let used = self.random.below(total);
        self.random.sampled(DiskSpace { total, used, available: total - used })
    }

    fn default_interface(&mut self) -> Sampled<InterfaceName> {
        let name = self.random.text();
        self.random.sampled(name)
    }

    fn ethernet(&mut self) -> Sampled<Ethernet> {
        let ethernet = Ethernet { interface: self.random.text(), ip: self.random.ip() };
        self.random.sampled(ethernet)
    }

    fn wifi(&mut self) -> Sampled<Wifi> {
        let random = &mut self.random;
        let mode = if random.one_in(2) { WifiMode::Client } else { WifiMode::Hotspot };
        let [ssid, dbm, percent, clients] =
            [random.next(), random.below(100), random.below(101), random.below(1_000)];
        let wifi = Wifi {
            interface: random.text(),
            ip: random.ip(),
            mode: random.maybe(mode),
            ssid: if ssid % 4 == 0 { None } else { Some(random.text()) },
            signal_dbm: random.maybe(Dbm(-(dbm as i16))),
            signal_percent: random.maybe(SignalPercent(percent as u8)),
            clients: random.maybe(clients as u16),
        };
        random.sampled(wifi)
    }

    fn cellular(&mut self) -> Sampled<Cellular> {
        let random = &mut self.random;
        let percent = random.below(101) as u8;
        let cellular = Cellular {
            interface: Some(random.text()),
            ip: random.ip(),
            state: Some(random.text()),
            operator: Some(random.text()),
            technology: Some(random.text()),
            signal_percent: random.maybe(SignalPercent(percent)),
        };
        random.sampled(cellular)
    }

    fn position(&mut self) -> Sampled<Position> {
        let random = &mut self.random;
        let fix = match random.below(3) {
            0 => Fix::None,
            1 => Fix::TwoD,
            _ => Fix::ThreeD,
        };
        let [latitude, longitude] =
            [random.between(-900_000_000, 900_000_000), random.between(-1_800_000_000, 1_800_000_000)];
        let [altitude, speed, heading] =
            [random.between(-5_000, 90_000), random.between(0, 50_000), random.between(0, 3_600)];
        let position = Position {
            fix,
            latitude: random.maybe(Degrees::from_raw(latitude)),
            longitude: random.maybe(Degrees::from_raw(longitude)),
            altitude_m: random.maybe(Metres::from_raw(altitude)),
            speed_mps: random.maybe(MetresPerSecond::from_raw(speed)),
            heading: random.maybe(Heading::from_raw(heading)),
            satellites: random.maybe(12),
        };
        random.sampled(position)
    }

    fn app_version(&mut self) -> Sampled<AppVersion> {
        let version = self.random.text();
        self.random.sampled(version)
    }

    fn activity(&mut self) -> Sampled<Activity> {
        let random = &mut self.random;
        let size = random.between(0, 100_000_000);
        let recording = Recording {
            path: random.text(),
            size: random.maybe(Mebibytes::from_raw(size)).ok_or(SensorError::Io),
        };
        let activity = Activity {
            streaming: Ok(random.one_in(2)),
            tracking: Ok(random.one_in(2)),
            recording: Ok(random.maybe(recording)),
        };
        random.sampled(activity)
    }

    fn uptime(&mut self) -> Sampled<Uptime> {
        let secs = self.random.next() >> 20;
        self.random.sampled(Uptime(secs))
    }

    fn throttled(&mut self) -> Sampled<Throttled> {
        let bits = self.random.below(1 << 20) as u32;
        self.random.sampled(Throttled(bits))
    }

    fn cpu_mhz(&mut self) -> Sampled<Megahertz> {
        let mhz = self.random.below(3_000) as u16;
        self.random.sampled(Megahertz(mhz))
    }

    fn ups(&mut self) -> Sampled<Ups> {
        let [volts, percent] = [self.random.between(0, 2_000), self.random.between(0, 1_000)];
        let ups = Ups {
            voltage: self.random.maybe(Volts::from_raw(volts)),
            percent: self.random.maybe(Percent::from_raw(percent)),
        };
        self.random.sampled(ups)
    }

    fn system(&mut self) -> Sampled<System> {
        let [load, swap] = [self.random.between(0, 2_000), self.random.between(0, 1_000)];
        let system = System {
            load: self.random.maybe(Load::from_raw(load)).ok_or(SensorError::Io),
            swap: self.random.maybe(Percent::from_raw(swap)).ok_or(SensorError::Absent),
            root_read_only: Ok(self.random.one_in(4)),
        };
        self.random.sampled(system)
    }
}

macro_rules! device {
    ($($(#[$doc:meta])* $sensor:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// All sensors. What they say is drawn before each poll, so that the stack of a poll is the agent's own.
        pub(crate) struct Device {
            source: Source,
            unix_time: Option<UnixTime>,
            $($sensor: Sampled<$value>,)*
        }

        impl Device {
            fn new(mut source: Source) -> Self {
                Self { unix_time: CompleteHal::unix_time(&mut source), $($sensor: CompleteHal::$sensor(&mut source),)* source }
            }

            fn draw(&mut self) {
                self.unix_time = CompleteHal::unix_time(&mut self.source);
                $(self.$sensor = CompleteHal::$sensor(&mut self.source);)*
            }
        }

        impl Hal for Device {
            fn unix_time(&mut self) -> Option<UnixTime> {
                self.unix_time
            }

            $(fn $sensor(&mut self) -> Sampled<$value> {
                self.$sensor.clone()
            })*
        }
    };
}

for_each_sensor!(device);

/// The server.
pub(crate) struct Server<F> {
    random: Random,
    receive: F,
    waiting: bool,
    beats: u32,
}

impl<F: FnMut(&[u8])> Uplink for Server<F> {
    fn send(&mut self, body: &[u8], _: Duration) {
        (self.receive)(body);
        self.waiting = true;
        self.beats += 1;
    }

    fn poll(&mut self) -> Poll<Outcome> {
        if !self.waiting || self.random.one_in(3) {
            return Poll::Pending;
        }
        self.waiting = false;
        Poll::Ready(match self.random.below(16) {
            0 => lost(),
            1 => failed(Fault::Network, false, "connection refused"),
            2 => refused(Some(Duration::from_secs(7)), "status 503"),
            3 => refused(None, "status 404"),
            _ => Outcome::new(Verdict::Accepted, "status 204"),
        })
    }

    fn cancel(&mut self) -> Outcome {
        self.waiting = false;
        lost()
    }
}

fn refused(retry_after: Option<Duration>, detail: &str) -> Outcome {
    Outcome::new(Verdict::Refused { retry_after }, detail)
}

fn failed(fault: Fault, may_have_arrived: bool, detail: &str) -> Outcome {
    Outcome::new(Verdict::Failed { fault, may_have_arrived }, detail)
}

fn lost() -> Outcome {
    failed(
        Fault::Server,
        true,
        "the connection broke, or there was no complete answer in the time that there was",
    )
}

/// Runs an agent in virtual time until it has sent [`BEATS`]. `poll` polls it, `receive` gets each document.
pub(crate) fn run<F: FnMut(&[u8])>(
    receive: F,
    mut poll: impl FnMut(&mut Agent<'static>, Instant, &mut Device, &mut Server<F>) -> Wake,
) {
    let identity = Identity::new("0123456789abcdef").with_boot_id(0xfeed_f00d_dead_beef);
    let mut agent = Agent::new(identity, Config::default().with_phase(0x5555_5555));
    let mut device = Device::new(Source { random: Random(0x0dd_b1a5), cpu: CpuTimes::default() });
    let mut server = Server { random: Random(0x5e_ed), receive, waiting: false, beats: 0 };
    let mut now = Instant::ZERO;
    while server.beats < BEATS {
        match poll(&mut agent, now, &mut device, &mut server) {
            // Often earlier, because a sensor or the server might have news.
            Wake::At(when) => now = when.min(now + Duration::from_micros(100_000)),
            Wake::Stopped => break,
        }
        device.draw();
    }
}
