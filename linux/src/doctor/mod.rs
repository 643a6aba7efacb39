//! `doctor`: each value, what was read and from where; or why not, and what to do.

mod advice;
mod report;

use std::{io, sync::Arc, task::Poll};

use heartbeat_core::{
    SensorError,
    payload::Reason,
    time::{Duration, Instant},
};

pub use self::report::{json, table};
use crate::{
    clock,
    config::Settings,
    daemon::Sleeper,
    sensors::{
        LinuxHal,
        value::{AnyValue, Finding, Problem},
    },
    sources::sysroot::Sysroot,
    waker,
};

/// A candidate that takes longer than this hangs, as far as a heartbeat is concerned.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is wrong with a value, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Whether something is broken, and not just not there.
    pub is_serious: bool,
    /// The word for it in `diagnostics.unread`, if it stands there.
    pub unread: Option<Reason>,
    /// Why there is no value.
    pub why: String,
    /// What to do.
    pub advice: String,
}

/// One value with everything that was found out about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Its name.
    pub value: &'static str,
    /// All candidates that were asked; the last one answered, if any did.
    pub findings: Vec<Finding>,
    /// What is wrong, if anything is.
    pub complaint: Option<Complaint>,
}

impl Diagnosis {
    /// The candidate that answered, with its value.
    pub fn answer(&self) -> Option<(&Finding, &str)> {
        self.findings.iter().find_map(|finding| finding.outcome.as_deref().ok().map(|value| (finding, value)))
    }
}

/// Asks the candidates of every value in their order up to the first that answers, as a heartbeat does, but waits for each.
/// Takes 5 s for each that hangs.
///
/// # Errors
///
/// When the system has no resources left.
pub fn examine(root: &Arc<Sysroot>, settings: &Settings) -> io::Result<Vec<Diagnosis>> {
    ask(root, settings, false)
}

/// Asks all candidates of every value, whether or not one before them has answered.
///
/// # Errors
///
/// When the system has no resources left.
pub(crate) fn ask_everyone(root: &Arc<Sysroot>, settings: &Settings) -> io::Result<()> {
    ask(root, settings, true).map(drop)
}

fn ask(root: &Arc<Sysroot>, settings: &Settings, asks_all: bool) -> io::Result<Vec<Diagnosis>> {
    let (waker, wake_ups) = waker::pair()?;
    let mut sleeper = Sleeper::new(wake_ups)?;
    let mut hal = LinuxHal::new(Arc::clone(root), settings, &waker);
    let began = clock::now();
    let mut examinations: Vec<_> = hal.values().iter().map(|_| Examination::new(began, asks_all)).collect();
    loop {
        let now = clock::now();
        let each = examinations.iter_mut().zip(hal.values());
        let waits = each.filter_map(|(examination, value)| examination.go_on(value, now)).min();
        let Some(ends) = waits else { break };
        let dispatched = hal.dispatch();
        sleeper.sleep_until(dispatched.map_or(ends, |due| due.min(ends)))?;
    }
    Ok(examinations.into_iter().zip(hal.values()).map(|(done, value)| done.conclude(value)).collect())
}

/// A value that is being asked for.
struct Examination {
    asked: Instant,
    /// Since when the current candidate is waited for.
    waiting_since: Instant,
    findings: Vec<Finding>,
    /// Candidates after the one that answered are asked, too.
    asks_all: bool,
}

impl Examination {
    const fn new(now: Instant, asks_all: bool) -> Self {
        Self { asked: now, waiting_since: now, findings: Vec::new(), asks_all }
    }

    /// Asks as far as possible. The answer is how long a candidate may still take; `None` when all is known.
    fn go_on(&mut self, value: &mut dyn AnyValue, now: Instant) -> Option<Instant> {
        while self.findings.len() < value.candidates()
            && (self.asks_all || !self.findings.iter().any(is_value))
        {
            let candidate = self.findings.len();
            let finding = match value.explain(candidate, self.asked, now) {
                Poll::Ready(finding) => finding,
                Poll::Pending if now.since(self.waiting_since) < TIMEOUT => {
                    return Some(self.waiting_since + TIMEOUT);
                }
                Poll::Pending => Finding {
                    place: value.place(candidate),
                    outcome: Err(Problem::Silent),
                    remark: None,
                    took: now.since(self.waiting_since),
                },
            };
            self.waiting_since = now;
            self.findings.push(finding);
        }
        None
    }

    fn conclude(self, value: &dyn AnyValue) -> Diagnosis {
        let answered = self.findings.iter().any(is_value);
        let complaint = (!answered).then(|| advice::about(value, &self.findings));
        // A source may be asked for two things, one of which it lacks as it lacks the other.
        let mut findings: Vec<Finding> = Vec::new();
        for finding in self.findings {
            let is_same = |known: &Finding| known.place == finding.place && known.outcome == finding.outcome;
            if !findings.iter().any(is_same) {
                findings.push(finding);
            }
        }
        Diagnosis { value: value.name(), findings, complaint }
    }
}

fn is_value(finding: &Finding) -> bool {
    finding.outcome.is_ok()
}

/// The most informative problem: the first that is more than absence, else the first absence of which more is known.
fn telling(findings: &[Finding]) -> Option<(&Finding, Problem)> {
    let problems = || findings.iter().filter_map(|finding| Some((finding, *finding.outcome.as_ref().err()?)));
    problems()
        .find(|(_, problem)| !is_absence(*problem))
        .or_else(|| problems().find(|(finding, _)| finding.remark.is_some()))
        .or_else(|| problems().next())
}

fn is_absence(problem: Problem) -> bool {
    problem == Problem::Failed(SensorError::Absent)
}

