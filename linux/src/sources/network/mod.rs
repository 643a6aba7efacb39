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
use super::{Source, netlink::Netlink, sysroot::Sysroot};

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

    fn is_current(&mut self, root: &Sysroot) -> bool {
        root.is_live() && self.changes.are_none()
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
mod tests {
    use super::*;
    use std::fs;

    fn link(name: &str, kind: Kind) -> Link {
        Link { name: name.to_owned(), kind, physical: true, is_up: true, address: None, route: None }
    }

    fn addressed(ip: &str, link: Link) -> Link {
        let text = format!(r#"[{{"ifname":"x","addr_info":[{{"local":"{ip}"}}]}}]"#);
        Link { address: addresses::parse_json(text.as_bytes()).pop().map(|(_, address)| address), ..link }
    }

    fn snapshot(links: &[Link]) -> Snapshot {
        Snapshot { routes: Ok(Vec::new()), links: links.to_vec() }
    }

    fn ethernet(links: &[Link]) -> Result<String, SensorError> {
        snapshot(links).ethernet(&[]).map(|ethernet| ethernet.interface.to_string())
    }

    #[test]
    fn a_reading_that_differs_from_the_one_before_is_read_again() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        let mut network = Network::default();
        let read = |network: &mut Network| {
            network.read(&root).expect("read");
            network.is_current(&root)
        };
        // Another test or program may change something meanwhile: each of these readings would be too late.
        assert!((0..100).any(|_| read(&mut network)));
        network.last = Some(Snapshot { routes: Ok(vec!["gone0".to_owned()]), links: Vec::new() });
        assert!(!read(&mut network), "one of the two has missed something");
        assert!((0..100).any(|_| read(&mut network)));
    }

    #[test]
    fn prefers_the_default_route_then_an_address_then_hardware_then_the_first_name() {
        let [end0, eth1] = ["end0", "eth1"].map(|name| link(name, Kind::Ethernet));
        let veth0 = Link { physical: false, ..link("veth0", Kind::Ethernet) };
        let routed = |route, link: &Link| Link { route: Some(route), ..link.clone() };
        let down = |link: &Link| Link { is_up: false, ..link.clone() };
        assert_eq!(ethernet(&[end0.clone(), eth1.clone()]), Ok("end0".to_owned()));
        assert_eq!(ethernet(&[routed(1, &end0), routed(0, &eth1)]), Ok("eth1".to_owned()));
        assert_eq!(ethernet(&[routed(1, &end0), down(&routed(0, &eth1))]), Ok("end0".to_owned()));
        assert_eq!(ethernet(&[end0.clone(), addressed("192.0.2.7", eth1.clone())]), Ok("eth1".to_owned()));
        let local = addressed("fe80::1", end0.clone());
        assert_eq!(ethernet(&[local, addressed("2001:db8::1", eth1.clone())]), Ok("eth1".to_owned()));
        assert_eq!(ethernet(&[veth0.clone(), end0.clone()]), Ok("end0".to_owned()));
        assert_eq!(ethernet(&[veth0, down(&end0)]), Ok("veth0".to_owned()));
        assert_eq!(ethernet(&[down(&end0), link("wlan0", Kind::Wifi)]), Err(SensorError::Absent));
    }

    #[test]
    fn a_port_of_a_modem_is_no_wired_connection() {
        let all = snapshot(&[link("eth0", Kind::Ethernet), link("usb0", Kind::Ethernet)]);
        let name = |ports: &[&str]| {
            let ports: Vec<_> = ports.iter().map(|port| (*port).to_owned()).collect();
            all.ethernet(&ports).map(|ethernet| ethernet.interface.to_string())
        };
        assert_eq!(name(&["eth0"]), Ok("usb0".to_owned()));
        assert_eq!(name(&["eth0", "usb0"]), Err(SensorError::Absent));
    }

    #[test]
    fn a_modem_is_connected_by_the_port_that_has_the_address() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let of = |links: &[Link], ports: &[&str], others: &[&str]| {
            let all = snapshot(links);
            all.of_modem(&names(ports), &names(others)).map(|link| link.name.clone())
        };
        let [wwan0, wwan1] = ["wwan0", "wwan1"].map(|name| link(name, Kind::Cellular));
        let usb0 = link("usb0", Kind::Ethernet);
        let made = |name, kind| Link { physical: false, ..addressed("192.0.2.7", link(name, kind)) };
        let both = [wwan0.clone(), addressed("192.0.2.7", wwan1.clone())];
        assert_eq!(of(&both, &["wwan0", "wwan1"], &[]).as_deref(), Some("wwan1"));
        assert_eq!(of(&both, &["wwan0"], &["wwan1"]).as_deref(), Some("wwan0"), "wwan1 is another modem's");
        let channel = [wwan0.clone(), made("qmapmux0.0", Kind::Cellular)];
        assert_eq!(of(&channel, &["wwan0"], &[]).as_deref(), Some("qmapmux0.0"));
        assert_eq!(of(&channel, &["wwan0"], &["qmapmux0.0"]).as_deref(), Some("wwan0"));
        assert_eq!(of(&[made("ppp0", Kind::Ppp)], &[], &[]).as_deref(), Some("ppp0"));
        assert_eq!(of(&[addressed("192.0.2.7", usb0)], &["usb0"], &[]).as_deref(), Some("usb0"));
        assert_eq!(of(&[wwan0], &[], &[]).as_deref(), Some("wwan0"));
        assert_eq!(of(&[wwan1], &[], &["wwan1"]), None);
    }

    #[test]
    fn ppp_beside_a_modem_that_is_connected_is_a_tunnel() {
        let ppp =
            |kind| Link { physical: false, route: Some(0), ..addressed("172.16.9.4", link("ppp0", kind)) };
        let idle = link("wwan0", Kind::Cellular);
        let connected = Link { route: Some(1), ..addressed("10.7.0.2", idle.clone()) };
        let alone = |links: &[Link]| {
            snapshot(links).cellular().map(|found| found.interface.expect("a name").to_string())
        };
        let of = |links: &[Link], ports: &[&str]| {
            let ports: Vec<_> = ports.iter().map(|name| (*name).to_owned()).collect();
            snapshot(links).of_modem(&ports, &[]).map(|link| link.name.clone())
        };
        for kind in [Kind::Ppp, Kind::PppBesideModem] {
            assert_eq!(of(&[connected.clone(), ppp(kind)], &["wwan0"]).as_deref(), Some("wwan0"));
            assert_eq!(of(&[idle.clone(), ppp(kind)], &["wwan0"]).as_deref(), Some("ppp0"));
        }
        assert_eq!(alone(&[connected, ppp(Kind::PppBesideModem)]), Ok("wwan0".to_owned()));
        assert_eq!(alone(&[idle.clone(), ppp(Kind::PppBesideModem)]), Ok("ppp0".to_owned()));
        assert_eq!(alone(&[idle, ppp(Kind::Ppp)]), Ok("wwan0".to_owned()));
    }

    #[test]
    fn a_bridge_or_the_end_of_a_pair_counts_by_what_is_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, content: &str| {
            let path = dir.path().join("sys/class/net").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, content).expect("written");
        };
        let address = |names: &[&str]| {
            let all: Vec<_> = names
                .iter()
                .map(|name| format!(r#"{{"ifname":"{name}","addr_info":[{{"local":"192.168.1.20"}}]}}"#))
                .collect();
            fs::create_dir_all(dir.path().join("ip")).expect("created");
            fs::write(dir.path().join("ip/address"), format!("[{}]", all.join(","))).expect("written");
        };
        let read = || {
            let root = Sysroot::new(dir.path()).expect("opened");
            let snapshot = Network::default().read(&root).expect("read");
            snapshot.ethernet(&[]).map(|ethernet| ethernet.interface.to_string())
        };
        for name in ["br0", "docker0", "ve-web", "wlan0"] {
            write(&format!("{name}/type"), "1");
            write(&format!("{name}/operstate"), "up");
        }
        for name in ["br0", "docker0"] {
            write(&format!("{name}/uevent"), "DEVTYPE=bridge\n");
        }
        write("wlan0/uevent", "DEVTYPE=wlan\n");
        write("docker0/lower_ve-web/type", "1");
        address(&["docker0", "ve-web"]);
        assert_eq!(read(), Ok("ve-web".to_owned()), "there is no hardware: inside of a container");
        write("wlan0/device/uevent", "DRIVER=brcmfmac\n");
        assert_eq!(read(), Err(SensorError::Absent), "the other end of a container's pair");
        // A VLAN between them.
        write("br0/lower_eth0.7/type", "1");
        write("eth0.7/type", "1");
        write("eth0.7/uevent", "DEVTYPE=vlan\n");
        write("eth0.7/lower_eth0/type", "1");
        write("eth0/type", "1");
        write("eth0/operstate", "up");
        write("eth0/device/uevent", "DRIVER=bcmgenet\n");
        assert_eq!(read(), Ok("eth0".to_owned()));
        address(&["docker0", "ve-web", "br0"]);
        assert_eq!(read(), Ok("br0".to_owned()), "the address of the LAN is the bridge's");
    }

    #[test]
    fn a_bridge_alone_is_no_connection_and_the_end_of_a_pair_with_an_address_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, content: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, content).expect("written");
        };
        let read = || {
            let root = Sysroot::new(dir.path()).expect("opened");
            let snapshot = Network::default().read(&root).expect("read");
            snapshot.ethernet(&[]).map(|ethernet| ethernet.interface.to_string())
        };
        for name in ["docker0", "veth0"] {
            write(&format!("sys/class/net/{name}/type"), "1");
            write(&format!("sys/class/net/{name}/operstate"), "up");
        }
        write("sys/class/net/docker0/uevent", "DEVTYPE=bridge\n");
        assert_eq!(read(), Err(SensorError::Absent));
        let address = |name| format!(r#"{{"ifname":"{name}","addr_info":[{{"local":"172.17.0.1"}}]}}"#);
        write("ip/address", &format!("[{}]", address("docker0")));
        assert_eq!(read(), Err(SensorError::Absent), "a bridge for containers");
        write("ip/address", &format!("[{},{}]", address("docker0"), address("veth0")));
        assert_eq!(read(), Ok("veth0".to_owned()));
        write("proc/net/route", "docker0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        assert_eq!(read(), Ok("docker0".to_owned()), "a bridge for this machine");
    }
}
