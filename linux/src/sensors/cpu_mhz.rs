//! `diagnostics.cpu_mhz`: the current frequency of the first processor core.

use heartbeat_core::{SensorError, units::Megahertz};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{firmware::replies, kernel_file::KernelFile},
};

/// What the governor has set last, in kHz (kernel, `Documentation/admin-guide/pm/cpufreq.rst`).
const SCALING_CUR_FREQ: &str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq";

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Megahertz;
    type Config = ();
    const NAME: &'static str = "cpu_mhz";
    const KEYS: &'static [&'static str] = &["diagnostics.cpu_mhz"];

    fn config(_: &Settings) {}

    /// What the firmware measures, else what the kernel has asked it for. It gives less while the board is hot or has too little
    /// voltage (raspberrypi/linux, issue 2986), and a Pi 5 more, which it does not clock below 1500 MHz (issue 5876).
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Megahertz>> {
        vec![
            shared.firmware("measure_clock arm", replies::clock),
            shared.blocking(KernelFile::new(SCALING_CUR_FREQ, scaling_cur_freq)),
        ]
    }

    fn show(frequency: &Megahertz) -> String {
        format!("{frequency} MHz")
    }

    fn advice(problem: Problem, (): &()) -> Option<&'static str> {
        match problem {
            Problem::Failed(SensorError::Absent) => {
                Some("nothing to do: this kernel does not control the frequency")
            }
            Problem::Silent => Some(super::FIRMWARE_HANGS),
            _ => None,
        }
    }
}

fn scaling_cur_freq(text: &[u8]) -> Option<Megahertz> {
    let kilohertz: u64 = str::from_utf8(text).ok()?.trim_end().parse().ok()?;
    Megahertz::from_hertz(kilohertz.checked_mul(1_000)?)
        .filter(|frequency| Megahertz::RANGE.contains(frequency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kilohertz_and_rejects_what_no_core_runs_at() {
        assert_eq!(scaling_cur_freq(b"1500000\n"), Some(Megahertz(1_500)));
        for bad in [&b""[..], b"0\n", b"-1", b"<unknown>\n", b"99999999999", b"18446744073709551615", b"\xff"]
        {
            assert_eq!(scaling_cur_freq(bad), None, "{bad:?}");
        }
    }
}
