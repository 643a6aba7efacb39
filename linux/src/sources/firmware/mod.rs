//! What the VideoCore firmware of a Raspberry Pi knows: temperature, throttling, and on the Pi 5 the rails of its PMIC.
//!
//! The fast way is the property mailbox, which is what `vcgencmd` uses itself; the program is the fallback. A captured
//! tree has the answers as files. A call takes up to a second and, rarely, never returns.

pub(crate) mod mailbox;
mod replies;

use std::path::Path;

use heartbeat_core::{
    SensorError,
    readings::Throttled,
    time::{Duration, Instant},
    units::{Celsius, Watts},
};

use super::{
    REPROBE, Source,
    kept::Kept,
    process,
    sysroot::{Answer, Sysroot},
};
use crate::clock;
use mailbox::Mailbox;
#[cfg(fuzzing)]
pub(crate) use replies::{pmic_power, temperature as parse_temperature, throttled};

/// Where the program is on Raspberry Pi OS, and where it was before.
const PROGRAMS: [&str; 2] = ["/usr/bin/vcgencmd", "/opt/vc/bin/vcgencmd"];
/// The program is killed after this time.
const PROGRAM_DEADLINE: std::time::Duration = std::time::Duration::from_millis(500);
/// The program is asked at most this often; what it said is used in between.
const PROGRAM_EVERY: Duration = Duration::from_secs(10);
/// Where a captured tree has the answers.
const CAPTURED: &str = "/vcgencmd";
/// Longest answer of the firmware.
const REPLY_MAX: usize = 1024;

/// A way to ask the firmware a general command, as `vcgencmd COMMAND` does.
pub(crate) trait Gencmd: Send {
    /// Where it goes, for people.
    fn place(&self) -> String;
    /// The answer's text.
    fn ask(&mut self, root: &Sysroot, command: &str) -> Result<String, SensorError>;
    /// Whether asking starts a process.
    fn is_program(&self) -> bool {
        false
    }
}

/// The answers in a captured tree, one file per command.
struct Captured;

impl Gencmd for Captured {
    fn place(&self) -> String {
        CAPTURED.to_owned()
    }

    fn ask(&mut self, root: &Sysroot, command: &str) -> Result<String, SensorError> {
        let mut buffer = [0; 4 * REPLY_MAX];
        root.read_text(format!("{CAPTURED}/{command}"), &mut buffer).map(str::to_owned)
    }
}

/// The program.
struct Program(&'static str);

impl Gencmd for Program {
    fn place(&self) -> String {
        self.0.to_owned()
    }

    fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
        // It explains itself on standard output, whatever its exit status.
        let output = process::ask(Path::new(self.0), &[command], PROGRAM_DEADLINE)?;
        String::from_utf8(output.stdout).map_err(|_| SensorError::Invalid)
    }

    fn is_program(&self) -> bool {
        true
    }
}

/// What the firmware said at one time.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(crate) temperature: Result<Celsius, SensorError>,
    pub(crate) throttled: Result<Throttled, SensorError>,
    pub(crate) power: Result<Watts, SensorError>,
}

/// The firmware, asked in the first way that works.
pub(crate) struct Firmware {
    ways: Vec<Way>,
    /// Before the Pi 5 there is no PMIC to ask.
    without_pmic: Kept<()>,
    /// Where it looked last.
    place: String,
    /// The last answer cost a process.
    by_program: bool,
}

struct Way {
    gencmd: Box<dyn Gencmd>,
    /// Why it is not asked again for a while: neither devices nor permissions come back by themselves.
    refused: Kept<SensorError>,
}

impl Firmware {
    /// Asked in all ways that can exist for this root.
    pub(crate) fn new(root: &Sysroot) -> Self {
        if !root.is_live() {
            return Self::asked_by(vec![Box::new(Captured)], CAPTURED);
        }
        let mut ways: Vec<Box<dyn Gencmd>> = Vec::new();
        ways.extend(mailbox::NODES.map(|node| Box::new(Mailbox::new(node)) as _));
        ways.extend(PROGRAMS.map(|path| Box::new(Program(path)) as _));
        Self::asked_by(ways, "/dev/vcio*, vcgencmd")
    }

    /// Asked in these ways, which are at `place`.
    pub(crate) fn asked_by(ways: Vec<Box<dyn Gencmd>>, place: &str) -> Self {
        let ways = ways.into_iter().map(|gencmd| Way { gencmd, refused: Kept::default() }).collect();
        Self { ways, without_pmic: Kept::default(), place: place.to_owned(), by_program: false }
    }
}

impl Source for Firmware {
    type Reading = Readings;

    fn place(&self) -> String {
        self.place.clone()
    }

    /// Asks for everything, in the first way that answers.
    fn read(&mut self, root: &Sysroot) -> Result<Readings, SensorError> {
        let now = clock::now();
        let mut error = SensorError::Absent;
        for way in &mut self.ways {
            let refused = match way.refused.get(now) {
                Some(refused) => *refused,
                None => match temperature(way.gencmd.as_mut(), root) {
                    Err(refused @ (SensorError::Absent | SensorError::Denied)) => {
                        *way.refused.keep(refused, now, REPROBE)
                    }
                    temperature => {
                        self.place = way.gencmd.place();
                        self.by_program = way.gencmd.is_program();
                        return Ok(rest_of(
                            way.gencmd.as_mut(),
                            &mut self.without_pmic,
                            root,
                            now,
                            temperature,
                        ));
                    }
                },
            };
            if refused == SensorError::Denied && error == SensorError::Absent {
                error = refused;
                self.place = way.gencmd.place();
            }
        }
        Err(error)
    }

