//! Deltas (`doc/protocol.md`): documents that have only what has changed since a full one, made full again.
//!
//! The full document that a delta refers to is kept in memory, for those starts of agents that have sent a delta: the first
//! one of a start is answered with 409, upon which the agent sends a full document at once. A restart of the server, and another
//! process on the same database, have the same answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Map, Value};

use crate::{
    limits::DELTA_BASE_LASTS,
    model::document::{Sequence, boot_number},
};

/// Keys that a document leaves out when there is nothing to say, so that `null` removes them.
const REMOVABLE: [&str; 4] =
    ["diagnostics.load", "diagnostics.swap", "diagnostics.root_read_only", "diagnostics.clock_synchronized"];
/// Keys that belong to full documents.
const NEVER: [&str; 3] = ["hardwareid", "board", "replayed"];

/// Why a delta cannot be made full.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DeltaError {
    #[error("the full document with this number is not known here")]
    UnknownBase,
    #[error("not a delta: {0}")]
    NotDelta(String),
}

/// The full documents that deltas may refer to.
#[derive(Debug)]
pub(crate) struct Bases(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// How many starts are followed at most. Deltas of others are not understood.
    limit: usize,
    /// By the number of the start.
    starts: HashMap<u64, Start>,
    swept: Option<Instant>,
}

/// A start of an agent that sends deltas.
#[derive(Debug)]
struct Start {
    /// When it was last heard of.
    at: Instant,
    base: Option<Base>,
}

#[derive(Debug)]
struct Base {
    seq: u64,
    text: String,
}

impl Bases {
    /// Of at most so many devices.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Mutex::new(Known { limit, starts: HashMap::new(), swept: None }))
    }

    /// The full document of a delta; `None` if the body is no delta.
    ///
    /// # Errors
    /// Why it cannot be made full.
    pub(crate) fn rebuild(&self, body: &[u8], now: Instant) -> Result<Option<String>, DeltaError> {
        let Some(delta) = parse(body) else { return Ok(None) };
        let (Some(boot), Some(base)) =
            (delta.get("boot_id").and_then(Value::as_str), delta.get("base").and_then(Value::as_u64))
        else {
            return Err(DeltaError::NotDelta("boot_id is text, and base a number".to_owned()));
        };
        let boot = boot_number(boot).map_err(|error| DeltaError::NotDelta(error.to_string()))?;
        let mut known = self.lock();
        let Some(start) = known.follow(boot, now) else { return Err(DeltaError::UnknownBase) };
        let text = start.base.as_ref().filter(|known| known.seq == base).map(|known| known.text.clone());
        drop(known);
        apply(&text.ok_or(DeltaError::UnknownBase)?, delta).map(Some)
    }

    /// Whether deltas of this start are to be expected.
    pub(crate) fn expects(&self, sequence: Sequence) -> bool {
        self.lock().starts.contains_key(&sequence.boot)
    }

    /// This full document has been stored, and is what deltas refer to from now on.
    pub(crate) fn stored(&self, sequence: Sequence, text: String, now: Instant) {
        if let Some(start) = self.lock().starts.get_mut(&sequence.boot) {
            *start = Start { at: now, base: Some(Base { seq: sequence.number, text }) };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The start with this number, which sends deltas; `None` if there are too many.
    fn follow(&mut self, boot: u64, now: Instant) -> Option<&mut Start> {
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= DELTA_BASE_LASTS) {
            self.swept = Some(now);
            self.starts.retain(|_, start| now.saturating_duration_since(start.at) < DELTA_BASE_LASTS);
        }
        if self.starts.len() >= self.limit && !self.starts.contains_key(&boot) {
            return None;
        }
        let start = self.starts.entry(boot).or_insert(Start { at: now, base: None });
        start.at = now;
        Some(start)
    }
}

/// A document with the key `base`; everything else is a full one, or nothing that can be stored.
fn parse(body: &[u8]) -> Option<Map<String, Value>> {
    // Full documents, which are the most, are not parsed twice.
    if !body.windows(6).any(|window| window == b"\"base\"") {
        return None;
    }
    serde_json::from_slice::<Map<String, Value>>(body).ok().filter(|document| document.contains_key("base"))
}

