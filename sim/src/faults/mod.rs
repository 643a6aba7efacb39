//! Everything that can go wrong, as decorators around a [`Hal`](heartbeat_core::Hal) and an
//! [`Uplink`](heartbeat_core::Uplink): usable alone, together, and in any test.

mod network;
mod sensors;

pub use network::{FaultyUplink, NetworkFault};
pub use sensors::{FaultyHal, SensorFault};