    /// A program is not started for every beat, and what may not be asked is left alone as if it were absent.
    fn holds(&self, outcome: &Result<Readings, SensorError>) -> Duration {
        match outcome {
            Ok(_) if self.by_program => PROGRAM_EVERY,
            Err(SensorError::Absent | SensorError::Denied) => REPROBE,
            _ => Duration::ZERO,
        }
    }
}

/// Asks, and notes the answer.
fn ask(way: &mut dyn Gencmd, root: &Sysroot, command: &str) -> Result<String, SensorError> {
    let answer = way.ask(root, command);
    let text = answer.as_ref().map(|text| Answer::Text(text.clone().into_bytes()));
    root.note_answer(format!("{CAPTURED}/{command}"), None, text.as_ref().map_err(|error| **error));
    answer
}

fn temperature(way: &mut dyn Gencmd, root: &Sysroot) -> Result<Celsius, SensorError> {
    ask(way, root, "measure_temp").and_then(|text| replies::temperature(&text))
}

fn rest_of(
    way: &mut dyn Gencmd,
    without_pmic: &mut Kept<()>,
    root: &Sysroot,
    now: Instant,
    temperature: Result<Celsius, SensorError>,
) -> Readings {
    let throttled = ask(way, root, "get_throttled").and_then(|text| replies::throttled(&text));
    let power = if without_pmic.get(now).is_some() {
        Err(SensorError::Absent)
    } else {
        ask(way, root, "pmic_read_adc").and_then(|text| replies::pmic_power(&text))
    };
    if power == Err(SensorError::Absent) && without_pmic.get(now).is_none() {
        without_pmic.keep((), now, REPROBE);
    }
    Readings { temperature, throttled, power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    /// A fake mailbox.
    #[derive(Clone, Default)]
    struct Fake {
        place: &'static str,
        answers: BTreeMap<&'static str, &'static str>,
        failure: Option<SensorError>,
        asked: Arc<Mutex<Vec<String>>>,
        program: bool,
    }

    impl Gencmd for Fake {
        fn place(&self) -> String {
            self.place.to_owned()
        }

        fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
            self.asked.lock().expect("one thread").push(command.to_owned());
            match self.failure {
                Some(error) => Err(error),
                None => self.answers.get(command).map(|text| (*text).to_owned()).ok_or(SensorError::Io),
            }
        }

        fn is_program(&self) -> bool {
            self.program
        }
    }

    fn pi4() -> Fake {
        let answers = [
            ("measure_temp", "temp=61.3'C"),
            ("get_throttled", "throttled=0x50005"),
            ("pmic_read_adc", "error=1 error_msg=\"Command not registered\""),
        ];
        Fake { place: "fake", answers: answers.into(), ..Fake::default() }
    }

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    fn firmware(ways: Vec<Box<dyn Gencmd>>) -> Firmware {
        Firmware::asked_by(ways, "nowhere")
    }

    #[test]
    fn reads_everything_together_and_leaves_a_missing_pmic_alone() {
        let fake = pi4();
        let asked = Arc::clone(&fake.asked);
        let mut firmware = firmware(vec![Box::new(fake)]);
        for _ in 0..2 {
            let readings = firmware.read(&live()).expect("readings");
            assert_eq!(readings.temperature, Ok(Celsius::from_raw(613)));
            assert_eq!(readings.throttled, Ok(Throttled(0x50005)));
            assert_eq!(readings.power, Err(SensorError::Absent));
        }
        let asked = asked.lock().expect("one thread");
        assert_eq!(asked.iter().filter(|command| *command == "pmic_read_adc").count(), 1);
        assert_eq!(asked.len(), 5);
    }

    #[test]
    fn takes_the_next_way_when_the_first_is_denied() {
        let denied = Fake { failure: Some(SensorError::Denied), place: "denied", ..Fake::default() };
        let asked = Arc::clone(&denied.asked);
        let mut mixed = firmware(vec![Box::new(denied.clone()), Box::new(pi4())]);
        assert!(mixed.read(&live()).is_ok());
        assert!(mixed.read(&live()).is_ok());
        assert_eq!(asked.lock().expect("one thread").len(), 1, "it is not asked again for a while");
        assert_eq!(mixed.place(), "fake");
        let mut alone = firmware(vec![Box::new(denied)]);
        for _ in 0..2 {
            assert_eq!(alone.read(&live()).err(), Some(SensorError::Denied));
        }
        assert_eq!(alone.place(), "denied", "this is what must be allowed");
    }

    #[test]
    fn an_answer_of_the_program_holds_for_a_while() {
        for (program, holds) in [(true, PROGRAM_EVERY), (false, Duration::ZERO)] {
            let mut firmware = firmware(vec![Box::new(Fake { program, ..pi4() })]);
            let outcome = firmware.read(&live());
            assert_eq!(firmware.holds(&outcome), holds);
            assert_eq!(firmware.holds(&Err(SensorError::Denied)), REPROBE);
        }
    }
}
