//! Mobile modems, from ModemManager.
//!
//! Asked through `mmcli`, rarely and beside the beats: a D-Bus library (`zbus` 6) is 27 crates and half of this program's
//! size for two questions that a modem answers every few seconds at best. What it prints is read in [`mmcli`].

use std::{path::Path, sync::Arc};

use heartbeat_core::{
    SensorError,
    limits::{MODEM_WORD_MAX, OPERATOR_MAX},
    readings::Cellular,
    text::Text,
    time::{Duration, Instant},
    units::SignalPercent,
};

use super::{
    REPROBE, Remark, Source,
    mmcli::{self, Described},
    network::Snapshot,
    process,
    sysroot::{Answer, Sysroot},
};
use crate::clock;

/// The program of ModemManager.
const MMCLI: &str = "/usr/bin/mmcli";
/// Where a captured tree has its answers: `list`, and one for each modem by its number.
const CAPTURED: &str = "/mmcli";
/// Longest answer in a captured tree, as of the program.
const CAPTURED_MAX: u64 = 16 * 1024;
/// It is killed after this time: a modem that starts up keeps ModemManager busy.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);
/// It is asked at most this often.
const EVERY: Duration = Duration::from_secs(10);
/// Modems that are looked at.
const MODEMS_MAX: usize = 4;

const NOT_RUNNING: Remark = Remark {
    says: "ModemManager does not run",
    advice: "start ModemManager if there is a modem: systemctl enable --now ModemManager",
};
const NO_MODEM: Remark = Remark {
    says: "ModemManager runs and knows no modem",
    advice: "nothing to do without a modem; else see: mmcli -L, journalctl -u ModemManager",
};
const ALL_FAIL: Remark = Remark {
    says: "ModemManager runs and no modem answers",
    advice: "see: mmcli -m any; a modem that hangs needs its power back",
};

/// Asks ModemManager; through its program, or a fake.
trait Modems: Send {
    /// What `mmcli ARGS` prints.
    fn ask(&mut self, args: &[&str]) -> Result<Answer, SensorError>;
}

/// The program.
struct Program;

impl Modems for Program {
    fn ask(&mut self, args: &[&str]) -> Result<Answer, SensorError> {
        let output = process::ask(Path::new(MMCLI), args, DEADLINE)?;
        let is_silent = output.stdout.iter().all(u8::is_ascii_whitespace);
        Ok(if is_silent { Answer::Complaint(output.stderr) } else { Answer::Text(output.stdout) })
    }
}

/// What ModemManager knows of the modem in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modem {
    /// Its interfaces.
    ports: Arc<[String]>,
    /// Those of the other modems.
    others: Arc<[String]>,
    is_connected: bool,
    state: Option<Text<MODEM_WORD_MAX>>,
    operator: Option<Text<OPERATOR_MAX>>,
    technology: Option<Text<MODEM_WORD_MAX>>,
    signal: Option<SignalPercent>,
}

impl Modem {
    fn new(described: &Described, others: &[String]) -> Self {
        let technologies = described.technologies();
        Self {
            ports: described.interfaces().into(),
            others: others.into(),
            is_connected: described.is_connected(),
            state: described.state().map(Text::new),
            operator: described.operator().map(Text::new),
            technology: (!technologies.is_empty()).then(|| Text::new(&technologies.join(","))),
            signal: described.signal().filter(|signal| SignalPercent::RANGE.contains(signal)),
        }
    }

    /// The interfaces of all modems.
    pub(crate) fn all_ports(&self) -> Vec<String> {
        self.ports.iter().chain(self.others.iter()).cloned().collect()
    }

