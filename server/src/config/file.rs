//! The file: each mistake in it is told with its line, its key, what was found and what is expected.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError,
    keys::{CHANNEL_KIND, CHANNELS, EXPECT, Key, SECTIONS, TOP},
};
use crate::text::one_line;

/// Real configurations have a few kilobytes.
const SIZE_MAX: u64 = 1024 * 1024;
/// Mistakes that are told at once.
const MISTAKES_MAX: usize = 20;
/// Longest part of the file that is repeated, in characters.
const SHOWN_MAX: usize = 60;

/// Reads the file at `path`. It may be missing unless the operator has named it.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub(super) fn load(path: &Path, is_named: bool) -> Result<Config, ConfigError> {
    let bytes = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => Vec::new(),
        read => read.map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?,
    };
    parse(&bytes).map_err(|mistakes| {
        let told = |mistake: Mistake| format!("{}:{}: {}", path.display(), mistake.line, mistake.text);
        ConfigError::Invalid(mistakes.into_iter().take(MISTAKES_MAX).map(told).collect())
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::other(format!("larger than {SIZE_MAX} bytes")));
    }
    Ok(bytes)
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    line: usize,
    text: String,
}

/// The configuration in a file, or what is wrong with it, by line.
pub(super) fn parse(bytes: &[u8]) -> Result<Config, Vec<Mistake>> {
    let at = |offset: usize, text: String| Mistake { line: line_of(bytes, offset), text };
    let text = str::from_utf8(bytes).map_err(|error| {
        vec![at(error.valid_up_to(), "expected UTF-8 text, found other bytes".to_owned())]
    })?;
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().unwrap_or_default().start;
        let message = one_line(&error.message().replace('\n', ", ").replace(", expected nothing", ""));
        let found = text.lines().nth(line_of(bytes, offset) - 1).unwrap_or_default().trim();
        let is_bare = found.contains('=') && !found.contains(['"', '\'']);
        let advice = if is_bare { "; a text needs quotes" } else { "" };
        vec![at(offset, format!("not TOML: {message}, found {}{advice}", shown(found)))]
    })?;
    let mut walk = Walk { bytes, lines: BTreeMap::new(), mistakes: Vec::new() };
    walk.top(table.get_ref());
    let Walk { lines, mut mistakes, .. } = walk;
    if !mistakes.is_empty() {
        mistakes.sort();
        return Err(mistakes);
    }
    let config: Config = toml::from_str(text)
        .map_err(|error| vec![at(error.span().unwrap_or_default().start, one_line(error.message()))])?;
    config.check().map_err(|(key, problem)| {
        let line = lines.get(&key).copied().unwrap_or(1);
        vec![Mistake { line, text: format!("{}: {problem}", clipped(&key)) }]
    })?;
    Ok(config)
}

/// A way through the file.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Where each key and section is.
    lines: BTreeMap<String, usize>,
    mistakes: Vec<Mistake>,
}

type Entry<'a, 'b> = (&'a Spanned<std::borrow::Cow<'b, str>>, &'a Spanned<DeValue<'b>>);

