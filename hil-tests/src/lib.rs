//! Proves an installed heartbeat daemon on the board that it runs on.
//!
//! A [`checks::Check`] compares what the daemon reports with what others say about the same thing: a program of the system,
//! or a file of the kernel that this crate reads with code of its own. It ends as passed, failed, or skipped with the
//! reason ([`finding`]). Nothing passes by not running: a check that compared nothing fails.
//!
//! What is judged is the installed program as a process, with the settings of the running service ([`daemon`]); of the
//! daemon's code nothing is linked in. [`witnesses`] parses what other programs print, [`checks`] compare, and try the service
//! itself, and [`undo`] takes back what they change. [`profile`] says what a board must have, [`report`] is what an owner
//! attaches to an issue.

#![forbid(unsafe_code)]

pub mod board;
pub mod checks;
pub mod cli;
pub mod daemon;
pub mod document;
pub mod finding;
pub mod judging;
pub mod load;
pub mod output;
pub mod probe;
pub mod profile;
pub mod program;
pub mod report;
pub mod run;
pub mod undo;
pub mod witnesses;
