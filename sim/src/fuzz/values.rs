//! What sensors measure: mostly what boards measure, sometimes the limits of that, sometimes anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heartbeat_core::{
    SensorError,
    readings::{
        Activity, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, Ip, Memory, Position, Recording, Throttled,
        Ups, Uptime, Wifi, WifiMode,
    },
    text::Text,
    units::{
        Celsius, Dbm, Degrees, Heading, Mebibytes, Metres, MetresPerSecond, Percent, Rpm, SignalPercent,
        Volts, Watts,
    },
};

use crate::random::Random;

/// Values that can be drawn.
pub(super) trait Draw {
    fn draw(random: &mut Random) -> Self;
}

/// A number from a range, its ends and what lies beside them included.
fn near(random: &mut Random, low: i64, high: i64) -> i64 {
    match random.below(16) {
        0 => low - 1,
        1 => low,
        2 => high,
        3 => high + 1,
        4 => random.any().cast_signed(),
        _ => low + random.below(high.abs_diff(low)).cast_signed(),
    }
}

fn maybe<T>(random: &mut Random, draw: impl FnOnce(&mut Random) -> T) -> Option<T> {
    random.chance(80).then(|| draw(random))
}

fn ip(random: &mut Random) -> Option<Ip> {
    maybe(random, |random| {
        let bits = u128::from(random.any()) << 64 | u128::from(random.any());
        let ip = if random.chance(70) {
            // The upper bits.
            #[allow(clippy::cast_possible_truncation)]
            IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        };
        Ip::new(&ip.to_string())
    })
}

impl<const N: usize> Draw for Text<N> {
    fn draw(random: &mut Random) -> Self {
        if random.chance(75) {
            return Self::new(random.pick([
                "eth0",
                "wlan0",
                "vodafone.de",
                "2026-11-01 12:00",
                "Café \"9¾\"",
            ]));
        }
        let len = random.index(2 * N);
        // The lowest byte of each.
        #[allow(clippy::cast_possible_truncation)]
        let bytes: Vec<u8> = (0..len).map(|_| random.any() as u8).collect();
        Self::from_bytes(&bytes)
    }
}

impl Draw for CpuTimes {
    fn draw(random: &mut Random) -> Self {
        let total = random.below(1 << 40);
        Self { busy: random.below(total + 2), total }
    }
}

impl Draw for Memory {
    fn draw(random: &mut Random) -> Self {
        let total = random.pick([0, 1, 512 << 20, 8 << 30, u64::MAX]);
        Self { total, available: random.below(total).saturating_add(random.below(2)) }
    }
}

impl Draw for DiskSpace {
    fn draw(random: &mut Random) -> Self {
        let total = random.pick([0, 1, 32_000_000_000, 1 << 40, u64::MAX]);
        let used = random.below(total).saturating_add(random.below(2));
        Self { total, used, available: random.below(total.saturating_sub(used)) }
    }
}

impl Draw for Celsius {
    fn draw(random: &mut Random) -> Self {
        Self::from_raw(near(random, -400, 1_250))
    }
}

impl Draw for Watts {
    fn draw(random: &mut Random) -> Self {
        Self::from_raw(near(random, -100_000, 100_000))
    }
}

impl Draw for Rpm {
    fn draw(random: &mut Random) -> Self {
        Self(u32::try_from(near(random, 0, 100_000)).unwrap_or(0))
    }
}

impl Draw for Uptime {
    fn draw(random: &mut Random) -> Self {
        Self(random.below(1 << 32))
    }
}

impl Draw for Throttled {
    fn draw(random: &mut Random) -> Self {
        Self(random.pick([0, 0x1, 0x50005, u32::MAX]))
    }
}

impl Draw for Ups {
    fn draw(random: &mut Random) -> Self {
        Self {
            voltage: maybe(random, |random| Volts::from_raw(near(random, 0, 10_000))),
            percent: maybe(random, |random| Percent::from_raw(near(random, 0, 1_000))),
        }
    }
}

impl Draw for Ethernet {
    fn draw(random: &mut Random) -> Self {
        Self { interface: Text::draw(random), ip: ip(random) }
    }
}

impl Draw for Wifi {
    fn draw(random: &mut Random) -> Self {
        Self {
            interface: Text::draw(random),
            ip: ip(random),
            mode: maybe(random, |random| random.pick([WifiMode::Client, WifiMode::Hotspot])),
            ssid: maybe(random, Text::draw),
            signal_dbm: maybe(random, |random| Dbm(i16::try_from(near(random, -150, 50)).unwrap_or(-50))),
            signal_percent: maybe(random, |random| {
                SignalPercent(u8::try_from(near(random, 0, 100)).unwrap_or(50))
            }),
            clients: maybe(random, |random| random.pick([0, 3, u16::MAX])),
        }
    }
}

impl Draw for Cellular {
    fn draw(random: &mut Random) -> Self {
        Self {
            interface: maybe(random, Text::draw),
            ip: ip(random),
            state: maybe(random, Text::draw),
            operator: maybe(random, Text::draw),
            technology: maybe(random, Text::draw),
            signal_percent: maybe(random, |random| {
                SignalPercent(u8::try_from(near(random, 0, 100)).unwrap_or(50))
            }),
        }
    }
}

impl Draw for Position {
    fn draw(random: &mut Random) -> Self {
        Self {
            fix: random.pick([Fix::None, Fix::TwoD, Fix::ThreeD]),
            latitude: maybe(random, |random| Degrees::from_raw(near(random, -900_000_000, 900_000_000))),
            longitude: maybe(random, |random| Degrees::from_raw(near(random, -1_800_000_000, 1_800_000_000))),
            altitude_m: maybe(random, |random| Metres::from_raw(near(random, -10_000, 1_000_000))),
            speed_mps: maybe(random, |random| MetresPerSecond::from_raw(near(random, 0, 100_000))),
            heading: maybe(random, |random| Heading::from_raw(near(random, 0, 3_600))),
            satellites: maybe(random, |random| random.pick([0, 9, u8::MAX])),
        }
    }
}

impl Draw for Activity {
    fn draw(random: &mut Random) -> Self {
        Self {
            streaming: part(random, |random| random.chance(50)),
            tracking: part(random, |random| random.chance(50)),
            recording: part(random, |random| {
                maybe(random, |random| Recording {
                    path: Text::draw(random),
                    size: maybe(random, |random| {
                        let scale = 1 << random.below(64);
                        Mebibytes::from_bytes(random.below(scale))
                    }),
                })
            }),
        }
    }
}

/// Mostly a value, sometimes an error.
fn part<T>(random: &mut Random, value: impl FnOnce(&mut Random) -> T) -> Result<T, SensorError> {
    if random.chance(10) {
        return Err(random.pick([
            SensorError::Denied,
            SensorError::Io,
            SensorError::Invalid,
            SensorError::Absent,
        ]));
    }
    Ok(value(random))
}
