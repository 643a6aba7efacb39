//! `diagnostics.cpu_mhz`: the current frequency of the first processor core.

use heartbeat_core::{SensorError, readings::Throttled, units::Megahertz};

use super::{Candidate, Definition, Problem, Shared};
use crate::{
    config::Settings,
    sources::{firmware::replies, kernel_file::KernelFile},
};

/// Bits of the firmware's mask that say that it holds the frequency below the kernel's, now: capped, throttled, at the soft
/// limit of the temperature.
const HELD_DOWN: u32 = 0b1110;

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

    /// That of the kernel, unless the firmware holds the processor down: then, and without the kernel's, what the firmware
    /// measures. While the firmware does not say whether it does, the kernel's.
    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Megahertz>> {
        let kernel = shared.reader(KernelFile::new(SCALING_CUR_FREQ, scaling_cur_freq));
        vec![
            Candidate::joined(&kernel, &shared.throttled, unless_held_down),
            shared.firmware("measure_clock arm", replies::clock),
            Candidate::part(&kernel, |frequency| Ok(*frequency)),
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

fn unless_held_down(
    kernel: Result<&Megahertz, SensorError>,
    throttled: Result<&Throttled, SensorError>,
) -> Result<Megahertz, SensorError> {
    match throttled {
        Ok(Throttled(mask)) if mask & HELD_DOWN != 0 => Err(SensorError::Absent),
        _ => kernel.copied(),
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
    fn what_the_kernel_asked_for_is_not_the_frequency_while_the_firmware_holds_it_down() {
        let kernel = Megahertz(1_800);
        let of = |mask: u32| unless_held_down(Ok(&kernel), Ok(&Throttled(mask)));
        for now in [0x2, 0x4, 0x8, 0x50005] {
            assert_eq!(of(now), Err(SensorError::Absent), "{now:#x}");
        }
        for not_now in [0, 0x1, 0xe_0000] {
            assert_eq!(of(not_now), Ok(kernel), "{not_now:#x}");
        }
        assert_eq!(unless_held_down(Ok(&kernel), Err(SensorError::Denied)), Ok(kernel));
        assert_eq!(unless_held_down(Err(SensorError::Io), Ok(&Throttled(0))), Err(SensorError::Io));
    }

    #[test]
    fn reads_kilohertz_and_rejects_what_no_core_runs_at() {
        assert_eq!(scaling_cur_freq(b"1500000\n"), Some(Megahertz(1_500)));
        for bad in [&b""[..], b"0\n", b"-1", b"<unknown>\n", b"99999999999", b"18446744073709551615", b"\xff"]
        {
            assert_eq!(scaling_cur_freq(bad), None, "{bad:?}");
        }
    }
}
