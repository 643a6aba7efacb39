//! What other programs and the kernel's files say. Parsers here share no code with the daemon's.

pub mod application;
pub mod battery;
pub mod firmware;
pub mod gpsd;
pub mod hwmon;
pub mod modem;
pub mod procps;
pub mod route;
pub mod supply;
pub mod versions;
pub mod wireless;
