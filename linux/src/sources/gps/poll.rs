//! gpsd's answer to `?POLL;`: the latest report of each receiver, and which of them counts.

use heartbeat_core::{
    SensorError,
    readings::{Fix, Position},
    time::{Duration, Instant},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::position;
use crate::sources::{
    json::{lenient, lenient_list},
    stand_ins::StandIns,
};

/// How old the position of a receiver may be: three intervals of 5 s, as any value of the heartbeat.
const FRESH: Duration = Duration::from_secs(15);
/// A receiver counts the weeks from 0 to 1023, so that an old one is wrong by so much, or a multiple of it, and else right (IS-GPS-200,
/// 20.3.3.3.1.1).
const WEEKS_MS: i64 = 1024 * 7 * 24 * 3600 * 1000;
/// `status` of a fix that a receiver or a program makes up (gpsd_json(5), "Simulated").
const SIMULATED: i64 = 8;
/// Receivers that are looked at.
const RECEIVERS_MAX: usize = 16;

/// What is read of the answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Poll {
    #[serde(default, deserialize_with = "lenient")]
    class: String,
    /// gpsd's clock, which is this machine's.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Receivers that are open.
    #[serde(default, deserialize_with = "lenient")]
    active: i64,
    /// `fixes` and `skyviews` until gpsd 2.95.
    #[serde(default, deserialize_with = "lenient_list", alias = "fixes")]
    tpv: Vec<Tpv>,
    #[serde(default, deserialize_with = "lenient_list", alias = "skyviews")]
    sky: Vec<Sky>,
}

/// Time, position and velocity of one receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Tpv {
    #[serde(deserialize_with = "lenient")]
    device: String,
    #[serde(deserialize_with = "lenient")]
    mode: i64,
    /// How the fix was made, since gpsd 3.17.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    status: Option<i64>,
    /// The receiver's clock. It stands still when the receiver falls silent, and gpsd goes on to give the position.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    lat: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    lon: Option<f64>,
    #[serde(rename = "altMSL", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    alt_msl: Option<f64>,
    /// The same until gpsd 3.19.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    alt: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    track: Option<f64>,
}

/// The satellites of one receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sky {
    #[serde(deserialize_with = "lenient")]
    device: String,
    /// How many are used; gpsd counts them since 3.20.
    #[serde(rename = "uSat", deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    satellites: Option<Vec<Satellite>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Satellite {
    #[serde(deserialize_with = "lenient")]
    used: bool,
}

impl Sky {
    fn used(&self) -> Option<u64> {
        let counted =
            self.satellites.as_ref().map(|all| all.iter().filter(|satellite| satellite.used).count());
        self.used.or_else(|| counted.and_then(|count| u64::try_from(count).ok()))
    }
}

impl Poll {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`SensorError::Invalid`] when it is no JSON, or of another class.
    pub(crate) fn parse(line: &str) -> Result<Self, SensorError> {
        let poll: Self = serde_json::from_str(line).map_err(|_| SensorError::Invalid)?;
        if poll.class == "POLL" { Ok(poll) } else { Err(SensorError::Invalid) }
    }

    /// As a line of gpsd, as far as it is read.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// A stand-in for each position.
    pub(super) fn rewrite(line: &[u8], names: &mut StandIns) -> Vec<u8> {
        let Ok(mut poll) = Self::parse(&String::from_utf8_lossy(line)) else { return Vec::new() };
        for tpv in &mut poll.tpv {
            names.position(&mut tpv.lat, &mut tpv.lon, [&mut tpv.alt_msl, &mut tpv.alt]);
        }
        poll.to_line()
    }
}

impl Tpv {
    /// What moves while the receiver reports: its clock. Without one, such as gpsd has none of a receiver that never tells
    /// the date, the report itself: a receiver that measures moves in its last digits. One that holds its position while it
    /// stands loses its fix then, which is better than a fix that nothing confirms.
    fn clock(&self) -> Option<String> {
        self.time.clone().or_else(|| serde_json::to_string(self).ok())
    }

