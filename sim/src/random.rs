//! The one source of chance: everything that happens in a run follows from its seed.

use heartbeat_core::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers, on every machine.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 below 0. Its bias is less than `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.any()).wrapping_mul(u128::from(bound));
        // The upper half of 128 bits.
        #[allow(clippy::cast_possible_truncation)]
        let upper = (product >> 64) as u64;
        upper
    }

    /// A place in a list of `len`; 0 in an empty one.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        // It is less than a usize.
        #[allow(clippy::cast_possible_truncation)]
        let index = self.below(len as u64) as usize;
        index
    }

    /// A time shorter than `bound`.
    pub(crate) fn time(&mut self, bound: Duration) -> Duration {
        Duration::from_micros(self.below(bound.as_micros()))
    }

    /// A phase for an agent.
    pub(crate) fn phase(&mut self) -> u32 {
        // The upper half.
        #[allow(clippy::cast_possible_truncation)]
        let phase = (self.any() >> 32) as u32;
        phase
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    // The index is less than the length, which is not 0.
    #[allow(clippy::indexing_slicing)]
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0, "nothing to pick from") };
        choices[self.index(N)]
    }
}
