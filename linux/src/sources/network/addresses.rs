//! Addresses of the interfaces, from the kernel (rtnetlink(7)), or from what `ip -json address` printed on another machine.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use heartbeat_core::{SensorError, limits::IP_MAX, readings::Ip};
use nix::net::if_::if_indextoname;
use serde::{Deserialize, Serialize};

use crate::sources::{
    json::lenient,
    netlink::{NLM_F_DUMP, Netlink, attribute, u32_of},
    sysroot::{Answer, Sysroot},
};

/// Where a captured tree has the answer.
const CAPTURED: &str = "/ip/address";
/// Interfaces times addresses; what lies beyond is not looked at.
const ADDRESSES_MAX: usize = 1024;
/// That many take 200 bytes each.
const CAPTURED_MAX: u64 = 256 * 1024;

/// `linux/rtnetlink.h`, `linux/if_addr.h`.
const RTM_GETADDR: u16 = 22;
const IFADDRMSG: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Of IPv6: made by the privacy extensions (RFC 8981). Of IPv4: not the first of its network.
const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

/// All addresses with the names of their interfaces.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<(String, Address)>);

/// One address, in the words of `ip -json address`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    #[serde(rename = "local")]
    ip: IpAddr,
    /// Of an IPv6 address: it changes from time to time.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    temporary: bool,
    /// Of an IPv4 address: another one of the same network came first.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    secondary: bool,
    /// Not for new connections (RFC 4862, 5.5.4).
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    deprecated: bool,
    /// Used before it is known to be unique, as one that is deprecated (RFC 4429, 3.1).
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    optimistic: bool,
    /// Not yet known to be unique; unless it is optimistic, it cannot be used.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    tentative: bool,
    /// Known not to be unique; it cannot be used.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    dadfailed: bool,
}

/// One interface in the list that `ip -json address` prints.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    ifname: String,
    #[serde(default)]
    addr_info: Vec<serde_json::Value>,
}

impl Addresses {
    /// # Errors
    ///
    /// When the kernel does not answer: then nothing is known of any address.
    pub(super) fn read(netlink: &mut Option<Netlink>, root: &Sysroot) -> Result<Self, SensorError> {
        if !root.is_live() {
            return Ok(match root.captured_answer(CAPTURED, CAPTURED_MAX) {
                Ok(Answer::Text(text)) => Self(parse_json(&text)),
                _ => Self::default(),
            });
        }
        let asked = ask(netlink);
        root.note_answer(CAPTURED, None, asked.as_ref().map(to_json).as_ref().map_err(|error| **error));
        asked.map(Self)
    }

    /// The address by which the interface is best reached.
    pub(super) fn of(&self, interface: &str) -> Option<&Address> {
        let addresses = self.0.iter().filter(|(name, _)| name == interface).map(|(_, address)| address);
        // min_by_key takes the first of equals: the kernel lists an interface's primary address first.
        addresses.filter(|address| address.is_usable()).min_by_key(|address| address.rank())
    }
}

impl Address {
    const fn new(ip: IpAddr, flags: u32) -> Self {
        let is_secondary = flags & IFA_F_SECONDARY != 0;
        Self {
            ip,
            temporary: is_secondary && ip.is_ipv6(),
            secondary: is_secondary && ip.is_ipv4(),
            deprecated: flags & IFA_F_DEPRECATED != 0,
            optimistic: flags & IFA_F_OPTIMISTIC != 0,
            tentative: flags & IFA_F_TENTATIVE != 0,
            dadfailed: flags & IFA_F_DADFAILED != 0,
        }
    }

    /// As the heartbeat has it.
    pub(super) fn text(&self) -> Ip {
        let mut text = [0; IP_MAX];
        let mut room = text.as_mut_slice();
        // No address is longer.
        let _ = write!(room, "{}", self.ip);
        let left = room.len();
        Ip::from_bytes(text.get(..IP_MAX - left).unwrap_or_default())
    }

