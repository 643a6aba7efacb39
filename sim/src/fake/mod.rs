//! A fake device, a fake server and virtual time.

mod device;
mod rig;
mod sensor;
mod server;

pub use device::FakeDevice;
pub use rig::Rig;
pub use sensor::{Behaviour, FakeSensor};
pub use server::{FakeServer, Response, Sent};
