//! What the VideoCore firmware of a Raspberry Pi knows: temperature, throttling, and on the Pi 5 the rails of its PMIC.
//!
//! The fast way is the property mailbox, which is what `vcgencmd` uses itself; the program is the fallback. A captured
//! tree has the answers as files. A call takes up to a second and, rarely, never returns: all of this runs on the
//! firmware's own thread.

pub(super) mod mailbox;
mod replies;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use heartbeat_core::{
    SensorError,
    readings::Throttled,
    units::{Celsius, Watts},
};

use super::{
    chain::Attempt,
    parts::{Answer, Look},
    process,
    rest::Rest,
    sysroot::Sysroot,
};
use mailbox::Mailbox;

/// Where the program is on Raspberry Pi OS, and where it was before.
const PROGRAMS: [&str; 2] = ["/usr/bin/vcgencmd", "/opt/vc/bin/vcgencmd"];
/// The program is killed after this time.
const PROGRAM_DEADLINE: Duration = Duration::from_millis(500);
/// The program is asked at most this often; what it said is used in between.
const PROGRAM_EVERY: Duration = Duration::from_secs(10);
/// Longest answer of the firmware.
const REPLY_MAX: usize = 1024;

/// A way to ask the firmware a general command, as `vcgencmd COMMAND` does.
pub(super) trait Gencmd: Send {
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
        "/vcgencmd".to_owned()
    }

    fn ask(&mut self, root: &Sysroot, command: &str) -> Result<String, SensorError> {
        let mut buffer = [0; 4 * REPLY_MAX];
        root.read_text(format!("/vcgencmd/{command}"), &mut buffer).map(str::to_owned)
    }
}

/// The program.
struct Program(&'static str);

impl Gencmd for Program {
    fn place(&self) -> String {
        self.0.to_owned()
    }

    fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
        let output = process::ask(Path::new(self.0), &[command], PROGRAM_DEADLINE)?;
        String::from_utf8(output).map_err(|_| SensorError::Invalid)
    }

    fn is_program(&self) -> bool {
        true
    }
}

/// The values of one look at the firmware.
#[derive(Debug, Default, Clone)]
pub(super) struct Readings {
    pub(super) temperature: Answer<Celsius>,
    pub(super) throttled: Answer<Throttled>,
    pub(super) power: Answer<Watts>,
}

impl Look for Readings {
    fn failed(error: SensorError) -> Self {
        Self { temperature: Some(Err(error)), throttled: Some(Err(error)), power: Some(Err(error)) }
    }
}

/// The firmware, asked in the best way that works.
pub(super) struct Firmware {
    ways: Vec<(Box<dyn Gencmd>, Rest)>,
    /// Before the Pi 5 there is no PMIC to ask.
    pmic: Rest,
    /// What the program said, and when.
    said: Option<(Instant, Readings)>,
}

impl Firmware {
    /// All ways that can exist for this root.
    pub(super) fn new(root: &Sysroot) -> Self {
        let ways: Vec<Box<dyn Gencmd>> = if root.is_live() {
            let mut ways: Vec<Box<dyn Gencmd>> = Vec::new();
            ways.extend(mailbox::NODES.map(|node| Box::new(Mailbox::new(node)) as _));
            ways.extend(PROGRAMS.map(|path| Box::new(Program(path)) as _));
            ways
        } else {
            vec![Box::new(Captured)]
        };
        Self::with(ways)
    }

    fn with(ways: Vec<Box<dyn Gencmd>>) -> Self {
        Self {
            ways: ways.into_iter().map(|way| (way, Rest::default())).collect(),
            pmic: Rest::default(),
            said: None,
        }
    }

    /// Looks at everything, in the first way that answers.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] on machines without such a firmware.
    pub(super) fn read(&mut self, root: &Sysroot) -> Result<Readings, SensorError> {
        if let Some((since, readings)) = &self.said
            && since.elapsed() < PROGRAM_EVERY
        {
            return Ok(readings.clone());
        }
        let mut error = SensorError::Absent;
        for (way, rest) in self.ways.iter_mut().filter(|(_, rest)| !rest.is_resting()) {
            let temperature = way.ask(root, "measure_temp").and_then(|text| replies::temperature(&text));
            match temperature {
                Err(SensorError::Absent) => rest.begin(),
                // Permissions do not come back by themselves; the next way may have them.
                Err(SensorError::Denied) => {
                    rest.begin();
                    error = SensorError::Denied;
                }
                temperature => {
                    let readings = Self::rest_of(way.as_mut(), &mut self.pmic, root, temperature);
                    self.said = way.is_program().then(|| (Instant::now(), readings.clone()));
                    return Ok(readings);
                }
            }
        }
        Err(error)
    }

