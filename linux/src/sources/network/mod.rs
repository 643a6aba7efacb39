//! How the device is connected: interfaces, their addresses, and the default route.
//!
//! Everything is read together, so that the parts of a heartbeat agree with each other.

pub(crate) mod addresses;
mod attributes;
mod changes;
pub(crate) mod interfaces;
pub(crate) mod ipv6_routes;
pub(crate) mod permanent_address;
pub(crate) mod routes;

use heartbeat_core::{
    SensorError,
    readings::{Cellular, Ethernet, InterfaceName, Ip, Wifi},
    text::Text,
};

use self::{
    addresses::{Address, Addresses},
    changes::Changes,
    interfaces::{Interfaces, Kind},
};
use super::{Currency, Source, netlink::Netlink, sysroot::Sysroot};

/// The kernel's view of the network.
#[derive(Debug, Default)]
pub(crate) struct Network {
    interfaces: Interfaces,
    netlink: Option<Netlink>,
    changes: Changes,
    /// What was read last, of a running system.
    last: Option<Snapshot>,
}

/// The network at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The interfaces with a default route, the preferred first.
    routes: Result<Vec<String>, SensorError>,
    /// Those that can stand for their kind, sorted by name.
    links: Vec<Link>,
}

/// An interface as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    kind: Kind,
    physical: bool,
    is_up: bool,
    address: Option<Address>,
    /// Which place its default route has among all.
    route: Option<usize>,
}

impl Source for Network {
    type Reading = Snapshot;

    fn place(&self) -> String {
        "/sys/class/net".to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Snapshot, SensorError> {
        if root.is_live() && self.changes.before_read() {
            // Another device may have the name of the one before.
            self.interfaces = Interfaces::default();
        }
        let routes = routes::default_interfaces(&mut self.netlink, root);
        let interfaces = self.interfaces.list(root)?;
        // Without addresses there are interfaces, still.
        let addresses = Addresses::read(&mut self.netlink, root);
        let is_whole = addresses.is_ok() && matches!(routes, Ok(_) | Err(SensorError::Absent));
        let addresses = addresses.unwrap_or_default();
        let has_hardware = interfaces.iter().any(|interface| interface.physical);
        let links = interfaces.iter().filter_map(|interface| {
            let address = addresses.of(&interface.name).cloned();
            // Without a table of routes there are interfaces, still.
            let route = routes.iter().flatten().position(|name| *name == interface.name);
            let is_addressed = address.as_ref().is_some_and(Address::is_global);
            // What has no hardware counts with a default route. With an address alone it does in three cases: a bridge or
            // a VLAN above hardware, where the bridge of containers has only their ends below it; the end of a pair where
            // there is no hardware, so that this is the container, and not the machine around it; a modem's channel.
            let counts = match interface.kind {
                _ if interface.is_stacked => interface.is_on_hardware,
                Kind::Ethernet => !has_hardware,
                _ => true,
            };
            (interface.physical || route.is_some() || (is_addressed && counts)).then(|| Link {
                name: interface.name.clone(),
                kind: interface.kind,
                physical: interface.physical,
                is_up: interface.is_up(root),
                address,
                route,
            })
        });
        let links = links.collect();
        let snapshot = Snapshot { routes, links };
        // What fails in a part of a reading is not always told from what is absent, so two readings must agree.
        if !is_whole || !self.interfaces.are_known() || self.last.as_ref() != Some(&snapshot) {
            self.changes.missed();
        }
        self.last = root.is_live().then(|| snapshot.clone());
        Ok(snapshot)
    }

    fn currency(&mut self, root: &Sysroot) -> Currency {
        if root.is_live() { self.changes.currency() } else { Currency::Unknown }
    }
}

impl Link {
    /// Its address.
    pub(crate) fn ip(&self) -> Option<Ip> {
        self.address.as_ref().map(Address::text)
    }

    /// Whether it connects the device to somewhere, or could.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_up && (self.route.is_some() || self.address.as_ref().is_some_and(Address::is_global))
    }

    pub(crate) const fn is_ppp(&self) -> bool {
        matches!(self.kind, Kind::Ppp | Kind::PppBesideModem)
    }

    const fn is_mobile(&self) -> bool {
        matches!(self.kind, Kind::Cellular | Kind::PppBesideModem)
    }

