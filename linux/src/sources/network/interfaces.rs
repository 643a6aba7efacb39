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
        (None, ARPHRD_ETHER) if sysfs.is_alone(name) => {
            // A team has no mark of its own (drivers/net/team), but names its parts.
            let is_empty = sysfs.below(name).is_empty();
            if is_empty { None } else { kind_below(sysfs, name, above) }
        }
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
mod tests;
