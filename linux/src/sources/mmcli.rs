//! What `mmcli` prints: JSON, or before ModemManager 1.10 text for people.

use heartbeat_core::{SensorError, units::SignalPercent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    json::{lenient, lenient_list},
    natural,
    sysroot::Answer,
};

/// States of a modem from nothing to connected (`MMModemState`).
const STATES: [&str; 13] = [
    "failed",
    "unknown",
    "initializing",
    "locked",
    "disabled",
    "disabling",
    "enabling",
    "enabled",
    "searching",
    "registered",
    "disconnecting",
    "connecting",
    "connected",
];

/// What is read of `mmcli -m N --output-json`. Every value is a text; what is unknown is `--`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    #[serde(default, deserialize_with = "lenient")]
    generic: Generic,
    #[serde(default, deserialize_with = "lenient", rename = "3gpp")]
    network: Network,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Generic {
    #[serde(deserialize_with = "lenient_list")]
    access_technologies: Vec<String>,
    #[serde(deserialize_with = "lenient_list")]
    ports: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    signal_quality: Signal,
    #[serde(deserialize_with = "lenient")]
    state: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Signal {
    #[serde(deserialize_with = "lenient")]
    recent: String,
    #[serde(deserialize_with = "lenient")]
    value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Network {
    #[serde(deserialize_with = "lenient")]
    operator_name: String,
}

/// `{"modem": {...}}`.
#[derive(Serialize, Deserialize)]
struct Envelope {
    modem: Described,
}

/// A text that says something.
fn known(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !matches!(*text, "" | "--" | "unknown"))
}

impl Described {
    /// Its state, in ModemManager's words.
    pub(super) fn state(&self) -> Option<&str> {
        // A state of that name is one.
        Some(self.generic.state.trim()).filter(|state| !matches!(*state, "" | "--"))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state() == Some("connected")
    }

    /// How near it is to being connected.
    pub(crate) fn progress(&self) -> usize {
        STATES.iter().position(|state| self.state() == Some(state)).unwrap_or(0)
    }

    /// Name of the network's operator.
    pub(super) fn operator(&self) -> Option<&str> {
        known(&self.network.operator_name)
    }

    /// How it is connected to the network.
    pub(crate) fn technologies(&self) -> Vec<&str> {
        self.generic.access_technologies.iter().filter_map(|name| known(name)).collect()
    }

    /// Its interfaces, sorted by name.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let ports = self.generic.ports.iter().filter_map(|port| port.trim().strip_suffix(" (net)"));
        let mut names: Vec<_> = ports.map(|name| name.trim().to_owned()).collect();
        names.sort_unstable_by(|a, b| natural::compare(a, b));
        names
    }

    /// The signal's quality. One that was not measured lately is none: ModemManager keeps 0 before the first, and the last
    /// one for as long as the modem cannot be asked.
    pub(crate) fn signal(&self) -> Option<SignalPercent> {
        let signal = &self.generic.signal_quality;
        let is_old = matches!(signal.recent.as_str(), "no" | "cached");
        known(&signal.value).filter(|_| !is_old).and_then(|value| value.parse().ok()).map(SignalPercent)
    }
}

