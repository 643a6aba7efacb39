//! Interfaces as boards have them.

use super::*;
use std::fs;

/// The kinds of interfaces with these files.
fn kinds(interfaces: &[(&str, &[(&str, &str)])], more: &[(&str, &str)]) -> Vec<(String, Kind, bool, bool)> {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |path: std::path::PathBuf, content: &str| {
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    };
    for (name, files) in interfaces {
        for (file, content) in *files {
            write(dir.path().join("sys/class/net").join(name).join(file), content);
        }
    }
    for (path, content) in more {
        write(dir.path().join(path), content);
    }
    let root = Sysroot::new(dir.path()).expect("opened");
    let mut interfaces = Interfaces::default();
    let found = interfaces.list(&root).expect("listed").iter();
    found
        .map(|interface| (interface.name.clone(), interface.kind, interface.physical, interface.is_up(&root)))
        .collect()
}

fn expect(found: &[(String, Kind, bool, bool)], expected: &[(&str, Kind, bool, bool)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, kind, physical, up)| ((*name).to_owned(), *kind, *physical, *up))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn takes_kinds_from_the_kernel() {
    let found = kinds(
        &[
            ("lo", &[("type", "772"), ("operstate", "unknown")]),
            ("eth10", &[("type", "1"), ("operstate", "up"), ("device/uevent", "")]),
            ("eth2", &[("type", "1"), ("operstate", "up"), ("device/uevent", "")]),
            (
                "wlan0",
                &[("type", "1"), ("operstate", "dormant"), ("phy80211/name", "phy0"), ("device/uevent", "")],
            ),
            (
                "wwan0",
                &[("type", "1"), ("operstate", "unknown"), ("carrier", "1"), ("uevent", "DEVTYPE=wwan\n")],
            ),
            ("ppp0", &[("type", "512"), ("operstate", "unknown"), ("carrier", "0")]),
            ("rmnet0", &[("type", "519"), ("operstate", "up")]),
            ("docker0", &[("type", "1"), ("operstate", "down"), ("uevent", "DEVTYPE=bridge\n")]),
            ("broken", &[("type", "\u{0}x")]),
        ],
        &[],
    );
    expect(
        &found,
        &[
            ("docker0", Kind::Ethernet, false, false),
            ("eth2", Kind::Ethernet, true, true),
            ("eth10", Kind::Ethernet, true, true),
            ("ppp0", Kind::PppBesideModem, false, false),
            ("rmnet0", Kind::Cellular, false, true),
            ("wlan0", Kind::Wifi, true, false),
            ("wwan0", Kind::Cellular, false, true),
        ],
    );
}

#[test]
fn what_the_kernel_marks_as_something_else_is_of_no_kind() {
    // DEVTYPEs of net/bluetooth/bnep, net/mac802154, net/batman-adv, drivers/net/wireguard, vxlan; a TAP device; the
    // types ARPHRD_IEEE80211, _PRISM and _RADIOTAP of a radio in monitor mode.
    for (hardware, uevent) in [
        ("1", "DEVTYPE=bluetooth\n"),
        ("804", "DEVTYPE=wpan\n"),
        ("1", "DEVTYPE=batadv\n"),
        ("65534", "DEVTYPE=wireguard\n"),
        ("1", "DEVTYPE=vxlan\n"),
        ("801", "DEVTYPE=wlan\n"),
        ("802", "DEVTYPE=wlan\n"),
        ("803", "DEVTYPE=wlan\n"),
    ] {
        let files = [("type", hardware), ("uevent", uevent), ("phy80211/name", "phy0")];
        let files = if uevent.contains("wlan") { &files[..] } else { &files[..2] };
        expect(&kinds(&[("net0", files)], &[]), &[]);
    }
    expect(&kinds(&[("tap0", &[("type", "1"), ("tun_flags", "0x1002")])], &[]), &[]);
}

