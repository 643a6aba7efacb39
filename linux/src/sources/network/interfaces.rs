//! Network interfaces and their kinds, from `/sys/class/net`.
//!
//! The marks are the kernel's: the type of the hardware (`linux/if_arp.h`), `DEVTYPE` in `uevent` (each driver's
//! `SET_NETDEV_DEVTYPE`), and what belongs to the interface. What carries none of them is of no kind, because a guess
//! from a name is wrong as soon as the interface is renamed.

use heartbeat_core::{SensorError, time::Duration};

use super::attributes::{Attributes, CLASS, variable};
use crate::{
    clock,
    sources::{kept::Kept, sysroot::Sysroot},
};

/// `ARPHRD_ETHER`, `ARPHRD_PPP` and `ARPHRD_RAWIP` of `linux/if_arp.h`. A radio in monitor mode has another one
/// (`ARPHRD_IEEE80211*`), although it has a `phy80211`, too.
const ARPHRD_ETHER: i64 = 1;
const ARPHRD_PPP: i64 = 512;
const ARPHRD_RAWIP: i64 = 519;

/// `DEVTYPE` of what carries wired packets. A gadget is the device's end of a USB cable.
const WIRED: [&str; 2] = ["gadget", "dsa"];
/// `DEVTYPE` of what carries the packets of other interfaces, and is of their kind.
const STACKED: [&str; 7] = ["bridge", "vlan", "bond", "macvlan", "macvtap", "ipvlan", "macsec"];
/// Interfaces above each other that are followed: a VLAN on a bridge on a bond, and one more.
const STACK_MAX: u32 = 4;

/// Drivers of what has a network of its own behind a USB cable (kernel, `drivers/net/usb`): a phone, a modem or another
/// computer. The kernel does not tell these from each other.
const TETHERING: [&str; 2] = ["rndis_host", "ipheth"];
/// Drivers of the USB classes for networks, which adapters have as well. An address of local administration tells the hosts
/// from these: by it the kernel gives the name `usb0` in place of `eth0` (`usbnet_probe` in drivers/net/usb/usbnet.c).
const USB_CLASSES: [&str; 4] = ["cdc_ether", "cdc_ncm", "cdc_eem", "cdc_subset"];
/// Makers of modems, by the numbers that `drivers/usb/serial/option.c` knows them by (Huawei, ZTE, SIMCom, Quectel, Telit, Fibocom,
/// Alcatel), and the newer one of Huawei's E3372-325. The addresses of their routers can look like those of adapters.
const MODEM_MAKERS: [&str; 8] = ["12d1", "19d2", "1e0e", "2c7c", "1bc7", "2cb7", "1bbb", "3566"];

/// How long the kinds are kept: long enough to cost nothing, short enough for a modem that was swapped for another
/// device of the same name. What could not be read is looked up again at once.
const KEEP: Duration = Duration::from_secs(60);

/// What carries an interface's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ethernet,
    Wifi,
    Cellular,
    /// PPP over something that only a modem's owner knows.
    Ppp,
    /// PPP beside a modem: the modem's, unless that is connected in another way.
    PppBesideModem,
    /// A host behind a USB cable, of which only a modem's owner knows whether it is a modem.
    Tethered,
}

/// One interface that can connect the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// It has hardware of its own: no bridge, tunnel or VLAN.
    pub(crate) physical: bool,
    /// It stands for others, whose packets it carries or takes: a bridge, a VLAN, a bond.
    pub(crate) is_stacked: bool,
    /// One of those that it stands for has hardware and is of its kind.
    pub(crate) is_on_hardware: bool,
}

/// The interfaces, whose kinds are looked up rarely: they do not change while an interface lives, and looking takes
/// five files each.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    /// With the names of all interfaces as they were then.
    known: Kept<(Vec<String>, Vec<Interface>)>,
}