    /// As the mobile connection, without what only its modem knows.
    pub(crate) fn mobile(&self) -> Cellular {
        Cellular {
            interface: Some(Text::new(&self.name)),
            ip: self.ip(),
            state: None,
            operator: None,
            technology: None,
            signal_percent: None,
        }
    }

    /// How little it stands for its kind; the least does.
    fn rank(&self) -> impl Ord + use<> {
        let reach = match &self.address {
            Some(address) if address.is_global() => 0,
            Some(_) => 1,
            None => 2,
        };
        (!self.is_up, self.route.unwrap_or(usize::MAX), reach, !self.physical)
    }
}

impl Snapshot {
    /// Of these interfaces the one that stands for all: of those that are up the one with the preferred default route,
    /// with an address, with hardware of its own, with the first name.
    pub(crate) fn best(&self, is_one: impl Fn(&Link) -> bool) -> Option<&Link> {
        // min_by_key takes the first of equals.
        self.links.iter().filter(|link| is_one(link)).min_by_key(|link| link.rank())
    }

    fn up(&self, kind: Kind, is_one: impl Fn(&Link) -> bool) -> Result<&Link, SensorError> {
        let found = self.best(|link| link.is_up && link.kind == kind && is_one(link));
        found.ok_or(SensorError::Absent)
    }

    /// The interface of the preferred default route.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] without any; what the kernel said when its table could not be read.
    pub(crate) fn default_interface(&self) -> Result<InterfaceName, SensorError> {
        let routes = self.routes.as_ref().map_err(|error| *error)?;
        routes.first().map(|name| Text::new(name)).ok_or(SensorError::Absent)
    }

    /// The wired connection, which is none of a modem's `ports`.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when no wired interface is up.
    pub(crate) fn ethernet(&self, ports: &[String]) -> Result<Ethernet, SensorError> {
        let link = self.up(Kind::Ethernet, |link| !ports.contains(&link.name))?;
        Ok(Ethernet { interface: Text::new(&link.name), ip: link.ip() })
    }

    /// The wireless connection, without what only its radio knows.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when no wireless interface is up.
    pub(crate) fn wifi(&self) -> Result<Wifi, SensorError> {
        let link = self.up(Kind::Wifi, |_| true)?;
        Ok(Wifi {
            interface: Text::new(&link.name),
            ip: link.ip(),
            mode: None,
            ssid: None,
            signal_dbm: None,
            signal_percent: None,
            clients: None,
        })
    }

    /// The mobile connection, without what only its modem knows.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when no mobile interface is up.
    pub(crate) fn cellular(&self) -> Result<Cellular, SensorError> {
        // PPP beside a modem that is connected by itself is a tunnel through it.
        let own = self.best(|link| link.kind == Kind::Cellular && link.is_connected());
        let link = own.or_else(|| self.best(|link| link.is_up && link.is_mobile()));
        link.map(Link::mobile).ok_or(SensorError::Absent)
    }

    /// A connection by a modem that has none of these `ports`.
    pub(crate) fn beside_modems(&self, ports: &[String]) -> Option<&Link> {
        let is_other = |link: &Link| link.kind == Kind::Cellular && !ports.contains(&link.name);
        self.best(|link| link.is_connected() && is_other(link))
    }

    /// The interface of a modem with these `ports`, where `others` belong to other modems: the port, or what was made of
    /// it (a multiplexed channel, PPP over its serial line), that is connected; else its first port.
    pub(crate) fn of_modem(&self, ports: &[String], others: &[String]) -> Option<&Link> {
        let is_port = |link: &Link| ports.contains(&link.name);
        // An interface without hardware that is no other modem's port was created with a connection.
        let is_made = |link: &Link| !link.physical && !others.contains(&link.name);
        let is_channel = |link: &Link| link.kind == Kind::Cellular && is_made(link);
        // A modem without a port of the network that has none, either, may be reached in a way that its owner does not
        // name.
        let is_unnamed = |link: &Link| ports.is_empty() && link.is_mobile() && !others.contains(&link.name);
        // PPP comes last: beside a port that is connected it is a tunnel. Beside one that is not it may be one, too; but a
        // modem that was dialled without its owner is more frequent.
        self.best(|link| link.is_connected() && (is_port(link) || is_channel(link)))
            .or_else(|| self.best(|link| link.is_connected() && link.is_ppp() && is_made(link)))
            .or_else(|| self.best(is_port))
            .or_else(|| self.best(|link| link.is_up && is_unnamed(link)))
    }
}

#[cfg(test)]
mod tests;
