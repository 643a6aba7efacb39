//! Counters of the kernel in `/proc`. Reading them never blocks: the kernel computes them as they are read.

pub(crate) mod loadavg;
pub(crate) mod meminfo;
pub(crate) mod mountinfo;
pub(crate) mod stat;
pub(crate) mod swaps;
pub(crate) mod uptime;
