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
    interfaces::{Interface, Interfaces, Kind},
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

    fn take(root: &Sysroot, interfaces: &mut Interfaces) -> Result<Self, SensorError> {
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
#[derive(Debug)]
pub(super) struct Network {
    source: Background<Snapshot>,
    snapshot: Snapshot,
}

impl Network {
    pub(super) fn start(root: Arc<Sysroot>, waker: Waker) -> Self {
        let mut interfaces = Interfaces::default();
        let source = Background::start("network", waker, move || Snapshot::take(&root, &mut interfaces));
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
