//! The JSON that readings must become, written down apart from the core: other code, over the standard library, from the
//! contract (`core/schema` and the ranges of `heartbeat_core::units`).

use heartbeat_core::{
    SensorError,
    readings::{
        Activity, Board, Cellular, CpuTimes, DiskSpace, Ethernet, Fix, Memory, Position, PreEol, System,
        Throttled, Ups, Uptime, Wifi, WifiMode,
    },
    text::Text,
    units::{Celsius, Megahertz, Rpm, Watts},
};

/// Readings that show in a document.
pub(super) trait Render: PartialEq {
    /// Its place in the document; `null` when no device can mean it.
    fn render(&self) -> String;

    /// Whether no value in its place means that no device can mean it.
    const NULL_IS_INVALID: bool = true;

    /// Whether it is a value. `text`: its place in the document.
    fn is_value(&self, text: &str) -> bool {
        text != "null"
    }

    /// Its place in the document when this was the reading before it; `None` if that has not changed.
    fn render_after(&self, before: Option<&Self>) -> Option<String> {
        (before != Some(self)).then(|| self.render())
    }
}

/// `raw` thousandths, hundredths, tenths.
fn fixed(raw: i64, places: usize) -> String {
    let digits = format!("{:0width$}", raw.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{fraction}", if raw < 0 { "-" } else { "" })
}

/// `part` of `whole` in percent with one decimal, rounded half up.
fn percent(part: u64, whole: u64) -> Option<String> {
    let (part, whole) = (u128::from(part.min(whole)), u128::from(whole));
    let tenths = (part * 1000 + whole / 2).checked_div(whole)?;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

fn scaled(bytes: u64, steps: u128, unit: u128, places: usize) -> String {
    let rounded = (u128::from(bytes) * steps + unit / 2) / unit;
    fixed(i64::try_from(rounded).unwrap_or(i64::MAX), places)
}

fn or_null(text: Option<String>) -> String {
    text.unwrap_or_else(|| "null".to_owned())
}

fn within(raw: i64, low: i64, high: i64, places: usize) -> Option<String> {
    (low..=high).contains(&raw).then(|| fixed(raw, places))
}

/// The shortest escapes, with upper-case digits.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            ..' ' | '\u{7f}'..='\u{9f}' => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn text<const N: usize>(text: &Text<N>) -> Option<String> {
    (!text.is_empty()).then(|| quoted(text.as_str()))
}

impl<const N: usize> Render for Text<N> {
    fn render(&self) -> String {
        or_null(text(self))
    }
}

impl Render for CpuTimes {
    /// Counters that have not moved, or that began anew, are right all the same.
    const NULL_IS_INVALID: bool = false;

    /// One reading of counters is no value.
    fn render(&self) -> String {
        or_null(None)
    }

    fn render_after(&self, before: Option<&Self>) -> Option<String> {
        let usage = before.and_then(|before| {
            let total = self.total.checked_sub(before.total)?;
            percent(self.busy.saturating_sub(before.busy), total)
        });
        Some(or_null(usage))
    }
}

impl Render for Memory {
    fn render(&self) -> String {
        or_null(self.total.checked_sub(self.available).and_then(|used| percent(used, self.total)))
    }
}

impl Render for DiskSpace {
    fn render(&self) -> String {
        if self.total == 0 || self.used > self.total {
            return "null".to_owned();
        }
        or_null(percent(self.used, self.used.saturating_add(self.available)).map(|percent| {
            let gib = |bytes| scaled(bytes, 10, 1 << 30, 1);
            format!(r#"{{"percent":{percent},"used_gb":{},"total_gb":{}}}"#, gib(self.used), gib(self.total))
        }))
    }

    /// A filesystem of which programs can use nothing was read, although it has no percentage.
    fn is_value(&self, _: &str) -> bool {
        self.total > 0 && self.used <= self.total
    }
}

impl Render for System {
    /// Its members, each with a comma behind it; what there is nothing to say of is left out.
    fn render(&self) -> String {
        let number = |key, number: Result<String, SensorError>| {
            number.map_or(String::new(), |number| format!("\"{key}\":{number},"))
        };
        let read_only = if self.root_read_only == Ok(true) { "\"root_read_only\":true," } else { "" };
        format!("{}{}{read_only}", number("load", load(self)), number("swap", swap(self)))
    }
}

/// A load that some system can have.
pub(super) fn load(system: &System) -> Result<String, SensorError> {
    within(system.load?.raw(), 0, 10_000_000, 2).ok_or(SensorError::Invalid)
}

/// A use of the swap space that some system can have.
pub(super) fn swap(system: &System) -> Result<String, SensorError> {
    within(system.swap?.raw(), 0, 1_000, 1).ok_or(SensorError::Invalid)
}

impl Render for Board {
    fn render(&self) -> String {
        let part = |part: Result<String, SensorError>| or_null(part.ok());
        let (model, os, wear) = (part(model(self)), part(os(self)), part(wear(self)));
        format!(r#"{{"model":{model},"os":{os},"wear":{wear}}}"#)
    }
}

/// The model, if it has a name.
pub(super) fn model(board: &Board) -> Result<String, SensorError> {
    board.model.as_ref().map_err(|error| *error).and_then(|name| text(name).ok_or(SensorError::Invalid))
}

/// The system, if it has a name.
pub(super) fn os(board: &Board) -> Result<String, SensorError> {
    board.os.as_ref().map_err(|error| *error).and_then(|name| text(name).ok_or(SensorError::Invalid))
}

/// The wear that storage can have.
pub(super) fn wear(board: &Board) -> Result<String, SensorError> {
    let wear = board.wear?;
    let used = wear.life_used.filter(|used| *used <= 100).map(|used| used.to_string());
    let pre_eol = wear.pre_eol.map(|word| match word {
        PreEol::Normal => "\"normal\"".to_owned(),
        PreEol::Warning => "\"warning\"".to_owned(),
        PreEol::Urgent => "\"urgent\"".to_owned(),
    });
    if used.is_none() && pre_eol.is_none() {
        return Err(SensorError::Invalid);
    }
    Ok(format!(r#"{{"life_used":{},"pre_eol":{}}}"#, or_null(used), or_null(pre_eol)))
}

impl Render for Celsius {
    fn render(&self) -> String {
        or_null(within(self.raw(), -400, 1_250, 1))
    }
}

impl Render for Watts {
    fn render(&self) -> String {
        or_null(within(self.raw(), -100_000, 100_000, 2))
    }
}

impl Render for Rpm {
    fn render(&self) -> String {
        or_null((self.0 <= 100_000).then(|| self.0.to_string()))
    }
}

impl Render for Megahertz {
    fn render(&self) -> String {
        or_null((1..=10_000).contains(&self.0).then(|| self.0.to_string()))
    }
}

impl Render for Uptime {
    fn render(&self) -> String {
        self.0.to_string()
    }
}

impl Render for Throttled {
    fn render(&self) -> String {
        self.0.to_string()
    }
}

impl Render for Ups {
    fn render(&self) -> String {
        let voltage = self.voltage.and_then(|volts| within(volts.raw(), 0, 10_000, 2));
        let percent = self.percent.and_then(|percent| within(percent.raw(), 0, 1_000, 1));
        if voltage.is_none() && percent.is_none() {
            return "null".to_owned();
        }
        format!(r#"{{"voltage":{},"percent":{}}}"#, or_null(voltage), or_null(percent))
    }
}

impl Render for Ethernet {
    fn render(&self) -> String {
        or_null(text(&self.interface).map(|interface| {
            format!(r#"{{"interface":{interface},"ip":{}}}"#, or_null(self.ip.as_ref().and_then(text)))
        }))
    }
}

impl Render for Wifi {
    fn render(&self) -> String {
        let Some(interface) = text(&self.interface) else { return "null".to_owned() };
        let mode = self.mode.map(|mode| match mode {
            WifiMode::Client => "\"client\"".to_owned(),
            WifiMode::Hotspot => "\"hotspot\"".to_owned(),
        });
        let dbm = self.signal_dbm.filter(|dbm| (-120..0).contains(&dbm.0));
        // A percentage beside a level that cannot be was made of it.
        let is_refused = dbm != self.signal_dbm;
        let share = self.signal_percent.filter(|share| share.0 <= 100 && !is_refused);
        let (dbm, share) = (dbm.map(|dbm| dbm.0.to_string()), share.map(|share| share.0.to_string()));
        format!(
            r#"{{"interface":{interface},"ip":{},"mode":{},"ssid":{},"signal_dbm":{},"signal_percent":{},"clients":{}}}"#,
            or_null(self.ip.as_ref().and_then(text)),
            or_null(mode),
            or_null(self.ssid.as_ref().map(|ssid| quoted(ssid.as_str()))),
            or_null(dbm),
            or_null(share),
            or_null(self.clients.map(|clients| clients.to_string())),
        )
    }
}

impl Render for Cellular {
    fn render(&self) -> String {
        let share = self.signal_percent.filter(|share| share.0 <= 100).map(|share| share.0.to_string());
        format!(
            r#"{{"interface":{},"ip":{},"state":{},"operator":{},"technology":{},"signal_percent":{}}}"#,
            or_null(self.interface.as_ref().and_then(text)),
            or_null(self.ip.as_ref().and_then(text)),
            or_null(self.state.as_ref().map(|state| quoted(state.as_str()))),
            or_null(self.operator.as_ref().map(|operator| quoted(operator.as_str()))),
            or_null(self.technology.as_ref().map(|technology| quoted(technology.as_str()))),
            or_null(share),
        )
    }
}

impl Render for Position {
    fn render(&self) -> String {
        let latitude = self.latitude.and_then(|it| within(it.raw(), -900_000_000, 900_000_000, 7));
        let longitude = self.longitude.and_then(|it| within(it.raw(), -1_800_000_000, 1_800_000_000, 7));
        // Half a position is none, and without one there is no fix.
        let (latitude, longitude) = latitude.zip(longitude).unzip();
        let fix = match self.fix {
            Fix::TwoD if latitude.is_some() => "2d",
            Fix::ThreeD if latitude.is_some() => "3d",
            _ => "none",
        };
        let has_place = latitude.is_some();
        let of_fix = |known: Option<String>| known.filter(|_| has_place);
        format!(
            r#"{{"fix":"{fix}","latitude":{},"longitude":{},"altitude_m":{},"speed_mps":{},"heading":{},"satellites":{}}}"#,
            or_null(latitude),
            or_null(longitude),
            or_null(of_fix(self.altitude_m.and_then(|it| within(it.raw(), -10_000, 1_000_000, 1)))),
            or_null(of_fix(self.speed_mps.and_then(|it| within(it.raw(), 0, 100_000, 2)))),
            // A full turn is none.
            or_null(of_fix(self.heading.and_then(|it| within(
                if it.raw() == 3_600 { 0 } else { it.raw() },
                0,
                3_599,
                1
            )))),
            or_null(self.satellites.map(|it| it.to_string())),
        )
    }
}

/// What the document says of a device that does not say what its application does.
pub(super) const NO_ACTIVITY: &str = r#""streaming_active":false,"tracking_active":false,"recording_active":false,"recording_file_size_mb":0.00,"recording_file_path":null"#;

impl Render for Activity {
    fn render(&self) -> String {
        // What cannot be read is not taken for activity.
        let recording = self.recording.as_ref().ok().and_then(Option::as_ref);
        let (size, path) = match recording {
            Some(it) => (or_null(it.size.ok().map(|size| fixed(size.raw(), 2))), quoted(it.path.as_str())),
            None => ("0.00".to_owned(), "null".to_owned()),
        };
        format!(
            r#""streaming_active":{},"tracking_active":{},"recording_active":{},"recording_file_size_mb":{size},"recording_file_path":{path}"#,
            matches!(self.streaming, Ok(true)),
            matches!(self.tracking, Ok(true)),
            recording.is_some(),
        )
    }
}
