//! Deltas (`doc/protocol.md`): documents that have only what has changed since a full one, made full again.
//!
//! The full document that a delta refers to is kept in memory, for those starts of agents that have sent a delta: the first
//! one of a start is answered with 409, upon which the agent sends a full document at once. A restart of the server, and another
//! process on the same database, have the same answer. So has everything that is beyond a bound: one document is kept for each
//! device, and `DELTA_BASES_BYTES_MAX` of all.
//!
//! A delta does not name its device. It is found by its start and by the token that it came with, so that no device can put a
//! document in the place of another one's that has a token of its own. If documents of two devices come with the same number
//! of a start and the same token, neither is kept: a delta could mean either.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Map, Value};

use crate::{
    access::secret,
    limits::{DELTA_ASKED_MAX, DELTA_BASE_LASTS, DELTA_BASES_BYTES_MAX},
    model::document::boot_number,
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

/// A start of an agent, as a delta names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Start {
    /// Its number.
    boot: u64,
    /// The hash of the token that it came with.
    token: Option<Vec<u8>>,
}

impl Start {
    /// The start with this number, of which a request with this token came.
    pub(crate) fn new(boot: u64, bearer: Option<&str>) -> Self {
        Self { boot, token: bearer.map(secret::hash) }
    }
}

/// The full documents that deltas may refer to.
#[derive(Debug)]
pub(crate) struct Bases(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// How many starts are followed at most, and how many bytes their documents may have. Deltas of others are not understood.
    starts_max: usize,
    bytes_max: usize,
    starts: HashMap<Start, Followed>,
    /// The start of each device that is followed.
    devices: HashMap<Arc<str>, Start>,
    /// Bytes of all documents.
    bytes: usize,
    /// Starts whose delta was not understood, so that a full document will come: the latest, and those before.
    asked: [HashSet<Start>; 2],
    swept: Option<Instant>,
}

/// A start of an agent that sends deltas.
#[derive(Debug)]
struct Followed {
    /// When it was last heard of.
    at: Instant,
    /// `None`: documents of several devices came with it.
    base: Option<Base>,
}

#[derive(Debug)]
struct Base {
    device: Arc<str>,
    seq: u64,
    text: String,
}

impl Bases {
    /// Of at most so many devices.
    pub(crate) fn new(devices_max: usize) -> Self {
        Self::bounded(devices_max, DELTA_BASES_BYTES_MAX)
    }

    fn bounded(starts_max: usize, bytes_max: usize) -> Self {
        Self(Mutex::new(Known {
            starts_max,
            bytes_max,
            starts: HashMap::new(),
            devices: HashMap::new(),
            bytes: 0,
            asked: Default::default(),
            swept: None,
        }))
    }

    /// The full document of a delta that came with this token; `None` if the body is no delta.
    ///
    /// # Errors
    /// Why it cannot be made full.
    pub(crate) fn rebuild(
        &self,
        body: &[u8],
        bearer: Option<&str>,
        now: Instant,
    ) -> Result<Option<String>, DeltaError> {
        let Some(delta) = parse(body) else { return Ok(None) };
        let (Some(boot), Some(base)) =
            (delta.get("boot_id").and_then(Value::as_str), delta.get("base").and_then(Value::as_u64))
        else {
            return Err(DeltaError::NotDelta("boot_id is text, and base a number".to_owned()));
        };
        let boot = boot_number(boot).map_err(|error| DeltaError::NotDelta(error.to_string()))?;
        let text = self.lock().base(Start::new(boot, bearer), base, now);
        apply(&text.ok_or(DeltaError::UnknownBase)?, delta).map(Some)
    }

    /// Whether deltas of this start are to be expected.
    pub(crate) fn expects(&self, start: &Start) -> bool {
        let known = self.lock();
        known.starts.contains_key(start) || known.asked.iter().any(|asked| asked.contains(start))
    }

