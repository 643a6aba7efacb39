//! A heartbeat's document, checked against the published schema.

use jsonschema::Validator;
use serde_json::Value;

/// The published JSON Schema of heartbeats.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// When it is no schema.
    pub fn new() -> Result<Self, String> {
        let schema = serde_json::from_str(heartbeat_core::SCHEMA).map_err(|error| error.to_string())?;
        jsonschema::validator_for(&schema).map(Self).map_err(|error| error.to_string())
    }

    /// Parses a document and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong and where, for people.
    pub fn check(&self, bytes: &[u8]) -> Result<Document, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
        if let Err(error) = self.0.validate(&value) {
            return Err(format!("{error} at {:?}", error.instance_path().to_string()));
        }
        Ok(Document(value))
    }
}

/// A document that fits the schema. Values are named by JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq)]
pub struct Document(pub Value);

impl Document {
    /// A number; `None` if it is `null` or not there.
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer).and_then(Value::as_f64)
    }

    /// A text; `None` if it is `null` or not there.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    /// A truth value; `None` if it is not there.
    pub fn flag(&self, pointer: &str) -> Option<bool> {
        self.0.pointer(pointer).and_then(Value::as_bool)
    }

    /// Whether something other than `null` is there.
    pub fn has(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).is_some_and(|value| !value.is_null())
    }

    /// The pointers of all values that are not `null`, those within objects each for itself.
    pub fn present(&self) -> Vec<String> {
        let mut pointers = Vec::new();
        collect(&self.0, String::new(), &mut pointers);
        pointers
    }
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, member) in members {
                collect(member, format!("{pointer}/{key}"), pointers);
            }
        }
        _ => pointers.push(pointer),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_what_does_not_fit_the_schema() {
        let schema = Schema::new().expect("a schema");
        assert!(schema.check(b"{").is_err_and(|error| error.starts_with("not JSON: ")));
        assert!(schema.check(b"{}").is_err_and(|error| error.contains("is a required property")));
    }

    #[test]
    fn lists_what_is_present_within_objects() {
        let document = Document(json!({ "a": 1, "b": null, "c": { "d": false, "e": null }, "f": {} }));
        assert_eq!(document.present(), ["/a", "/c/d"]);
        assert!(document.has("/a") && !document.has("/b") && !document.has("/g"));
        assert_eq!(document.flag("/c/d"), Some(false));
    }
}
