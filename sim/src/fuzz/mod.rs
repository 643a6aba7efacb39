//! Runs the real agent through random faults, and checks after every poll that it does what it promised.
//!
//! A run follows from its seed alone: one generator is the only source of chance, time is virtual, nothing is threaded,
//! no order is that of a hash table. [`Scenario`] says what happens, [`run()`] lets it happen, the checker says what must
//! hold, [`PlantedBug`]s prove that it looks, [`minimise()`] shortens what was found.

mod campaign;
mod checker;
mod coverage;
mod document;
mod event;
mod life;
mod log_meter;
mod minimise;
mod planted_bugs;
mod recording_device;
mod render;
mod run;
mod scenario;
mod storage;
mod trace;
mod unread;
mod wall;

pub use campaign::{Failure, campaign, missing, regressions, trace_hash};
pub use checker::Violation;
pub use coverage::{Coverage, State, Stimulus};
pub use event::{Event, ServerChange, StorageFault, Wall};
pub use life::Tally;
pub use minimise::{Minimal, minimise};
pub use planted_bugs::PlantedBug;
pub use run::{Report, run};
pub use scenario::{Memory, Scenario, Step, Wire};
pub use trace::{Told, Trace, TraceHash, Untraced};