/// The word for a problem in `diagnostics.unread`.
fn unread(problem: Problem) -> Option<Reason> {
    match problem {
        Problem::NotConfigured => None,
        Problem::Silent => Some(Reason::Silent),
        Problem::Failed(error) => Reason::of(error),
    }
}

/// Why a candidate found nothing, as exactly as it knows.
fn reason(finding: &Finding, problem: Problem) -> String {
    finding.remark.map_or_else(|| said(problem), |remark| remark.says.to_owned())
}

/// A problem in words.
fn said(problem: Problem) -> String {
    match problem {
        Problem::NotConfigured => "not configured".to_owned(),
        Problem::Silent => format!("no answer within {} s", TIMEOUT.as_secs()),
        Problem::Failed(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    fn settings() -> Settings {
        Settings::new(&Layers::default()).expect("the defaults")
    }

    #[test]
    fn explains_each_value_of_a_captured_tree() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, content: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            std::fs::write(path, content).expect("written");
        };
        write("proc/cpuinfo", "Serial\t\t: 10000000a1b2c3d4\n");
        write("vcgencmd/measure_temp", "VCHI initialization failed");
        write("vcgencmd/pmic_read_adc", "VCHI initialization failed");
        write("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
        write("sys/class/thermal/thermal_zone0/temp", "48774");
        write("proc/meminfo", "garbage");
        write("mmcli/list.err", "error: couldn't find the ModemManager process in the bus");
        write("gpsd/poll", "{\"class\":\"POLL\",\"active\":0}\n");
        let root = Arc::new(Sysroot::new(dir.path()).expect("opened"));
        let diagnoses = examine(&root, &settings()).expect("examined");
        let of = |value| diagnoses.iter().find(|diagnosis| diagnosis.value == value).expect("examined");

        assert_eq!(of("hardwareid").answer().map(|(_, value)| value), Some("10000000a1b2c3d4"));
        let temp = of("temp");
        assert_eq!(temp.findings[0].outcome, Err(Problem::Failed(SensorError::Denied)));
        assert_eq!(temp.answer().map(|(_, value)| value), Some("48.8 °C"));
        assert_eq!(temp.complaint, None, "somebody answered");
        let mem = of("mem").complaint.as_ref().expect("a complaint");
        assert!(mem.is_serious && mem.why.contains("not a valid reading"), "{mem:?}");
        assert_eq!(mem.unread, Some(Reason::Invalid));
        let power = of("power").complaint.as_ref().expect("a complaint");
        assert!(power.is_serious && power.why == "permission denied", "the PMIC may be there: {power:?}");
        let fan = of("fan_rpm").complaint.as_ref().expect("a complaint");
        assert_eq!(fan.unread, None, "{fan:?}");
        assert!(!fan.is_serious && fan.advice.contains("no fan"), "{fan:?}");
        let modem = of("4g").complaint.as_ref().expect("a complaint");
        assert!(!modem.is_serious && modem.why == "ModemManager does not run", "{modem:?}");
        assert!(modem.advice.contains("systemctl enable --now ModemManager"), "{modem:?}");
        let gps = of("gps").complaint.as_ref().expect("a complaint");
        assert!(
            !gps.is_serious && gps.why.starts_with("gpsd runs"),
            "the other daemon is absent, too: {gps:?}"
        );
        let places: Vec<_> = of("gps").findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["gpsd at 127.0.0.1:2947", "/tmp/gps_daemon.sock"], "each is told once");
        let table = table(&diagnoses);
        assert!(table.contains("48.8 °C") && table.contains("/proc/meminfo"), "{table}");
        assert!(table.contains("power             - denied: permission denied\n"), "{table}");
        assert!(table.contains("fan_rpm           - not present\n"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&json(&diagnoses)).expect("JSON");
        assert_eq!(json[0]["value"], "hardwareid");
        let unread = |name| json.as_array()?.iter().find(|value| value["value"] == name)?["unread"].as_str();
        assert_eq!([unread("power"), unread("mem"), unread("temp")], [Some("denied"), Some("invalid"), None]);
    }

    /// Its first candidate never answers, its second does.
    struct Half;

    impl AnyValue for Half {
        fn name(&self) -> &'static str {
            "half"
        }

        fn keys(&self) -> &'static [&'static str] {
            &["half"]
        }

        fn answered_by(&self) -> Option<String> {
            None
        }

        fn due(&self, _: Instant) -> Option<Instant> {
            None
        }

        fn candidates(&self) -> usize {
            2
        }

        fn place(&self, candidate: usize) -> String {
            format!("place {candidate}")
        }

        fn explain(&mut self, candidate: usize, _: Instant, _: Instant) -> Poll<Finding> {
            match candidate {
                0 => Poll::Pending,
                _ => Poll::Ready(Finding {
                    place: self.place(candidate),
                    outcome: Ok("1".to_owned()),
                    remark: None,
                    took: Duration::ZERO,
                }),
            }
        }

        fn advice(&self, _: Problem) -> Option<&'static str> {
            None
        }
    }

    #[test]
    fn names_a_candidate_that_hangs_and_asks_the_next() {
        let began = Instant::from_millis(1_000);
        let mut examination = Examination::new(began, false);
        let ends = examination.go_on(&mut Half, began).expect("it is waited for");
        assert_eq!(ends, began + TIMEOUT);
        assert_eq!(examination.go_on(&mut Half, ends), None);
        let diagnosis = examination.conclude(&Half);
        assert_eq!(diagnosis.findings[0].place, "place 0");
        assert_eq!(diagnosis.findings[0].outcome, Err(Problem::Silent));
        assert_eq!(diagnosis.answer().map(|(_, value)| value), Some("1"));
        assert_eq!(diagnosis.complaint, None);
    }
}
