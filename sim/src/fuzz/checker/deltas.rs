//! Deltas: what a receiver makes of them is the full document, and they refer to what was confirmed (S22).
//!
//! "Is" means: to the letter, but for numbers that have noise, which may be wrong by as much. What the noise of each key is was
//! taken from `doc/protocol.md`, not from the agent.

use heartbeat_core::{
    Config, Verdict,
    time::{Duration, Instant},
    uplink::Wire,
};
use serde_json::Value;

use super::{Broken, broken};
use crate::fake::{End, Sent};

/// The noise of the keys that have some.
const NOISE: [(&str, f64); 24] = [
    ("cpu", 1.0),
    ("mem", 1.0),
    ("temp", 1.0),
    ("power", 0.2),
    ("fan_rpm", 100.0),
    ("disk.percent", 1.0),
    ("disk.used_gb", 0.1),
    ("disk.total_gb", 0.1),
    ("connection.wifi.signal_dbm", 5.0),
    ("connection.wifi.signal_percent", 5.0),
    ("connection.4g.signal_percent", 5.0),
    ("connection.gps.latitude", 0.000_03),
    ("connection.gps.longitude", 0.000_03),
    ("connection.gps.altitude_m", 5.0),
    ("connection.gps.speed_mps", 0.5),
    ("connection.gps.heading", 5.0),
    ("connection.gps.satellites", 2.0),
    ("recording_file_size_mb", 1.0),
    ("uptime_s", 90.0),
    ("diagnostics.cpu_mhz", 50.0),
    ("diagnostics.ups.voltage", 0.05),
    ("diagnostics.ups.percent", 1.0),
    ("diagnostics.load", 0.25),
    ("diagnostics.swap", 1.0),
];
/// For what binary fractions cannot hold, relative to the number.
const ROUNDING: f64 = 1e-12;

/// What the server has confirmed.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    confirmed: Option<Confirmed>,
    /// When the live heartbeat in flight was sent, and its number.
    in_flight: Option<(Instant, Option<u64>)>,
    /// Deltas that the server has taken.
    pub(super) taken: u64,
}

/// A full document that deltas may refer to.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    at: Instant,
    seq: u64,
    connection: u64,
}

impl Deltas {
    /// A live heartbeat begins, whose full document is `expected`.
    pub(super) fn begin_live(
        &mut self,
        now: Instant,
        request: &Sent,
        config: &Config,
        numbered: Option<(&str, u64)>,
        expected: &str,
    ) -> Result<(), Broken> {
        self.in_flight = Some((now, numbered.map(|(_, seq)| seq)));
        if let Some((delta, connection)) = &request.delta {
            if !config.deltas() {
                broken!("S22 deltas", "sent although they are switched off");
            }
            let Ok(value) = serde_json::from_slice::<Value>(delta) else {
                broken!("S22 deltas", "a delta is no JSON");
            };
            let number = |key: &str| value.get(key).and_then(Value::as_u64);
            let Some(confirmed) = self.confirmed else {
                broken!("S22 deltas", "refers to {:?}, and nothing was confirmed", number("base"));
            };
            if number("base") != Some(confirmed.seq) || *connection != confirmed.connection {
                broken!(
                    "S22 deltas",
                    "refers to {:?} over connection {connection}, confirmed is {confirmed:?}",
                    number("base")
                );
            }
            let start = value.get("boot_id").and_then(Value::as_str);
            if start.zip(number("seq")) != numbered {
                broken!("S22 deltas", "is {:?} of {start:?}, expected {numbered:?}", number("seq"));
            }
            if now.since(confirmed.at) >= Duration::from_secs(60) {
                broken!("S22 deltas", "refers to what is {:?} old", now.since(confirmed.at));
            }
            if delta.len() >= request.body.len() {
                broken!("S22 deltas", "is no shorter than the document");
            }
        }
        if request.taken && config.deltas() {
            self.check_view(request, expected)?;
        }
        Ok(())
    }

    /// A late heartbeat begins.
    pub(super) fn begin_late(request: &Sent) -> Result<(), Broken> {
        if request.delta.is_some() {
            broken!("S22 deltas", "a late heartbeat was sent as delta");
        }
        Ok(())
    }

    /// The live heartbeat has ended.
    pub(super) fn live_ended(&mut self, end: &End) {
        let (End::Outcome(outcome) | End::Cancelled(outcome)) = end;
        let Wire { understands_deltas, was_delta } = outcome.wire;
        let in_flight = self.in_flight.take();
        let connection = understands_deltas.filter(|_| outcome.verdict == Verdict::Accepted);
        self.taken += u64::from(was_delta && connection.is_some());
        self.confirmed = match (connection, in_flight) {
            (Some(_), _) if was_delta => self.confirmed,
            (Some(connection), Some((at, Some(seq)))) => Some(Confirmed { at, seq, connection }),
            _ => None,
        };
    }

    /// There may be another server.
    pub(super) fn reconfigured(&mut self) {
        (self.confirmed, self.in_flight) = (None, None);
    }

    fn check_view(&self, request: &Sent, expected: &str) -> Result<(), Broken> {
        let Ok(expected) = serde_json::from_str::<Value>(expected) else {
            broken!("S22 deltas", "the expected document is no JSON");
        };
        let Some(view) = &request.view else {
            broken!("S22 deltas", "the receiver knows nothing");
        };
        match difference("", view, &expected) {
            None => Ok(()),
            Some(key) => {
                let at = |value: &Value| value.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
                broken!(
                    "S22 deltas",
                    "the receiver has {:?} for {key}, expected {:?}",
                    at(view),
                    at(&expected)
                )
            }
        }
    }
}

/// The first key of which the values differ by more than its noise.
fn difference(key: &str, view: &Value, expected: &Value) -> Option<String> {
    match (view, expected) {
        (Value::Object(view), Value::Object(expected)) => {
            let under = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
            let missing = view.keys().find(|name| !expected.contains_key(*name)).map(|name| under(name));
            missing.or_else(|| {
                expected.iter().find_map(|(name, expected)| match view.get(name) {
                    Some(view) => difference(&under(name), view, expected),
                    None => Some(under(name)),
                })
            })
        }
        (Value::Number(one), Value::Number(other)) if one != other => {
            let noise = NOISE.iter().find(|(known, _)| *known == key).map_or(0.0, |(_, noise)| *noise);
            let is_near = one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| {
                noise > 0.0 && (one - other).abs() <= noise + one.abs().max(1.0) * ROUNDING
            });
            (!is_near).then(|| key.to_owned())
        }
        (view, expected) => (view != expected).then(|| key.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_noise_is_forgiven() {
        let of = |temp: f64, seq: u64| json!({"temp": temp, "seq": seq, "diagnostics": {"load": 1.0, "unread": {}}});
        assert_eq!(difference("", &of(1.1, 5), &of(2.1, 5)), None);
        assert_eq!(difference("", &of(1.1, 5), &of(2.2, 5)).as_deref(), Some("temp"));
        assert_eq!(difference("", &of(1.1, 5), &of(1.1, 6)).as_deref(), Some("seq"));
        let null = json!({"temp": null, "seq": 5, "diagnostics": {"load": 1.0, "unread": {}}});
        assert_eq!(difference("", &of(1.1, 5), &null).as_deref(), Some("temp"));
        let less = json!({"temp": 1.1, "seq": 5, "diagnostics": {"unread": {}}});
        for (one, other) in [(&less, &of(1.1, 5)), (&of(1.1, 5), &less)] {
            assert_eq!(difference("", one, other).as_deref(), Some("diagnostics.load"));
        }
    }
}
