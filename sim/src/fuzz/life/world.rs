//! What outlives a start of the agent.

use heartbeat_core::time::Duration;

use crate::{
    fake::{FakeDevice, FakeServer},
    faults::{FaultyHal, FaultyUplink},
    fuzz::{checker::Late, coverage::Coverage, planted_bugs::PlantedBug, storage::Storage, wall::WallClock},
};

/// The device, the network, the storage, and what has been found out so far.
pub(in crate::fuzz) struct World {
    pub(in crate::fuzz) device: FaultyHal<FakeDevice>,
    pub(in crate::fuzz) network: FaultyUplink<FakeServer>,
    pub(in crate::fuzz) storage: Storage,
    pub(in crate::fuzz) persistent: bool,
    pub(in crate::fuzz) deferring: bool,
    pub(in crate::fuzz) wall: WallClock,
    pub(in crate::fuzz) late: Late,
    pub(in crate::fuzz) coverage: Coverage,
    pub(in crate::fuzz) bug: Option<PlantedBug>,
    /// How long the machine has slept.
    pub(in crate::fuzz) slept: Duration,
    pub(in crate::fuzz) tally: Tally,
}

/// Sums over all starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Slots that came due.
    pub slots: u64,
    /// Heartbeats that were attempted.
    pub attempted: u64,
    /// Of those, delivered.
    pub delivered: u64,
    /// Heartbeats that were delivered late.
    pub replayed: u64,
    /// Heartbeats that were kept and given up.
    pub dropped: u64,
    /// Of those that were delivered, deltas.
    pub deltas: u64,
    /// Polls of the agent.
    pub polls: u64,
}
