//! What to do about a value that is not there: what its own file says, else what is true of all.

use std::{os::unix::fs::MetadataExt, path::Path};

use heartbeat_core::SensorError;
use nix::unistd::{Gid, Group};

use super::{Complaint, is_absence, reason, said, telling, unread};
use crate::sensors::value::{AnyValue, Finding, Problem};

/// About a value that no candidate knows.
pub(super) fn about(value: &dyn AnyValue, findings: &[Finding]) -> Complaint {
    let Some((finding, problem)) = telling(findings) else {
        let problem = Problem::NotConfigured;
        let advice = value.advice(problem).map_or_else(|| general(problem, ""), str::to_owned);
        return Complaint { is_serious: false, unread: None, why: said(problem), advice };
    };
    let advice = finding.remark.map(|remark| remark.advice).or_else(|| value.advice(problem));
    Complaint {
        is_serious: !is_absence(problem),
        unread: unread(problem),
        why: reason(finding, problem),
        advice: advice.map_or_else(|| general(problem, &finding.place), str::to_owned),
    }
}

fn general(problem: Problem, place: &str) -> String {
    match problem {
        Problem::NotConfigured | Problem::Failed(SensorError::Absent) => "nothing to do".to_owned(),
        Problem::Silent => "heartbeats go on without it".to_owned(),
        Problem::Failed(SensorError::Denied) => when_denied(place),
        Problem::Failed(SensorError::Io) => "see the kernel's log: dmesg | tail".to_owned(),
        Problem::Failed(SensorError::Invalid) => format!("look at what is there: {place}"),
    }
}

/// The group that could read it.
fn when_denied(place: &str) -> String {
    let path = place.split([' ', ',']).next().unwrap_or(place);
    let group = Path::new(path).metadata().ok().and_then(|metadata| {
        let readable = metadata.mode() & 0o040 != 0;
        Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten().filter(|_| readable)
    });
    match group {
        Some(group) if group.name != "root" => {
            format!("give the service's user the group of {path}: usermod -aG {} USER", group.name)
        }
        _ if path.starts_with("/dev/vcio") => {
            format!(
                "only root may open {path}: update raspberrypi-sys-mods, or give it to group video with a udev rule"
            )
        }
        _ => format!("the service's user may not read {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_group_that_may_read_a_place() {
        assert_eq!(when_denied("/nonexistent"), "the service's user may not read /nonexistent");
        assert!(when_denied("/dev/vcio_gencmd measure_temp").contains("group video"));
        // A terminal belongs to group tty on every Linux machine that has that group.
        if Path::new("/dev/tty")
            .metadata()
            .is_ok_and(|metadata| metadata.gid() == 5 && metadata.mode() & 0o040 != 0)
        {
            assert!(when_denied("/dev/tty").ends_with("usermod -aG tty USER"));
        }
    }
}
