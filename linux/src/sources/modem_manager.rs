//! Mobile modems, from ModemManager.
//!
//! Asked through `mmcli`, rarely and beside the beats: a D-Bus library (`zbus` 6) is 27 crates and half of this program's
//! size for two questions that a modem answers every few seconds at best.

use std::path::Path;

use heartbeat_core::{
    SensorError,
    limits::{INTERFACE_MAX, MODEM_WORD_MAX, OPERATOR_MAX},
    readings::Cellular,
    text::Text,
    time::Duration,
    units::SignalPercent,
};
use serde_json::Value;

use super::{REPROBE, Source, process, sysroot::Sysroot};

/// The program of ModemManager.
const MMCLI: &str = "/usr/bin/mmcli";
/// It is killed after this time: a modem that starts up keeps ModemManager busy.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);
/// It is asked at most this often.
const EVERY: Duration = Duration::from_secs(10);
/// Modems that are looked at.
const MODEMS_MAX: usize = 4;

/// Asks ModemManager; through its program, or a fake.
trait Modems: Send {
    /// What `mmcli ARGS --output-json` prints.
    fn ask(&mut self, args: &[&str]) -> Result<Vec<u8>, SensorError>;
}

/// The program.
struct Mmcli;

impl Modems for Mmcli {
    fn ask(&mut self, args: &[&str]) -> Result<Vec<u8>, SensorError> {
        process::ask(Path::new(MMCLI), &[args, &["--output-json"]].concat(), DEADLINE)
    }
}

/// What ModemManager knows of the modem in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modem {
    /// Its network interface, once it has one.
    interface: Option<Text<INTERFACE_MAX>>,
    state: Option<Text<MODEM_WORD_MAX>>,
    operator: Option<Text<OPERATOR_MAX>>,
    technology: Option<Text<MODEM_WORD_MAX>>,
    signal: Option<SignalPercent>,
}

impl Modem {
    /// The mobile connection, completed by what the kernel knows of its interface.
    pub(crate) fn connection(self, kernel: Option<Cellular>) -> Cellular {
        let ours = kernel.filter(|kernel| self.interface.is_none() || kernel.interface == self.interface);
        let (interface, ip) = ours.map_or((self.interface, None), |kernel| (kernel.interface, kernel.ip));
        Cellular {
            interface,
            ip,
            state: self.state,
            operator: self.operator,
            technology: self.technology,
            signal_percent: self.signal,
        }
    }
}

/// ModemManager.
pub(crate) struct ModemManager {
    modems: Option<Box<dyn Modems>>,
}

impl ModemManager {
    /// A captured tree has no ModemManager.
    pub(crate) fn new(root: &Sysroot) -> Self {
        Self { modems: root.is_live().then(|| Box::new(Mmcli) as _) }
    }
}

impl Source for ModemManager {
    type Reading = Modem;

    fn place(&self) -> String {
        MMCLI.to_owned()
    }

    /// The modem in use: the connected one, else the first.
    fn read(&mut self, _: &Sysroot) -> Result<Modem, SensorError> {
        let modems = self.modems.as_mut().ok_or(SensorError::Absent)?;
        let mut chosen: Option<Modem> = None;
        for path in list(&modems.ask(&["-L"])?)? {
            let modem = parse(&modems.ask(&["-m", &path])?)?;
            let connected = modem.state.as_ref().is_some_and(|state| state.as_str() == "connected");
            if connected {
                return Ok(modem);
            }
            chosen = chosen.or(Some(modem));
        }
        chosen.ok_or(SensorError::Absent)
    }

    fn holds(&self, outcome: &Result<Modem, SensorError>) -> Duration {
        if matches!(outcome, Err(SensorError::Absent)) { REPROBE } else { EVERY }
    }
}

/// `{"modem-list":["/org/freedesktop/ModemManager1/Modem/0"]}`, sorted.
pub(crate) fn list(json: &[u8]) -> Result<Vec<String>, SensorError> {
    let value: Value = serde_json::from_slice(json).map_err(|_| SensorError::Invalid)?;
    let list = value.get("modem-list").and_then(Value::as_array).ok_or(SensorError::Invalid)?;
    let mut paths: Vec<_> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    paths.sort_unstable();
    paths.truncate(MODEMS_MAX);
    Ok(paths)
}

