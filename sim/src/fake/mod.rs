//! A clean device and a clean server in virtual time. What goes wrong is added around them, by
//! [`faults`](crate::faults); the [`rig`](crate::rig) moves the real agent between them.

mod device;
mod recorder;
mod server;
mod values;

use heartbeat_core::{Uplink, time::Instant};
use serde_json::Value;

pub use device::{FakeDevice, FakeSensor};
pub use recorder::{End, Recorder, Sent};
pub use server::FakeServer;
pub(crate) use values::Reading;

/// Something that lives in virtual time.
pub trait Timed {
    /// It is now `now`. Called before every poll; time never goes back.
    fn advance(&mut self, now: Instant);

    /// When it will have news for the one who polls it, as far as it knows.
    fn due(&self) -> Option<Instant>;
}

/// An uplink in virtual time with a server at its end.
pub trait Path: Uplink + Timed {
    /// How many heartbeats the server has taken, including those whose reply did not reach the client.
    fn taken(&self) -> u64;

    /// What the server knows of the device, if it looks at what it takes.
    fn view(&self) -> Option<&Value>;

    /// The connection is gone.
    fn disconnect(&mut self);
}