impl Interfaces {
    /// All interfaces of a known kind, sorted by name.
    ///
    /// # Errors
    ///
    /// When the kernel's list cannot be read.
    pub(crate) fn list(&mut self, root: &Sysroot) -> Result<&[Interface], SensorError> {
        let names = root.list(CLASS)?;
        let now = clock::now();
        if self.known.get(now).is_none_or(|(known, _)| *known != names) {
            let mut sysfs = Attributes::of(root);
            let mut all: Vec<_> =
                names.iter().filter_map(|name| Interface::look_up(&mut sysfs, name)).collect();
            settle_ppp(&mut sysfs, &mut all);
            let time = if sysfs.are_lasting() { KEEP } else { Duration::ZERO };
            return Ok(&self.known.keep((names, all), now, time).1);
        }
        Ok(self.known.get(now).map(|(_, all)| all.as_slice()).unwrap_or_default())
    }

    /// Whether every kind was read when they were listed last.
    pub(super) fn are_known(&self) -> bool {
        self.known.get(clock::now()).is_some()
    }
}

/// PPP is spoken over modems, over DSL and in tunnels, and its interfaces look alike. A session over DSL or in a tunnel is
/// listed by the kernel; then PPP is nothing that can be told. With a modem beside it, it may be the modem's; else it is of no
/// known kind, until a modem's owner says that it is its own.
fn settle_ppp(sysfs: &mut Attributes<'_>, all: &mut Vec<Interface>) {
    if !all.iter().any(|interface| interface.kind == Kind::Ppp) {
        return;
    }
    if sysfs.has_sessions() {
        all.retain(|interface| interface.kind != Kind::Ppp);
        return;
    }
    let is_mobile = all.iter().any(|interface| interface.kind == Kind::Cellular) || sysfs.has_serial_modem();
    for interface in all.iter_mut().filter(|interface| is_mobile && interface.kind == Kind::Ppp) {
        interface.kind = Kind::PppBesideModem;
    }
}

impl Interface {
    fn look_up(sysfs: &mut Attributes<'_>, name: &str) -> Option<Self> {
        let mut buffer = [0; 512];
        let uevent = sysfs.text(name, "uevent", &mut buffer).unwrap_or("");
        let devtype = variable(uevent, "DEVTYPE=");
        let kind = kind(sysfs, name, devtype, 0)?;
        let physical = sysfs.has(name, "device");
        let is_stacked = !physical && devtype.is_some();
        let is_on_hardware = is_stacked && is_on_hardware(sysfs, name, kind, 0);
        Some(Self { name: name.to_owned(), kind, physical, is_stacked, is_on_hardware })
    }

    /// Whether packets can pass, now.
    pub(crate) fn is_up(&self, root: &Sysroot) -> bool {
        let name = &self.name;
        let mut buffer = [0; 32];
        match root.read_text(format!("{CLASS}/{name}/operstate"), &mut buffer) {
            Ok("up") => true,
            // PPP and some modems never say more than this; the carrier does.
            Ok("unknown") => root.read_integer(format!("{CLASS}/{name}/carrier")) == Ok(1),
            _ => false,
        }
    }
}

