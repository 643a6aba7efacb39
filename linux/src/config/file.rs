//! The configuration file: TOML, one key per setting, nothing unknown.

use std::{
    fs::File,
    io::Read,
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    ConfigError, Key,
    key::Kind,
    layers::{Layers, Origin, Value},
};

/// Where the configuration is read from when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/heartbeat-daemon/config.toml";

/// Real configurations have a few hundred bytes.
const SIZE_MAX: u64 = 64 * 1024;

/// Which configuration file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// [`DEFAULT_PATH`], which need not exist.
    Default,
    /// This one, which must exist.
    Named(PathBuf),
}

impl ConfigFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Default => Path::new(DEFAULT_PATH),
            Self::Named(path) => path,
        }
    }
}

impl Layers {
    /// Adds what the configuration file says. Returns warnings about the file itself.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds anything but known settings of the right type.
    pub fn add_file(&mut self, file: &ConfigFile) -> Result<Vec<String>, ConfigError> {
        let path = file.path();
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let opened = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && *file == ConfigFile::Default => {
                return Ok(Vec::new());
            }
            opened => opened.map_err(unreadable)?,
        };
        let metadata = opened.metadata().map_err(unreadable)?;
        let mut bytes = Vec::new();
        opened.take(SIZE_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        let refused = |line, problem| ConfigError::Syntax { path: path.to_owned(), line, problem };
        if bytes.len() as u64 > SIZE_MAX {
            return Err(refused(1, format!("is larger than {SIZE_MAX} bytes")));
        }
        let text = str::from_utf8(&bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            refused(line_of(before, before.len()), "is not UTF-8 text".to_owned())
        })?;
        self.add_text(path, text)?;
        let writable = metadata.is_file() && metadata.permissions().mode() & 0o002 != 0;
        Ok(writable
            .then(|| format!("{}: anybody may write to this file", path.display()))
            .into_iter()
            .collect())
    }

    /// Adds the settings in `text`, which was read from `path`.
    ///
    /// # Errors
    ///
    /// As [`Layers::add_file`].
    pub fn add_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let line = |span: Range<usize>| line_of(text.as_bytes(), span.start);
        let refused = |line, problem| ConfigError::Syntax { path: path.to_owned(), line, problem };
        let table = DeTable::parse(text)
            .map_err(|error| refused(line(error.span().unwrap_or_default()), error.message().to_owned()))?;
        self.add_table(path, &line, "", table.into_inner())
    }

    /// Adds the settings of a table, whose own name is the `prefix` of theirs.
    fn add_table(
        &mut self,
        path: &Path,
        line: &impl Fn(Range<usize>) -> usize,
        prefix: &str,
        table: DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let line_of_key = line(name.span());
            let refused = |problem| ConfigError::Syntax { path: path.to_owned(), line: line_of_key, problem };
            let name = format!("{prefix}{}", name.into_inner());
            if let Some(key) = Key::named(&name) {
                let value = typed(key.kind(), value.get_ref())
                    .map_err(|problem| refused(format!("{key}: {problem}")))?;
                self.set(key, value, Origin::File { path: path.to_owned(), line: line_of_key });
                continue;
            }
            let inside = format!("{name}.");
            match value.into_inner() {
                DeValue::Table(table) if Key::ALL.iter().any(|key| key.name().starts_with(&inside)) => {
                    self.add_table(path, line, &inside, table)?;
                }
                _ => {
                    let known: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
                    return Err(refused(format!("unknown key `{name}`; known are {}", known.join(", "))));
                }
            }
        }
        Ok(())
    }
}

fn typed(kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    let wanted = match kind {
        Kind::Text => "a text in quotes",
        Kind::Seconds => "a number of seconds",
        Kind::Number => "a number",
        Kind::Flag => "true or false",
    };
    let found = match (kind, value) {
        (Kind::Text, DeValue::String(text)) => return Ok(Value::Text(text.to_string())),
        (Kind::Flag, DeValue::Boolean(flag)) => return Ok(Value::Flag(*flag)),
        (Kind::Seconds | Kind::Number, DeValue::Integer(number)) => {
            let digits = number.as_str().replace('_', "");
            let parsed = i64::from_str_radix(&digits, number.radix());
            // Beyond 2^53 nothing here is in range anyway.
            return parsed
                .map(|number| Value::Number(number as f64))
                .map_err(|_| format!("expected {wanted}, found {digits}"));
        }
        (Kind::Seconds | Kind::Number, DeValue::Float(number)) => {
            let digits = number.as_str().replace('_', "");
            return digits
                .parse()
                .map(Value::Number)
                .map_err(|_| format!("expected {wanted}, found {digits}"));
        }
        (_, other) => name_of(other),
    };
    Err(format!("expected {wanted}, found {found}"))
}

fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Line of the byte at `offset`, from 1.
fn line_of(text: &[u8], offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        let mut layers = Layers::default();
        layers.add_text(Path::new("c.toml"), text).expect_err("refused").to_string()
    }

    #[test]
    fn complaints_name_the_line_the_key_and_what_was_expected() {
        assert_eq!(
            error("# a comment\ninterval = \"5\"\n"),
            "c.toml:2: interval: expected a number of seconds, found a text"
        );
        assert_eq!(error("url = 5"), "c.toml:1: url: expected a text in quotes, found a number");
        assert_eq!(
            error("interval = 99999999999999999999"),
            "c.toml:1: interval: expected a number of seconds, found 99999999999999999999"
        );
        assert!(
            error("\n\nintervall = 5\n")
                .starts_with("c.toml:3: unknown key `intervall`; known are url, interval,")
        );
        assert_eq!(error("[ups]\nbus = 'one'\n"), "c.toml:2: ups.bus: expected a number, found a text");
        assert!(error("[ups]\nbuss = 1\n").starts_with("c.toml:2: unknown key `ups.buss`; known are url,"));
        assert_eq!(error("diagnostics = 1"), "c.toml:1: diagnostics: expected true or false, found a number");
        assert!(error("[table]\nx = 1\n").starts_with("c.toml:1: unknown key `table`"));
        assert!(error("url = \"a\"\nurl = \"b\"\n").starts_with("c.toml:2: duplicate key"));
        assert!(error("interval = \n").starts_with("c.toml:1: "));
    }

    #[test]
    fn other_line_ends_and_a_byte_order_mark_are_fine() {
        let mut layers = Layers::default();
        layers
            .add_text(Path::new("c.toml"), "\u{feff}interval = 0x10\r\ntimeout = 1_0.5\r\n")
            .expect("accepted");
        assert_eq!(layers.get(Key::Interval).map(|given| &given.value), Some(&Value::Number(16.0)));
        assert_eq!(layers.get(Key::Timeout).map(|given| &given.value), Some(&Value::Number(10.5)));
        assert_eq!(layers.origin(Key::Timeout), Origin::File { path: "c.toml".into(), line: 2 });
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, lines in "((url|interval|x)=?[\"0-9nai.\n-]{0,9}){0,9}") {
            for text in [text, lines] {
                let _ = Layers::default().add_text(Path::new("c.toml"), &text);
            }
        }
    }
}
