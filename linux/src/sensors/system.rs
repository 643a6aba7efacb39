//! `diagnostics.load`, `diagnostics.swap` and `diagnostics.root_read_only`: the state of the system as a whole.

use std::sync::Arc;

use heartbeat_core::{
    SensorError,
    payload::Reason,
    readings::{Sampled, System},
    time::{Duration, Instant},
};

use super::{Candidate, Definition, Shared, candidate::Ask, listed, reader::Reader};
use crate::{
    clock,
    config::Settings,
    sources::{
        sysroot::Sysroot,
        system::{RootMount, SystemState},
    },
};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = System;
    type Config = ();
    const NAME: &'static str = "system";
    const KEYS: &'static [&'static str] =
        &["diagnostics.load", "diagnostics.swap", "diagnostics.root_read_only"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<System>> {
        vec![Candidate::new(Parts {
            root: Arc::clone(&shared.root),
            state: SystemState::default(),
            mount: shared.reader(RootMount),
            took: Duration::ZERO,
        })]
    }

    fn show(system: &System) -> String {
        listed([
            part("load", system.load.map(|load| load.to_string())),
            part("swap", system.swap.map(|swap| format!("{swap} %"))),
            part(
                "root",
                system.root_read_only.map(|is| if is { "read-only" } else { "writable" }.to_owned()),
            ),
        ])
    }
}

/// What never blocks is read at once, the rest by the worker.
struct Parts {
    root: Arc<Sysroot>,
    state: SystemState,
    mount: Reader<bool>,
    took: Duration,
}

impl Ask<System> for Parts {
    fn ask(&mut self, asked: Instant, now: Instant) -> Sampled<System> {
        self.mount.ask(asked, now, |mount| mount.copied()).map(|root_read_only| {
            let read = self.state.read(&self.root, root_read_only);
            self.took = clock::now().since(now);
            read
        })
    }

    fn place(&self) -> String {
        SystemState::place()
    }

    fn took(&self) -> Duration {
        self.took.max(self.mount.took())
    }
}

/// One part with its name; none where it is not there.
fn part(name: &str, value: Result<String, SensorError>) -> Option<String> {
    match value {
        Ok(value) => Some(format!("{name} {value}")),
        Err(error) => Reason::of(error).map(|reason| format!("{name} {}", reason.word())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::units::{Load, Percent};

    #[test]
    fn shows_what_there_is_and_what_could_not_be_read() {
        let mut system = System {
            load: Ok(Load::from_raw(52)),
            swap: Ok(Percent::from_raw(125)),
            root_read_only: Ok(false),
        };
        assert_eq!(Sensor::show(&system), "load 0.52, swap 12.5 %, root writable");
        system.swap = Err(SensorError::Absent);
        system.root_read_only = Ok(true);
        assert_eq!(Sensor::show(&system), "load 0.52, root read-only");
        system.root_read_only = Err(SensorError::Denied);
        assert_eq!(Sensor::show(&system), "load 0.52, root denied");
    }
}