    /// The mobile connection, completed by what the kernel knows of its interface. Where none of ModemManager's modems is
    /// connected, another one that is comes first: a stick that is a router does not let ModemManager see its modem.
    pub(crate) fn connection(&self, network: Option<&Snapshot>) -> Cellular {
        let link = network.and_then(|network| network.of_modem(&self.ports, &self.others));
        let has_connected =
            self.is_connected || link.is_some_and(|link| link.is_connected() && !link.is_ppp());
        if !has_connected && let Some(other) = network.and_then(|all| all.beside_modems(&self.all_ports())) {
            return other.mobile();
        }
        // A port that the kernel does not count among the interfaces is one all the same.
        let interface = link.map(|link| &link.name).or(self.ports.first());
        Cellular {
            interface: interface.map(|name| Text::new(name)),
            ip: link.and_then(super::network::Link::ip),
            state: self.state.clone(),
            operator: self.operator.clone(),
            technology: self.technology.clone(),
            signal_percent: self.signal,
        }
    }
}

/// ModemManager.
pub(crate) struct ModemManager {
    /// `None` in a captured tree.
    modems: Option<Box<dyn Modems>>,
    /// Modems that did not answer in time, and until when they are asked last.
    hanging: Vec<(String, Instant)>,
    /// The program is too old for JSON.
    is_without_json: bool,
    remark: Option<Remark>,
}

impl ModemManager {
    /// Asks the program, or a captured tree.
    pub(crate) fn new(root: &Sysroot) -> Self {
        Self::asked_through(root.is_live().then(|| Box::new(Program) as _))
    }

    fn asked_through(modems: Option<Box<dyn Modems>>) -> Self {
        Self { modems, hanging: Vec::new(), is_without_json: false, remark: None }
    }

    /// The answer to one question, in JSON if the program has it.
    fn ask(&mut self, root: &Sysroot, name: &str, args: &[&str]) -> Result<Answer, SensorError> {
        let path = format!("{CAPTURED}/{name}");
        let Some(modems) = &mut self.modems else { return root.captured_answer(path, CAPTURED_MAX) };
        let json = [args, &["--output-json"]].concat();
        let mut answer = modems.ask(if self.is_without_json { args } else { &json });
        if matches!(&answer, Ok(Answer::Complaint(text)) if mmcli::is_unknown_option(text)) {
            self.is_without_json = true;
            answer = modems.ask(args);
        }
        let shared = answer.as_ref().map(mmcli::without_private);
        root.note_answer(path, None, shared.as_ref().map_err(|error| **error));
        answer
    }

    /// The paths of the modems, those that hang last.
    fn list(&mut self, root: &Sysroot) -> Result<Vec<String>, SensorError> {
        let mut paths = match self.ask(root, "list", &["-L"])? {
            Answer::Text(text) => mmcli::list(&text)?,
            Answer::Complaint(text) => {
                let error = mmcli::error_in(&text);
                self.remark = (error == SensorError::Absent).then_some(NOT_RUNNING);
                return Err(error);
            }
        };
        let now = clock::now();
        self.hanging.retain(|(_, until)| now < *until);
        paths.sort_by_key(|path| self.hanging.iter().any(|(known, _)| known == path));
        paths.truncate(MODEMS_MAX);
        Ok(paths)
    }
}

impl Source for ModemManager {
    type Reading = Modem;

    fn place(&self) -> String {
        if self.modems.is_some() { MMCLI } else { CAPTURED }.to_owned()
    }