    /// This full document of a device has been stored, and is what deltas of this start refer to from now on.
    pub(crate) fn stored(&self, start: Start, device: &str, number: u64, text: String, now: Instant) {
        self.lock().keep(start, Base { device: device.into(), seq: number, text }, now);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The document with this number. If it is not known, a full document of this start is to be kept when it comes.
    fn base(&mut self, start: Start, number: u64, now: Instant) -> Option<String> {
        self.sweep(now);
        match self.starts.get_mut(&start) {
            Some(Followed { base: None, .. }) => None,
            Some(followed) => {
                followed.at = now;
                let base = followed.base.as_ref().filter(|base| base.seq == number)?;
                Some(base.text.clone())
            }
            None => {
                let [latest, before] = &mut self.asked;
                if latest.len() >= DELTA_ASKED_MAX {
                    *before = mem::take(latest);
                }
                latest.insert(start);
                None
            }
        }
    }

    fn keep(&mut self, start: Start, base: Base, now: Instant) {
        let was_asked = self.asked.iter_mut().any(|asked| asked.remove(&start));
        let contested = match self.starts.get(&start) {
            Some(Followed { base: Some(known), .. }) => known.device != base.device,
            // Until it is swept: then one of the devices may have gone.
            Some(Followed { base: None, .. }) => return,
            None if was_asked => false,
            None => return,
        };
        // An agent that has started again sends no deltas of the start before.
        if let Some(before) = self.devices.get(&base.device).cloned() {
            self.forget(&before);
        }
        self.forget(&start);
        if self.starts.len() >= self.starts_max {
            return;
        }
        if contested {
            self.starts.insert(start, Followed { at: now, base: None });
        } else if self.bytes + base.text.len() <= self.bytes_max {
            self.bytes += base.text.len();
            self.devices.insert(Arc::clone(&base.device), start.clone());
            self.starts.insert(start, Followed { at: now, base: Some(base) });
        }
    }

    fn forget(&mut self, start: &Start) {
        if let Some(Followed { base: Some(base), .. }) = self.starts.remove(start) {
            self.bytes -= base.text.len();
            self.devices.remove(&base.device);
        }
    }

    /// Forgets starts that have been silent.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < DELTA_BASE_LASTS) {
            return;
        }
        self.swept = Some(now);
        let silent: Vec<Start> = self
            .starts
            .iter()
            .filter(|(_, followed)| now.saturating_duration_since(followed.at) >= DELTA_BASE_LASTS)
            .map(|(start, _)| start.clone())
            .collect();
        for start in silent {
            self.forget(&start);
        }
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
    const START: Start = Start { boot: BOOT, token: None };

    fn delta(changes: Value) -> Vec<u8> {
        let mut delta = json!({"boot_id": "0123456789abcdef", "seq": 9, "base": 7});
        delta.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        delta.to_string().into_bytes()
    }

    /// Knows the sample.
    fn bases(now: Instant) -> Bases {
        let bases = Bases::new(2);
        assert_eq!(
            bases.rebuild(&delta(json!({})), None, now),
            Err(DeltaError::UnknownBase),
            "the first of a start"
        );
        assert!(bases.expects(&START));
        let board = json!({"model": "x", "os": null, "wear": null});
        bases.stored(START, "pi1", 7, sample(json!({"board": board})).to_string(), now);
        bases
    }

    fn rebuilt(changes: Value) -> Value {
        let now = Instant::now();
        let text = bases(now).rebuild(&delta(changes), None, now).unwrap().unwrap();
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
        assert_eq!(bases.rebuild(&delta(json!({"base": 6})), None, now), unknown);
        assert_eq!(bases.rebuild(&delta(json!({"boot_id": "00000000000000ff"})), None, now), unknown);
        bases.stored(START, "pi1", 8, sample(json!({"seq": 8})).to_string(), now);
        assert_eq!(bases.rebuild(&delta(json!({})), None, now), unknown);
        assert!(bases.rebuild(&delta(json!({"base": 8})), None, now).is_ok());
        let other = Start::new(1, None);
        bases.stored(other.clone(), "pi2", 1, "{}".to_owned(), now);
        assert!(!bases.expects(&other), "it has not sent a delta");
    }

    /// The agent of `device` sends a delta of this start, which is not understood, and then a full document of 100 bytes.
    fn follow(bases: &Bases, boot: u64, device: &str, now: Instant) {
        let delta = delta(json!({"boot_id": format!("{boot:016x}")}));
        assert_eq!(bases.rebuild(&delta, None, now), Err(DeltaError::UnknownBase));
        bases.stored(Start::new(boot, None), device, 7, "x".repeat(100), now);
    }

    fn kept(bases: &Bases) -> (usize, usize, usize) {
        let known = bases.lock();
        (known.starts.len(), known.devices.len(), known.bytes)
    }

