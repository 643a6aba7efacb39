//! `diagnostics.throttled`: under-voltage and throttling.

use heartbeat_core::{SensorError, readings::Throttled};

use super::{Candidate, Definition, Problem, Shared};
use crate::config::Settings;

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Throttled;
    type Config = ();
    const NAME: &'static str = "throttled";
    const KEYS: &'static [&'static str] = &["diagnostics.throttled"];

    fn config(_: &Settings) {}

    /// That of the firmware alone. The kernel's `soc:firmware/get_throttled` is no second: its bits "since boot" are cleared
    /// with each of the kernel's own readings, and current kernels answer with the last of those and log a warning with a trace
    /// (`rpi_firmware_get_throttled`, `get_throttled_show` in the Pi's drivers/firmware/raspberrypi.c).
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Throttled>> {
        vec![Candidate::part(&shared.throttled, |throttled| Ok(*throttled))]
    }

    fn show(throttled: &Throttled) -> String {
        conditions(*throttled)
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) => {
                Some("nothing to do: only the firmware of a Raspberry Pi knows it")
            }
            Problem::Silent => Some(super::FIRMWARE_HANGS),
            _ => None,
        }
    }
}

/// The mask with what its bits mean (Raspberry Pi documentation, "vcgencmd get_throttled").
fn conditions(throttled: Throttled) -> String {
    const NAMES: [&str; 4] = ["under-voltage", "frequency capped", "throttled", "soft temperature limit"];
    let named = |shift: u32| {
        let set = NAMES.iter().zip(0u32..).filter(|(_, bit)| throttled.0 & (1 << (bit + shift)) != 0);
        set.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    match (named(0).as_str(), named(16).as_str()) {
        ("", "") => "0x0: never since boot".to_owned(),
        ("", before) => format!("{:#x}: since boot {before}", throttled.0),
        (now, _) => format!("{:#x}: now {now}", throttled.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_conditions_of_now_or_else_those_since_boot() {
        assert_eq!(conditions(Throttled(0)), "0x0: never since boot");
        assert_eq!(conditions(Throttled(0x50000)), "0x50000: since boot under-voltage, throttled");
        assert_eq!(conditions(Throttled(0x50005)), "0x50005: now under-voltage, throttled");
    }
}
