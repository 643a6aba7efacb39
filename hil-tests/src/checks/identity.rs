//! The document as a whole, and who the board says it is.

use super::Context;
use crate::finding::{Evidence, Stop};

/// A sample fits the schema, and the next one is of the same board.
pub(super) fn document(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let first = context.daemon.sample()?;
    evidence.holds("document", "fits", "fits", "the schema of version 1", true);
    let second = context.daemon.sample()?;
    evidence.text("hardwareid", first.text("/hardwareid"), second.text("/hardwareid"), "the next sample");
    Ok(())
}

/// The board's serial number, from the kernel and from the device tree.
pub(super) fn identity(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    if let Some(id) = context.settings()?.get("hardware_id").and_then(|id| id.as_str()) {
        return Err(Stop::skipped(format_args!("the setting hardware_id overrides it with {id}")));
    }
    let sample = context.daemon.sample()?;
    let reported = sample.text("/hardwareid");
    let cpuinfo = context.board.read("/proc/cpuinfo")?;
    match serial(&cpuinfo) {
        Some(serial) => evidence.text("hardwareid", reported, Some(serial), "Serial in /proc/cpuinfo"),
        None => evidence.silent("no Serial in /proc/cpuinfo"),
    }
    match context.board.read("/proc/device-tree/serial-number") {
        Ok(serial) => evidence.text("hardwareid", reported, Some(&serial), "/proc/device-tree/serial-number"),
        Err(Stop::Skipped(reason) | Stop::Failed(reason)) => evidence.silent(reason),
    }
    evidence.some_witness("this machine has no serial number")
}

/// `Serial` of `/proc/cpuinfo`; boards and emulators without one show zeros.
fn serial(cpuinfo: &str) -> Option<&str> {
    let row = cpuinfo.lines().find_map(|line| line.strip_prefix("Serial")?.split_once(':'))?;
    Some(row.1.trim()).filter(|serial| serial.contains(|digit| digit != '0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_of_zeros_is_none() {
        assert_eq!(serial("Revision\t: c03114\nSerial\t\t: 10000000a1b2c3d4\n"), Some("10000000a1b2c3d4"));
        assert_eq!(serial("Serial\t\t: 0000000000000000\n"), None);
        assert_eq!(serial("model name\t: x\n"), None);
    }
}