#[test]
fn what_leads_nowhere_is_of_no_kind_and_the_end_of_a_pair_is_wired() {
    // drivers/net/dummy.c, drivers/net/veth.c, net/ipv4/ip_gre.c (gretap without a device of its own).
    let ends = |link, index| [("type", "1"), ("iflink", link), ("ifindex", index)];
    expect(&kinds(&[("dummy0", &ends("4", "4"))], &[]), &[]);
    expect(&kinds(&[("gretap1", &ends("0", "7"))], &[]), &[]);
    expect(&kinds(&[("eth0", &ends("12", "2"))], &[]), &[("eth0", Kind::Ethernet, false, false)]);
    let hardware = [("type", "1"), ("iflink", "2"), ("ifindex", "2"), ("device/uevent", "DRIVER=lan78xx")];
    expect(&kinds(&[("eth0", &hardware)], &[]), &[("eth0", Kind::Ethernet, true, false)]);
}

#[test]
fn a_host_behind_a_usb_cable_is_no_wired_connection() {
    // rndis_host: Android, and modems such as the SIM7600; ipheth: iPhones. r8152 and cdc_ncm are adapters, unless a maker
    // of modems has made them.
    for (driver, product, kind) in [
        ("rndis_host", "18d1/4ee4/510", Kind::Tethered),
        ("ipheth", "5ac/12a8/1203", Kind::Tethered),
        ("r8152", "bda/8153/3100", Kind::Ethernet),
        ("cdc_ncm", "bda/8153/3100", Kind::Ethernet),
        ("cdc_ether", "12d1/14db/102", Kind::Tethered),
        ("cdc_ether", "1e0e/9018/318", Kind::Tethered),
        ("cdc_ncm", "3566/2001/ffff", Kind::Tethered),
        ("r8152", "12d1/14db/102", Kind::Ethernet),
    ] {
        let uevent = format!("DEVTYPE=usb_interface\nDRIVER={driver}\nPRODUCT={product}\n");
        let files = [("type", "1"), ("device/uevent", uevent.as_str())];
        expect(&kinds(&[("usb0", &files)], &[]), &[("usb0", kind, true, false)]);
    }
}

#[test]
fn the_address_tells_a_host_behind_a_usb_cable_from_an_adapter() {
    for (driver, address, assigned, kind) in [
        ("cdc_ncm", "fe:1b:2c:3d:4e:5f", "0", Kind::Tethered),
        ("cdc_ether", "02:4b:b3:b9:eb:e5", "0", Kind::Tethered),
        ("cdc_subset", "06:4b:b3:b9:eb:e5", "1", Kind::Tethered),
        ("cdc_eem", "06:4b:b3:b9:eb:e5", "0", Kind::Tethered),
        ("cdc_ether", "00:e0:4c:68:01:02", "0", Kind::Ethernet),
        // Somebody gave it the address: that of the hardware is not known.
        ("cdc_ether", "fe:1b:2c:3d:4e:5f", "3", Kind::Ethernet),
        ("r8152", "fe:1b:2c:3d:4e:5f", "0", Kind::Ethernet),
        ("cdc_ether", "", "0", Kind::Ethernet),
    ] {
        let uevent = format!("DEVTYPE=usb_interface\nDRIVER={driver}\n");
        let files = [
            ("type", "1"),
            ("device/uevent", uevent.as_str()),
            ("address", address),
            ("addr_assign_type", assigned),
        ];
        expect(&kinds(&[("usb0", &files)], &[]), &[("usb0", kind, true, false)]);
    }
}