    fn rest_of(
        way: &mut dyn Gencmd,
        pmic: &mut Rest,
        root: &Sysroot,
        temperature: Result<Celsius, SensorError>,
    ) -> Readings {
        let throttled = way.ask(root, "get_throttled").and_then(|text| replies::throttled(&text));
        let power = if pmic.is_resting() {
            Err(SensorError::Absent)
        } else {
            let power = way.ask(root, "pmic_read_adc").and_then(|text| replies::pmic_power(&text));
            pmic.note(&power);
            power
        };
        Readings { temperature: Some(temperature), throttled: Some(throttled), power: Some(power) }
    }

    /// Asks one command in every way up to the first that answers, and tells about each.
    pub(super) fn explain<T>(
        &mut self,
        root: &Sysroot,
        command: &str,
        parse: fn(&str) -> Result<T, SensorError>,
    ) -> Vec<Attempt<T>> {
        let mut attempts = Vec::new();
        for (way, _) in &mut self.ways {
            let began = Instant::now();
            let outcome = way.ask(root, command).and_then(|text| parse(&text));
            let answered = outcome.is_ok();
            attempts.push(Attempt {
                place: format!("{} {command}", way.place()),
                outcome,
                took: began.elapsed(),
            });
            if answered {
                break;
            }
        }
        attempts
    }
}

pub(super) use replies::{pmic_power, temperature, throttled};

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
        answers: BTreeMap<&'static str, &'static str>,
        failure: Option<SensorError>,
        asked: Arc<Mutex<Vec<String>>>,
        program: bool,
    }

    impl Gencmd for Fake {
        fn place(&self) -> String {
            "fake".to_owned()
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
        Fake { answers: answers.into(), ..Fake::default() }
    }

    fn live() -> Sysroot {
        Sysroot::new(Path::new("/")).expect("opened")
    }

    #[test]
    fn one_look_has_everything_and_what_a_board_lacks_rests() {
        let fake = pi4();
        let asked = Arc::clone(&fake.asked);
        let mut firmware = Firmware::with(vec![Box::new(fake)]);
        for _ in 0..2 {
            let readings = firmware.read(&live()).expect("readings");
            assert_eq!(readings.temperature, Some(Ok(Celsius::from_raw(613))));
            assert_eq!(readings.throttled, Some(Ok(Throttled(0x50005))));
            assert_eq!(readings.power, Some(Err(SensorError::Absent)));
        }
        let asked = asked.lock().expect("one thread");
        assert_eq!(asked.iter().filter(|command| *command == "pmic_read_adc").count(), 1);
        assert_eq!(asked.len(), 5);
    }

    #[test]
    fn without_permission_the_next_way_is_taken() {
        let denied = Fake { failure: Some(SensorError::Denied), ..Fake::default() };
        let asked = Arc::clone(&denied.asked);
        let mut firmware = Firmware::with(vec![Box::new(denied.clone()), Box::new(pi4())]);
        assert!(firmware.read(&live()).is_ok());
        assert!(firmware.read(&live()).is_ok());
        assert_eq!(asked.lock().expect("one thread").len(), 1, "it rests");
        assert_eq!(Firmware::with(vec![Box::new(denied)]).read(&live()).err(), Some(SensorError::Denied));
    }

    #[test]
    fn the_program_is_not_started_for_every_beat() {
        let program = Fake { program: true, ..pi4() };
        let asked = Arc::clone(&program.asked);
        let mut firmware = Firmware::with(vec![Box::new(program)]);
        for _ in 0..5 {
            assert!(firmware.read(&live()).is_ok());
        }
        assert_eq!(asked.lock().expect("one thread").len(), 3);
    }
}
