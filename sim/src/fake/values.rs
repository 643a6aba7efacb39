//! What sensors answer in a simulation. Drawn values are mostly what boards measure, sometimes the limits of that,
//! sometimes anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heartbeat_core::{
    SensorError,
    readings::{
        Activity, Board, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, Ip, Memory, Position, PreEol,
        Recording, System, Throttled, Ups, Uptime, Wear, Wifi, WifiMode,
    },
    text::Text,
    units::{
        Celsius, Dbm, Degrees, Heading, Load, Mebibytes, Megahertz, Metres, MetresPerSecond, Percent, Rpm,
        SignalPercent, Volts, Watts,
    },
};

use crate::random::Random;

/// What each type of reading is in a simulation.
pub(crate) trait Reading {
    /// A value at random.
    fn draw(random: &mut Random) -> Self;

    /// A value that no device can mean; where every value can be meant, the largest and ugliest.
    fn implausible() -> Self;
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

impl<const N: usize> Reading for Text<N> {
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

    /// Quotes, backslashes, controls and broken UTF-8, longer than there is room for.
    fn implausible() -> Self {
        Self::from_bytes(&b"\"\\\x07\xff\xc3\xa9".repeat(N))
    }
}

impl Reading for CpuTimes {
    fn draw(random: &mut Random) -> Self {
        let total = random.below(1 << 40);
        Self { busy: random.below(total + 2), total }
    }

    fn implausible() -> Self {
        // The counters went back, and further than they ever came.
        Self { busy: u64::MAX, total: 1 }
    }
}

impl Reading for Memory {
    fn draw(random: &mut Random) -> Self {
        let total = random.pick([0, 1, 512 << 20, 8 << 30, u64::MAX]);
        Self { total, available: random.below(total).saturating_add(random.below(2)) }
    }

    fn implausible() -> Self {
        Self { total: 1, available: u64::MAX }
    }
}

impl Reading for DiskSpace {
    fn draw(random: &mut Random) -> Self {
        let total = random.pick([0, 1, 32_000_000_000, 1 << 40, u64::MAX]);
        let used = random.below(total).saturating_add(random.below(2));
        Self { total, used, available: random.below(total.saturating_sub(used)) }
    }

    fn implausible() -> Self {
        Self { total: 1, used: u64::MAX, available: u64::MAX }
    }
}

impl Reading for Celsius {
    fn draw(random: &mut Random) -> Self {
        Self::from_raw(near(random, -400, 1_250))
    }

    fn implausible() -> Self {
        // What a DS18B20 reads right after power-up, and other chips when unplugged.
        Self::from_raw(-2_731)
    }
}

impl Reading for Watts {
    fn draw(random: &mut Random) -> Self {
        Self::from_raw(near(random, -100_000, 100_000))
    }

    fn implausible() -> Self {
        Self::from_raw(i64::MIN)
    }
}

impl Reading for Rpm {
    fn draw(random: &mut Random) -> Self {
        Self(u32::try_from(near(random, 0, 100_000)).unwrap_or(0))
    }

    fn implausible() -> Self {
        Self(u32::MAX)
    }
}

impl Reading for Megahertz {
    fn draw(random: &mut Random) -> Self {
        Self(u16::try_from(near(random, 1, 10_000)).unwrap_or(0))
    }

    fn implausible() -> Self {
        Self(u16::MAX)
    }
}

impl Reading for Uptime {
    fn draw(random: &mut Random) -> Self {
        Self(random.below(1 << 32))
    }

    fn implausible() -> Self {
        Self(u64::MAX)
    }
}

impl Reading for Throttled {
    fn draw(random: &mut Random) -> Self {
        Self(random.pick([0, 0x1, 0x50005, u32::MAX]))
    }

    fn implausible() -> Self {
        Self(u32::MAX)
    }
}

impl Reading for Ups {
    fn draw(random: &mut Random) -> Self {
        Self {
            voltage: maybe(random, |random| Volts::from_raw(near(random, 0, 10_000))),
            percent: maybe(random, |random| Percent::from_raw(near(random, 0, 1_000))),
        }
    }