    #[test]
    fn a_device_has_one_start_that_is_followed() {
        let now = Instant::now();
        let bases = Bases::bounded(1000, 10_000);
        for boot in 1..=5 {
            follow(&bases, boot, "pi1", now);
            assert_eq!(kept(&bases), (1, 1, 100));
            assert!(!bases.expects(&Start::new(boot - 1, None)), "the one before");
            assert!(bases.expects(&Start::new(boot, None)));
        }
    }

    #[test]
    fn follows_so_many_devices_and_bytes_and_no_more() {
        let now = Instant::now();
        for (bases, most) in [(Bases::bounded(3, 10_000), 3), (Bases::bounded(1000, 250), 2)] {
            for boot in 1..=5 {
                follow(&bases, boot, &format!("pi{boot}"), now);
            }
            assert_eq!(kept(&bases), (most, most, 100 * most));
        }
    }

    #[test]
    fn remembers_a_bounded_number_of_starts_of_which_only_a_delta_came() {
        let bases = Bases::new(1000);
        let last = 3 * DELTA_ASKED_MAX as u64;
        for boot in 1..=last {
            bases.lock().base(Start::new(boot, None), 7, Instant::now());
        }
        let asked = bases.lock().asked.iter().map(HashSet::len).sum::<usize>();
        assert!(asked <= 2 * DELTA_ASKED_MAX, "{asked}");
        assert!(bases.expects(&Start::new(last, None)) && !bases.expects(&Start::new(1, None)));
        assert_eq!(kept(&bases), (0, 0, 0));
    }

    #[test]
    fn a_device_cannot_take_the_place_of_another_one_with_its_start() {
        let now = Instant::now();
        let bases = bases(now);
        // With another token: they have nothing in common.
        let stolen = delta(json!({}));
        assert_eq!(bases.rebuild(&stolen, Some("b"), now), Err(DeltaError::UnknownBase));
        bases.stored(
            Start::new(BOOT, Some("b")),
            "pi2",
            7,
            sample(json!({"hardwareid": "pi2"})).to_string(),
            now,
        );
        assert!(bases.rebuild(&stolen, None, now).unwrap().unwrap().contains("10000000a1b2c3d4"));
        assert!(bases.rebuild(&stolen, Some("b"), now).unwrap().unwrap().contains("pi2"));
        // With the same token, or with none: deltas are refused until there is one device again.
        bases.stored(START, "pi2", 7, sample(json!({"hardwareid": "pi2"})).to_string(), now);
        assert_eq!(bases.rebuild(&stolen, None, now), Err(DeltaError::UnknownBase));
        bases.stored(START, "pi1", 7, sample(json!({})).to_string(), now);
        assert_eq!(bases.rebuild(&stolen, None, now), Err(DeltaError::UnknownBase));
        let later = now + DELTA_BASE_LASTS;
        // A document that came meanwhile does not make it last longer.
        bases.stored(START, "pi1", 7, sample(json!({})).to_string(), later);
        assert_eq!(bases.rebuild(&stolen, None, later), Err(DeltaError::UnknownBase));
        bases.stored(START, "pi1", 7, sample(json!({})).to_string(), later);
        assert!(bases.rebuild(&stolen, None, later).is_ok());
    }

    #[test]
    fn forgets_starts_that_are_silent() {
        let now = Instant::now();
        let bases = bases(now);
        let later = now + DELTA_BASE_LASTS;
        assert_eq!(
            bases.rebuild(&delta(json!({"boot_id": "00000000000000ff"})), None, later),
            Err(DeltaError::UnknownBase)
        );
        assert!(!bases.expects(&START));
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
            let refused = bases.rebuild(&delta(changes.clone()), None, now);
            assert!(matches!(refused, Err(DeltaError::NotDelta(_))), "{changes}: {refused:?}");
        }
        for body in [
            sample(json!({})).to_string(),
            sample(json!({"app_version": "base"})).to_string(),
            "\"base\"".to_owned(),
        ] {
            assert_eq!(bases.rebuild(body.as_bytes(), None, now), Ok(None), "{body}");
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
            if let Ok(Some(text)) = bases(now).rebuild(&body, None, now) {
                let _ = Beat::parse(text.as_bytes());
            }
        }
    }
}
