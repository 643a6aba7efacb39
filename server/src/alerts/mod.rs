//! Who is told what is wrong, and when.
//!
//! Everything that decides is a pure state machine with the time as an argument:
//!
//! - [`kind`][]: what can be wrong
//! - [`condition`][]: raised after a while, over after a while
//! - [`watch`][]: all conditions of one device
//! - [`digest`][]: many alerts, one message
//! - [`attempt`][]: what becomes of a message, and when it is tried again

pub(crate) mod attempt;
pub(crate) mod condition;
pub(crate) mod digest;
pub(crate) mod kind;
pub(crate) mod watch;
