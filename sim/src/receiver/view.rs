//! What a receiver of deltas knows of one device, written from `doc/protocol.md`, apart from the agent and from the server.

use serde_json::{Map, Value};

/// Keys that are left out when there is nothing to say: `null` means that.
const LEFT_OUT_WITH_NULL: [&str; 4] = ["load", "swap", "root_read_only", "clock_synchronized"];

/// The latest full document, and what was made of it.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What deltas may refer to.
    base: Option<Map<String, Value>>,
    current: Option<Value>,
    habit: Habit,
}

/// How a receiver reads deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Habit {
    /// As it is specified.
    #[default]
    Right,
    /// Each delta changes what the one before has left, instead of the full document.
    Accumulates,
    /// A `null` removes the key, as in a merge patch (RFC 7396).
    NullRemoves,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// It was a full one.
    Full,
    /// It was a delta, and what it refers to is known.
    Delta,
    /// It was a delta that cannot be read without the full document.
    UnknownBase,
}

impl View {
    /// Reads deltas in this way from now on.
    pub fn set_habit(&mut self, habit: Habit) {
        self.habit = habit;
    }

    /// The document of the latest heartbeat, made full.
    pub fn current(&self) -> Option<&Value> {
        self.current.as_ref()
    }

    /// Forgets what deltas may refer to, as a restart does.
    pub fn forget(&mut self) {
        self.base = None;
    }

    /// Reads a document; `None` if it is no JSON object.
    pub fn read(&mut self, document: &[u8]) -> Option<Read> {
        let Ok(Value::Object(document)) = serde_json::from_slice(document) else { return None };
        let Some(number) = document.get("base").cloned() else {
            // A late one does not say how it is now.
            if !document.contains_key("replayed") {
                self.base = Some(document.clone());
                self.current = Some(Value::Object(document));
            }
            return Some(Read::Full);
        };
        let refers_to = |base: &&Map<String, Value>| {
            base.get("boot_id") == document.get("boot_id") && base.get("seq") == Some(&number)
        };
        let Some(base) = self.base.as_ref().filter(refers_to) else { return Some(Read::UnknownBase) };
        let mut full = base.clone();
        // What the board is belongs to the full document alone.
        full.remove("board");
        for (key, value) in document {
            let mut path = key.split('.');
            match (path.next(), path.next()) {
                (Some("base"), None) => {}
                (Some(key), None) => self.put(&mut full, key, value, false),
                (Some(outer), Some(key)) => {
                    if let Some(Value::Object(inner)) = full.get_mut(outer) {
                        let may_be_left_out = outer == "diagnostics" && LEFT_OUT_WITH_NULL.contains(&key);
                        self.put(inner, key, value, may_be_left_out);
                    }
                }
                (None, _) => {}
            }
        }
        if self.habit == Habit::Accumulates {
            full.insert("seq".to_owned(), number);
            self.base = Some(full.clone());
        }
        self.current = Some(Value::Object(full));
        Some(Read::Delta)
    }

    fn put(&self, object: &mut Map<String, Value>, key: &str, value: Value, may_be_left_out: bool) {
        if value.is_null() && (may_be_left_out || self.habit == Habit::NullRemoves) {
            object.remove(key);
        } else {
            object.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FULL: &str = r#"{"temp":1,"diagnostics":{"load":1,"ups":null},"board":{},"boot_id":"b","seq":3}"#;

    fn view(habit: Habit) -> View {
        let mut view = View::default();
        view.set_habit(habit);
        assert_eq!(view.read(FULL.as_bytes()), Some(Read::Full));
        view
    }

    #[test]
    fn delta_changes_the_full_document_that_it_refers_to() {
        let mut view = view(Habit::Right);
        let first =
            br#"{"boot_id":"b","seq":4,"base":3,"temp":null,"diagnostics.load":null,"diagnostics.ups":5}"#;
        assert_eq!(view.read(first), Some(Read::Delta));
        let expected = json!({"temp": null, "diagnostics": {"ups": 5}, "boot_id": "b", "seq": 4});
        assert_eq!(view.current(), Some(&expected));
        assert_eq!(view.read(br#"{"boot_id":"b","seq":5,"base":3}"#), Some(Read::Delta));
        let expected = json!({"temp": 1, "diagnostics": {"load": 1, "ups": null}, "boot_id": "b", "seq": 5});
        assert_eq!(view.current(), Some(&expected));
    }

    #[test]
    fn refers_to_nothing_else() {
        let mut view = view(Habit::Right);
        for unknown in [r#"{"boot_id":"b","base":2}"#, r#"{"boot_id":"c","base":3}"#, r#"{"base":3}"#] {
            assert_eq!(view.read(unknown.as_bytes()), Some(Read::UnknownBase), "{unknown}");
        }
        let late = br#"{"temp":9,"boot_id":"b","seq":2,"replayed":true}"#;
        assert_eq!(view.read(late), Some(Read::Full));
        assert_eq!(view.read(br#"{"boot_id":"b","seq":5,"base":3}"#), Some(Read::Delta));
        view.forget();
        assert_eq!(view.read(br#"{"boot_id":"b","seq":5,"base":3}"#), Some(Read::UnknownBase));
        assert_eq!(view.read(b"[]"), None);
    }
}