    fn implausible() -> Self {
        Self { voltage: Some(Volts::from_raw(-1)), percent: Some(Percent::from_raw(i64::MAX)) }
    }
}

impl Reading for System {
    fn draw(random: &mut Random) -> Self {
        Self {
            load: part(random, |random| Load::from_raw(near(random, 0, 10_000_000))),
            swap: part(random, |random| Percent::from_raw(near(random, 0, 1_000))),
            root_read_only: part(random, |random| random.chance(20)),
        }
    }

    fn implausible() -> Self {
        Self {
            load: Ok(Load::from_raw(-1)),
            swap: Ok(Percent::from_raw(1_001)),
            root_read_only: Err(SensorError::Invalid),
        }
    }
}

impl Reading for Board {
    fn draw(random: &mut Random) -> Self {
        Self {
            model: part(random, Text::draw),
            os: part(random, Text::draw),
            wear: part(random, |random| Wear {
                // At most 110.
                #[allow(clippy::cast_possible_truncation)]
                life_used: maybe(random, |random| random.below(12) as u8 * 10),
                pre_eol: maybe(random, |random| {
                    random.pick([PreEol::Normal, PreEol::Warning, PreEol::Urgent])
                }),
            }),
            clock_synchronized: part(random, |random| random.chance(50)),
        }
    }

    fn implausible() -> Self {
        Self {
            model: Ok(Text::default()),
            os: Ok(Text::implausible()),
            wear: Ok(Wear { life_used: Some(u8::MAX), pre_eol: None }),
            clock_synchronized: Err(SensorError::Invalid),
        }
    }
}

impl Reading for Ethernet {
    fn draw(random: &mut Random) -> Self {
        Self { interface: Text::draw(random), ip: ip(random) }
    }

    fn implausible() -> Self {
        Self { interface: Text::default(), ip: None }
    }
}

impl Reading for Wifi {
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

    fn implausible() -> Self {
        Self {
            interface: Text::implausible(),
            ip: None,
            mode: Some(WifiMode::Hotspot),
            ssid: Some(Text::from_bytes(&[0; 32])),
            signal_dbm: Some(Dbm(i16::MAX)),
            signal_percent: Some(SignalPercent(u8::MAX)),
            clients: Some(u16::MAX),
        }
    }
}

impl Reading for Cellular {
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

    fn implausible() -> Self {
        Self {
            interface: Some(Text::default()),
            ip: None,
            state: Some(Text::implausible()),
            operator: Some(Text::implausible()),
            technology: Some(Text::implausible()),
            signal_percent: Some(SignalPercent(101)),
        }
    }
}

impl Reading for Position {
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

    fn implausible() -> Self {
        Self {
            fix: Fix::ThreeD,
            latitude: Some(Degrees::from_raw(i64::MAX)),
            longitude: Some(Degrees::from_raw(0)),
            altitude_m: Some(Metres::from_raw(i64::MIN)),
            speed_mps: Some(MetresPerSecond::from_raw(-1)),
            heading: Some(Heading::from_raw(3_601)),
            satellites: Some(u8::MAX),
        }
    }
}

impl Reading for Activity {
    fn draw(random: &mut Random) -> Self {
        Self {
            streaming: part(random, |random| random.chance(50)),
            tracking: part(random, |random| random.chance(50)),
            recording: part(random, |random| {
                maybe(random, |random| Recording {
                    path: Text::draw(random),
                    size: part(random, |random| {
                        let scale = 1 << random.below(64);
                        Mebibytes::from_bytes(random.below(scale))
                    }),
                })
            }),
        }
    }

    fn implausible() -> Self {
        Self {
            streaming: Ok(true),
            tracking: Err(SensorError::Invalid),
            recording: Ok(Some(Recording {
                path: Text::implausible(),
                size: Ok(Mebibytes::from_bytes(u64::MAX)),
            })),
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
