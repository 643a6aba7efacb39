//! The configuration file: TOML, one key per setting, nothing unknown.

use std::{
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Value,
    de::{DeTable, DeValue},
};

use super::{
    Layers, Origin, SettingsError,
    raw::{INPUTS, RawSettings},
    suggestion,
};
use crate::files::{self, Links};

/// Where the configuration is read from when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/heartbeat-daemon/config.toml";

/// Real configurations have a few hundred bytes.
const SIZE_MAX: u64 = 64 * 1024;

/// What the service's unit hides for good.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/var/tmp", "/dev/shm"];

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

/// The link, in the path or at its end, that leads nowhere.
fn dangling_link(path: &Path) -> Option<&Path> {
    path.ancestors().find(|part| part.is_symlink() && !part.exists())
}

impl Layers {
    /// Adds what the configuration file says. Returns warnings about the file itself.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or holds anything but known settings with values that can be used.
    pub fn add_file(&mut self, file: &ConfigFile) -> Result<Vec<String>, SettingsError> {
        let path = file.path();
        let (bytes, metadata) = match files::read(path, SIZE_MAX, Links::Follow) {
            Err(error) if error.kind() == ErrorKind::NotFound => match dangling_link(path) {
                // Somebody meant settings that cannot be seen: the defaults would send elsewhere.
                Some(link) => {
                    let target = link.read_link().unwrap_or_default();
                    let target = link.parent().unwrap_or(link).join(target);
                    return Err(SettingsError::Dangling {
                        path: path.to_owned(),
                        link: link.to_owned(),
                        is_hidden: HIDDEN.iter().any(|home| target.starts_with(home)),
                    });
                }
                None if *file == ConfigFile::Default => return Ok(Vec::new()),
                None => return Err(SettingsError::Unreadable { path: path.to_owned(), source: error }),
            },
            read => read.map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?,
        };
        let text = str::from_utf8(&bytes).map_err(|error| {
            FileText { path, text: &bytes }.refuse(error.valid_up_to(), "is not UTF-8 text")
        })?;
        self.add_text(path, text)?;
        if metadata.permissions().mode() & files::OTHERS_READ != 0 && metadata.is_file() {
            self.check_no_secret()?;
        }
        let writable = metadata.is_file() && metadata.permissions().mode() & 0o002 != 0;
        Ok(writable
            .then(|| format!("{}: every user may write to this file", path.display()))
            .into_iter()
            .collect())
    }

    /// Refuses secrets in a file that others may read.
    pub(crate) fn check_no_secret(&self) -> Result<(), SettingsError> {
        if matches!(self.origin("headers"), Origin::File { .. }) {
            let problem = "others may read this file, and a header may be a secret: chmod o-r";
            return Err(self.refuse("headers", problem));
        }
        if self.raw()?.proxy.is_some_and(|proxy| proxy.credentials.is_some()) {
            let problem = "others may read this file, and the proxy's password is in it: chmod o-r";
            return Err(self.refuse("proxy", problem));
        }
        Ok(())
    }

    /// Adds the settings in `text`, which was read from `path`. They must be usable by themselves, even if other
    /// settings replace them later: so a file is right or wrong for all commands.
    ///
    /// # Errors
    ///
    /// As [`Layers::add_file`].
    pub fn add_text(&mut self, path: &Path, text: &str) -> Result<(), SettingsError> {
        let source = FileText { path, text: text.as_bytes() };
        let table = DeTable::parse(text)
            .map_err(|error| source.refuse(error.span().unwrap_or_default().start, error.message()))?;
        let known: Vec<_> = RawSettings::default().leaves().into_iter().map(|(key, _)| key).collect();
        let mut given = Self::default();
        given.add_table(&source, &known, "", table.get_ref())?;
        given.raw()?;
        self.0.append(&mut given.0);
        Ok(())
    }

