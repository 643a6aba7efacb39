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
}

/// The modems of `mmcli -L -J`.
pub fn paths(json: &str) -> Option<Vec<String>> {
    let list: Value = serde_json::from_str(json).ok()?;
    let paths = list.get("modem-list")?.as_array()?;
    Some(paths.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The modem of `mmcli -m PATH -J`.
pub fn modem(json: &str) -> Option<Modem> {
    let answer: Value = serde_json::from_str(json).ok()?;
    let modem = answer.get("modem")?;
    let known = |value: &Value| value.as_str().filter(|text| !matches!(*text, "" | "--")).map(str::to_owned);
    let text = |pointer| modem.pointer(pointer).and_then(known);
    let technologies = modem.pointer("/generic/access-technologies").and_then(Value::as_array);
    let technologies: Vec<_> = technologies.into_iter().flatten().filter_map(known).collect();
    let is_recent = text("/generic/signal-quality/recent").as_deref() != Some("no");
    Some(Modem {
        state: text("/generic/state"),
        operator: text("/3gpp/operator-name"),
        technology: (!technologies.is_empty()).then(|| technologies.join(",")),
        signal_percent: text("/generic/signal-quality/value").filter(|_| is_recent),
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
    fn a_signal_that_is_not_recent_is_none() {
        for (recent, expected) in [("yes", Some("70")), ("no", None), ("--", Some("70"))] {
            let json = format!(
                r#"{{"modem":{{"generic":{{"signal-quality":{{"recent":"{recent}","value":"70"}}}}}}}}"#
            );
            assert_eq!(modem(&json).expect("a modem").signal_percent.as_deref(), expected, "{recent}");
        }
    }
}
