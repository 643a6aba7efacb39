//! The settings of the older service, as settings in `config.toml`.

use std::{fmt::Write as _, io, os::unix::fs::PermissionsExt, path::Path};

use heartbeat_core::{
    SensorError,
    limits::{INTERVAL_DEFAULT, INTERVAL_MAX, INTERVAL_MIN},
    time::Duration,
};

use super::{
    CONFIG, FILE_MAX, Notice, Notices, Sysroot, aside,
    configuration::{self, Setting},
    hardware_id,
    older::Older,
    python::{Doubt, Literal, Program, Value, Writer},
    readers, replace,
};
use crate::{config::Endpoint, files::OTHERS_READ, printable::printable};

/// The constant that says where the Python program sends.
const URL_CONSTANT: &str = "HEARTBEAT_URL";
/// That constant as it is published: where it is unchanged, no operator has chosen it.
const PUBLISHED_URL: &str = "https://streamer.lambda-tek.com/heartbeat.php";
/// Where a pidfile can be written by the service.
const WRITABLE: [&str; 2] = ["/run/heartbeat-daemon/", "/var/lib/heartbeat-daemon/"];

/// What was found of the older service's settings.
#[derive(Debug, Default)]
pub(super) struct Settings {
    lines: Vec<Setting>,
    /// Whether others may not read them.
    pub(super) secret: bool,
}

impl Settings {
    /// The settings of the older service.
    pub(super) fn from_older(older: &Older, root: &Sysroot, notices: Notices<'_>) -> Self {
        let files = older.script.as_deref().map(|script| readers::Program::of(root, script));
        let readers::Program { is_private, foreign } = files.unwrap_or_default();
        if let Some(foreign) = &foreign {
            notices(Notice::Attention(format!(
                "{} is not read, nor what else is beside the older service's program: it belongs neither to root nor \
                 to the program's owner",
                printable(&foreign.to_string_lossy())
            )));
        }
        let program = older.program(root, foreign.is_some());
        let mut settings = Self { lines: Vec::new(), secret: older.secret || is_private };
        let source = Source { older, program: program.as_ref().ok(), foreign: foreign.as_deref() };
        settings.url(&source, program.as_ref().err(), notices);
        if !older.arguments().is_empty() {
            notices(Notice::Attention(format!(
                "the older service's program has arguments, which are not taken over: {}",
                printable(&older.arguments().join(" "))
            )));
        }
        settings.times(&source, notices);
        settings.pidfile(&source);
        if let Some((directory, origin)) = older.application(root) {
            settings.add("app_dir", directory.to_str().and_then(text), origin.to_owned());
        }
        if older.script.is_some() {
            settings.hardware_id(older, root, notices);
        }
        settings.lines.retain(|line| !line.value.is_empty());
        settings
    }

    fn add(&mut self, key: &'static str, value: Option<String>, origin: String) {
        self.lines.push(Setting { key, value: value.unwrap_or_default(), origin, active: true });
    }

    fn url(&mut self, source: &Source<'_>, unreadable: Option<&String>, notices: Notices<'_>) {
        let in_arguments = source.older.address_in_arguments();
        let problem = match source.find(URL_CONSTANT) {
            Found::Value(url, origin) => {
                let url = url.to_string();
                self.secret |= url.contains(['?', '@']);
                match Endpoint::parse(&url) {
                    Ok(_) if in_arguments.is_some_and(|other| other != url) => {
                        format!(
                            "{origin}, but an argument of the program is {}",
                            in_arguments.unwrap_or_default()
                        )
                    }
                    Ok(endpoint) => match source.doubt(&endpoint, &url) {
                        Some(doubt) => format!("{origin} is the published address, but {doubt}"),
                        None => {
                            if let Some(line) = source.sends_elsewhere() {
                                notices(Notice::Attention(format!(
                                    "line {line} of the older service's program may send to another address than \
                                     {URL_CONSTANT}: look whether url in {CONFIG} is right"
                                )));
                            }
                            return self.add("url", text(&url), origin);
                        }
                    },
                    Err(problem) => format!("{origin}: {problem}"),
                }
            }
            Found::Unreadable(origin) => format!("{origin} is more than a plain text"),
            Found::Nothing => (source.older.unreadable.first().cloned())
                .or_else(|| unreadable.cloned())
                .unwrap_or_else(|| "HEARTBEAT_URL is set nowhere".to_owned()),
        };
        notices(Notice::Attention(format!(
            "NOTHING IS SENT until you set url in {CONFIG}: where the older service sent cannot be read ({})",
            printable(&problem)
        )));
        self.add("url", text(""), format!("set it: where the older service sent cannot be read ({problem})"));
    }

