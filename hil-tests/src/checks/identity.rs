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
    let sample = context.daemon.sample()?;
    let reported = sample.text("/hardwareid");
    if let Some(id) = context.settings()?.get("hardware_id").and_then(|id| id.as_str()) {
        evidence.text("hardwareid", reported, Some(id), "the setting hardware_id");
        return Ok(());
    }
    let cpuinfo = context.board.read("/proc/cpuinfo")?;
    match serial(&cpuinfo) {
        Some(serial) => evidence.text("hardwareid", reported, Some(serial), "Serial in /proc/cpuinfo"),
        None => evidence.silent("no Serial in /proc/cpuinfo"),
    }
    match context.board.read("/proc/device-tree/serial-number") {
        Ok(serial) if !identifies(&serial) => {
            evidence.silent("/proc/device-tree/serial-number is that of a series");
        }
        Ok(serial) => evidence.text("hardwareid", reported, Some(&serial), "/proc/device-tree/serial-number"),
        Err(Stop::Skipped(reason) | Stop::Failed(reason)) => evidence.silent(reason),
    }
    evidence.some_witness("this machine has no serial number")
}

/// `Serial` of `/proc/cpuinfo`, if it is that of this board.
fn serial(cpuinfo: &str) -> Option<&str> {
    let row = cpuinfo.lines().find_map(|line| line.strip_prefix("Serial")?.split_once(':'))?;
    Some(row.1.trim()).filter(|serial| identifies(serial))
}

/// What the vendor's boot loader gives each Rockchip board that has no serial.
const OF_ROCKCHIP: &str = "c3d9b8674f4b94f6";

/// Whether a serial can be that of one board: neither too short nor a text, not the same digit throughout, and not counted up,
/// as makers and emulators fill it who have none.
fn identifies(serial: &str) -> bool {
    let digits: Vec<u32> = serial.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let has_digit = serial.contains(|digit: char| digit.is_ascii_digit());
    let is_word = serial.chars().all(|letter| letter.is_ascii_alphanumeric());
    let steps =
        |by: u32, base: u32| digits.windows(2).all(|pair| matches!(pair, [a, b] if (a + by) % base == *b));
    let is_filled =
        digits.len() == serial.len() && [0, 1, 15].iter().any(|by| steps(*by, 16)) || steps(1, 10);
    (8..=32).contains(&serial.len()) && is_word && has_digit && !is_filled && serial != OF_ROCKCHIP
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

    #[test]
    fn a_serial_that_was_filled_in_identifies_nothing() {
        for filled in
            ["0123456789abcdef", "1234567890", "fedcba98", "ffffffff", "123", "abcdefgh", "To be filled"]
        {
            assert!(!identifies(filled), "{filled}");
        }
        assert!(identifies("10000000a1b2c3d4") && identifies("1424521010083"));
    }
}
