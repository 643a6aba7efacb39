//! How the device is connected: interfaces, their addresses, and the default route.
//!
//! One thread takes one look at everything, so that the parts of a heartbeat agree with each other.

mod addresses;
pub(super) mod interfaces;
pub(super) mod netlink;
pub(super) mod routes;
pub(super) mod wireless;

use std::sync::Arc;

use heartbeat_core::{
    SensorError,
    limits::INTERFACE_MAX,
    readings::{Cellular, Ethernet, Wifi},
    text::Text,
};

use self::{
    addresses::Addresses,
    interfaces::{Interface, Interfaces, Kind},
};
use super::{
    background::Background,
    parts::{Answer, Look, Parts},
    sysroot::Sysroot,
};
use crate::waker::Waker;

/// One look at the network, as the four values that a heartbeat makes of it.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) default_interface: Answer<Text<INTERFACE_MAX>>,
    pub(super) ethernet: Answer<Ethernet>,
    pub(super) wifi: Answer<Wifi>,
    pub(super) cellular: Answer<Cellular>,
}

impl Snapshot {
    pub(super) fn take(root: &Sysroot, interfaces: &mut Interfaces) -> Result<Self, SensorError> {
        let default = routes::default_interface(root);
        let interfaces = interfaces.list(root)?;
        let addresses = Addresses::read(root);
        let of = |kind| chosen(interfaces, kind, default.as_deref().ok(), |interface| interface.is_up(root));
        Ok(Self {
            ethernet: Some(of(Kind::Ethernet).map(|interface| Ethernet {
                interface: Text::new(&interface.name),
                ip: addresses.of(&interface.name),
            })),
            wifi: Some(of(Kind::Wifi).map(|interface| Wifi {
                interface: Text::new(&interface.name),
                ip: addresses.of(&interface.name),
                mode: None,
                ssid: None,
                signal_dbm: None,
                signal_percent: None,
                clients: None,
            })),
            cellular: Some(of(Kind::Cellular).map(|interface| Cellular {
                interface: Some(Text::new(&interface.name)),
                ip: addresses.of(&interface.name),
                state: None,
                operator: None,
                technology: None,
                signal_percent: None,
            })),
            default_interface: Some(default.map(|name| Text::new(&name))),
        })
    }
}

impl Look for Snapshot {
    fn failed(error: SensorError) -> Self {
        Self {
            default_interface: Some(Err(error)),
            ethernet: Some(Err(error)),
            wifi: Some(Err(error)),
            cellular: Some(Err(error)),
        }
    }
}

/// The interface that stands for its kind: of those that are up the one with the default route, else the first
/// physical one. A virtual one (a bridge, a container's end of a pair) counts only with the default route.
fn chosen<'i>(
    interfaces: &'i [Interface],
    kind: Kind,
    default: Option<&str>,
    is_up: impl Fn(&Interface) -> bool,
) -> Result<&'i Interface, SensorError> {
    let is_default = |interface: &&Interface| Some(interface.name.as_str()) == default;
    let of_kind = || interfaces.iter().filter(|interface| interface.kind == kind);
    let physical = of_kind().filter(|interface| interface.physical);
    // The list is sorted by name.
    of_kind().filter(is_default).chain(physical).find(|interface| is_up(interface)).ok_or(SensorError::Absent)
}

/// The network as a sensor of four values.
pub(super) fn start(root: Arc<Sysroot>, waker: Waker) -> Parts<Snapshot> {
    let mut interfaces = Interfaces::default();
    Parts::of(Background::start("network", waker, move || Snapshot::take(&root, &mut interfaces)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_decides_then_the_hardware_then_the_name() {
        let interface = |(name, physical): (&str, bool)| Interface {
            name: name.to_owned(),
            kind: Kind::Ethernet,
            physical,
        };
        let all = [("br0", false), ("end0", true), ("eth1", true)].map(interface);
        let name = |default, down: &str| {
            let chosen = chosen(&all, Kind::Ethernet, default, |interface| !down.contains(&interface.name));
            chosen.map(|interface| interface.name.as_str())
        };
        assert_eq!(name(None, ""), Ok("end0"));
        assert_eq!(name(Some("eth1"), ""), Ok("eth1"));
        assert_eq!(name(Some("br0"), ""), Ok("br0"));
        assert_eq!(name(Some("wlan0"), ""), Ok("end0"));
        assert_eq!(name(Some("eth1"), "eth1"), Ok("end0"), "its cable is out");
        assert_eq!(name(None, "end0 eth1"), Err(SensorError::Absent), "a bridge alone is no connection");
    }
}
