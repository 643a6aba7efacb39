//! What can happen to a device, its clock, its network, its storage and its program.

use std::fmt;

use heartbeat_core::{Sensor, SensorError, time::Duration};

use crate::{
    faults::{NetworkFault, SensorFault},
    random::Random,
};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// From now on requests meet this, and their end shows no earlier than after this time.
    Network(Option<NetworkFault>, Duration),
    /// From now on this is wrong with a sensor.
    Sensor(Sensor, Option<SensorFault>),
    /// A sensor measures something else: what follows from this seed.
    Value(Sensor, u64),
    /// The program stands still: a busy machine, a stopped process.
    Stall(Duration),
    /// The machine sleeps.
    Suspend(Duration),
    /// The wall clock is set.
    Wall(Wall),
    /// The agent is polled without need.
    Poke,
    /// The configuration is read again, and is what follows from this seed.
    Reload(u64),
    /// The program is stopped, and started after this time.
    Restart(Duration),
    /// The program is killed, and started after this time.
    Kill(Duration),
    /// Storage does this from now on.
    Storage(StorageFault),
    /// Something happens to what the server knows of deltas. Only in runs with deltas.
    Deltas(ServerChange),
}

/// What happens to a server that understands deltas, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerChange {
    /// It is started again, behind a proxy that keeps the connection.
    Restarts,
    /// From now on it says that it understands deltas.
    Announces,
    /// From now on it does not.
    IsSilent,
}

/// What happens to the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// It is moved by so many milliseconds.
    Step(i64),
    /// It is set to so many milliseconds after 1970.
    Set(i64),
    /// It is known not to be set.
    Unset,
}

/// What is wrong with storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFault {
    /// Nothing.
    None,
    /// A file takes this time.
    Slow(Duration),
    /// No file can be written, and the old one stays.
    Fails,
    /// It says that a file could not be written, and it was.
    Lies,
}

/// Kinds of events that are likely together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Good,
    Path,
    Exchange,
    Status,
    Sensor,
    Value,
    Stall,
    Wall,
    Poke,
    Reload,
    Restart,
    Storage,
}

impl Family {
    pub(super) const ALL: [Self; 12] = [
        Self::Good,
        Self::Path,
        Self::Exchange,
        Self::Status,
        Self::Sensor,
        Self::Value,
        Self::Stall,
        Self::Wall,
        Self::Poke,
        Self::Reload,
        Self::Restart,
        Self::Storage,
    ];
}

impl Event {
    /// One of the family, in a run with this interval.
    pub(super) fn draw(family: Family, random: &mut Random, interval: Duration) -> Self {
        use NetworkFault as N;
        let sensor = random.pick(Sensor::ALL);
        let delay = random.time(interval * 2);
        match family {
            Family::Good => Self::Network(None, random.pick([Duration::ZERO, delay])),
            Family::Path => {
                let faults = [
                    N::NoRoute,
                    N::NameFails,
                    N::NameSilent,
                    N::Refused,
                    N::ConnectSilent,
                    N::HandshakeFails,
                    N::HandshakeSilent,
                    N::CertificateNotYetValid,
                    N::WrongCertificate,
                    N::NoResources,
                ];
                Self::Network(Some(random.pick(faults)), random.pick([Duration::ZERO, delay]))
            }
            Family::Exchange => {
                let faults = [N::BreaksBefore, N::BreaksAfter, N::RequestLost, N::ReplyLost, N::NotHttp];
                Self::Network(Some(random.pick(faults)), delay)
            }
            Family::Status => {
                let wait = Duration::from_secs(random.below(900));
                let status = random.pick([201, 204, 301, 302, 401, 404, 429, 500, 502, 503, 99, 999]);
                let fault = random.pick([
                    N::Status(status),
                    N::Status(status),
                    N::Busy(429, wait),
                    N::Busy(503, wait),
                ]);
                Self::Network(Some(fault), delay)
            }
            Family::Sensor => {
                let errors =
                    [SensorError::Absent, SensorError::Denied, SensorError::Io, SensorError::Invalid];
                let faults = [
                    Some(SensorFault::Fails(random.pick(errors))),
                    Some(SensorFault::Hangs),
                    Some(SensorFault::Slow(delay)),
                    Some(SensorFault::Implausible),
                    None,
                    None,
                ];
                Self::Sensor(sensor, random.pick(faults))
            }
            Family::Value => Self::Value(sensor, random.any()),
            Family::Stall => {
                let bound = random.pick([interval / 4, interval, interval * 8]);
                let span = random.time(bound);
                random.pick([Self::Stall(span), Self::Suspend(span)])
            }
            Family::Wall => Self::Wall(match random.below(4) {
                0 => Wall::Unset,
                // From 1970 to 2106.
                1 => Wall::Set(random.below(4_294_967_296_000).cast_signed()),
                2 => Wall::Step(random.pick([-1_000, 1_000, -3_600_000, 3_600_000])),
                _ => Wall::Set(random.pick([0, -1, 4_294_967_296_000, i64::MAX, i64::MIN])),
            }),
            Family::Poke => Self::Poke,
            Family::Reload => Self::Reload(random.any()),
            Family::Restart => {
                let bound = random.pick([Duration::from_millis(200), interval * 4]);
                let down = random.time(bound);
                random.pick([Self::Restart(down), Self::Kill(down)])
            }
            Family::Storage => Self::Storage(random.pick([
                StorageFault::None,
                StorageFault::Slow(delay),
                StorageFault::Fails,
                StorageFault::Lies,
            ])),
        }
    }

