//! The heartbeat agent as pure state machines.
//!
//! This crate makes all decisions and does no I/O. It reads no clock, starts no threads, does not allocate, and contains no
//! `unsafe`. Time is an argument; the device and the server are behind two traits. The same code runs in the Linux
//! daemon, in the deterministic simulator and on a microcontroller.
//!
//! # Layers
//!
//! - [`units`], [`time`], [`text`]: value types. Fixed-point numbers that print the same bytes on every platform,
//!   saturating time, text whose size *in JSON* is bounded.
//! - [`readings`]: the values of sensors, and the reasons for having none.
//! - [`plausible`]: which readings are possible at all.
//! - [`hal`]: the table of sensors, and the [`Hal`] trait that asks them. Every sensor is polled, absent by default.
//! - [`uplink`]: the [`Uplink`] trait, one request at a time to the server.
//! - [`payload`]: the document that is sent, version 1, and its greatest length.
//! - [`agent`]: the state machine. [`Agent::poll`] returns when it wants to be called next.
//! - [`drivers`]: chips on an I2C bus, over `embedded-hal`.
//! - [`limits`]: all bounds, each with its reason.
//!
//! # A frontend in a dozen lines
//!
//! ```
//! use heartbeat_core::{Agent, Config, Hal, Identity, Uplink, Wake, time::Instant};
//!
//! fn run(mut hal: impl Hal, mut uplink: impl Uplink, now: impl Fn() -> Instant, sleep: impl Fn(Instant)) {
//!     let mut agent = Agent::new(Identity::new("10000000a1b2c3d4"), Config::default());
//!     loop {
//!         match agent.poll(now(), &mut hal, &mut uplink) {
//!             Wake::At(when) => sleep(when), // or until a sensor or the uplink is ready
//!             Wake::Stopped => break,
//!         }
//!     }
//! }
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// Unit tests may use the standard library; the crate itself never does.
#[cfg(test)]
extern crate std;

// First: its macros are in scope for the modules that follow.
#[macro_use]
mod fmt;

pub mod agent;
pub mod drivers;
pub mod hal;
mod json_max;
pub mod limits;
#[cfg(feature = "delta")]
mod noise;
pub mod payload;
pub mod plausible;
pub mod readings;
pub mod text;
pub mod time;
pub mod units;
pub mod uplink;

pub use agent::{Agent, Backlog, Config, ConfigError, Identity, Stats, Wake};
pub use hal::{CompleteHal, Hal, Sensor};
pub use payload::SCHEMA;
pub use readings::SensorError;
pub use uplink::{Outcome, Uplink, Verdict};