/// Puts the values of a delta into the full document.
fn apply(base: &str, delta: Map<String, Value>) -> Result<String, DeltaError> {
    let mut document: Map<String, Value> =
        serde_json::from_str(base).map_err(|error| DeltaError::NotDelta(error.to_string()))?;
    document.shift_remove("board");
    for (key, value) in delta {
        if key == "base" {
            continue;
        }
        if NEVER.contains(&key.as_str()) {
            return Err(DeltaError::NotDelta(format!("{key} belongs to a full document")));
        }
        let Some((object, member)) = key.split_once('.') else {
            document.insert(key, value);
            continue;
        };
        let Some(Value::Object(object)) = document.get_mut(object) else {
            return Err(DeltaError::NotDelta(format!("{object} is no object in the full document")));
        };
        if value.is_null() && REMOVABLE.contains(&key.as_str()) {
            object.shift_remove(member);
        } else {
            object.insert(member.to_owned(), value);
        }
    }
    Ok(Value::Object(document).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::document::{Beat, sample};

    const BOOT: u64 = 0x0123_4567_89ab_cdef;
    const SEQUENCE: Sequence = Sequence { boot: BOOT, number: 7 };

    fn delta(changes: Value) -> Vec<u8> {
        let mut delta = json!({"boot_id": "0123456789abcdef", "seq": 9, "base": 7});
        delta.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        delta.to_string().into_bytes()
    }

    /// Knows the sample.
    fn bases(now: Instant) -> Bases {
        let bases = Bases::new(2);
        assert_eq!(
            bases.rebuild(&delta(json!({})), now),
            Err(DeltaError::UnknownBase),
            "the first of a start"
        );
        assert!(bases.expects(SEQUENCE));
        bases.stored(
            SEQUENCE,
            sample(json!({"board": {"model": "x", "os": null, "wear": null}})).to_string(),
            now,
        );
        bases
    }

    fn rebuilt(changes: Value) -> Value {
        let now = Instant::now();
        let text = bases(now).rebuild(&delta(changes), now).unwrap().unwrap();
        assert!(Beat::parse(text.as_bytes()).is_ok(), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_not_in_a_delta_is_as_before_and_the_board_is_not_repeated() {
        assert_eq!(rebuilt(json!({})), sample(json!({"seq": 9})));
    }

    #[test]
    fn null_is_a_value_but_for_what_can_be_left_out() {
        let expected = sample(json!({"seq": 9, "temp": null, "cpu": 99.5}));
        assert_eq!(rebuilt(json!({"temp": null, "cpu": 99.5})), expected);
        let mut expected = sample(json!({"seq": 9}));
        expected["connection"]["wifi"] = Value::Null;
        expected["diagnostics"]["ups"] = Value::Null;
        assert_eq!(rebuilt(json!({"connection.wifi": null, "diagnostics.ups": null})), expected);
        assert_eq!(rebuilt(json!({"diagnostics.load": null})), sample(json!({"seq": 9})));
        expected = sample(json!({"seq": 9}));
        expected["diagnostics"]["load"] = json!(0.25);
        assert_eq!(rebuilt(json!({"diagnostics.load": 0.25})), expected);
    }

    #[test]
    fn only_the_latest_full_document_of_the_same_start_is_known() {
        let now = Instant::now();
        let bases = bases(now);
        let unknown = Err(DeltaError::UnknownBase);
        assert_eq!(bases.rebuild(&delta(json!({"base": 6})), now), unknown);
        assert_eq!(bases.rebuild(&delta(json!({"boot_id": "00000000000000ff"})), now), unknown);
        bases.stored(Sequence { number: 8, ..SEQUENCE }, sample(json!({"seq": 8})).to_string(), now);
        assert_eq!(bases.rebuild(&delta(json!({})), now), unknown);
        assert!(bases.rebuild(&delta(json!({"base": 8})), now).is_ok());
        let other = Sequence { boot: 1, number: 1 };
        bases.stored(other, "{}".to_owned(), now);
        assert!(!bases.expects(other), "it has not sent a delta");
    }

    #[test]
    fn follows_so_many_starts_and_no_more() {
        let now = Instant::now();
        let bases = bases(now);
        for boot in 1..5 {
            let delta = delta(json!({"boot_id": format!("{boot:016x}")}));
            assert_eq!(bases.rebuild(&delta, now), Err(DeltaError::UnknownBase));
            assert_eq!(bases.expects(Sequence { boot, number: 7 }), boot == 1);
        }
        assert!(bases.rebuild(&delta(json!({})), now).is_ok());
    }

    #[test]
    fn forgets_starts_that_are_silent() {
        let now = Instant::now();
        let bases = bases(now);
        let later = now + DELTA_BASE_LASTS;
        assert_eq!(
            bases.rebuild(&delta(json!({"boot_id": "00000000000000ff"})), later),
            Err(DeltaError::UnknownBase)
        );
        assert!(!bases.expects(SEQUENCE));
    }

    #[test]
    fn refuses_what_is_no_delta_and_leaves_full_documents_alone() {
        let now = Instant::now();
        let bases = bases(now);
        for changes in [
            json!({"boot_id": 5}),
            json!({"boot_id": "x"}),
            json!({"base": "7"}),
            json!({"hardwareid": "other"}),
            json!({"board": null}),
            json!({"replayed": true}),
            json!({"disk.percent.x": 1, "temp.x": 1}),
        ] {
            let refused = bases.rebuild(&delta(changes.clone()), now);
            assert!(matches!(refused, Err(DeltaError::NotDelta(_))), "{changes}: {refused:?}");
        }
        for body in [
            sample(json!({})).to_string(),
            sample(json!({"app_version": "base"})).to_string(),
            "\"base\"".to_owned(),
        ] {
            assert_eq!(bases.rebuild(body.as_bytes(), now), Ok(None), "{body}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_broken_deltas(cut in 0usize..120, byte in any::<u8>()) {
            let now = Instant::now();
            let mut body = delta(json!({"temp": 1, "diagnostics.load": null}));
            if let Some(place) = body.get_mut(cut) {
                *place = byte;
            }
            if let Ok(Some(text)) = bases(now).rebuild(&body, now) {
                let _ = Beat::parse(text.as_bytes());
            }
        }
    }
}