    fn times(&mut self, source: &Source<'_>, notices: Notices<'_>) {
        let interval =
            self.seconds("interval", "HEARTBEAT_INTERVAL", source, INTERVAL_MIN, INTERVAL_MAX, notices);
        let longest = interval.unwrap_or(INTERVAL_DEFAULT);
        self.seconds("timeout", "REQUEST_TIMEOUT", source, Duration::from_millis(1), longest, notices);
    }

    /// A number of seconds, moved into its range.
    fn seconds(
        &mut self,
        key: &'static str,
        name: &str,
        source: &Source<'_>,
        least: Duration,
        most: Duration,
        notices: Notices<'_>,
    ) -> Option<Duration> {
        let (given, origin) = match source.find(name) {
            Found::Value(value, origin) => (value, origin),
            Found::Unreadable(origin) => {
                notices(Notice::Attention(format!("{origin} cannot be read; {key} has its default")));
                return None;
            }
            Found::Nothing => return None,
        };
        let seconds = match &given {
            Literal::Number(number) => Some(*number),
            Literal::Text(text) => text.trim().parse().ok(),
        };
        let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else {
            notices(Notice::Attention(format!(
                "{origin} is no number ({}); {key} has its default",
                printable(&given.to_string())
            )));
            return None;
        };
        // Saturates; at most a day remains.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = Duration::from_micros((seconds * 1e6).round() as u64);
        let used = wanted.max(least).min(most);
        let shown = |duration| std::time::Duration::from(duration).as_secs_f64();
        let mut origin = origin;
        if used != wanted {
            let note = format!("{key} is {} s instead of {seconds} s, which is not possible", shown(used));
            notices(Notice::Attention(note));
            let _ = write!(origin, "; was {seconds}");
        }
        self.add(key, Some(shown(used).to_string()), origin);
        Some(used)
    }

    /// The old pidfile is where the service cannot write; its own directory has one.
    fn pidfile(&mut self, source: &Source<'_>) {
        if let Found::Value(path, origin) = source.find("PIDFILE") {
            let path = path.to_string();
            let active = WRITABLE.iter().any(|directory| path.starts_with(directory));
            let note = if active { "" } else { "; the service cannot write there and has one of its own" };
            self.lines.push(Setting {
                key: "pidfile",
                value: text(&path).unwrap_or_default(),
                origin: format!("{origin}{note}"),
                active,
            });
        }
    }

    fn hardware_id(&mut self, older: &Older, root: &Sysroot, notices: Notices<'_>) {
        let Some(old) = hardware_id::sent(root, older.uid(root)) else { return };
        let ours = hardware_id::ours(root);
        if ours.as_ref() == Some(&old.id) {
            return;
        }
        let other = ours.unwrap_or_else(|| "none".to_owned());
        if let Some(doubt) = hardware_id::doubt(root, &old) {
            notices(Notice::Attention(format!(
                "the id of the older service is not taken over: {} ({}), {doubt}; this program by itself finds {other}: \
                 compare that with what the server has, and set hardware_id in {CONFIG} where it differs",
                printable(&old.id),
                old.origin
            )));
            return;
        }
        notices(Notice::Done(format!(
            "the id that the server knows stays: {} ({}); this program by itself finds {other}",
            printable(&old.id),
            old.origin
        )));
        if old.by_chance {
            notices(Notice::Attention(format!(
                "several interfaces have an address, and the Python program takes the first that the kernel names: \
                 compare hardware_id in {CONFIG} with what the server has"
            )));
        }
        self.add(
            "hardware_id",
            text(&old.id),
            format!("{}; by itself this program finds {other}", old.origin),
        );
    }