    /// The modem in use: the connected one, else the one whose state is nearest to it. A modem that fails or hangs costs
    /// itself.
    fn read(&mut self, root: &Sysroot) -> Result<Modem, SensorError> {
        self.remark = None;
        let paths = self.list(root)?;
        if paths.is_empty() {
            self.remark = Some(NO_MODEM);
            return Err(SensorError::Absent);
        }
        let mut known: Vec<Described> = Vec::new();
        let mut trouble = SensorError::Absent;
        for path in paths {
            // One that hangs is not worth the wait while another is connected.
            let is_known_to_hang = self.hanging.iter().any(|(hanging, _)| *hanging == path);
            if is_known_to_hang && known.iter().any(Described::is_connected) {
                continue;
            }
            let number = path.rsplit('/').next().unwrap_or_default().to_owned();
            let described = match self.ask(root, &number, &["-m", &path]) {
                Ok(Answer::Text(text)) => mmcli::describe(&text),
                Ok(Answer::Complaint(text)) => Err(mmcli::error_in(&text)),
                Err(error) => {
                    if error == SensorError::Io && !is_known_to_hang {
                        self.hanging.push((path, clock::now() + REPROBE));
                    }
                    Err(error)
                }
            };
            match described {
                Ok(described) => known.push(described),
                Err(error) if trouble == SensorError::Absent => trouble = error,
                Err(_) => {}
            }
        }
        // max_by_key takes the last of equals; the first counts.
        let chosen = known.iter().enumerate().rev().max_by_key(|(_, described)| described.progress());
        let Some((chosen, described)) = chosen else {
            self.remark = Some(ALL_FAIL);
            return Err(trouble);
        };
        let others = known.iter().enumerate().filter(|(index, _)| *index != chosen);
        let others: Vec<String> = others.flat_map(|(_, other)| other.interfaces()).collect();
        Ok(Modem::new(described, &others))
    }

    fn holds(&self, outcome: &Result<Modem, SensorError>) -> Duration {
        if matches!(outcome, Err(SensorError::Absent)) { REPROBE } else { EVERY }
    }