/// The paths of the modems in `mmcli -L`, sorted by their number.
///
/// # Errors
///
/// [`SensorError::Invalid`] for anything else.
pub(crate) fn list(text: &[u8]) -> Result<Vec<String>, SensorError> {
    let mut paths: Vec<String> = match serde_json::from_slice::<Value>(text) {
        Ok(value) => {
            let list = value.get("modem-list").and_then(Value::as_array).ok_or(SensorError::Invalid)?;
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Err(_) => list_in_text(&String::from_utf8_lossy(text))?,
    };
    paths.sort_unstable_by(|a, b| natural::compare(a, b));
    Ok(paths)
}

/// `Found 1 modems:`, then a line for each that begins with its path; or `No modems were found`.
fn list_in_text(text: &str) -> Result<Vec<String>, SensorError> {
    let paths = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let paths: Vec<_> = paths.filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    if paths.is_empty() && !text.contains("No modems were found") {
        Err(SensorError::Invalid)
    } else {
        Ok(paths)
    }
}

/// One modem, as `mmcli -m N` describes it.
///
/// # Errors
///
/// [`SensorError::Invalid`] for anything else.
pub(crate) fn describe(text: &[u8]) -> Result<Described, SensorError> {
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(text) {
        return Ok(envelope.modem);
    }
    describe_in_text(&String::from_utf8_lossy(text)).ok_or(SensorError::Invalid)
}

/// Lines of `SECTION | KEY: 'VALUE'`; a section is named in the first of its lines.
fn describe_in_text(text: &str) -> Option<Described> {
    let mut described = Described::default();
    let mut section = "";
    let mut is_modem = false;
    for (head, rest) in text.lines().filter_map(|line| line.split_once('|')) {
        section = Some(head.trim()).filter(|name| !name.is_empty()).unwrap_or(section);
        let Some((key, value)) = rest.split_once(':') else { continue };
        let value = value.trim();
        let plain = value.trim_matches('\'');
        let list = || plain.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        match (section, key.trim()) {
            ("Status", "state") => {
                is_modem = true;
                plain.clone_into(&mut described.generic.state);
            }
            ("Status", "access tech") => described.generic.access_technologies = list(),
            // `'70' (recent)` or `'0' (cached)`.
            ("Status", "signal quality") => {
                let (value, age) = value.split_once('(').unwrap_or((value, ""));
                described.generic.signal_quality = Signal {
                    recent: age.trim_end_matches(')').to_owned(),
                    value: value.trim().trim_matches('\'').trim_end_matches('%').to_owned(),
                };
            }
            ("System", "ports") => described.generic.ports = list(),
            ("3GPP", "operator name") => plain.clone_into(&mut described.network.operator_name),
            _ => {}
        }
    }
    is_modem.then_some(described)
}

/// Whether the program complains about `--output-json`.
pub(super) fn is_unknown_option(complaint: &[u8]) -> bool {
    String::from_utf8_lossy(complaint).contains("nknown option")
}

/// What a complaint means.
pub(crate) fn error_in(complaint: &[u8]) -> SensorError {
    let text = String::from_utf8_lossy(complaint);
    let says = |words: &str| text.contains(words);
    match () {
        // ModemManager, or the bus on which it is asked, is not there; or the modem went between two questions.
        () if says("couldn't find")
            || says("No such file")
            || says("Connection refused")
            || says("ServiceUnknown")
            || says("org.freedesktop.systemd1")
            || says("not provided") =>
        {
            SensorError::Absent
        }
        () if says("nauthorized") || says("enied") || says("not authorized") => SensorError::Denied,
        () => SensorError::Io,
    }
}

/// An answer without what is not read: the numbers of the SIM, the modem and its owner among it.
pub(super) fn without_private(answer: &Answer) -> Answer {
    let text = match answer {
        Answer::Complaint(_) => return answer.clone(),
        Answer::Text(text) => text,
    };
    let written = match (describe(text), list(text)) {
        (Ok(modem), _) => serde_json::to_vec_pretty(&Envelope { modem }).ok(),
        (_, Ok(paths)) => serde_json::to_vec_pretty(&serde_json::json!({ "modem-list": paths })).ok(),
        // No answer of the program: of what else it may be, nothing is given away.
        _ => None,
    };
    Answer::Text(written.unwrap_or_else(|| b"not an answer of mmcli\n".to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shortened from a captured answer.
    const CONNECTED: &str = r#"{"modem":{"3gpp":{"imei":"353338976168895","operator-name":"vodafone.de"},
        "generic":{"access-technologies":["lte"],"ports":["cdc-wdm0 (qmi)","ttyUSB1 (at)","wwan10 (net)","wwan2 (net)"],
        "own-numbers":["+491512345678"],"signal-quality":{"recent":"yes","value":"70"},"state":"connected"}}}"#;
    const LOCKED: &str = r#"{"modem":{"3gpp":{"operator-name":"--"},"generic":{"access-technologies":[],
        "ports":["ttyUSB5 (at)"],"signal-quality":{"value":"--"},"state":"locked"}}}"#;
    /// From the documentation of Ubuntu Core's modem-manager snap, shortened: a SIM7100E, connected by PPP.
    const OLD: &str = "
