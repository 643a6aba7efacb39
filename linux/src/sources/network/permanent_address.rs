//! The permanent address that identifies a board: that of hardware which stays on it.

use heartbeat_core::SensorError;

use crate::sources::{
    netlink::{NLM_F_DUMP, Netlink, attribute},
    placeholder::is_placeholder,
    sysroot::Sysroot,
};

const CLASS: &str = "/sys/class/net";

/// `NET_ADDR_PERM` of `linux/netdevice.h`: the address is the hardware's own, and not one that was drawn, or taken over by
/// a bond or a bridge.
const NET_ADDR_PERM: i64 = 0;

/// Asks for interfaces, after a `struct ifinfomsg` of this length.
const RTM_GETLINK: u16 = 18;
const LINK_HEADER: usize = 16;

/// Attributes of `linux/if_link.h`: the name with its NUL, and the address that the hardware came with, since Linux 5.6.
const IFLA_IFNAME: u16 = 3;
const IFLA_PERM_ADDRESS: u16 = 54;

/// The permanent address that identifies the board best, as `dc:a6:32:01:02:03`.
///
/// That of an adapter on USB counts only without another one, because it can be plugged in and out; so does one that is
/// administered locally (RFC 9542, 2.1), because no authority made it unique. Among equals the interface counts that
/// the kernel has known for longest, regardless of its name.
///
/// # Errors
///
/// When there is none, or one cannot be read: it may be the best.
pub(crate) fn find(root: &Sysroot) -> Result<String, SensorError> {
    let best = candidates(root)?.into_iter().min_by_key(Candidate::rank);
    best.map(|candidate| candidate.address).ok_or(SensorError::Absent)
}

/// The permanent addresses of interfaces that stay on the board, and of those on USB. Without those that are administered
/// locally.
///
/// # Errors
///
/// When one cannot be read.
pub(crate) fn all(root: &Sysroot) -> Result<(Vec<String>, Vec<String>), SensorError> {
    let candidates = match candidates(root) {
        Err(SensorError::Absent) => Vec::new(),
        candidates => candidates?,
    };
    let unique = candidates.into_iter().filter(|candidate| !candidate.is_local);
    let (on_usb, built_in): (Vec<_>, Vec<_>) = unique.partition(|candidate| candidate.is_on_usb);
    let addresses = |some: Vec<Candidate>| some.into_iter().map(|one| one.address).collect();
    Ok((addresses(built_in), addresses(on_usb)))
}

