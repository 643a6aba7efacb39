//! How the device is connected: interfaces, their addresses, and the default route.
//!
//! One thread takes one look at everything, so that the parts of a heartbeat agree with each other.

mod addresses;
pub(super) mod interfaces;
mod routes;

use std::{sync::Arc, task::Poll};

use heartbeat_core::{
    SensorError,
    hal::Sampled,
    limits::INTERFACE_MAX,
    payload::{Cellular, Ethernet, Wifi},
    text::Text,
};

use self::{
    addresses::Addresses,
    interfaces::{Interface, Kind},
};
use super::{background::Background, sysroot::Sysroot};
use crate::waker::Waker;

type Answer<T> = Option<Result<T, SensorError>>;

/// One look at the network, as the four values that a heartbeat makes of it. Each is taken once.
#[derive(Debug)]
struct Snapshot {
    default_interface: Answer<Text<INTERFACE_MAX>>,
    ethernet: Answer<Ethernet>,
    wifi: Answer<Wifi>,
    cellular: Answer<Cellular>,
}

impl Snapshot {
    const TAKEN: Self = Self { default_interface: None, ethernet: None, wifi: None, cellular: None };

    fn take(root: &Sysroot) -> Result<Self, SensorError> {
        let default = routes::default_interface(root);
        let interfaces = interfaces::list(root)?;
        let addresses = Addresses::read(root);
        let of = |kind| chosen(&interfaces, kind, default.as_deref().ok());
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
) -> Result<&'i Interface, SensorError> {
    interfaces
        .iter()
        .filter(|interface| interface.kind == kind && interface.up)
        .map(|interface| (Some(interface.name.as_str()) == default, interface))
        .filter(|(is_default, interface)| *is_default || interface.physical)
        // min_by_key takes the first of equals, and the list is sorted by name.
        .min_by_key(|(is_default, _)| !is_default)
        .map(|(_, interface)| interface)
        .ok_or(SensorError::Absent)
}

/// The network as a sensor of four values.
#[derive(Debug)]
pub(super) struct Network {
    source: Background<Snapshot>,
    snapshot: Snapshot,
}

impl Network {
    pub(super) fn start(root: Arc<Sysroot>, waker: Waker) -> Self {
        let source = Background::start("network", waker, move || Snapshot::take(&root));
        Self { source, snapshot: Snapshot::TAKEN }
    }

    pub(super) fn default_interface(&mut self) -> Sampled<Text<INTERFACE_MAX>> {
        self.part(|snapshot| &mut snapshot.default_interface)
    }

    pub(super) fn ethernet(&mut self) -> Sampled<Ethernet> {
        self.part(|snapshot| &mut snapshot.ethernet)
    }

    pub(super) fn wifi(&mut self) -> Sampled<Wifi> {
        self.part(|snapshot| &mut snapshot.wifi)
    }

    pub(super) fn cellular(&mut self) -> Sampled<Cellular> {
        self.part(|snapshot| &mut snapshot.cellular)
    }

    /// Takes one value of the current look; where it was taken before, waits for a new look.
    fn part<T>(&mut self, part: fn(&mut Snapshot) -> &mut Answer<T>) -> Sampled<T> {
        if let Some(answer) = part(&mut self.snapshot).take() {
            return Poll::Ready(answer);
        }
        match self.source.poll() {
            Poll::Pending => Poll::Pending,
            Poll::Ready(taken) => {
                self.snapshot = taken.unwrap_or_else(Snapshot::failed);
                // A new snapshot has every part.
                part(&mut self.snapshot).take().map_or(Poll::Pending, Poll::Ready)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, physical: bool, up: bool) -> Interface {
        Interface { name: name.to_owned(), kind: Kind::Ethernet, physical, up }
    }

    #[test]
    fn the_default_route_decides_then_the_hardware_then_the_name() {
        let name = |interfaces: &[Interface], default| {
            chosen(interfaces, Kind::Ethernet, default).map(|interface| interface.name.clone())
        };
        let bridge = interface("br0", false, true);
        let [end0, eth1] = ["end0", "eth1"].map(|name| interface(name, true, true));
        let all = [bridge, end0, eth1];
        assert_eq!(name(&all, None).as_deref(), Ok("end0"));
        assert_eq!(name(&all, Some("eth1")).as_deref(), Ok("eth1"));
        assert_eq!(name(&all, Some("br0")).as_deref(), Ok("br0"));
        assert_eq!(name(&all, Some("wlan0")).as_deref(), Ok("end0"));
        assert_eq!(name(&all[..1], None), Err(SensorError::Absent));
        assert_eq!(name(&[interface("eth0", true, false)], Some("eth0")), Err(SensorError::Absent));
    }
}
