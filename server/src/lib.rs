//! The server of the heartbeats: receives, keeps, shows, and says when something is wrong.
//!
//! # Where things are
//!
//! In the order in which a heartbeat passes through them:
//!
//! - `serve`: sockets, TLS, connections
//! - `receive`: a request becomes a heartbeat, or a refusal that says why
//! - `refused`: what was not taken, counted by reason
//! - `deltas`: what has changed since a full document becomes a full document
//! - `access`: who may do what: tokens, passwords, logins
//! - `model`: what a heartbeat means; which are new, repeated, late, lost. Pure.
//! - `engine`: the one thread that changes anything; commits in groups, answers afterwards
//! - `store`: the database behind a trait
//! - `fleet`: the present in memory
//! - `presence`: online, late, offline
//! - `alerts`: what is wrong and who is told. Pure.
//! - `delivery`: webhooks and mail, again and again until a message has arrived
//! - `page`: HTML and the stream of changes
//! - `api`: JSON, CSV, metrics
//! - `config`, `cli`, `limits`, `text`, `time`, `clock`: settings, commands, bounds, text on one line, milliseconds, now
//! - `local`: all of it in a thread of another program, for demonstrations
//!
//! Arrows point one way: `serve` → `page`, `api`, `receive` → `engine` → `model`, `alerts`, `store`. What decides takes
//! the time as an argument and does no I/O.

mod access;
mod alerts;
mod api;
mod app;
pub mod cli;
mod clock;
mod config;
mod delivery;
mod deltas;
mod engine;
mod fleet;
mod limits;
pub mod local;
mod model;
mod page;
mod presence;
mod receive;
mod refused;
mod serve;
mod store;
mod text;
mod time;
