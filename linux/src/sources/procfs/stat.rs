//! Processor time from `/proc/stat`.

use heartbeat_core::readings::CpuTimes;

/// Its path.
pub(crate) const PATH: &str = "/proc/stat";

/// The first line: `cpu user nice system idle iowait irq softirq steal guest guest_nice`, in ticks (kernel,
/// `Documentation/filesystems/proc.rst`). Guest time is already inside `user` and `nice`; fields after `idle`
/// came with later kernels.
pub(crate) fn parse(stat: &[u8]) -> Option<CpuTimes> {
    let line = str::from_utf8(stat.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut fields = line.strip_prefix("cpu ")?.split_ascii_whitespace();
    let (mut busy, mut total) = (0u64, 0u64);
    for place in 0..8 {
        let Some(field) = fields.next() else {
            if place < 4 {
                return None;
            }
            break;
        };
        let ticks: u64 = field.parse().ok()?;
        total = total.checked_add(ticks)?;
        let waiting = place == 3 || place == 4;
        if !waiting {
            busy = busy.checked_add(ticks)?;
        }
    }
    Some(CpuTimes { busy, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_busy_and_total_ticks_of_the_first_line() {
        let stat = b"cpu  100 20 30 1000 50 1 2 3 40 5\ncpu0 1 1 1 1\n";
        assert_eq!(parse(stat), Some(CpuTimes { busy: 156, total: 1206 }));
        assert_eq!(parse(b"cpu 1 2 3 4"), Some(CpuTimes { busy: 6, total: 10 }), "Linux 2.4");
    }

    #[test]
    fn rejects_lines_that_are_no_statistic() {
        for bad in
            [&b""[..], b"cpu", b"cpu 1 2 3", b"cpu0 1 2 3 4", b"cpu a b c d", b"cpu -1 2 3 4", b"\xff\0"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        let overflow = format!("cpu {} {} 3 4", u64::MAX, u64::MAX);
        assert_eq!(parse(overflow.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text in "cpu [0-9a \n-]{0,80}") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                if let Some(times) = parse(input) {
                    prop_assert!(times.busy <= times.total);
                }
            }
        }
    }
}
