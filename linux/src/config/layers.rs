//! Where settings come from: each value keeps its origin, so that every complaint can name it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::Key;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In the configuration file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// In the environment.
    Environment(&'static str),
    /// On the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(f64),
    Flag(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Settings as they were given; a later source replaces an earlier one key by key.
#[derive(Debug, Clone, Default)]
pub struct Layers(BTreeMap<Key, Given>);

impl Layers {
    pub(super) fn set(&mut self, key: Key, value: Value, origin: Origin) {
        self.0.insert(key, Given { value, origin });
    }

    /// Adds what the environment says. Empty variables count as not set.
    pub fn add_environment(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for key in Key::ALL {
            if let Some(name) = key.env()
                && let Some(text) = variable(name).filter(|text| !text.is_empty())
            {
                self.set(*key, Value::Text(text), Origin::Environment(name));
            }
        }
    }

    /// Adds a flag of the command line, if it was used.
    pub fn add_flag(&mut self, key: Key, text: Option<&str>) {
        if let Some(text) = text {
            let flag = format!("--{}", key.name().replace('_', "-"));
            self.set(key, Value::Text(text.to_owned()), Origin::Flag(flag));
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Given> {
        self.0.get(&key)
    }

    /// Where a setting was given.
    pub fn origin(&self, key: Key) -> Origin {
        self.get(key).map_or(Origin::Default, |given| given.origin.clone())
    }
}