    /// Whether a host outside the link could know it.
    pub(super) const fn is_global(&self) -> bool {
        match self.ip {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
    }

    const fn is_usable(&self) -> bool {
        (!self.tentative || self.optimistic) && !self.dadfailed
    }

    /// How well it serves; less is better. Link-local addresses count only when there is nothing else (RFC 3927, RFC
    /// 4291), deprecated and optimistic ones after those that are not.
    fn rank(&self) -> impl Ord + use<> {
        (
            !self.is_global(),
            self.deprecated || self.optimistic,
            self.ip.is_ipv6(),
            self.temporary || self.secondary,
        )
    }
}

/// Asks the kernel.
fn ask(open: &mut Option<Netlink>) -> Result<Vec<(String, Address)>, SensorError> {
    let mut netlink = match open.take() {
        Some(netlink) => netlink,
        None => Netlink::route()?,
    };
    let mut found = Vec::new();
    netlink.request(RTM_GETADDR, NLM_F_DUMP, &[0; IFADDRMSG], &[], |reply| {
        if found.len() < ADDRESSES_MAX {
            found.extend(parse(reply));
        }
    })?;
    // Kept only while it answers.
    *open = Some(netlink);
    let mut names: Vec<(u32, Option<String>)> = Vec::new();
    let mut name = |index: u32| {
        if let Some((_, name)) = names.iter().find(|(known, _)| *known == index) {
            return name.clone();
        }
        let name = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
        names.push((index, name.clone()));
        name
    };
    Ok(found.into_iter().filter_map(|(index, address)| Some((name(index)?, address))).collect())
}

/// One `RTM_NEWADDR`: the interface's index and the address. The label is no interface's name and not looked at.
pub(crate) fn parse(reply: &[u8]) -> Option<(u32, Address)> {
    let (header, attributes) = reply.split_at_checked(IFADDRMSG)?;
    let index = u32_of(header.get(4..8)?)?;
    // The header has room for eight flags only.
    let flags = attribute(attributes, IFA_FLAGS).and_then(u32_of);
    let flags = flags.unwrap_or_else(|| header.get(2).copied().map_or(0, u32::from));
    // On a point-to-point link IFA_ADDRESS is the other end's.
    let bytes = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some((index, Address::new(ip, flags)))
}

/// What `ip -json address` printed. An entry that is none is left out.
pub(crate) fn parse_json(text: &[u8]) -> Vec<(String, Address)> {
    let listed: Vec<serde_json::Value> = serde_json::from_slice(text).unwrap_or_default();
    let mut all = Vec::new();
    for interface in listed.into_iter().filter_map(|value| serde_json::from_value::<Listed>(value).ok()) {
        let addresses =
            interface.addr_info.into_iter().filter_map(|value| serde_json::from_value(value).ok());
        all.extend(addresses.map(|address| (interface.ifname.clone(), address)));
    }
    all.truncate(ADDRESSES_MAX);
    all
}

/// As `ip -json address` prints it, as far as it is read.
fn to_json(addresses: &Vec<(String, Address)>) -> Answer {
    let mut listed: Vec<Listed> = Vec::new();
    for (name, address) in addresses {
        // An address is an object of plain values.
        let value = serde_json::to_value(address).unwrap_or_default();
        match listed.iter_mut().find(|interface| interface.ifname == *name) {
            Some(interface) => interface.addr_info.push(value),
            None => listed.push(Listed { ifname: name.clone(), addr_info: vec![value] }),
        }
    }
    Answer::Text(serde_json::to_vec_pretty(&listed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn address(ip: &str, flags: u32) -> (String, Address) {
        ("eth0".to_owned(), Address::new(ip.parse().expect("an address"), flags))
    }

    #[test]
    fn prefers_any_address_to_a_link_local_one() {
        let mut addresses = Addresses::default();
        // RFC 6724, rule 3: those that are not deprecated; rule 7 is turned round, because a server wants to find the
        // device again.
        let expected = [
            ("fe80::1", IFA_F_DEPRECATED),
            ("fe80::2", 0),
            ("169.254.7.7", 0),
            ("2001:db8::7", IFA_F_DEPRECATED),
            ("192.0.2.6", IFA_F_DEPRECATED),
            ("2001:db8::8", IFA_F_SECONDARY),
            ("2001:db8::9", 0),
            ("192.0.2.8", IFA_F_SECONDARY),
            ("192.0.2.7", 0),
        ];
        for (ip, flags) in expected {
            addresses.0.push(address(ip, flags));
            assert_eq!(addresses.of("eth0").map(Address::text), Some(ip.into()));
        }
        addresses.0.push(address("192.0.2.9", 0));
        assert_eq!(addresses.of("eth0").map(Address::text), Some("192.0.2.7".into()), "the first of equals");
        assert_eq!(addresses.of("wlan0"), None);
    }

    /// RFC 4429, 2.1; the kernel sets both flags until nobody else has been found to have the address.
    #[test]
    fn an_optimistic_address_is_used_as_a_deprecated_one() {
        let optimistic = address("2001:db8::7", IFA_F_OPTIMISTIC | IFA_F_TENTATIVE);
        let mut addresses = Addresses(vec![optimistic, address("fe80::7", 0)]);
        assert_eq!(addresses.of("eth0").map(Address::text), Some("2001:db8::7".into()));
        addresses.0.push(address("2001:db8::8", 0));
        assert_eq!(addresses.of("eth0").map(Address::text), Some("2001:db8::8".into()));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_none() {
        for flags in [IFA_F_TENTATIVE, IFA_F_DADFAILED, IFA_F_TENTATIVE | IFA_F_DADFAILED] {
            let addresses = Addresses(vec![address("2001:db8::7", flags), address("fe80::7", 0)]);
            assert_eq!(addresses.of("eth0").map(Address::text), Some("fe80::7".into()));
        }
    }

    #[test]
    fn reads_the_address_of_the_loopback_interface() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let mut netlink = None;
        for _ in 0..2 {
            let addresses = Addresses::read(&mut netlink, &root).expect("an answer");
            assert_eq!(addresses.of("lo").map(Address::text), Some("127.0.0.1".into()));
            assert!(netlink.is_some(), "it is kept");
        }
    }

    #[test]
    fn takes_the_own_end_of_a_point_to_point_link() {
        let attribute =
            |kind: u16, value: &[u8]| [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        let header = [2, 32, 0, 0, 7, 0, 0, 0];
        let header = if cfg!(target_endian = "big") { [2, 32, 0, 0, 0, 0, 0, 7] } else { header };
        let reply = [
            &header[..],
            &attribute(IFA_ADDRESS, &[192, 0, 2, 1]),
            &attribute(IFA_LOCAL, &[192, 0, 2, 2]),
            &attribute(IFA_FLAGS, &IFA_F_DEPRECATED.to_ne_bytes()),
        ]
        .concat();
        let ip = IpAddr::from([192, 0, 2, 2]);
        assert_eq!(parse(&reply), Some((7, Address::new(ip, IFA_F_DEPRECATED))));
        // Without IFA_FLAGS those of the header count (kernels before 3.14).
        let old = [&[2, 32, 0x20, 0][..], &header[4..], &attribute(IFA_ADDRESS, &[192, 0, 2, 2])].concat();
        assert_eq!(parse(&old), Some((7, Address::new(ip, IFA_F_DEPRECATED))));
        assert_eq!(parse(&header), None);
    }

    #[test]
    fn reads_what_iproute2_prints() {
        // Shortened from `ip -json -details address`, iproute2 6.15.
        let text = br#"[{"ifindex":2,"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"192.0.2.77",
            "prefixlen":24,"scope":"global","label":"eth0:lan","valid_life_time":4294967295},{"family":"inet6",
            "local":"2001:db8::7","prefixlen":64,"scope":"global","deprecated":true,"mngtmpaddr":true}]},
            {"ifname":"lo"},{"ifname":7},{"ifname":"wlan0","addr_info":[{"local":"nowhere"},{}]}]"#;
        let expected = [address("192.0.2.77", 0), address("2001:db8::7", IFA_F_DEPRECATED)];
        assert_eq!(parse_json(text), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = (parse(&bytes), parse_json(&bytes));
        }

        #[test]
        fn reads_what_it_writes(found: Vec<(IpAddr, u32, bool)>) {
            let mut found: Vec<_> = found
                .into_iter()
                .map(|(ip, flags, other)| {
                    let name = if other { "wlan0" } else { "eth0" };
                    (name.to_owned(), Address::new(ip, flags))
                })
                .collect();
            let Answer::Text(text) = to_json(&found) else { panic!("no text") };
            let mut read = parse_json(&text);
            // By interface; within one the order is kept.
            found.sort_by(|a, b| a.0.cmp(&b.0));
            read.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(read, found);
        }
    }
}
