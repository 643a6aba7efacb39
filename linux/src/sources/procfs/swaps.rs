//! `/proc/swaps`: the swap space in use (proc_swaps(5)).

use heartbeat_core::{SensorError, units::Percent};

/// Its path.
pub(crate) const PATH: &str = "/proc/swaps";

/// The share of all swap space that is in use.
///
/// # Errors
///
/// [`SensorError::Absent`] without swap space, [`SensorError::Invalid`] for what is no such table.
pub(crate) fn parse(swaps: &[u8]) -> Result<Percent, SensorError> {
    let text = str::from_utf8(swaps).map_err(|_| SensorError::Invalid)?;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|header| header.starts_with("Filename")) {
        return Err(SensorError::Invalid);
    }
    let (mut total, mut used) = (0_u64, 0_u64);
    for line in lines {
        let (size, in_use) = figures(line).ok_or(SensorError::Invalid)?;
        total = total.saturating_add(size);
        used = used.saturating_add(in_use);
    }
    Percent::of(used, total).ok_or(SensorError::Absent)
}

/// Size and use in KiB. White space in names is escaped.
fn figures(line: &str) -> Option<(u64, u64)> {
    let (_, fields) =
        line.split_once(|c: char| c.is_ascii_whitespace()).filter(|(name, _)| !name.is_empty())?;
    let mut fields = fields.split_ascii_whitespace().skip(1);
    let (size, used) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (used <= size).then_some((size, used))
}

/// The table without the names of files, which people choose.
pub(crate) fn without_names(swaps: &[u8]) -> Vec<u8> {
    let mut lines = swaps.split_inclusive(|byte| *byte == b'\n');
    let mut kept = lines.next().unwrap_or_default().to_vec();
    for line in lines {
        let name = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        kept.extend_from_slice(b"swap");
        kept.extend_from_slice(line.get(name..).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

    fn table(lines: &str) -> String {
        format!("{HEADER}{lines}")
    }

    #[test]
    fn sums_up_all_swap_space() {
        let one = table("/var/swap                               file\t\t102396\t\t25599\t\t-2\n");
        assert_eq!(parse(one.as_bytes()), Ok(Percent::from_raw(250)));
        let two = table("/dev/zram0 partition 300 150 100\n/home/me/my\\040swap file 100 50 -2\n");
        assert_eq!(parse(two.as_bytes()), Ok(Percent::from_raw(500)));
        assert_eq!(parse(table("/var/swap file 100 0 -2\n").as_bytes()), Ok(Percent::ZERO));
    }

    #[test]
    fn no_swap_space_is_absent_and_nonsense_is_invalid() {
        assert_eq!(parse(HEADER.as_bytes()), Err(SensorError::Absent));
        assert_eq!(parse(table("/var/swap file 0 0 -2\n").as_bytes()), Err(SensorError::Absent));
        let bad = [
            "/var/swap file 100 101 -2\n",
            "/var/swap file 100\n",
            "/var/swap file -1 0 0\n",
            " file 9 1 0\n",
        ];
        for bad in bad.map(table).iter().map(String::as_str).chain(["", "\n", "swap file 1 1 1\n"]) {
            assert_eq!(parse(bad.as_bytes()), Err(SensorError::Invalid), "{bad:?}");
        }
        assert_eq!(parse(b"Filename\xff\n"), Err(SensorError::Invalid));
    }

    #[test]
    fn names_of_files_are_left_out() {
        let text = table("/home/me/secret file 100 50 -2\n/dev/sda2\tpartition 1 0 -3\n");
        let kept = without_names(text.as_bytes());
        assert_eq!(String::from_utf8_lossy(&kept), table("swap file 100 50 -2\nswap\tpartition 1 0 -3\n"));
        assert_eq!(parse(&kept), parse(text.as_bytes()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Ok(swap) = parse(&bytes) {
                prop_assert_eq!(parse(&without_names(&bytes)), Ok(swap));
            }
        }
    }
}
