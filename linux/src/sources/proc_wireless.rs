//! Signals of wireless interfaces from `/proc/net/wireless`, for kernels and captured trees without nl80211.

use heartbeat_core::{SensorError, units::Dbm};

use super::{
    Source,
    sysroot::{Sysroot, read_whole},
};

const PATH: &str = "/proc/net/wireless";
/// It has a line per interface.
const SIZE_MAX: u64 = 16 * 1024;

/// Signals by the names of their interfaces.
#[derive(Debug)]
pub(crate) struct ProcWireless;

impl Source for ProcWireless {
    type Reading = Vec<(String, Dbm)>;

    fn place(&self) -> String {
        PATH.to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Self::Reading, SensorError> {
        let signals = parse(&read_whole(root.open(PATH)?, SIZE_MAX)?);
        if signals.is_empty() { Err(SensorError::Absent) } else { Ok(signals) }
    }
}

/// The level of one interface, if the table has one.
pub(super) fn level(root: &Sysroot, interface: &str) -> Option<Dbm> {
    let levels = ProcWireless.read(root).ok()?;
    levels.into_iter().find(|(name, _)| name == interface).map(|(_, level)| level)
}

/// The level in each line: `wlan0: 0000   59.  -51.  -256 ...` (kernel, `net/wireless/wext-proc.c`).
pub(crate) fn parse(table: &[u8]) -> Vec<(String, Dbm)> {
    let lines = table.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    let signal = |line: &str| {
        let (interface, row) = line.trim().split_once(':')?;
        let level = row.split_ascii_whitespace().nth(2)?.trim_end_matches('.');
        let level = level.parse().ok().map(Dbm).filter(|level| Dbm::RANGE.contains(level))?;
        Some((interface.to_owned(), level))
    };
    lines.filter_map(signal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_the_level_and_nothing_that_is_no_dbm() {
        // Captured on a Pi 5.
        let table = b"Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n \
                      face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n \
                      wlan0: 0000   59.  -51.  -256        0      0      0     18      0        0\n";
        assert_eq!(parse(table), [("wlan0".to_owned(), Dbm(-51))]);
        assert_eq!(parse(b" wlan0: 0000 59. 60. 0"), [], "no dBm");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            for (_, level) in parse(&bytes) {
                prop_assert!(Dbm::RANGE.contains(&level));
            }
        }
    }
}
