//! Checks documents against the published JSON Schema.

use jsonschema::Validator;
use serde_json::Value;

/// A validator for heartbeats of version 1.
#[derive(Debug)]
pub struct Schema(Validator);

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

impl Schema {
    /// Compiles the schema that `heartbeat-core` publishes.
    ///
    /// # Panics
    ///
    /// When that is no schema; the tests of `heartbeat-core` see to it that it is.
    #[allow(clippy::expect_used)]
    pub fn new() -> Self {
        let schema = serde_json::from_str(heartbeat_core::SCHEMA).expect("the published schema is JSON");
        Self(jsonschema::validator_for(&schema).expect("the published schema is a schema"))
    }

    /// Parses a document and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong and where, for people.
    pub fn check(&self, document: &[u8]) -> Result<Value, String> {
        let value = serde_json::from_slice(document).map_err(|error| format!("not JSON: {error}"))?;
        match self.0.validate(&value) {
            Ok(()) => Ok(value),
            Err(error) => Err(format!("{error} at {:?}", error.instance_path().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_say_what_and_where() {
        let schema = Schema::new();
        assert!(schema.check(b"{").is_err_and(|error| error.starts_with("not JSON: ")));
        assert!(schema.check(b"{}").is_err_and(|error| error.contains("is a required property")));
    }
}
