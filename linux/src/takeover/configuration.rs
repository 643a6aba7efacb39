//! The settings of the older service in `config.toml`: what it sets already stays, and nothing is added that the daemon
//! would refuse. It would end with that, and the older service is gone by then.

use std::{fmt::Write as _, path::Path};

use toml::de::DeTable;

use super::{CONFIG, Notice, Notices};
use crate::{
    config::{Layers, Settings, SettingsError},
    printable::printable,
};

/// Stands in for a `url` that is still to be set.
const ANY_URL: &str = "\"https://localhost/\"";

/// A line of `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    /// As TOML.
    pub(super) value: String,
    /// Where it came from.
    pub(super) origin: String,
    /// Whether it is in force, and not only there to be read.
    pub(super) active: bool,
}

impl Setting {
    fn line(&self, active: bool) -> String {
        let mark = if active { "" } else { "#" };
        format!("{mark}{} = {}   # {}", self.key, self.value, printable(&self.origin))
    }

    /// The value for the terminal: a query may hold a secret.
    fn public(&self) -> String {
        match self.value.split_once('?') {
            Some((address, _)) if self.key == "url" => format!("{address}?...\""),
            _ => self.value.clone(),
        }
    }
}

/// What the daemon would say of a file with this text. An empty `url` is no problem here: until somebody sets it, the
/// daemon ends, as it is told to.
///
/// # Errors
///
/// As [`Layers::add_text`] and [`Settings::new`]. If others may read the file, also for secrets in it.
pub(super) fn check(text: &str, others_may_read: bool) -> Result<(), SettingsError> {
    let mut layers = Layers::default();
    layers.add_text(Path::new(CONFIG), &with_url(text))?;
    if others_may_read {
        layers.check_no_secret()?;
    }
    Settings::new(&layers).map(drop)
}

/// The text with some address in place of an empty one.
fn with_url(text: &str) -> String {
    let mut text = text.to_owned();
    let table = DeTable::parse(&text).ok();
    let url = table.as_ref().and_then(|table| table.get_ref().get("url"));
    let empty = url.filter(|url| url.get_ref().as_str() == Some("")).map(toml::Spanned::span);
    if let Some(place) = empty {
        text.replace_range(place, ANY_URL);
    }
    text
}

/// The file with the settings in front, where no section can catch them; `None` when nothing is new. `before` must be
/// usable.
pub(super) fn merged(before: &str, settings: &[Setting], notices: Notices<'_>) -> Option<String> {
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let set = DeTable::parse(before).map(toml::Spanned::into_inner).unwrap_or_default();
    let version_is_set =
        ["app_version", "app_version_file", "app_dir"].iter().any(|key| set.contains_key(*key));
    let mut new = Vec::new();
    for setting in settings {
        if set.contains_key(setting.key) || (setting.key == "app_dir" && version_is_set) {
            notices(Notice::Done(format!(
                "{} in {CONFIG} stays; the older service had {}",
                setting.key,
                setting.public()
            )));
        } else if setting.active || !before.contains(&setting.line(false)) {
            new.push(setting.clone());
        }
    }
    // One after the other, so that one that is refused takes no other with it. The later ones are there as comments, so
    // that a message names the right line.
    let mut lines: Vec<_> = new.iter().map(|setting| setting.line(false)).collect();
    for (at, setting) in new.iter().enumerate() {
        let Some(line) = lines.get_mut(at).filter(|_| setting.active) else { continue };
        *line = setting.line(true);
        if let Err(error) = check(&whole(&lines, before), false) {
            notices(refused(setting, &error));
            // Without a line the daemon would send to the published address.
            let instead = match setting.key {
                "url" => Setting { value: "\"\"".to_owned(), ..setting.clone() }.line(true),
                _ => setting.line(false),
            };
            if let Some(line) = lines.get_mut(at) {
                *line = instead;
            }
        }
    }
    for (setting, line) in new.iter().zip(&lines) {
        if line.starts_with('#') != setting.active {
            let mark = if setting.active { "" } else { "#" };
            let (key, origin) = (setting.key, printable(&setting.origin));
            notices(Notice::Done(format!("{CONFIG}: {mark}{key} = {}   # {origin}", setting.public())));
        }
    }
    (!lines.is_empty()).then(|| whole(&lines, before))
}

fn whole(lines: &[String], before: &str) -> String {
    let mut block = String::new();
    for line in lines {
        let _ = writeln!(block, "{line}");
    }
    format!("# Taken over from the service that was here before.\n{block}\n{before}")
}

fn refused(setting: &Setting, error: &SettingsError) -> Notice {
    let problem = match error {
        SettingsError::Refused { problem, .. } => printable(problem).into_owned(),
        SettingsError::Unreadable { .. } | SettingsError::Dangling { .. } => error.to_string(),
    };
    let (key, value) = (setting.key, setting.public());
    Notice::Attention(match key {
        "url" => format!(
            "NOTHING IS SENT until you set url in {CONFIG}: {value} cannot be used beside what it sets"
        ),
        _ => format!("{key} = {value} of the older service is not taken over ({problem})"),
    })
}