/org/freedesktop/ModemManager1/Modem/0 (device id '2a4d')
  -------------------------
  Hardware |   manufacturer: 'SIMCOM INCORPORATED'
           |   equipment id: '866802021319118'
  -------------------------
  System   |         device: '/sys/devices/3530000.xhci/usb1/1-3/1-3.2'
           |        drivers: 'option1'
           |   primary port: 'ttyUSB7'
           |          ports: 'ttyUSB7 (at), ttyUSB4 (qcdm), ttyUSB6 (at)'
  -------------------------
  Status   |           lock: 'none'
           | unlock retries: 'unknown'
           |          state: 'connected'
           |    power state: 'on'
           |    access tech: 'unknown'
           | signal quality: '58' (recent)
  -------------------------
  3GPP     |           imei: '866802021319118'
           |    operator id: '23801'
           |  operator name: 'TDC TDC'
  -------------------------
  SIM      |           path: '/org/freedesktop/ModemManager1/SIM/0'
";

    fn text(text: &str) -> Described {
        describe(text.as_bytes()).expect("a modem")
    }

    #[test]
    fn reads_json() {
        let modem = text(CONNECTED);
        assert_eq!((modem.state(), modem.operator()), (Some("connected"), Some("vodafone.de")));
        assert_eq!(modem.interfaces(), ["wwan2", "wwan10"]);
        assert_eq!((modem.technologies(), modem.signal()), (vec!["lte"], Some(SignalPercent(70))));
        let paths = list(br#"{"modem-list":["/Modem/10","/Modem/2",7]}"#);
        assert_eq!(paths, Ok(vec!["/Modem/2".to_owned(), "/Modem/10".to_owned()]));
    }

    #[test]
    fn reads_text_of_a_program_without_json() {
        let modem = text(OLD);
        assert_eq!((modem.state(), modem.operator()), (Some("connected"), Some("TDC TDC")));
        assert!(modem.interfaces().is_empty() && modem.technologies().is_empty());
        assert_eq!(modem.signal(), Some(SignalPercent(58)));
        let sierra = text(&OLD.replace("ttyUSB6 (at)", "wwan0 (net)").replace("'unknown'", "'lte, 5gnr'"));
        assert_eq!(
            (sierra.interfaces(), sierra.technologies()),
            (vec!["wwan0".to_owned()], vec!["lte", "5gnr"])
        );
        let cached = text(&OLD.replace("'58' (recent)", "'58' (cached)"));
        assert_eq!(cached.signal(), None);
        let found = "\nFound 2 modems:\n\t/org/freedesktop/ModemManager1/Modem/10 [Sierra] MC7455\n\
                     \t/org/freedesktop/ModemManager1/Modem/9 [ZTE INCORPORATED] MF626\n\n";
        let paths = list(found.as_bytes()).expect("paths");
        assert_eq!(paths, [9, 10].map(|number| format!("/org/freedesktop/ModemManager1/Modem/{number}")));
        assert_eq!(list(b"\nNo modems were found\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_signal_that_was_not_measured_lately_is_none() {
        for (recent, value, expected) in [
            ("yes", "0", Some(0)),
            ("yes", "70", Some(70)),
            ("no", "0", None),
            ("no", "70", None),
            ("", "70", Some(70)),
        ] {
            let modem = text(&format!(
                r#"{{"modem":{{"generic":{{"signal-quality":{{"recent":"{recent}","value":"{value}"}}}}}}}}"#
            ));
            assert_eq!(modem.signal(), expected.map(SignalPercent), "{recent} {value}");
        }
    }

    #[test]
    fn leaves_out_what_is_unknown_and_rejects_what_is_no_modem() {
        let modem = text(LOCKED);
        assert_eq!((modem.state(), modem.operator(), modem.signal()), (Some("locked"), None, None));
        assert!(modem.interfaces().is_empty() && modem.technologies().is_empty());
        // A field of another type costs itself.
        let odd = text(
            r#"{"modem":{"3gpp":7,"generic":{"state":"connected","ports":["wwan0 (net)",{}],"access-technologies":"lte"}}}"#,
        );
        assert_eq!((odd.state(), odd.interfaces()), (Some("connected"), vec!["wwan0".to_owned()]));
        for bad in
            ["", "{}", "[]", "error: couldn't find the ModemManager process in the bus", r#"{"modem":"x"}"#]
        {
            assert_eq!(describe(bad.as_bytes()), Err(SensorError::Invalid), "{bad:?}");
        }
        assert_eq!(list(b"{}"), Err(SensorError::Invalid));
        assert_eq!(list(b"nonsense"), Err(SensorError::Invalid));
    }

    #[test]
    fn states_are_ordered_by_their_nearness_to_a_connection() {
        let progress =
            |state: &str| text(&format!(r#"{{"modem":{{"generic":{{"state":"{state}"}}}}}}"#)).progress();
        let all = STATES.map(progress);
        assert!(all.is_sorted() && all[0] < all[12], "{all:?}");
        assert_eq!(progress("unheard of"), progress("failed"));
    }

    #[test]
    fn complaints_are_told_apart() {
        for (complaint, expected) in [
            ("error: couldn't find the ModemManager process in the bus", SensorError::Absent),
            ("error: couldn't find modem at '/org/freedesktop/ModemManager1/Modem/0'", SensorError::Absent),
            ("error: couldn't get bus: Could not connect: No such file or directory", SensorError::Absent),
            ("error: couldn't get bus: Could not connect: Connection refused", SensorError::Absent),
            (
                "GDBus.Error:org.freedesktop.systemd1.UnitMasked: Unit dbus-... is masked.",
                SensorError::Absent,
            ),
            (
                "GDBus.Error:org.freedesktop.systemd1.NoSuchUnit: Unit dbus-... not found.",
                SensorError::Absent,
            ),
            ("error: couldn't create manager: Timeout was reached", SensorError::Io),
            ("GDBus.Error:org.freedesktop.ModemManager1.Error.Core.Unauthorized: ...", SensorError::Denied),
            ("", SensorError::Io),
        ] {
            assert_eq!(error_in(complaint.as_bytes()), expected, "{complaint}");
        }
    }

    #[test]
    fn what_is_given_away_means_the_same_without_the_numbers_of_its_owner() {
        for answer in [CONNECTED, LOCKED, OLD] {
            let Answer::Text(given) = without_private(&Answer::Text(answer.into())) else {
                panic!("no text")
            };
            assert_eq!(describe(&given), describe(answer.as_bytes()));
            let given = String::from_utf8(given).expect("text");
            assert!(!given.contains("353338976168895") && !given.contains("866802021319118"), "{given}");
            assert!(!given.contains("+49151"), "{given}");
        }
        let secret = Answer::Text(b"IMEI 353338976168895".to_vec());
        assert!(matches!(without_private(&secret), Answer::Text(text) if !text.ends_with(b"895")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text in "((Status|3GPP|)  \\| [a-z ]{0,12}: '[a-z0-9, ()]{0,12}'\n){0,8}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = (list(bytes), error_in(bytes));
                if let Ok(modem) = describe(bytes) {
                    let _ = (modem.signal(), modem.interfaces(), modem.technologies(), modem.progress());
                }
                let _ = without_private(&Answer::Text(bytes.to_vec()));
            }
        }
    }
}