/// All interfaces with hardware and a permanent address.
fn candidates(root: &Sysroot) -> Result<Vec<Candidate>, SensorError> {
    let permanent = permanent_addresses(root)?;
    let mut candidates = Vec::new();
    for name in root.list(CLASS)? {
        match Candidate::of(root, &name, &permanent) {
            Ok(candidate) => candidates.push(candidate),
            Err(SensorError::Absent | SensorError::Denied | SensorError::Invalid) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(candidates)
}

/// What the kernel knows of the addresses that interfaces came with, by their names. It still does while a bond has given
/// an interface the address of another, or one was drawn at random.
fn permanent_addresses(root: &Sysroot) -> Result<Vec<(String, String)>, SensorError> {
    let mut found = Vec::new();
    // A captured tree has only what sysfs says.
    if root.is_live() {
        let asked = Netlink::route().and_then(|mut netlink| {
            netlink.request(RTM_GETLINK, NLM_F_DUMP, &[0; LINK_HEADER], &[], |link| {
                found.extend(link.get(LINK_HEADER..).and_then(permanent_address));
            })
        });
        match asked {
            Ok(()) | Err(SensorError::Absent | SensorError::Denied) => {}
            Err(_) => return Err(SensorError::Io),
        }
    }
    Ok(found)
}

/// The name and the permanent address of an interface, if it has one of six bytes.
pub(crate) fn permanent_address(attributes: &[u8]) -> Option<(String, String)> {
    let name = attribute(attributes, IFLA_IFNAME)?.strip_suffix(b"\0")?;
    let address: [u8; 6] = attribute(attributes, IFLA_PERM_ADDRESS)?.try_into().ok()?;
    let address = address.map(|byte| format!("{byte:02x}")).join(":");
    first_byte(&address)?;
    Some((str::from_utf8(name).ok()?.to_owned(), address))
}

/// Whether there are network interfaces, and none of them has hardware: the view from inside a container.
pub(crate) fn all_are_virtual(root: &Sysroot) -> bool {
    let names = root.list(CLASS).unwrap_or_default();
    let mut others = names.iter().filter(|name| *name != "lo").peekable();
    others.peek().is_some() && others.all(|name| !root.exists(format!("{CLASS}/{name}/device")))
}

/// An interface with hardware and a permanent address.
struct Candidate {
    address: String,
    is_local: bool,
    is_on_usb: bool,
    index: i64,
}

impl Candidate {
    fn of(root: &Sysroot, name: &str, permanent: &[(String, String)]) -> Result<Self, SensorError> {
        let entry = |entry: &str| format!("{CLASS}/{name}/{entry}");
        root.locate(entry("device"))?;
        let mut buffer = [0; 32];
        // sysfs first, so that a captured tree has it.
        let address = if root.read_integer(entry("addr_assign_type"))? == NET_ADDR_PERM {
            root.read_text(entry("address"), &mut buffer)?.to_ascii_lowercase()
        } else {
            let known = permanent.iter().find(|(known, _)| known == name);
            known.map(|(_, address)| address.clone()).ok_or(SensorError::Absent)?
        };
        let first = first_byte(&address).ok_or(SensorError::Invalid)?;
        // A group's address (IEEE 802-2014, 8.2) is no station's.
        if first & 1 != 0 || is_placeholder(&address.replace(':', "")) {
            return Err(SensorError::Invalid);
        }
        let mut buffer = [0; 512];
        let uevent = root.read_text(entry("device/uevent"), &mut buffer).unwrap_or_default();
        let index = root.read_integer(entry("ifindex")).unwrap_or(i64::MAX);
        Ok(Self { address, is_local: first & 2 != 0, is_on_usb: is_on_usb(name, uevent), index })
    }

    /// Less is better. Without an index the earlier name counts.
    fn rank(&self) -> (bool, bool, i64) {
        (self.is_local, self.is_on_usb, self.index)
    }
}

/// The first of six bytes that are not all zero.
pub(crate) fn first_byte(address: &str) -> Option<u8> {
    let byte = |text: &str| {
        let is_hex = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(text, 16).ok().filter(|_| is_hex)
    };
    let bytes: Vec<u8> = address.split(':').map(byte).collect::<Option<_>>()?;
    (bytes.len() == 6 && bytes.iter().any(|byte| *byte != 0)).then_some(bytes.first().copied()).flatten()
}

/// By what the kernel says of its device, or by a name that systemd gave it for its port or address
/// (systemd.net-naming-scheme(7)): `enp0s20f0u1`, `enx00e04c360002`.
fn is_on_usb(name: &str, uevent: &str) -> bool {
    let of_kernel = |line: &str| line == "DEVTYPE=usb_interface" || line.starts_with("MODALIAS=usb:");
    let is_port = |(before, after): (&str, &str)| {
        before.ends_with(|c: char| c.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit())
    };
    let predictable = name.starts_with("en") || name.starts_with("wl") || name.starts_with("ww");
    uevent.lines().any(of_kernel)
        || predictable
            && (name.split_at_checked(2).is_some_and(|(_, rest)| rest.starts_with('x'))
                || name.rsplit_once('u').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path};

    fn interface(root: &Path, name: &str, address: &str, index: u32, uevent: &str) {
        let dir = root.join("sys/class/net").join(name);
        fs::create_dir_all(dir.join("device")).expect("created");
        for (file, content) in [
            ("address", address),
            ("addr_assign_type", "0"),
            ("ifindex", &index.to_string()),
            ("device/uevent", uevent),
        ] {
            fs::write(dir.join(file), content).expect("written");
        }
    }

    #[test]
    fn what_is_plugged_in_does_not_change_the_boards_address() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(find(&root), Err(SensorError::Absent));
        interface(dir.path(), "wlan9", "02:ba:de:00:00:01", 2, "DRIVER=mac80211");
        assert_eq!(find(&root).as_deref(), Ok("02:ba:de:00:00:01"), "better than none");
        // A dongle of a Realtek chip, as linux-usb's lsusb lists it.
        interface(dir.path(), "eth0", "00:E0:4C:36:00:02", 3, "DEVTYPE=usb_interface\nDRIVER=r8152\n");
        assert_eq!(find(&root).as_deref(), Ok("00:e0:4c:36:00:02"));
        interface(dir.path(), "eth1", "dc:a6:32:01:02:03", 9, "DRIVER=bcmgenet");
        assert_eq!(find(&root).as_deref(), Ok("dc:a6:32:01:02:03"));
        interface(dir.path(), "eth2", "dc:a6:32:01:02:04", 8, "DRIVER=bcmgenet");
        assert_eq!(find(&root).as_deref(), Ok("dc:a6:32:01:02:04"), "known for longer");
        fs::write(dir.path().join("sys/class/net/eth2/addr_assign_type"), "1").expect("written");
        assert_eq!(find(&root).as_deref(), Ok("dc:a6:32:01:02:03"), "drawn at random");
    }

    /// Linux, `net/core/rtnetlink.c`, `rtnl_fill_ifinfo`: the name, then the addresses.
    #[test]
    fn the_kernel_knows_the_address_that_a_bond_has_replaced() {
        let attribute = |kind: u16, value: &[u8]| {
            let len = u16::try_from(value.len() + 4).expect("short");
            let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let (name, bond) = (attribute(3, b"eth0\0"), attribute(1, &[0xaa, 0, 0, 0, 0, 1]));
        let permanent = attribute(54, &[0xdc, 0xa6, 0x32, 1, 2, 3]);
        let known = ("eth0".to_owned(), "dc:a6:32:01:02:03".to_owned());
        assert_eq!(permanent_address(&[&name[..], &bond, &permanent].concat()), Some(known.clone()));
        for none in [
            &[&name[..], &bond].concat(),
            &[&bond[..], &permanent].concat(),
            &[name, attribute(54, &[0; 6])].concat(),
        ] {
            assert_eq!(permanent_address(none), None);
        }
        let dir = tempfile::tempdir().expect("a directory");
        interface(dir.path(), "eth0", "aa:00:00:00:00:01", 2, "");
        fs::write(dir.path().join("sys/class/net/eth0/addr_assign_type"), "3").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(
            Candidate::of(&root, "eth0", &[known]).map(|found| found.address).as_deref(),
            Ok("dc:a6:32:01:02:03")
        );
        assert!(Candidate::of(&root, "eth0", &[]).is_err());
    }

    /// Addresses of Broadcom's sample files, of a driver without a fuse, and one that somebody typed.
    #[test]
    fn an_address_of_a_whole_series_is_no_id() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        for shared in ["00:90:4c:c5:12:38", "08:00:27:00:01:92", "00:11:22:33:44:55", "01:00:5e:00:00:01"] {
            interface(dir.path(), "wlan0", shared, 2, "DRIVER=brcmfmac");
            assert_eq!(find(&root), Err(SensorError::Absent), "{shared}");
        }
        interface(dir.path(), "wlan1", "00:e0:4c:36:00:02", 3, "DEVTYPE=usb_interface\nDRIVER=rtl8xxxu\n");
        assert_eq!(find(&root).as_deref(), Ok("00:e0:4c:36:00:02"));
    }

    #[test]
    fn usb_is_known_by_the_device_and_by_predictable_names() {
        assert!(is_on_usb("eth0", "DRIVER=x\nMODALIAS=usb:v0BDAp8153d3000"));
        assert!(
            is_on_usb("enp0s20f0u1", "") && is_on_usb("enx00e04c360002", "") && is_on_usb("wlp1s0u1u4", "")
        );
        for built_in in ["eth0", "enp3s0", "end0", "usb0", "wlan0", "enu", "eno1"] {
            assert!(!is_on_usb(built_in, "DRIVER=bcmgenet"), "{built_in}");
        }
    }

    #[test]
    fn rejects_addresses_that_are_none() {
        assert_eq!(first_byte("dc:a6:32:01:02:03"), Some(0xdc));
        for bad in [
            "",
            "00:00:00:00:00:00",
            "dc:a6:32:01:02",
            "dc:a6:32:01:02:03:04",
            "dca632010203",
            "+1:00:00:00:00:01",
        ] {
            assert_eq!(first_byte(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(name: String, text: String) {
            let _ = (first_byte(&text), is_on_usb(&name, &text), permanent_address(text.as_bytes()));
        }
    }
}
