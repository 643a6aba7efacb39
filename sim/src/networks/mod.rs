//! Networks of this machine's own, made of namespaces, in which the real daemon runs as a process. They need root.
//!
//! - [`namespace`](self): a network that nothing else is in. [`wire`](self): a link between two of them that delays, loses,
//!   cuts and counts packets; [`rules`](self) decides what becomes of each, [`packet`](self) reads it.
//! - [`name_server`](self): name servers of all kinds.
//! - [`site`](self): a device, a link and a server with a name. [`program`](self): the daemon on that device.
//! - [`slow_links`] and [`traffic`]: what heartbeats come to over slow links, and what each state of a server costs, as
//!   tables.

mod name_server;
mod namespace;
mod packet;
mod program;
mod rules;
mod site;
pub mod slow_links;
pub mod traffic;
mod wire;

pub use self::{
    name_server::{Answer, NameServer, Zone},
    namespace::Namespace,
    packet::{Direction, Family, Packet},
    program::{Beats, Program},
    rules::{Fate, Nat, Rule, hides, loses, swallows_longer_than},
    site::Site,
    wire::{Volume, Wire},
};