/// What the kernel says the device is; its name only as a last resort, for modems that pose as Ethernet.
fn kind(sysfs: &mut Attributes<'_>, name: &str, devtype: Option<&str>, above: u32) -> Option<Kind> {
    let mut buffer = [0; 16];
    let hardware: i64 = sysfs.text(name, "type", &mut buffer)?.parse().ok()?;
    match (devtype, hardware) {
        (Some("wwan"), _) | (_, ARPHRD_RAWIP) => Some(Kind::Cellular),
        (_, ARPHRD_PPP) => Some(Kind::Ppp),
        (Some("wlan"), ARPHRD_ETHER) => Some(Kind::Wifi),
        (_, ARPHRD_ETHER) if sysfs.has(name, "phy80211") || sysfs.has(name, "wireless") => Some(Kind::Wifi),
        (None, ARPHRD_ETHER) if name.starts_with("wwan") => Some(Kind::Cellular),
        // The kind of a tunnel depends on the program that made it, and is unknown.
        (None, ARPHRD_ETHER) if sysfs.has(name, "tun_flags") => None,
        (None, ARPHRD_ETHER) if sysfs.has(name, "device") => {
            let is_tethered = sysfs.is_driven_by(name, &TETHERING)
                || sysfs.is_driven_by(name, &USB_CLASSES)
                    && (sysfs.came_with_local_address(name) || sysfs.is_made_by(name, &MODEM_MAKERS));
            Some(if is_tethered { Kind::Tethered } else { Kind::Ethernet })
        }
        (None, ARPHRD_ETHER) if sysfs.is_alone(name) => None,
        (None, ARPHRD_ETHER) => Some(Kind::Ethernet),
        (Some(devtype), ARPHRD_ETHER) if STACKED.contains(&devtype) => kind_below(sysfs, name, above),
        (Some(devtype), ARPHRD_ETHER) if WIRED.contains(&devtype) => Some(Kind::Ethernet),
        _ => None,
    }
}

/// The kind of what stands for other interfaces: wired, if one of them is, or if nothing is known of them.
fn kind_below(sysfs: &mut Attributes<'_>, name: &str, above: u32) -> Option<Kind> {
    let below = sysfs.below(name);
    let mut kinds = below.iter().map(|name| {
        let mut buffer = [0; 512];
        let uevent = sysfs.text(name, "uevent", &mut buffer).unwrap_or("").to_owned();
        if above < STACK_MAX { kind(sysfs, name, variable(&uevent, "DEVTYPE="), above + 1) } else { None }
    });
    (below.is_empty() || kinds.any(|kind| kind == Some(Kind::Ethernet))).then_some(Kind::Ethernet)
}

/// Whether one of those that it stands for has hardware and is of this kind.
fn is_on_hardware(sysfs: &mut Attributes<'_>, name: &str, wanted: Kind, above: u32) -> bool {
    let below = sysfs.below(name);
    above < STACK_MAX
        && below.iter().any(|name| {
            let mut buffer = [0; 512];
            let uevent = sysfs.text(name, "uevent", &mut buffer).unwrap_or("").to_owned();
            if sysfs.has(name, "device") {
                kind(sysfs, name, variable(&uevent, "DEVTYPE="), above) == Some(wanted)
            } else {
                is_on_hardware(sysfs, name, wanted, above + 1)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The kinds of interfaces with these files.
    fn kinds(
        interfaces: &[(&str, &[(&str, &str)])],
        more: &[(&str, &str)],
    ) -> Vec<(String, Kind, bool, bool)> {
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
            .map(|interface| {
                (interface.name.clone(), interface.kind, interface.physical, interface.is_up(&root))
            })
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
                    &[
                        ("type", "1"),
                        ("operstate", "dormant"),
                        ("phy80211/name", "phy0"),
                        ("device/uevent", ""),
                    ],
                ),
                (
                    "wwan0",
                    &[
                        ("type", "1"),
                        ("operstate", "unknown"),
                        ("carrier", "1"),
                        ("uevent", "DEVTYPE=wwan\n"),
                    ],
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
        let hardware =
            [("type", "1"), ("iflink", "2"), ("ifindex", "2"), ("device/uevent", "DRIVER=lan78xx")];
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
        const ETH0: (&str, &[(&str, &str)]) =
            ("eth0", &[("type", "1"), ("device/uevent", "DRIVER=bcmgenet")]);
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
        let bridge =
            [("type", "1"), ("uevent", "DEVTYPE=bridge\n"), ("lower_wlan0/x", ""), ("lower_eth0/x", "")];
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
        const PPP: (&str, &[(&str, &str)]) = (
            "ppp0",
            &[("type", "512"), ("uevent", "DEVTYPE=ppp\n"), ("operstate", "unknown"), ("carrier", "1")],
        );
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
}
