//! What the VideoCore firmware of a Raspberry Pi knows: temperature, throttling, and on the Pi 5 the rails of its PMIC.
//!
//! The fast way is the property mailbox, which is what `vcgencmd` uses itself; the program is the fallback. A captured
//! tree has the answers as files. A call takes up to a second and, rarely, never returns.

pub(crate) mod mailbox;
pub(crate) mod replies;

use std::path::Path;

use heartbeat_core::{SensorError, time::Duration};

use super::{
    REPROBE, Source,
    kept::Kept,
    process,
    sysroot::{Answer, Sysroot},
};
use crate::clock;
use mailbox::Mailbox;

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
        // It explains itself on standard output, regardless of its exit status.
        let output = process::ask(Path::new(self.0), &[command], PROGRAM_DEADLINE)?;
        String::from_utf8(output.stdout).map_err(|_| SensorError::Invalid)
    }

    fn is_program(&self) -> bool {
        true
    }
}

/// All ways that can exist for this root, the fastest first.
pub(crate) fn ways(root: &Sysroot) -> Vec<Box<dyn Gencmd>> {
    if !root.is_live() {
        return vec![Box::new(Captured)];
    }
    let mut ways: Vec<Box<dyn Gencmd>> = Vec::new();
    ways.extend(mailbox::NODES.map(|node| Box::new(Mailbox::new(node)) as _));
    ways.extend(PROGRAMS.map(|path| Box::new(Program(path)) as _));
    ways
}

/// One general command, asked in the first way that works.
pub(crate) struct Command<T> {
    command: &'static str,
    parse: fn(&str) -> Result<T, SensorError>,
    ways: Vec<Way>,
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

impl<T> Command<T> {
    /// Asks for `command` in these ways; `parse` reads the answer.
    pub(crate) fn new(
        command: &'static str,
        parse: fn(&str) -> Result<T, SensorError>,
        ways: Vec<Box<dyn Gencmd>>,
    ) -> Self {
        let mut places: Vec<_> = ways.iter().map(|way| way.place()).collect();
        places.dedup();
        let ways = ways.into_iter().map(|gencmd| Way { gencmd, refused: Kept::default() }).collect();
        Self { command, parse, ways, place: places.join(", "), by_program: false }
    }
}

impl<T: Send + 'static> Source for Command<T> {
    type Reading = T;

    fn place(&self) -> String {
        format!("{} {}", self.place, self.command)
    }

    /// A way that is there and answers is the right one, also when the firmware does not know the command.
    fn read(&mut self, root: &Sysroot) -> Result<T, SensorError> {
        let now = clock::now();
        let mut error = SensorError::Absent;
        for way in &mut self.ways {
            let refused = match way.refused.get(now) {
                Some(refused) => *refused,
                None => match ask(way.gencmd.as_mut(), root, self.command) {
                    Err(refused @ (SensorError::Absent | SensorError::Denied)) => {
                        *way.refused.keep(refused, now, REPROBE)
                    }
                    answer => match answer.and_then(|text| (self.parse)(&text)) {
                        // The program says so in its text.
                        Err(refused @ SensorError::Denied) => *way.refused.keep(refused, now, REPROBE),
                        reading => {
                            self.place = way.gencmd.place();
                            self.by_program = way.gencmd.is_program();
                            return reading;
                        }
                    },
                },
            };
            if refused == SensorError::Denied && error == SensorError::Absent {
                error = refused;
                self.place = way.gencmd.place();
            }
        }
        Err(error)
    }

    /// A program is not started for every beat, and a source without permission is re-probed as rarely as an absent
    /// one.
    fn holds(&self, outcome: &Result<T, SensorError>) -> Duration {
        match outcome {
            Err(SensorError::Absent | SensorError::Denied) => REPROBE,
            _ if self.by_program => PROGRAM_EVERY,
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

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::units::Celsius;
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    /// A fake way.
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

    fn temperature(ways: Vec<Box<dyn Gencmd>>) -> Command<Celsius> {
        Command::new("measure_temp", replies::temperature, ways)
    }

    #[test]
    fn asks_no_other_way_for_a_command_that_the_firmware_does_not_know() {
        let (first, second) = (pi4(), pi4());
        let asked = Arc::clone(&second.asked);
        let mut power =
            Command::new("pmic_read_adc", replies::pmic_power, vec![Box::new(first), Box::new(second)]);
        let outcome = power.read(&live());
        assert_eq!(outcome, Err(SensorError::Absent));
        assert_eq!(power.holds(&outcome), REPROBE);
        assert_eq!(*asked.lock().expect("one thread"), Vec::<String>::new());
    }

    #[test]
    fn takes_the_next_way_when_the_first_is_denied() {
        let denied = Fake { failure: Some(SensorError::Denied), place: "denied", ..Fake::default() };
        let asked = Arc::clone(&denied.asked);
        let mut mixed = temperature(vec![Box::new(denied.clone()), Box::new(pi4())]);
        assert_eq!(mixed.place(), "denied, fake measure_temp");
        assert_eq!(mixed.read(&live()), Ok(Celsius::from_raw(613)));
        assert_eq!(mixed.read(&live()), Ok(Celsius::from_raw(613)));
        assert_eq!(asked.lock().expect("one thread").len(), 1, "it is not asked again for a while");
        assert_eq!(mixed.place(), "fake measure_temp");
        let mut alone = temperature(vec![Box::new(denied)]);
        for _ in 0..2 {
            assert_eq!(alone.read(&live()).err(), Some(SensorError::Denied));
        }
        assert_eq!(alone.place(), "denied measure_temp", "this is what must be allowed");
    }

    #[test]
    fn takes_the_next_way_when_the_program_says_that_it_is_denied() {
        let answers = [("measure_temp", "VCHI initialization failed")];
        let refused = Fake { place: "refused", answers: answers.into(), ..Fake::default() };
        let mut mixed = temperature(vec![Box::new(refused), Box::new(pi4())]);
        assert_eq!(mixed.read(&live()), Ok(Celsius::from_raw(613)));
        assert_eq!(mixed.place(), "fake measure_temp");
    }

    #[test]
    fn an_answer_of_the_program_holds_for_a_while() {
        for (program, holds) in [(true, PROGRAM_EVERY), (false, Duration::ZERO)] {
            let mut temperature = temperature(vec![Box::new(Fake { program, ..pi4() })]);
            let outcome = temperature.read(&live());
            assert_eq!(temperature.holds(&outcome), holds);
            assert_eq!(temperature.holds(&Err(SensorError::Denied)), REPROBE);
        }
    }
}
