//! Everything that the heartbeat needs to be tried without a device and without a server.
//!
//! - [`fake`]: a device and a server that do what a script says.
//! - [`rig`]: moves the real agent through virtual time: hours pass in microseconds, and the same script gives the same
//!   bytes.
//! - [`receiver`]: a real HTTP server that checks every heartbeat against the schema.
//! - [`swarm`]: many real agents over real sockets, in real time.
//! - [`networks`]: networks of this machine's own, for the daemon as a process.
//! - [`full_speed`]: heartbeats one after the other, for long runs and profilers.
//! - [`demo`]: a real server, the real daemon with the sensors of this machine, and a swarm.

#![forbid(unsafe_code)]

mod authority;
pub mod cli;
pub mod demo;
pub mod fake;
pub mod faults;
pub mod fleet;
pub mod full_speed;
pub mod fuzz;
pub mod hostile_servers;
pub mod networks;
mod random;
pub mod receiver;
pub mod rig;
pub mod schema;
pub mod swarm;
