//! The heartbeat on Linux: a thin frontend of [`heartbeat_core`].
//!
//! - [`config`]: defaults, file, environment and flags become checked settings, or a complaint that says where.
//! - [`hal`]: what this machine can tell about itself, from procfs, sysfs and the kernel. Whatever may block has a
//!   thread of its own.
//! - [`uplink`]: one HTTP request at a time, on its own thread, over one kept connection.
//! - [`backlog`]: heartbeats that were not delivered, in a file over a restart.
//! - [`daemon`]: the loop that moves the agent, the signals, the pidfile.
//! - [`service`]: what the daemon tells systemd, `status` and the journal about itself.
//! - [`doctor`]: where each value comes from, or what to do about its absence.
//! - [`takeover`]: what an older service on this machine was told becomes settings.
//! - [`cli`]: the commands.
//!
//! Every thread starts before the first heartbeat or with it, and lives as long as the program: a beat starts
//! neither thread nor process. Only a thread that the system did not have then is tried again.

// Allowed in one place: the call to the firmware's mailbox.
#![deny(unsafe_code)]

pub mod backlog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod hal;
pub mod logging;
mod passing;
pub mod service;
pub mod takeover;
pub mod uplink;
pub mod waker;
