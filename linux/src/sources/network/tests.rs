//! Tests of which interface stands for its kind.

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
        network.currency(&root) == Currency::Current
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
    let ppp = |kind| Link { physical: false, route: Some(0), ..addressed("172.16.9.4", link("ppp0", kind)) };
    let idle = link("wwan0", Kind::Cellular);
    let connected = Link { route: Some(1), ..addressed("10.7.0.2", idle.clone()) };
    let alone =
        |links: &[Link]| snapshot(links).cellular().map(|found| found.interface.expect("a name").to_string());
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
