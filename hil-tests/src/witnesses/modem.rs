//! What `mmcli` of ModemManager prints as JSON. Every value is a text; `--` is unknown.

use serde_json::Value;

/// A modem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modem {
    /// Its state, such as `connected`.
    pub state: Option<String>,
    /// The operator's name.
    pub operator: Option<String>,
    /// Access technologies, joined by commas.
    pub technology: Option<String>,
    /// Signal quality in percent, if it was measured lately: before the first measurement ModemManager keeps 0, and the last one
    /// for as long as the modem cannot be asked.
    pub signal_percent: Option<String>,
    /// Its network interfaces.
    pub interfaces: Vec<String>,
}

/// States of a modem that has what it needs for a connection, the nearest to one last (`MMModemState` of ModemManager's API).
const STATES: [&str; 12] = [
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

impl Modem {
    /// How near it is to a connection; a modem that has failed is the farthest.
    pub fn progress(&self) -> Option<usize> {
        let state = self.state.as_deref()?;
        STATES.iter().position(|known| *known == state)
    }
}

/// The modems of `mmcli -L -J`, in the order of their numbers.
pub fn paths(json: &str) -> Option<Vec<String>> {
    let list: Value = serde_json::from_str(json).ok()?;
    let paths = list.get("modem-list")?.as_array()?;
    let mut paths: Vec<_> = paths.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // By their number, which ModemManager counts up.
    paths.sort_by_key(|path| path.rsplit('/').next().and_then(|number| number.parse::<u32>().ok()));
    Some(paths)
}

/// The modem of `mmcli -m PATH -J`.
pub fn modem(json: &str) -> Option<Modem> {
    let answer: Value = serde_json::from_str(json).ok()?;
    let modem = answer.get("modem")?;
    let known = |value: &Value| value.as_str().filter(|text| !matches!(*text, "" | "--")).map(str::to_owned);
    let text = |pointer| modem.pointer(pointer).and_then(known);
    let list = |pointer| modem.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    // ModemManager has this word where it has no answer; only of a state it is one.
    let is_said = |text: &String| text != "unknown";
    let technologies: Vec<_> =
        list("/generic/access-technologies").filter_map(known).filter(is_said).collect();
    // `wwan0 (net)` beside `ttyUSB2 (at)`.
    let ports = list("/generic/ports").filter_map(Value::as_str);
    let interfaces = ports.filter_map(|port| port.strip_suffix(" (net)")).map(str::to_owned).collect();
    let is_recent = !matches!(text("/generic/signal-quality/recent").as_deref(), Some("no" | "cached"));
    Some(Modem {
        state: text("/generic/state"),
        operator: text("/3gpp/operator-name").filter(is_said),
        technology: (!technologies.is_empty()).then(|| technologies.join(",")),
        signal_percent: text("/generic/signal-quality/value").filter(|_| is_recent),
        interfaces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_answers_of_mmcli() {
        let list = include_str!("../../tests/captures/mmcli-list.json");
        assert_eq!(paths(list).expect("a list").len(), 1);
        let modem = modem(include_str!("../../tests/captures/mmcli-modem.json")).expect("a modem");
        assert!(modem.state.is_some(), "{modem:?}");
        assert_eq!(paths("error: couldn't find the ModemManager process"), None);
    }

    #[test]
    fn what_is_unknown_is_none() {
        let json = r#"{"modem":{"3gpp":{"operator-name":"--"},"generic":{"access-technologies":[],
            "signal-quality":{"value":"--"},"state":"locked"}}}"#;
        let modem = modem(json).expect("a modem");
        assert_eq!(modem.operator, None);
        assert_eq!(modem.technology, None);
        assert_eq!(modem.signal_percent, None);
        assert_eq!(modem.state.as_deref(), Some("locked"));
    }

    #[test]
    fn the_word_unknown_is_a_state_and_nothing_else() {
        let json = r#"{"modem":{"3gpp":{"operator-name":"unknown"},"generic":{"access-technologies":["unknown"],
            "ports":["ttyUSB2 (at)","wwan0 (net)"],"state":"unknown"}}}"#;
        let modem = modem(json).expect("a modem");
        assert_eq!((modem.operator.as_deref(), modem.technology.as_deref()), (None, None));
        assert_eq!((modem.state.as_deref(), modem.progress()), (Some("unknown"), Some(0)));
        assert_eq!(modem.interfaces, ["wwan0"]);
    }

    #[test]
    fn modems_are_in_the_order_of_their_numbers() {
        let list = r#"{"modem-list":["/x/Modem/10","/x/Modem/2"]}"#;
        assert_eq!(paths(list).expect("a list"), ["/x/Modem/2", "/x/Modem/10"]);
    }

    #[test]
    fn a_signal_that_is_not_recent_is_none() {
        for (recent, expected) in [("yes", Some("70")), ("no", None), ("--", Some("70"))] {
            let json = format!(
                r#"{{"modem":{{"generic":{{"signal-quality":{{"recent":"{recent}","value":"70"}}}}}}}}"#
            );
            assert_eq!(modem(&json).expect("a modem").signal_percent.as_deref(), expected, "{recent}");
        }
    }
}