    fn remark(&self) -> Option<Remark> {
        self.remark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    /// Answers by the last argument but `--output-json`.
    #[derive(Clone, Default)]
    struct Fake {
        answers: BTreeMap<&'static str, Result<Answer, SensorError>>,
        asked: Arc<Mutex<Vec<String>>>,
        is_without_json: bool,
    }

    impl Modems for Fake {
        fn ask(&mut self, args: &[&str]) -> Result<Answer, SensorError> {
            let (is_json, args) = match args.split_last() {
                Some((&"--output-json", rest)) => (true, rest),
                _ => (false, args),
            };
            if is_json && self.is_without_json {
                return Ok(complaint("error: Unknown option --output-json\n"));
            }
            let question = *args.last().expect("a question");
            self.asked.lock().expect("one thread").push(question.to_owned());
            self.answers.get(question).cloned().unwrap_or_else(|| panic!("{args:?}"))
        }
    }

    fn text(text: &str) -> Answer {
        Answer::Text(text.as_bytes().to_vec())
    }

    fn complaint(text: &str) -> Answer {
        Answer::Complaint(text.as_bytes().to_vec())
    }

    fn modem(state: &str, port: &str) -> Answer {
        text(&format!(r#"{{"modem":{{"generic":{{"ports":["{port} (net)"],"state":"{state}"}}}}}}"#))
    }

    const TWO: &str = r#"{"modem-list":["/Modem/10","/Modem/9"]}"#;

    fn manager(
        answers: &[(&'static str, Result<Answer, SensorError>)],
    ) -> (ModemManager, Arc<Mutex<Vec<String>>>) {
        let fake = Fake { answers: answers.iter().cloned().collect(), ..Fake::default() };
        let asked = Arc::clone(&fake.asked);
        (ModemManager::asked_through(Some(Box::new(fake))), asked)
    }

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    fn state(modem: Result<Modem, SensorError>) -> Result<String, SensorError> {
        modem.map(|modem| modem.state.map(|state| state.to_string()).unwrap_or_default())
    }

    #[test]
    fn prefers_the_modem_that_is_connected_then_the_one_that_is_nearest_to_it() {
        for (first, second, expected) in [
            ("locked", "connected", "connected"),
            ("connected", "registered", "connected"),
            ("failed", "searching", "searching"),
            ("registered", "enabled", "registered"),
        ] {
            let (mut manager, _) = manager(&[
                ("-L", Ok(text(TWO))),
                ("/Modem/9", Ok(modem(first, "wwan0"))),
                ("/Modem/10", Ok(modem(second, "wwan1"))),
            ]);
            let modem = manager.read(&live());
            assert_eq!(state(modem.clone()), Ok(expected.to_owned()));
            let mut ports = modem.expect("a modem").all_ports();
            ports.sort();
            assert_eq!(ports, ["wwan0", "wwan1"], "both are modems' ports");
        }
        let (mut manager, _) = manager(&[
            ("-L", Ok(text(TWO))),
            ("/Modem/9", Ok(modem("registered", "wwan0"))),
            ("/Modem/10", Ok(modem("registered", "wwan1"))),
        ]);
        assert_eq!(*manager.read(&live()).expect("a modem").ports, ["wwan0".to_owned()], "9 comes before 10");
    }

    #[test]
    fn a_modem_that_fails_or_hangs_costs_itself() {
        for failure in [
            Ok(complaint("error: couldn't find modem at '/Modem/9'")),
            Ok(text("nonsense")),
            Err(SensorError::Io),
        ] {
            let (mut manager, asked) = manager(&[
                ("-L", Ok(text(TWO))),
                ("/Modem/9", failure.clone()),
                ("/Modem/10", Ok(modem("connected", "wwan1"))),
            ]);
            for _ in 0..2 {
                assert_eq!(state(manager.read(&live())), Ok("connected".to_owned()), "{failure:?}");
            }
            let asked = asked.lock().expect("one thread");
            let hanging = asked.iter().filter(|question| *question == "/Modem/9").count();
            assert_eq!(hanging, if failure == Err(SensorError::Io) { 1 } else { 2 }, "{failure:?}");
        }
    }

    #[test]
    fn absence_says_what_is_absent() {
        let says = |answers: &[(&'static str, Result<Answer, SensorError>)]| {
            let (mut manager, _) = manager(answers);
            let error = manager.read(&live()).err();
            (error, manager.remark().map(|remark| remark.says))
        };
        let stopped = complaint("error: couldn't find the ModemManager process in the bus\n");
        assert_eq!(says(&[("-L", Ok(stopped))]), (Some(SensorError::Absent), Some(NOT_RUNNING.says)));
        let none = (Some(SensorError::Absent), Some(NO_MODEM.says));
        assert_eq!(says(&[("-L", Ok(text(r#"{"modem-list":[]}"#)))]), none);
        assert_eq!(
            says(&[("-L", Err(SensorError::Absent))]),
            (Some(SensorError::Absent), None),
            "no program"
        );
        assert_eq!(says(&[("-L", Err(SensorError::Io))]), (Some(SensorError::Io), None));
        let failing = [
            ("-L", Ok(text(TWO))),
            ("/Modem/9", Err(SensorError::Io)),
            ("/Modem/10", Ok(complaint("error: couldn't find modem"))),
        ];
        assert_eq!(says(&failing), (Some(SensorError::Io), Some(ALL_FAIL.says)));
    }

    #[test]
    fn a_program_without_json_is_asked_for_text() {
        let fake = Fake {
            answers: [
                ("-L", Ok(text("\nFound 1 modems:\n\t/Modem/0 [QUALCOMM] EC25\n\n"))),
                ("/Modem/0", Ok(text("  Status   |          state: 'connected'\n"))),
            ]
            .into(),
            is_without_json: true,
            ..Fake::default()
        };
        let mut manager = ModemManager::asked_through(Some(Box::new(fake)));
        assert_eq!(state(manager.read(&live())), Ok("connected".to_owned()));
        assert!(manager.is_without_json, "it is not asked for JSON again");
    }

    #[test]
    fn what_is_absent_is_asked_for_less_often() {
        let (manager, _) = manager(&[]);
        assert_eq!(manager.holds(&Err(SensorError::Absent)), REPROBE);
        assert_eq!(manager.holds(&Err(SensorError::Io)), EVERY);
    }
}
