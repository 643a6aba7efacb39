//! Who is told what is wrong, and when.
//!
//! Everything that decides is a pure state machine with the time as an argument:
//!
//! - [`kind`][]: what can be wrong
//! - [`condition`][]: raised after a while, over after a while
//! - [`watch`][]: all conditions of one device
//! - [`digest`][]: many alerts, one message
//!
//! [`deliver`] acts: webhooks and mail, again and again until a message has arrived.

pub(crate) mod condition;
pub(crate) mod deliver;
pub(crate) mod digest;
pub(crate) mod kind;
pub(crate) mod watch;