    /// How long it lasts.
    pub fn span(self) -> Duration {
        match self {
            Self::Stall(span) | Self::Suspend(span) | Self::Restart(span) | Self::Kill(span) => span,
            _ => Duration::ZERO,
        }
    }

    /// What it is counted as: one of [`Event::KINDS`].
    pub fn kind(self) -> &'static str {
        use NetworkFault as N;
        match self {
            Self::Network(None, delay) if delay == Duration::ZERO => "network: well",
            Self::Network(None, _) => "network: slow",
            Self::Network(Some(fault), _) => match fault {
                N::NoRoute => "network: no route",
                N::NameFails => "network: name fails",
                N::NameSilent => "network: name server silent",
                N::Refused => "network: refused",
                N::ConnectSilent => "network: connect unanswered",
                N::HandshakeFails => "network: handshake fails",
                N::HandshakeSilent => "network: handshake without end",
                N::CertificateNotYetValid => "network: certificate not valid yet",
                N::WrongCertificate => "network: certificate of somebody else",
                N::BreaksBefore => "network: breaks before the request",
                N::BreaksAfter => "network: breaks after the request",
                N::RequestLost => "network: request lost",
                N::ReplyLost => "network: reply lost",
                N::NotHttp => "network: no HTTP",
                N::NoResources => "network: no descriptors",
                N::Status(200..=299) => "server: other 2xx",
                N::Status(300..=399) => "server: 3xx",
                N::Status(400..=499) => "server: 4xx",
                N::Status(500..=599) => "server: 5xx",
                N::Status(_) => "server: no status",
                N::Busy(..) => "server: Retry-After",
            },
            Self::Sensor(_, Some(SensorFault::Fails(error))) => match error {
                SensorError::Absent => "sensor: unplugged",
                SensorError::Denied => "sensor: denied",
                SensorError::Io => "sensor: I/O error",
                SensorError::Invalid => "sensor: garbage",
            },
            Self::Sensor(_, Some(SensorFault::Hangs)) => "sensor: hangs",
            Self::Sensor(_, Some(SensorFault::Slow(_))) => "sensor: slow",
            Self::Sensor(_, Some(SensorFault::Implausible)) => "sensor: implausible",
            Self::Sensor(_, None) => "sensor: heals",
            Self::Value(..) => "sensor: another value",
            Self::Stall(_) => "program: stands still",
            Self::Suspend(_) => "machine: sleeps",
            Self::Wall(Wall::Step(_)) => "wall clock: stepped",
            Self::Wall(Wall::Set(_)) => "wall clock: set",
            Self::Wall(Wall::Unset) => "wall clock: unset",
            Self::Poke => "program: polled without need",
            Self::Reload(_) => "program: configuration read again",
            Self::Restart(_) => "program: stopped and started",
            Self::Kill(_) => "program: killed and started",
            Self::Storage(StorageFault::None) => "storage: well",
            Self::Storage(StorageFault::Slow(_)) => "storage: slow",
            Self::Storage(StorageFault::Fails) => "storage: fails",
            Self::Storage(StorageFault::Lies) => "storage: lies",
            Self::Deltas(ServerChange::Restarts) => "server: restarted behind a proxy",
            Self::Deltas(ServerChange::Announces) => "server: understands deltas",
            Self::Deltas(ServerChange::IsSilent) => "server: understands no deltas",
        }
    }

    /// One that happens in runs with deltas only.
    pub(super) fn draw_about_deltas(random: &mut Random) -> Self {
        use ServerChange as C;
        Self::Deltas(random.pick([
            C::Restarts,
            C::Restarts,
            C::IsSilent,
            C::Announces,
            C::Announces,
            C::Announces,
        ]))
    }

    /// All that events are counted as in runs with deltas, besides [`Event::KINDS`].
    pub const KINDS_WITH_DELTAS: &[&str] =
        &["server: restarted behind a proxy", "server: understands deltas", "server: understands no deltas"];

    /// All that events are counted as.
    pub const KINDS: &[&str] = &[
        "network: well",
        "network: slow",
        "network: no route",
        "network: name fails",
        "network: name server silent",
        "network: refused",
        "network: connect unanswered",
        "network: handshake fails",
        "network: handshake without end",
        "network: certificate not valid yet",
        "network: certificate of somebody else",
        "network: breaks before the request",
        "network: breaks after the request",
        "network: request lost",
        "network: reply lost",
        "network: no HTTP",
        "network: no descriptors",
        "server: other 2xx",
        "server: 3xx",
        "server: 4xx",
        "server: 5xx",
        "server: no status",
        "server: Retry-After",
        "sensor: unplugged",
        "sensor: denied",
        "sensor: I/O error",
        "sensor: garbage",
        "sensor: hangs",
        "sensor: slow",
        "sensor: implausible",
        "sensor: heals",
        "sensor: another value",
        "program: stands still",
        "machine: sleeps",
        "wall clock: stepped",
        "wall clock: set",
        "wall clock: unset",
        "program: polled without need",
        "program: configuration read again",
        "program: stopped and started",
        "program: killed and started",
        "storage: well",
        "storage: slow",
        "storage: fails",
        "storage: lies",
    ];
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(None, delay) => write!(f, "network well, {} more", ms(*delay)),
            Self::Network(Some(fault), delay) => write!(f, "network: {fault}, after {}", ms(*delay)),
            Self::Sensor(sensor, Some(fault)) => write!(f, "sensor {}: {fault}", sensor.name()),
            Self::Sensor(sensor, None) => write!(f, "sensor {}: well", sensor.name()),
            Self::Value(sensor, _) => write!(f, "sensor {}: another value", sensor.name()),
            Self::Stall(span) => write!(f, "the program stands still for {}", ms(*span)),
            Self::Suspend(span) => write!(f, "the machine sleeps for {}", ms(*span)),
            Self::Wall(Wall::Step(millis)) => write!(f, "the wall clock is moved by {millis} ms"),
            Self::Wall(Wall::Set(millis)) => write!(f, "the wall clock is set to {millis} ms"),
            Self::Wall(Wall::Unset) => f.write_str("the wall clock is not set any more"),
            Self::Poke => f.write_str("polled without need"),
            Self::Reload(_) => f.write_str("the configuration is read again"),
            Self::Restart(down) => write!(f, "stopped, to be started after {}", ms(*down)),
            Self::Kill(down) => write!(f, "killed, to be started after {}", ms(*down)),
            Self::Deltas(ServerChange::Restarts) => f.write_str("the server is restarted behind its proxy"),
            Self::Deltas(ServerChange::Announces) => f.write_str("the server understands deltas"),
            Self::Deltas(ServerChange::IsSilent) => f.write_str("the server understands no deltas"),
            Self::Storage(fault) => match fault {
                StorageFault::None => f.write_str("storage well"),
                StorageFault::Slow(time) => write!(f, "storage takes {}", ms(*time)),
                StorageFault::Fails => f.write_str("storage fails"),
                StorageFault::Lies => f.write_str("storage writes and says that it failed"),
            },
        }
    }
}