/// One modem. Every value is a text; what is unknown is `--`.
pub(crate) fn parse(json: &[u8]) -> Result<Modem, SensorError> {
    let value: Value = serde_json::from_slice(json).map_err(|_| SensorError::Invalid)?;
    let modem = value.get("modem").filter(|modem| modem.is_object()).ok_or(SensorError::Invalid)?;
    let known =
        |value: &Value| value.as_str().filter(|text| !text.is_empty() && *text != "--").map(str::to_owned);
    let text = |pointer: &str| modem.pointer(pointer).and_then(known);
    let list = |pointer: &str| {
        modem.pointer(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(known)
    };
    let technologies: Vec<_> = list("/generic/access-technologies").collect();
    let interface = list("/generic/ports").find_map(|port| port.strip_suffix(" (net)").map(Text::new));
    let signal =
        text("/generic/signal-quality/value").and_then(|percent| percent.parse().ok()).map(SignalPercent);
    Ok(Modem {
        interface,
        state: text("/generic/state").map(|state| Text::new(&state)),
        operator: text("/3gpp/operator-name").map(|name| Text::new(&name)),
        technology: (!technologies.is_empty()).then(|| Text::new(&technologies.join(","))),
        signal: signal.filter(|signal| SignalPercent::RANGE.contains(signal)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shortened from a captured answer.
    const CONNECTED: &str = r#"{"modem":{"3gpp":{"operator-name":"vodafone.de","registration-state":"roaming"},
        "generic":{"access-technologies":["lte"],"ports":["cdc-wdm0 (qmi)","ttyUSB1 (at)","wwan0 (net)"],
        "signal-quality":{"recent":"yes","value":"70"},"state":"connected"}}}"#;
    const LOCKED: &str = r#"{"modem":{"3gpp":{"operator-name":"--"},"generic":{"access-technologies":[],
        "ports":["ttyUSB5 (at)"],"signal-quality":{"value":"--"},"state":"locked"}}}"#;

    struct Fake(Vec<&'static str>);

    impl Modems for Fake {
        fn ask(&mut self, args: &[&str]) -> Result<Vec<u8>, SensorError> {
            let answer = match args {
                ["-L"] => {
                    let paths: Vec<_> =
                        (0..self.0.len()).map(|number| format!("\"/Modem/{number}\"")).collect();
                    format!("{{\"modem-list\":[{}]}}", paths.join(","))
                }
                ["-m", path] => self.0
                    [path.strip_prefix("/Modem/").expect("a path").parse::<usize>().expect("a number")]
                .to_owned(),
                _ => panic!("{args:?}"),
            };
            Ok(answer.into_bytes())
        }
    }

    fn read(answers: &[&'static str]) -> Result<Modem, SensorError> {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        ModemManager { modems: Some(Box::new(Fake(answers.to_vec()))) }.read(&root)
    }

    #[test]
    fn prefers_the_modem_that_is_connected() {
        let modem = read(&[LOCKED, CONNECTED]).expect("a modem");
        let kernel = Cellular {
            interface: Some("wwan0".into()),
            ip: Some("192.0.2.9".into()),
            state: None,
            operator: None,
            technology: None,
            signal_percent: None,
        };
        let connection = modem.clone().connection(Some(kernel.clone()));
        let expected = Cellular {
            state: Some("connected".into()),
            operator: Some("vodafone.de".into()),
            technology: Some("lte".into()),
            signal_percent: Some(SignalPercent(70)),
            ..kernel.clone()
        };
        assert_eq!(connection, expected);
        let other = Cellular { interface: Some("ppp0".into()), ..kernel };
        assert_eq!(modem.connection(Some(other)).ip, None, "another interface's address is not the modem's");
    }

    #[test]
    fn leaves_out_what_is_unknown_and_rejects_what_is_no_modem() {
        let modem = read(&[LOCKED]).expect("a modem");
        assert_eq!(modem.state, Some("locked".into()));
        assert_eq!(
            (modem.interface, modem.operator, modem.technology, modem.signal),
            (None, None, None, None)
        );
        assert_eq!(read(&[]), Err(SensorError::Absent));
        for bad in
            ["", "{}", "[]", "error: couldn't find the ModemManager process in the bus", r#"{"modem":"x"}"#]
        {
            assert_eq!(parse(bad.as_bytes()), Err(SensorError::Invalid), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = (list(&bytes), parse(&bytes));
        }
    }
}
