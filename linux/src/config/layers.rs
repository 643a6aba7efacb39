//! Settings as they were given, each with its origin.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use toml::{Table, Value};

use super::{
    SettingsError,
    error::reworded,
    raw::{INPUTS, Input, RawSettings},
    settings,
};

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
    /// On the command line: the flag's name, without dashes in front.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// A setting in use. Prints as a line of a configuration file, with the origin as a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, with its section: `backlog.beats`.
    pub key: String,
    /// The value in TOML.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = format!("{} = {}", self.key, self.value);
        write!(f, "{setting:<58} # {}", self.origin)
    }
}

/// A text as a value. A text that should be a number and is none stays a text, and is refused as that.
fn value(text: String, number: bool) -> Value {
    match text.trim().parse() {
        Ok(parsed) if number => Value::Float(parsed),
        _ => Value::String(text),
    }
}

/// Whether two values mean the same: a file may have a whole number where the environment has another.
fn is_same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => number.to_string().parse().ok(),
        _ => None,
    };
    one == other || number(one).is_some_and(|one: f64| number(other) == Some(one))
}

/// Settings as they were given; what is added later replaces what was added earlier, key by key.
#[derive(Debug, Clone, Default)]
pub struct Layers(pub(super) BTreeMap<String, (Value, Origin)>);

impl Layers {
    /// Adds what the environment says. Empty variables count as not set. Returns a warning for each that replaces another
    /// value of the file: people look for a setting there, and the service may have another environment.
    pub fn add_environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut warnings = Vec::new();
        for input in INPUTS {
            if let Some(name) = input.env
                && let Some(text) = variable(name).filter(|text| !text.is_empty())
            {
                let value = value(text, input.number);
                let replaced =
                    self.0.insert(input.key.to_owned(), (value.clone(), Origin::Environment(name)));
                if let Some((old, origin @ Origin::File { .. })) = replaced
                    && !is_same(&old, &value)
                {
                    warnings.push(format!("{name} in the environment overrides {} of {origin}", input.key));
                }
            }
        }
        warnings
    }

    /// Adds a flag of the command line by its name without dashes. One that is not in [`INPUTS`] is refused by
    /// [`Settings::new`](super::Settings::new).
    pub fn add_flag(&mut self, name: &str, text: &str) {
        let is_named = |input: &&Input| input.flag.as_ref().is_some_and(|flag| flag.name == name);
        let (key, number) =
            INPUTS.iter().find(is_named).map_or((name, false), |input| (input.key, input.number));
        let value = value(text.to_owned(), number);
        self.0.insert(key.to_owned(), (value, Origin::Flag(name.to_owned())));
    }

    /// Where a setting was given. A key inside a setting that is a table was given with that setting.
    pub fn origin(&self, key: &str) -> Origin {
        match (self.0.get(key), key.rsplit_once('.')) {
            (Some((_, origin)), _) => origin.clone(),
            (None, Some((table, _))) => self.origin(table),
            (None, None) => Origin::Default,
        }
    }

    /// The settings in use, with what follows from others.
    ///
    /// # Errors
    ///
    /// As [`Settings::new`](super::Settings::new).
    pub fn in_use(&self) -> Result<Vec<Entry>, SettingsError> {
        let (_, raw) = settings::check(self)?;
        let mut entries = Vec::new();
        for (key, value) in raw.leaves() {
            // A setting that is not set has no value in TOML.
            let Ok(value) = Value::try_from(value) else { continue };
            let value = match value {
                // As `i2cdetect` shows addresses.
                Value::Integer(address) if key == "ups.address" => format!("{address:#04x}"),
                value => value.to_string(),
            };
            let origin = self.origin(&key);
            entries.push(Entry { key, value, origin });
        }
        Ok(entries)
    }

    /// What was given, with the defaults of the rest.
    pub(super) fn raw(&self) -> Result<RawSettings, SettingsError> {
        let mut table = Table::new();
        for (key, (value, _)) in &self.0 {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            let inner = match section {
                "" => &mut table,
                section => match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                    Value::Table(inner) => inner,
                    // The section is a value: refused below.
                    _ => continue,
                },
            };
            inner.insert(name.to_owned(), value.clone());
        }
        serde_path_to_error::deserialize(Value::Table(table))
            .map_err(|error| self.refuse(&error.path().to_string(), &reworded(error.inner().message())))
    }

    /// Refuses the value of a key.
    pub(super) fn refuse(&self, key: &str, problem: &str) -> SettingsError {
        SettingsError::Refused { origin: self.origin(key), problem: format!("{key}: {problem}") }
    }
}
