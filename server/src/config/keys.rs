//! Every key of the file, with what may stand there: the one place that knows the ranges.

use std::net::{IpAddr, SocketAddr};

use toml::Value;

/// A key of a section.
pub(super) struct Key {
    pub(super) name: &'static str,
    kind: Kind,
    /// The section makes no sense without it.
    pub(super) is_required: bool,
}

/// What may stand at a key.
enum Kind {
    /// An IP address with a port.
    Address,
    /// The path of this.
    Path(&'static str),
    /// A text, and how it is described.
    Text(&'static str),
    /// A text that begins with one of two.
    Begins(&'static str, &'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts, and how it is described.
    List(&'static str),
    /// A list of IP addresses.
    Addresses,
    Flag,
    /// A whole number of a unit.
    Whole(&'static str, i64, i64),
    /// A number of a unit.
    Number(&'static str, f64, f64),
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: false }
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: true }
}

/// Keys above the first section.
pub(super) const TOP: &[Key] = &[
    key("listen", Kind::Address),
    key("state", Kind::Path("directory")),
    key("connections", Kind::Whole("connections", 10, 1_000_000)),
];

/// Sections and their keys, but those with a name that the operator chooses.
pub(super) const SECTIONS: &[(&str, &[Key])] = &[
    (
        "postgres",
        &[
            required(
                "url",
                Kind::Text("an address such as \"postgresql://heartbeat@db.example.org/heartbeat\""),
            ),
            key("password_file", Kind::Path("file")),
            key("ca_file", Kind::Path("file")),
        ],
    ),
    (
        "receive",
        &[
            key("paths", Kind::List("paths such as [\"/heartbeat.php\"]")),
            key("require_token", Kind::Flag),
            key("new_devices", Kind::Flag),
            key("devices", Kind::Whole("devices", 1, 1_000_000)),
            key("linger_ms", Kind::Whole("milliseconds", 0, 1000)),
        ],
    ),
    ("tls", &[required("certificate", Kind::Path("file")), required("key", Kind::Path("file"))]),
    (
        "access",
        &[key("proxy_header", Kind::Text("the name of a header in quotes")), key("proxies", Kind::Addresses)],
    ),
    (
        "retention",
        &[
            key("beats_hours", Kind::Whole("hours", 1, 24 * 366)),
            key("minutes_days", Kind::Whole("days", 1, 3660)),
            key("hours_days", Kind::Whole("days", 1, 36_600)),
            key("events_days", Kind::Whole("days", 1, 36_600)),
        ],
    ),
    ("expect", EXPECT),
    (
        "alerts",
        &[
            key("gather_s", Kind::Whole("seconds", 1, 600)),
            key("pause_s", Kind::Whole("seconds", 0, 3600)),
            key("give_up_hours", Kind::Whole("hours", 1, 24 * 30)),
        ],
    ),
];

/// `[expect]` and `[groups.NAME]`.
pub(super) const EXPECT: &[Key] = &[
    key("interval_s", Kind::Number("seconds", 0.05, 86_400.0)),
    key("missed", Kind::Whole("heartbeats", 1, 1000)),
    key("offline_after_s", Kind::Whole("seconds", 5, 604_800)),
    key("back_after_s", Kind::Whole("seconds", 0, 3600)),
    key("temp_high", Kind::Number("degrees Celsius", 0.0, 125.0)),
    key("disk_high", Kind::Number("percent", 10.0, 100.0)),
    key("recording", Kind::Flag),
    key("version_changes", Kind::Flag),
];

/// What each channel begins with.
pub(super) const CHANNEL_KIND: Key = required("kind", Kind::Word(&["json", "ntfy", "slack", "mail"]));
const WEBHOOK: Key = required("url", Kind::Begins("http://", "https://"));

/// Kinds of `[channels.NAME]` and the keys of each.
pub(super) const CHANNELS: &[(&str, &[Key])] = &[
    ("json", &[CHANNEL_KIND, WEBHOOK, key("token_file", Kind::Path("file"))]),
    ("ntfy", &[CHANNEL_KIND, WEBHOOK, key("token_file", Kind::Path("file"))]),
    ("slack", &[CHANNEL_KIND, WEBHOOK]),
    (
        "mail",
        &[
            CHANNEL_KIND,
            required("smtp", Kind::Begins("smtp://", "smtps://")),
            key("password_file", Kind::Path("file")),
            required("from", Kind::Text("a mail address in quotes")),
            required("to", Kind::List("mail addresses such as [\"me@example.org\"]")),
        ],
    ),
];

impl Key {
    /// What may stand there, in words.
    pub(super) fn expected(&self) -> String {
        match self.kind {
            Kind::Address => "an IP address with a port, such as \"127.0.0.1:8080\"".to_owned(),
            Kind::Path(of) => format!("the path of a {of} in quotes"),
            Kind::Text(what) => what.to_owned(),
            Kind::Begins(one, other) => format!("an address in quotes that begins with {one} or {other}"),
            Kind::Word(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                let (last, others) = quoted.split_last().map_or(("", &[][..]), |(last, all)| (last, all));
                format!("{} or {last}", others.join(", "))
            }
            Kind::List(of) => format!("a list of {of}"),
            Kind::Addresses => "a list of IP addresses such as [\"127.0.0.1\"]".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Whole(unit, least, most) => format!("a whole number of {unit} from {least} to {most}"),
            Kind::Number(unit, least, most) => format!("a number of {unit} from {least} to {most}"),
        }
    }

    /// Whether this may stand there.
    pub(super) fn takes(&self, value: &Value) -> bool {
        let texts = |value: &Value, is_right: fn(&str) -> bool| {
            let mut texts =
                value.as_array().into_iter().flatten().map(|text| text.as_str().is_some_and(is_right));
            value.as_array().is_some_and(|list| !list.is_empty()) && texts.all(|is_right| is_right)
        };
        match (&self.kind, value) {
            (Kind::Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (Kind::Path(_) | Kind::Text(_), Value::String(text)) => !text.is_empty(),
            (Kind::Begins(one, other), Value::String(text)) => {
                text.starts_with(one) || text.starts_with(other)
            }
            (Kind::Word(words), Value::String(text)) => words.contains(&text.as_str()),
            (Kind::List(_), value) => texts(value, |text| !text.is_empty()),
            (Kind::Addresses, Value::Array(list)) if list.is_empty() => true,
            (Kind::Addresses, value) => texts(value, |text| text.parse::<IpAddr>().is_ok()),
            (Kind::Flag, Value::Boolean(_)) => true,
            (Kind::Whole(_, least, most), Value::Integer(number)) => (least..=most).contains(&number),
            (Kind::Number(_, least, most), Value::Float(number)) => (least..=most).contains(&number),
            #[expect(clippy::cast_precision_loss, reason = "what is that large is out of range")]
            (Kind::Number(_, least, most), Value::Integer(number)) => {
                (*least..=*most).contains(&(*number as f64))
            }
            _ => false,
        }
    }
}
