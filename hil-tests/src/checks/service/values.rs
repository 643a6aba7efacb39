//! The values of the service itself, which sees the board from within its sandbox, and for longer than a sample takes.

use std::{rc::Rc, thread, time::Duration};

use super::trial::{Plan, Trial};
use crate::{
    checks::{CHECKS, Check, Context},
    finding::{Evidence, Stop},
};

/// Checks that compare a value, and need no load.
const COMPARED: &[&str] = &[
    "identity",
    "memory",
    "disk",
    "temperature",
    "throttled",
    "fan",
    "power",
    "supply",
    "network",
    "wifi",
    "4g",
    "gps",
    "uptime",
    "clock",
];
/// So often a value may differ: what programs tell the daemon asks every ten seconds, and a modem later.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(15);
/// So many heartbeats come first: what is read once and then kept is old by then.
const BEATS_BEFORE: u32 = 5;

/// Each value in the service's heartbeats beside its witnesses.
pub(crate) fn values(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let trial = Rc::new(Trial::begin(context, Plan::default())?);
    for _ in 0..BEATS_BEFORE {
        trial.beat(context)?;
    }
    context.daemon.with_source(Box::new(Rc::clone(&trial)), || {
        for check in CHECKS.iter().filter(|check| COMPARED.contains(&check.name)) {
            evidence.include(compared(check, context));
        }
    });
    evidence.some_witness("no value of the service has a witness here")
}

/// What a check finds, at the first look at which it does not fail.
fn compared(check: &Check, context: &Context) -> Evidence {
    let mut look = 1;
    loop {
        let mut found = Evidence::default();
        let end = (check.run)(context, &mut found);
        let fails = matches!(end, Err(Stop::Failed(_))) || found.disagrees();
        if fails && context.options.repeats && look < LOOKS {
            look += 1;
            thread::sleep(BETWEEN_LOOKS);
            continue;
        }
        match end {
            Ok(()) => {}
            Err(Stop::Failed(reason)) => {
                found.holds(check.name, reason, "a value with a witness", "the check of this name", false);
            }
            Err(Stop::Skipped(reason)) => found.silent(format_args!("{}: {reason}", check.name)),
        }
        return found;
    }
}