#[test]
fn what_stands_for_others_is_of_their_kind() {
    const ETH0: (&str, &[(&str, &str)]) = ("eth0", &[("type", "1"), ("device/uevent", "DRIVER=bcmgenet")]);
    const WLAN0: (&str, &[(&str, &str)]) =
        ("wlan0", &[("type", "1"), ("uevent", "DEVTYPE=wlan\n"), ("device/uevent", "DRIVER=brcmfmac")]);
    let kind_of = |name: &'static str, files: &[(&str, &str)]| {
        let found = kinds(&[ETH0, WLAN0, (name, files)], &[]);
        found.into_iter().find(|(found, ..)| found == name).map(|(_, kind, ..)| kind)
    };
    let bond = |active| {
        [
            ("type", "1"),
            ("uevent", "DEVTYPE=bond\n"),
            ("bonding/active_slave", active),
            ("lower_eth0/type", "1"),
            ("lower_wlan0/type", "1"),
        ]
    };
    assert_eq!(kind_of("bond0", &bond("eth0\n")), Some(Kind::Ethernet));
    assert_eq!(kind_of("bond0", &bond("wlan0\n")), None, "its packets go through the air");
    assert_eq!(kind_of("bond0", &bond("\n")), Some(Kind::Ethernet), "no part is active: any");
    let vlan = |below| [("type", "1"), ("uevent", "DEVTYPE=vlan\n"), (below, "1")];
    assert_eq!(kind_of("x.7", &vlan("lower_eth0/type")), Some(Kind::Ethernet));
    assert_eq!(kind_of("x.7", &vlan("lower_wlan0/type")), None);
    assert_eq!(kind_of("x.7", &vlan("mtu")), Some(Kind::Ethernet), "below another namespace");
    assert_eq!(kind_of("x.7", &vlan("lower_x.7/type")), None, "an endless stack");
    // drivers/net/team does not name a type; its parts are below it.
    let team = |below| [("type", "1"), ("iflink", "5"), ("ifindex", "5"), (below, "1")];
    assert_eq!(kind_of("team0", &team("lower_eth0/type")), Some(Kind::Ethernet));
    assert_eq!(kind_of("team0", &team("lower_wlan0/type")), None);
    let bridge = [("type", "1"), ("uevent", "DEVTYPE=bridge\n"), ("lower_wlan0/x", ""), ("lower_eth0/x", "")];
    assert_eq!(kind_of("br0", &bridge), Some(Kind::Ethernet));
}

#[test]
fn the_active_part_of_a_bond_is_looked_up_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |path: &str, content: &str| {
        let path = dir.path().join("sys/class/net").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    };
    for name in ["bond0", "eth0", "wlan0"] {
        write(&format!("{name}/type"), "1\n");
    }
    write("bond0/uevent", "DEVTYPE=bond\n");
    write("wlan0/uevent", "DEVTYPE=wlan\n");
    let root = Sysroot::new(dir.path()).expect("opened");
    let mut interfaces = Interfaces::default();
    for (active, is_wired) in [("eth0", true), ("wlan0", false), ("eth0", true)] {
        write("bond0/bonding/active_slave", active);
        let found = interfaces.list(&root).expect("listed");
        assert_eq!(found.iter().any(|interface| interface.name == "bond0"), is_wired, "{active}");
    }
}

#[test]
fn ppp_is_mobile_only_beside_a_modem_and_without_other_sessions() {
    const PPP: (&str, &[(&str, &str)]) =
        ("ppp0", &[("type", "512"), ("uevent", "DEVTYPE=ppp\n"), ("operstate", "unknown"), ("carrier", "1")]);
    const SERIAL: (&str, &str) = ("sys/class/tty/ttyUSB2/device/uevent", "DRIVER=option1\n");
    expect(&kinds(&[PPP], &[]), &[("ppp0", Kind::Ppp, false, true)]);
    expect(&kinds(&[PPP], &[SERIAL]), &[("ppp0", Kind::PppBesideModem, false, true)]);
    let receiver = ("sys/class/tty/ttyUSB0/device/uevent", "DRIVER=pl2303\n");
    expect(&kinds(&[PPP], &[receiver]), &[("ppp0", Kind::Ppp, false, true)]);
    let pppoe = "Id       Address              Device\n0000A12B 00:90:1A:00:00:01      eth0\n";
    expect(&kinds(&[PPP], &[SERIAL, ("proc/net/pppoe", pppoe)]), &[]);
    let head = "Id       Address              Device\n";
    expect(
        &kinds(&[PPP], &[SERIAL, ("proc/net/pppoe", head)]),
        &[("ppp0", Kind::PppBesideModem, false, true)],
    );
    // The head and one tunnel, as net/l2tp/l2tp_ppp.c prints them.
    let l2tp =
        "PPPoL2TP driver info, V2.0\nTUNNEL name, user-data-ok session-count\n\nTUNNEL 'tunl 1', N 1\n";
    expect(&kinds(&[PPP], &[SERIAL, ("proc/net/pppol2tp", l2tp)]), &[]);
}