    /// Adds the settings of a table, whose own name is the `prefix` of theirs.
    fn add_table(
        &mut self,
        source: &FileText<'_>,
        known: &[String],
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            let (key, start) = (format!("{prefix}{}", name.get_ref()), name.span().start);
            let inside = format!("{key}.");
            let is_section = known.iter().any(|known| known.starts_with(&inside));
            if !is_section && !known.contains(&key) {
                return Err(source.refuse(start, unknown(&key, value.get_ref(), known)));
            }
            let refuse = |problem| source.refuse(start, format!("{key}: {problem}"));
            // serde would take an array for a section, and a date for a text.
            match value.get_ref() {
                DeValue::Table(inner) if is_section => {
                    self.add_table(source, known, &inside, inner)?;
                    continue;
                }
                other if is_section => {
                    return Err(refuse(format!("expected a table, found {}", other.type_str())));
                }
                DeValue::Datetime(date) => {
                    return Err(refuse(format!("expected no date, found {date}; a text needs quotes")));
                }
                _ => {}
            }
            // All other TOML is a `Value`.
            let value = Value::deserialize(value.clone().into_deserializer())
                .map_err(|_| refuse("expected a number of at most 64 bits".to_owned()))?;
            self.0.insert(key, (value, source.origin(start)));
        }
        Ok(())
    }
}

/// A text of TOML, and where it was read.
struct FileText<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl FileText<'_> {
    /// Where the byte at `offset` is.
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        Origin::File { path: self.path.to_owned(), line }
    }

    fn refuse(&self, offset: usize, problem: impl Into<String>) -> SettingsError {
        SettingsError::Refused { origin: self.origin(offset), problem: problem.into() }
    }
}