impl Walk<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = name.get_ref().as_ref();
            self.note(key, name);
            if let Some(known) = TOP.iter().find(|known| known.name == key) {
                self.value(known, key, name, value);
            } else if let Some((_, keys)) = SECTIONS.iter().find(|(section, _)| *section == key) {
                if let Some(inner) = self.section(key, &format!("[{key}]"), (name, value)) {
                    self.keys(key, keys, name, inner);
                }
            } else if key == "groups" || key == "channels" {
                self.named(key, (name, value));
            } else {
                let here: Vec<_> = TOP.iter().map(|key| key.name.to_owned()).collect();
                let sections = SECTIONS.iter().map(|(section, _)| *section);
                let sections =
                    sections.chain(["groups.NAME", "channels.NAME"]).map(|name| format!("[{name}]"));
                self.unknown(key, key, name, &here.into_iter().chain(sections).collect::<Vec<_>>());
            }
        }
    }

    /// `[groups.NAME]` and `[channels.NAME]`.
    fn named(&mut self, of: &str, entry: Entry<'_, '_>) {
        let Some(table) = self.section(of, &format!("[{of}.NAME]"), entry) else { return };
        for (name, value) in table {
            let key = format!("{of}.{}", name.get_ref());
            self.note(&key, name);
            let Some(inner) = self.section(&key, &format!("[{of}.NAME]"), (name, value)) else { continue };
            if of == "groups" {
                self.keys(&key, EXPECT, name, inner);
                continue;
            }
            let kind = inner.get("kind").and_then(|kind| kind.get_ref().as_str()).unwrap_or_default();
            match (CHANNELS.iter().find(|(known, _)| *known == kind), inner.get_key_value("kind")) {
                (Some((_, keys)), _) => self.keys(&key, keys, name, inner),
                // Its kind must be right before anything else can be said of it.
                (None, Some((name, kind))) => self.value(&CHANNEL_KIND, &format!("{key}.kind"), name, kind),
                (None, None) => self.missing(&CHANNEL_KIND, &key, name),
            }
        }
    }

    /// The table of a section.
    fn section<'a, 'b>(
        &mut self,
        key: &str,
        head: &str,
        (name, value): Entry<'a, 'b>,
    ) -> Option<&'a DeTable<'b>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = found(value.get_ref());
            self.wrong(name, key, format!("expected a section {head}, found {found}"));
        }
        table
    }

    fn keys<T>(&mut self, section: &str, keys: &[Key], head: &Spanned<T>, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{section}.{}", name.get_ref());
            self.note(&key, name);
            match keys.iter().find(|known| known.name == name.get_ref()) {
                Some(known) => self.value(known, &key, name, value),
                None => {
                    let here: Vec<_> = keys.iter().map(|key| key.name.to_owned()).collect();
                    self.unknown(&key, name.get_ref(), name, &here);
                }
            }
        }
        for missing in keys.iter().filter(|key| key.is_required && !table.contains_key(key.name)) {
            self.missing(missing, section, head);
        }
    }

    fn missing<T>(&mut self, known: &Key, section: &str, head: &Spanned<T>) {
        let problem = format!("expected {}, found nothing: it must be set", known.expected());
        self.wrong(head, &format!("{section}.{}", known.name), problem);
    }

    fn value<T>(&mut self, known: &Key, key: &str, name: &Spanned<T>, value: &Spanned<DeValue<'_>>) {
        if !taken(known, value.get_ref()) {
            let found = found(value.get_ref());
            self.wrong(name, key, format!("expected {}, found {found}", known.expected()));
        }
    }

    fn unknown<T>(&mut self, key: &str, name: &str, place: &Spanned<T>, here: &[String]) {
        // TOML counts a key below the head of a section to that section, and one above all heads to none.
        let is_top = TOP.iter().any(|known| known.name == name);
        let has = |(_, keys): &&(&str, &[Key])| keys.iter().any(|known| known.name == name);
        // One that channels have as well could belong to any of them.
        let section = SECTIONS.iter().find(has).filter(|_| !CHANNELS.iter().any(|channel| has(&channel)));
        let advice = match section {
            _ if is_top => "it belongs above the first [section]".to_owned(),
            Some((section, _)) => format!("it belongs below [{section}]"),
            None => format!("expected {}", one_of(here)),
        };
        self.wrong(place, key, format!("unknown here; {advice}"));
    }

    fn note<T>(&mut self, key: &str, place: &Spanned<T>) {
        self.lines.insert(key.to_owned(), line_of(self.bytes, place.span().start));
    }

    fn wrong<T>(&mut self, place: &Spanned<T>, key: &str, problem: String) {
        let line = line_of(self.bytes, place.span().start);
        self.mistakes.push(Mistake { line, text: format!("{}: {problem}", clipped(key)) });
    }
}

/// The value as plain TOML, which has no number of more than 64 bits.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    Value::deserialize(Spanned::new(0..0, value.clone()).into_deserializer()).ok()
}

fn taken(known: &Key, value: &DeValue<'_>) -> bool {
    plain(value).is_some_and(|value| known.takes(&value))
}

/// What stands there, in words.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", shown(text)),
        DeValue::Integer(_) => match plain(value) {
            Some(number) => number.to_string(),
            None => "a number of more than 64 bits".to_owned(),
        },
        DeValue::Float(number) => clipped(number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        DeValue::Array(list) => {
            let items: Vec<_> = list.iter().take(5).map(|item| found_in_list(item.get_ref())).collect();
            let more = if list.len() > items.len() { ", ..." } else { "" };
            format!("the list [{}{more}]", items.join(", "))
        }
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn found_in_list(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shown(text),
        DeValue::Array(_) => "a list".to_owned(),
        other => found(other),
    }
}

fn one_of(words: &[String]) -> String {
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// In quotes, on one line, not too long.
fn shown(text: impl Display) -> String {
    format!("\"{}\"", clipped(&text.to_string()))
}

fn clipped(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN_MAX).map(|(end, _)| end);
    let (part, more) = end.and_then(|end| text.get(..end)).map_or((text, ""), |part| (part, "..."));
    one_line(part) + more
}

/// The number of the line of a byte.
fn line_of(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.get(..offset).unwrap_or(bytes);
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
