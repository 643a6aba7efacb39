//! What `free` and `df` print, and the kernel's counters of processor time.

/// Memory in use as `free -k` shows it: (total - available) / total in percent.
pub fn memory_percent(free: &str) -> Option<f64> {
    // Mem: total used free shared buff/cache available
    let row = free.lines().find_map(|line| line.strip_prefix("Mem:"))?;
    let fields: Vec<f64> = row.split_whitespace().map_while(|field| field.parse().ok()).collect();
    match fields[..] {
        [total, _, _, _, _, available] if total > 0.0 => Some((total - available) / total * 100.0),
        _ => None,
    }
}

/// A row of `df`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disk {
    /// Size in GiB.
    pub total_gib: f64,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Used space in GiB.
    pub used_gib: f64,
    /// Used share in percent, which `df` rounds up to a whole number.
    pub percent: f64,
}

/// What `df --block-size=1 --output=size,used,pcent PATH` prints.
pub fn disk(df: &str) -> Option<Disk> {
    let row = df.lines().nth(1)?;
    let fields: Vec<&str> = row.split_whitespace().collect();
    let [total, used, percent] = fields[..] else { return None };
    let gib = |bytes: &str| bytes.parse::<f64>().ok().map(|bytes| bytes / f64::from(1 << 30));
    Some(Disk {
        total_gib: gib(total)?,
        total_bytes: total.parse().ok()?,
        used_gib: gib(used)?,
        percent: percent.trim_end_matches('%').parse().ok()?,
    })
}

/// Processor time since boot in ticks: all of it, and that without work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticks {
    total: f64,
    idle: f64,
}

/// The first line of `/proc/stat` (proc_stat(5)).
pub fn ticks(stat: &str) -> Option<Ticks> {
    let row = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<f64> = row.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is within user.
    let counted = fields.get(..8)?;
    Some(Ticks { total: counted.iter().sum(), idle: fields.get(3)? + fields.get(4)? })
}

impl Ticks {
    /// The busy share between two looks, in percent.
    pub fn busy_percent(self, later: Self) -> Option<f64> {
        let total = later.total - self.total;
        (total > 0.0).then(|| (1.0 - (later.idle - self.idle) / total) * 100.0)
    }
}

/// The processors of `/proc/stat`.
pub fn processors(stat: &str) -> usize {
    let is_processor = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    stat.lines().filter(is_processor).count()
}

/// Memory that `/proc/meminfo` names, in KiB.
pub fn meminfo_kib(meminfo: &str, key: &str) -> Option<u32> {
    let row = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    row.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_free() {
        let free = include_str!("../../tests/captures/free-k.txt");
        let percent = memory_percent(free).expect("a row");
        assert!((percent - 28.7).abs() < 0.1, "{percent}");
        assert_eq!(memory_percent("Mem: 0 0 0 0 0 0\n"), None);
        assert_eq!(memory_percent("free: command not found"), None);
        // procps before 3.3.10 had no column `available`.
        assert_eq!(memory_percent("Mem:  1 2 3 4 5\n"), None);
    }

    #[test]
    fn reads_df() {
        let disk = disk(include_str!("../../tests/captures/df.txt")).expect("a row");
        assert_eq!(disk.percent, 33.0);
        assert!((disk.total_gib - 2.3334).abs() < 0.001, "{disk:?}");
        assert!((disk.used_gib - 0.7138).abs() < 0.001, "{disk:?}");
        assert_eq!(super::disk("   1B-blocks Used Use%\n"), None);
    }

    #[test]
    fn busy_share_leaves_out_guest_time_and_waiting() {
        let before = ticks("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1\n").expect("ticks");
        let after = ticks("cpu  150 0 100 740 110 0 0 0 90 0\n").expect("ticks");
        assert_eq!(before.busy_percent(after), Some(50.0));
        assert_eq!(before.busy_percent(before), None);
        assert_eq!(ticks("cpu 1 2 3"), None);
        assert_eq!(processors("cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 1\n"), 2);
    }

    #[test]
    fn reads_meminfo() {
        let meminfo = "MemTotal:        3884476 kB\nMemAvailable:    3027752 kB\n";
        assert_eq!(meminfo_kib(meminfo, "MemAvailable"), Some(3_027_752));
        assert_eq!(meminfo_kib(meminfo, "Mem"), None);
    }
}
