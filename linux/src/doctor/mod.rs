//! `doctor`: each value, what was read and from where; or why not, and what to do.

mod advice;
mod report;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use heartbeat_core::SensorError;

pub use self::report::{json, table};
use crate::{
    config::Settings,
    hal::{
        probes::{self, Finding, Probe},
        sysroot::Sysroot,
    },
};

/// What takes longer than this hangs, as far as a heartbeat is concerned.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with a value, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Whether something is broken, and not just not there.
    pub serious: bool,
    /// Why there is no value.
    pub why: String,
    /// What to do.
    pub advice: String,
}

/// One value with everything that was found out about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Its key in the heartbeat.
    pub value: &'static str,
    /// All places that were asked; the last one answered, if any did.
    pub findings: Vec<Finding>,
    /// What is wrong, if anything is.
    pub complaint: Option<Complaint>,
}

impl Diagnosis {
    /// The place that answered, with its value.
    pub fn answer(&self) -> Option<(&Finding, &str)> {
        self.findings.iter().find_map(|finding| finding.outcome.as_deref().ok().map(|value| (finding, value)))
    }
}

/// Asks every place of every value, one after the other.
pub fn examine(root: &Arc<Sysroot>, settings: &Settings) -> Vec<Diagnosis> {
    probes::all(root, settings).into_iter().map(|probe| diagnose(probe, settings, PATIENCE)).collect()
}

fn diagnose(probe: Probe, settings: &Settings, patience: Duration) -> Diagnosis {
    let value = probe.value;
    let (sender, receiver) = mpsc::channel();
    let ask = probe.ask;
    // A thread that hangs is left behind; the program ends without it.
    let asked = thread::Builder::new().spawn(move || sender.send(ask()).is_ok()).is_ok();
    match receiver.recv_timeout(patience) {
        Ok(findings) => {
            let answered = findings.iter().any(|finding| finding.outcome.is_ok());
            let complaint = (!answered).then(|| advice::about(value, &findings, settings));
            Diagnosis { value, findings, complaint }
        }
        Err(_) => {
            let why = if asked {
                format!("no answer within {} s", patience.as_secs_f64())
            } else {
                "no thread left".to_owned()
            };
            Diagnosis { value, findings: Vec::new(), complaint: Some(advice::about_hanging(value, why)) }
        }
    }
}

/// The most telling error: the first that is more than absence.
fn telling(findings: &[Finding]) -> Option<(&Finding, SensorError)> {
    let errors = || {
        findings.iter().filter_map(|finding| finding.outcome.as_ref().err().map(|error| (finding, *error)))
    };
    errors().find(|(_, error)| *error != SensorError::Absent).or_else(|| errors().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    fn settings() -> Settings {
        Settings::new(&Layers::default()).expect("the defaults")
    }

    #[test]
    fn a_captured_tree_is_explained() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, content: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            std::fs::write(path, content).expect("written");
        };
        write("proc/cpuinfo", "Serial\t\t: 10000000a1b2c3d4\n");
        write("vcgencmd/measure_temp", "VCHI initialization failed");
        write("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
        write("sys/class/thermal/thermal_zone0/temp", "48774");
        write("proc/meminfo", "garbage");
        let root = Arc::new(Sysroot::new(dir.path()).expect("opened"));
        let diagnoses = examine(&root, &settings());
        let of = |value| diagnoses.iter().find(|diagnosis| diagnosis.value == value).expect("examined");

        assert_eq!(of("hardwareid").answer().map(|(_, value)| value), Some("10000000a1b2c3d4"));
        let temp = of("temp");
        assert_eq!(temp.findings[0].outcome, Err(SensorError::Denied));
        assert_eq!(temp.answer().map(|(_, value)| value), Some("48.8 °C"));
        assert_eq!(temp.complaint, None, "somebody answered");
        let mem = of("mem").complaint.as_ref().expect("a complaint");
        assert!(mem.serious && mem.why.contains("not a valid reading"), "{mem:?}");
        let power = of("power").complaint.as_ref().expect("a complaint");
        assert!(!power.serious && power.advice.contains("ups.preset"), "{power:?}");
        let table = table(&diagnoses);
        assert!(table.contains("48.8 °C") && table.contains("/proc/meminfo"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&json(&diagnoses)).expect("JSON");
        assert_eq!(json[0]["value"], "hardwareid");
    }

    #[test]
    fn a_place_that_hangs_is_named_and_left() {
        let (_never, forever) = mpsc::channel::<()>();
        let hanging = Probe {
            value: "temp",
            ask: Box::new(move || {
                let _ = forever.recv_timeout(Duration::from_secs(60));
                Vec::new()
            }),
        };
        let diagnosis = diagnose(hanging, &settings(), Duration::from_millis(50));
        assert_eq!(
            diagnosis.complaint.map(|complaint| complaint.why).as_deref(),
            Some("no answer within 0.05 s")
        );
    }
}