/// What to say about a key that is not known.
fn unknown(key: &str, value: &DeValue<'_>, known: &[String]) -> String {
    let sections = known.iter().filter_map(|known| known.split_once('.')).map(|(section, _)| section);
    let what = if value.is_table() { "section" } else { "key" };
    let candidates = known.iter().map(String::as_str).chain(sections);
    let variable = INPUTS.iter().find(|input| input.env == Some(key)).map(|input| input.key);
    let advice = match variable.or_else(|| suggestion::nearest(key, candidates)) {
        // TOML counts a key below a section's head to that section.
        Some(near) if key.contains('.') && !near.contains('.') => {
            format!("did you mean `{near}`? It belongs above the first section")
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => "all keys are in `man heartbeat-daemon`".to_owned(),
    };
    format!("unknown {what} `{key}`; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        let mut layers = Layers::default();
        let error = layers.add_text(Path::new("c.toml"), text).expect_err("refused").to_string();
        assert!(layers.0.is_empty(), "nothing is taken over");
        error
    }

    #[test]
    fn error_names_line_key_and_what_was_expected() {
        for (text, expected) in [
            (
                "# a comment\ninterval = \"5\"\n",
                "2: interval: expected a number of seconds, found string \"5\"",
            ),
            ("url = 5", "1: url: expected a string, found integer `5`"),
            ("pidfile = []", "1: pidfile: expected a string, found an array"),
            ("[disk_path]\nx = 1", "1: disk_path: expected a string, found a table"),
            ("diagnostics = 1", "1: diagnostics: expected a boolean, found integer `1`"),
            ("method = { post = 1 }", "1: method: expected a string, found a table"),
            ("interval = 99999999999999999999", "1: interval: expected a number of at most 64 bits"),
            ("\n[ups]\nbus = 'one'\n", "3: ups.bus: expected a whole number, found string \"one\""),
            ("backlog = 5", "1: backlog: expected a table, found integer"),
            ("[[ups]]\npreset = 'x120x'", "1: ups: expected a table, found array"),
            (
                "app_version = 2024-01-01",
                "1: app_version: expected no date, found 2024-01-01; a text needs quotes",
            ),
            ("url = \"a\"\nurl = \"b\"\n", "2: duplicate key"),
        ] {
            assert_eq!(error(text), format!("c.toml:{expected}"));
        }
        assert!(error("interval = \n").starts_with("c.toml:1: "));
    }

    #[test]
    fn rejects_unknown_key() {
        for (text, expected) in [
            ("\n\nintervall = 5\n", "3: unknown key `intervall`; did you mean `interval`?"),
            ("REQUEST_TIMEOUT = 2", "1: unknown key `REQUEST_TIMEOUT`; did you mean `timeout`?"),
            ("[ups]\nbuss = 1\n", "2: unknown key `ups.buss`; did you mean `ups.bus`?"),
            ("beats = 7", "1: unknown key `beats`; did you mean `backlog.beats`?"),
            (
                "[ups]\ninterval = 7",
                "2: unknown key `ups.interval`; did you mean `interval`? It belongs above the first section",
            ),
            ("x = 5", "1: unknown key `x`; all keys are in `man heartbeat-daemon`"),
            ("ups.bus.x.y = 1", "1: ups.bus: expected a whole number, found a table"),
        ] {
            assert_eq!(error(text), format!("c.toml:{expected}"));
        }
    }

    #[test]
    fn rejects_unknown_section() {
        for (text, expected) in [
            ("[backlogs]\nbeats = 1", "1: unknown section `backlogs`; did you mean `backlog`?"),
            ("[table]\nx = 1\n", "1: unknown section `table`; all keys are in `man heartbeat-daemon`"),
            ("[ups.buss]\n", "1: unknown section `ups.buss`; did you mean `ups.bus`?"),
        ] {
            assert_eq!(error(text), format!("c.toml:{expected}"));
        }
    }

    #[test]
    fn rejects_file_whose_bad_value_is_replaced_later() {
        let mut layers = Layers::default();
        layers.add_flag("interval", "5");
        let error = layers.add_text(Path::new("c.toml"), "interval = 0").expect_err("refused");
        assert!(error.to_string().starts_with("c.toml:1: interval: expected from 0.05"), "{error}");
    }

    #[test]
    fn accepts_crlf_byte_order_mark_and_all_forms_of_numbers() {
        let mut layers = Layers::default();
        layers
            .add_text(Path::new("c.toml"), "\u{feff}interval = 0x10\r\ntimeout = 1_0.5\r\nbackoff_cap = 1e1")
            .expect("accepted");
        let raw = layers.raw().expect("usable");
        assert_eq!((raw.interval.number(), raw.backoff_cap.number()), (16.0, 10.0));
        assert_eq!(raw.timeout.map(|timeout| timeout.number()), Some(10.5));
        assert_eq!(layers.origin("timeout"), Origin::File { path: "c.toml".into(), line: 2 });
    }

    #[test]
    fn packaged_file_lists_every_key() {
        let text = include_str!("../../../packaging/config.toml");
        let mut layers = Layers::default();
        layers.add_text(Path::new("config.toml"), text).expect("usable");
        assert!(layers.0.is_empty(), "it changes no default: {layers:?}");
        // A comment that is a setting has no space after its sign.
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        layers.add_text(Path::new("config.toml"), &all).expect("usable");
        let given: Vec<_> = layers.0.keys().cloned().collect();
        let mut known: Vec<_> = RawSettings::default().leaves().into_iter().map(|(key, _)| key).collect();
        known.sort();
        assert_eq!(given, known);
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String, lines in "((url|interval|ups|x)[=.]?[\"0-9nai.{}\\[\\]\n-]{0,9}){0,9}") {
            for text in [text, lines] {
                let _ = Layers::default().add_text(Path::new("c.toml"), &text);
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), bytes).expect("written");
            let _ = Layers::default().add_file(&ConfigFile::Named(file.path().to_owned()));
        }
    }

    #[test]
    fn link_that_leads_nowhere_is_no_missing_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("gone", path("link")).expect("linked");
        std::os::unix::fs::symlink(".", path("here")).expect("linked");
        assert_eq!(dangling_link(&path("link")), Some(path("link").as_path()));
        assert_eq!(dangling_link(&path("link/config.toml")), Some(path("link").as_path()));
        assert_eq!(dangling_link(&path("here/config.toml")), None);
        assert_eq!(dangling_link(&path("config.toml")), None);
    }
}
