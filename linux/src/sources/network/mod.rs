//! How the device is connected: interfaces, their addresses, and the default route.
//!
//! Everything is read together, so that the parts of a heartbeat agree with each other.

mod addresses;
pub(crate) mod interfaces;
pub(crate) mod permanent_address;
pub(crate) mod routes;

use heartbeat_core::{
    SensorError,
    readings::{Cellular, Ethernet, InterfaceName, Wifi},
    text::Text,
};

use self::{
    addresses::Addresses,
    interfaces::{Interface, Interfaces, Kind},
};
use super::{Source, sysroot::Sysroot};

/// The kernel's view of the network.
#[derive(Debug, Default)]
pub(crate) struct Network {
    interfaces: Interfaces,
}

/// The network at one time, as the four values that a heartbeat makes of it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) default_interface: Result<InterfaceName, SensorError>,
    pub(crate) ethernet: Result<Ethernet, SensorError>,
    pub(crate) wifi: Result<Wifi, SensorError>,
    pub(crate) cellular: Result<Cellular, SensorError>,
}

impl Source for Network {
    type Reading = Snapshot;

    fn place(&self) -> String {
        "/sys/class/net".to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Snapshot, SensorError> {
        let default = routes::default_interface(root);
        let interfaces = self.interfaces.list(root)?;
        let addresses = Addresses::read(root);
        let of = |kind| chosen(interfaces, kind, default.as_deref().ok(), |interface| interface.is_up(root));
        Ok(Snapshot {
            ethernet: of(Kind::Ethernet).map(|interface| Ethernet {
                interface: Text::new(&interface.name),
                ip: addresses.of(&interface.name),
            }),
            wifi: of(Kind::Wifi).map(|interface| Wifi {
                interface: Text::new(&interface.name),
                ip: addresses.of(&interface.name),
                mode: None,
                ssid: None,
                signal_dbm: None,
                signal_percent: None,
                clients: None,
            }),
            cellular: of(Kind::Cellular).map(|interface| Cellular {
                interface: Some(Text::new(&interface.name)),
                ip: addresses.of(&interface.name),
                state: None,
                operator: None,
                technology: None,
                signal_percent: None,
            }),
            default_interface: default.map(|name| Text::new(&name)),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_default_route_then_hardware_then_the_first_name() {
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
