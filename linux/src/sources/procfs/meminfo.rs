//! Working memory from `/proc/meminfo`.

use heartbeat_core::readings::Memory;

/// Its path.
pub(crate) const PATH: &str = "/proc/meminfo";

/// `MemAvailable`, or for kernels before 3.14 what `free` took for it then.
pub(crate) fn parse(meminfo: &[u8]) -> Option<Memory> {
    let text = str::from_utf8(meminfo).ok()?;
    let kib = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim_end().parse().ok()
    };
    let total = kib("MemTotal").filter(|total| *total > 0)?;
    let available = match kib("MemAvailable") {
        Some(available) => available,
        None => {
            let reclaimable = kib("Buffers")?
                .checked_add(kib("Cached")?)?
                .checked_add(kib("SReclaimable").unwrap_or(0))?
                .saturating_sub(kib("Shmem").unwrap_or(0));
            kib("MemFree")?.checked_add(reclaimable)?
        }
    };
    (available <= total).then_some(Memory { total, available })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uses_the_kernels_figure_of_available_memory() {
        let text = b"MemTotal:        3884336 kB\nMemFree:          200000 kB\nMemAvailable:    2913252 kB\n";
        assert_eq!(parse(text), Some(Memory { total: 3_884_336, available: 2_913_252 }));
    }

    #[test]
    fn estimates_available_memory_on_old_kernels() {
        let text = b"MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 300 kB\nShmem: 50 kB\nSReclaimable: 30 kB\n";
        assert_eq!(parse(text), Some(Memory { total: 1000, available: 400 }));
    }

    #[test]
    fn rejects_impossible_figures() {
        for bad in [
            "",
            "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
            "MemTotal: 10 kB\nMemAvailable: 11 kB\n",
            "MemTotal: 10 kB\n",
            "MemTotal: -10 kB\nMemAvailable: 1 kB\n",
            "MemTotal: 10\nMemAvailable: 1\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(b"\xff\xfe"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