    /// Adds the settings to the configuration file. What it sets already stays.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written, and when the daemon refuses it as it is: the older service then goes on, because
    /// the new one would not.
    pub(super) fn write(&mut self, root: &Sysroot, notices: Notices<'_>) -> io::Result<()> {
        let path = Path::new(CONFIG);
        let unusable =
            |problem: String| io::Error::other(format!("{}; the older service goes on", printable(&problem)));
        let before = match root.read_unnoted(path, FILE_MAX) {
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|error| unusable(format!("{CONFIG}: is not UTF-8 text: {}", error.utf8_error())))?,
            Err(SensorError::Absent) => String::new(),
            Err(problem) => return Err(unusable(format!("{CONFIG}: {problem}"))),
        };
        let others_may_read = || {
            let metadata = root.host_path(path).metadata();
            metadata.is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0)
        };
        configuration::check(&before, !self.secret && others_may_read())
            .map_err(|error| unusable(error.to_string()))?;
        let Some(after) = configuration::merged(&before, &self.lines, notices) else { return Ok(()) };
        if let Some(target) = readers::untrusted_target(root, path) {
            self.secret |= readers::is_private(root, path);
            aside::keep(root, path, notices)?;
            notices(Notice::Attention(format!(
                "{CONFIG} was a link to {}, where others than root may write: it is a file of its own now",
                target.display()
            )));
        }
        replace(root, path, &after, self.secret)
    }
}

/// Where a name is looked up.
struct Source<'o> {
    older: &'o Older,
    program: Option<&'o Program>,
    /// A file beside the program that is not read, and in which the program may have found anything.
    foreign: Option<&'o Path>,
}

/// What is known of a setting of the older service.
enum Found {
    /// A value and where it stands.
    Value(Literal, String),
    /// Something that stands there and cannot be read without executing it.
    Unreadable(String),
    Nothing,
}

impl Source<'_> {
    /// Why the program may send to another server than the published one, to which no device may be sent by a guess.
    fn doubt(&self, endpoint: &Endpoint, url: &str) -> Option<Doubt> {
        let published = Endpoint::parse(PUBLISHED_URL).ok()?;
        let host = |endpoint: &Endpoint| endpoint.uri().host().map(str::to_ascii_lowercase);
        self.program.filter(|_| host(endpoint) == host(&published))?.doubt(URL_CONSTANT, url)
    }

    fn sends_elsewhere(&self) -> Option<usize> {
        self.program?.sends_elsewhere(URL_CONSTANT)
    }

    /// A constant that was changed in the program counts, because the program has no other source. A variable of the
    /// environment takes precedence over a constant as it was published.
    fn find(&self, name: &str) -> Found {
        let variable = |name: &str| {
            let found = self.older.environment.get(name).filter(|variable| !variable.value.is_empty())?;
            Some(Found::Value(Literal::Text(found.value.clone()), format!("{name}, {}", found.origin)))
        };
        let Some(constant) = self.program.and_then(|program| program.constant(name)) else {
            if let Some(file) = self.foreign {
                return Found::Unreadable(format!(
                    "{name}, which may be in {} of another user,",
                    file.display()
                ));
            }
            return variable(name).unwrap_or(Found::Nothing);
        };
        let origin = self.older.origin(name, &constant);
        match constant.value {
            Value::Literal(value) => {
                let published = value == Literal::Text(PUBLISHED_URL.to_owned());
                published.then(|| variable(name)).flatten().unwrap_or(Found::Value(value, origin))
            }
            Value::Environment { name: asked, default } => {
                let writer = self.program.and_then(|program| program.environment_writer(&asked));
                let written = |writer: Writer| {
                    Found::Unreadable(format!(
                        "{origin}, or what the program adds to its environment ({}),",
                        writer.name
                    ))
                };
                match (variable(&asked), default, writer, self.older.unreadable.first()) {
                    (Some(_), _, Some(writer), _) if writer.replaces => written(writer),
                    (Some(found), ..) => found,
                    (None, _, _, Some(file)) => {
                        Found::Unreadable(format!("{origin}, or in a file that cannot be read ({file}),"))
                    }
                    // The default holds only if nothing sets the variable, and the program itself may do that.
                    (None, Some(_), Some(writer), None) => written(writer),
                    (None, Some(value), None, None) => Found::Value(value, origin),
                    (None, None, _, None) => Found::Unreadable(origin),
                }
            }
            Value::Unreadable => Found::Unreadable(origin),
        }
    }
}

/// A basic string of TOML. `None` for text with control characters, which no setting has. What is left of JSON's
/// escapes then, TOML has too.
fn text(text: &str) -> Option<String> {
    let plain = !text.chars().any(char::is_control);
    plain.then(|| serde_json::Value::from(text).to_string())
}
