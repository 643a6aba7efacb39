//! What a heartbeat means, apart from where it is kept.
//!
//! - [`document`][]: the JSON of a device, checked, as numbers and as the text that it was.
//! - [`parts`][]: the objects in it; [`bounds`][]: its ranges and lengths.
//! - [`reading`][]: the values that are kept over time, in one table of names, units and scales.
//! - [`boot`][]: which numbers of one start of an agent have come.
//! - [`ledger`][]: which heartbeats are new, repeated, late or lost, and what is to be stored of each.

pub(crate) mod boot;
mod bounds;
pub(crate) mod document;
pub(crate) mod ledger;
pub(crate) mod parts;
pub(crate) mod reading;

/// The number of a device in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceId(pub(crate) i64);