    fn fix(&self) -> Fix {
        match self.mode {
            _ if self.status == Some(SIMULATED) => Fix::None,
            2 => Fix::TwoD,
            3 => Fix::ThreeD,
            _ => Fix::None,
        }
    }
}

/// What is remembered of the receivers, to know which of them fell silent.
#[derive(Debug, Default)]
pub(crate) struct Receivers(Vec<Heard>);

#[derive(Debug)]
struct Heard {
    device: String,
    /// Its clock, or all that it said if that has none.
    time: String,
    /// When it gave this time first.
    since: Instant,
    /// It gave another one before.
    has_moved: bool,
}

impl Receivers {
    /// The position of the receiver that knows most: one with a fix before one without, in three dimensions before two, with
    /// many satellites before few. A fix that is old is none. `None` without a receiver.
    pub(crate) fn best(&mut self, poll: &Poll, now: Instant) -> Option<Position> {
        self.hear(poll, now);
        if poll.active == 0 {
            return None;
        }
        let positions = poll.tpv.iter().take(RECEIVERS_MAX).map(|tpv| {
            let is_fresh = self.is_fresh(tpv, poll, now);
            let fix = if is_fresh { tpv.fix() } else { Fix::None };
            // Some versions name the device in one report only.
            let sky = poll.sky.iter().find(|sky| sky.device == tpv.device);
            let sky = sky.or_else(|| poll.sky.first().filter(|_| poll.tpv.len() == 1));
            let used = sky.and_then(Sky::used).filter(|_| is_fresh);
            position(fix, [tpv.lat, tpv.lon, tpv.alt_msl.or(tpv.alt), tpv.speed, tpv.track], used)
        });
        // max_by_key takes the last of equals; the first counts.
        let positions: Vec<_> = positions.collect();
        let best = positions.into_iter().rev().max_by_key(|position| {
            let dimensions = match position.fix {
                Fix::None => 0,
                Fix::TwoD => 2,
                Fix::ThreeD => 3,
            };
            (dimensions, position.satellites)
        });
        // A receiver that is open and has not reported yet.
        Some(best.unwrap_or_else(|| position(Fix::None, [None; 5], None)))
    }

    /// Notes the times that the receivers gave.
    fn hear(&mut self, poll: &Poll, now: Instant) {
        let mut heard = Vec::new();
        for tpv in poll.tpv.iter().take(RECEIVERS_MAX) {
            let Some(time) = tpv.clock() else { continue };
            let before = self.0.iter().find(|heard| heard.device == tpv.device);
            let (since, has_moved) = match before {
                Some(before) if before.time == time => (before.since, before.has_moved),
                Some(_) => (now, true),
                None => (now, false),
            };
            heard.push(Heard { device: tpv.device.clone(), time, since, has_moved });
        }
        self.0 = heard;
    }

    /// Whether the receiver reported lately. Its clock is compared with itself, because this machine's may be wrong; only
    /// until it has been seen to move, with this machine's.
    fn is_fresh(&self, tpv: &Tpv, poll: &Poll, now: Instant) -> bool {
        let Some(heard) = self.0.iter().find(|heard| heard.device == tpv.device) else { return true };
        if now.since(heard.since) >= FRESH {
            return false;
        }
        let at = |time: &str| time.parse::<Timestamp>().ok();
        let age = poll.time.as_deref().and_then(at).zip(at(&heard.time));
        let limit = i64::try_from(FRESH.as_millis()).unwrap_or(i64::MAX);
        let is_old = |(now, then): (Timestamp, Timestamp)| {
            let age = now.as_millisecond().saturating_sub(then.as_millisecond());
            age >= limit && (limit..=WEEKS_MS - limit).contains(&(age % WEEKS_MS))
        };
        heard.has_moved || !age.is_some_and(is_old)
    }
}

#[cfg(test)]
mod tests;
