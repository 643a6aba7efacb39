//! A fleet's run in a few numbers.

use std::fmt;

use super::{Plan, Second};

/// Seconds without a failure after which the fleet is well again.
const CALM: usize = 10;

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Requests per second if they are spread evenly.
    pub even: u64,
    /// Most requests in a second of the first interval.
    pub start_peak: u32,
    /// Most requests in a second of the first interval once all are on their grid: the fifth.
    pub settled_peak: u32,
    /// What followed the outage, if there was one.
    pub after_outage: Option<Recovery>,
}

/// What followed an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Most requests in a second.
    pub peak: u32,
    /// Most new connections in a second.
    pub connections_peak: u32,
    /// Seconds until half, 90 %, 99 % and all of the devices have delivered something; `None` if never.
    pub back: [Option<usize>; 4],
    /// Seconds until requests failed for the last time; `None` if they still did at the end.
    pub calm: Option<usize>,
}

impl Summary {
    /// Sums up.
    pub fn new(plan: &Plan, history: &[Second]) -> Self {
        let interval = plan.config.interval().as_micros();
        let even = (u64::from(plan.devices) * 1_000_000).checked_div(interval).unwrap_or(0);
        let seconds = usize::try_from(interval.div_ceil(1_000_000)).unwrap_or(1);
        let peak = |from: usize| {
            let window = history.iter().skip(from * seconds).take(seconds);
            window.map(|second| second.attempts).max().unwrap_or(0)
        };
        let outage =
            plan.server.outage.end().and_then(|end| usize::try_from(end.as_micros() / 1_000_000).ok());
        let after_outage = outage
            .and_then(|end| history.get(end..))
            .filter(|after| !after.is_empty())
            .map(|after| Recovery::new(plan.devices, after));
        Self { even, start_peak: peak(0), settled_peak: peak(4), after_outage }
    }
}

impl Recovery {
    fn new(devices: u32, after: &[Second]) -> Self {
        let back = |percent: u64| {
            let enough = u64::from(devices) * percent;
            after.iter().position(|second| u64::from(second.back) * 100 >= enough)
        };
        let last_failure = after.iter().rposition(|second| second.failed > 0);
        let calm = match last_failure {
            None => Some(0),
            Some(last) if last + CALM < after.len() => Some(last + 1),
            Some(_) => None,
        };
        Self {
            peak: after.iter().map(|second| second.attempts).max().unwrap_or(0),
            connections_peak: after.iter().map(|second| second.connections).max().unwrap_or(0),
            back: [50, 90, 99, 100].map(back),
            calm,
        }
    }
}

fn seconds(seconds: Option<usize>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s"))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "evenly spread       {:>10} requests/s", self.even)?;
        writeln!(f, "first interval      {:>10} requests/s at most", self.start_peak)?;
        write!(f, "fifth interval      {:>10} requests/s at most", self.settled_peak)?;
        let Some(after) = &self.after_outage else { return Ok(()) };
        writeln!(f, "\nafter the outage    {:>10} requests/s at most", after.peak)?;
        writeln!(f, "                    {:>10} new connections/s at most", after.connections_peak)?;
        for (share, back) in ["50 %", "90 %", "99 %", "all"].iter().zip(after.back) {
            writeln!(f, "{share:>4} are back after  {:>10}", seconds(back))?;
        }
        write!(f, "no failure after    {:>10}", seconds(after.calm))
    }
}
