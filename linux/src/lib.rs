//! The heartbeat on Linux: a thin frontend of [`heartbeat_core`].
//!
//! - [`config`]: defaults, file, environment and flags become checked settings, or a complaint that says where.
//! - [`sensors`]: what this machine can tell about itself, a file for each value.
//! - [`sources`]: where that is read: files of the kernel, the firmware, chips on a bus, other daemons.
//! - [`worker`]: the thread beside the main loop that does what may block.
//! - [`uplink`]: one HTTP request at a time, on its own thread, over one kept connection.
//! - [`backlog`]: heartbeats that were not delivered, in a file over a restart.
//! - [`daemon`]: the loop that drives the agent, the signals, the pidfile, and that one instance runs.
//! - [`service`]: what the daemon reports about itself to systemd, `status` and the journal.
//! - [`doctor`]: where each value comes from, or what to do about its absence.
//! - [`files`]: how files are opened and replaced.
//! - [`takeover`]: the settings of an older service on this machine are taken over.
//! - [`capture`]: a tree of this machine that answers as it does.
//! - [`cli`]: the commands.
//!
//! Every thread starts before the first heartbeat or with it, and lives as long as the program: a beat starts
//! neither thread nor process. Only in place of a thread that is stuck, or that the system did not have, another is
//! started; and the one that reads the configuration again starts at the first SIGHUP.

// Allowed in one place: the call to the firmware's mailbox.
#![deny(unsafe_code)]

pub mod backlog;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod logging;
mod page;
pub mod printable;
mod runtime_directory;
pub mod sensors;
pub mod service;
mod side_thread;
pub mod sources;
pub mod status_file;
pub mod takeover;
mod transient;
pub mod uplink;
pub mod waker;
pub mod worker;
