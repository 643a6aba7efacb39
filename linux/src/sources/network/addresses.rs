//! Addresses of the interfaces, from the running kernel.

use std::net::IpAddr;

use heartbeat_core::readings::Ip;
use nix::ifaddrs::getifaddrs;

use crate::sources::sysroot::Sysroot;

/// Interfaces times addresses; what lies beyond is not looked at.
const ADDRESSES_MAX: usize = 1024;

/// All addresses with the names of their interfaces.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<(String, IpAddr)>);

impl Addresses {
    /// A captured tree has none: only a running kernel knows them.
    pub(super) fn read(root: &Sysroot) -> Self {
        if !root.is_live() {
            return Self::default();
        }
        let Ok(interfaces) = getifaddrs() else { return Self::default() };
        let addresses = interfaces.take(ADDRESSES_MAX).filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            Some((interface.interface_name, ip))
        });
        Self(addresses.collect())
    }

    /// The address by which the interface is best reached.
    pub(super) fn of(&self, interface: &str) -> Option<Ip> {
        self.best(interface).map(|ip| Ip::new(&ip.to_string()))
    }

    fn best(&self, interface: &str) -> Option<IpAddr> {
        let addresses = self.0.iter().filter(|(name, _)| name == interface).map(|(_, ip)| *ip);
        // min_by_key takes the first of equals: the kernel lists an interface's primary address first.
        addresses.min_by_key(rank)
    }
}

/// How well an address serves; less is better. Link-local addresses count only when there is nothing else
/// (RFC 3927, RFC 4291).
fn rank(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(v4) if !v4.is_link_local() => 0,
        IpAddr::V6(v6) if !v6.is_unicast_link_local() => 1,
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn prefers_any_address_to_a_link_local_one() {
        let mut addresses = Addresses::default();
        let expected = ["fe80::1", "169.254.7.7", "2001:db8::7", "192.0.2.7"];
        for ip in expected {
            addresses.0.push(("eth0".to_owned(), ip.parse().expect("an address")));
            assert_eq!(addresses.of("eth0").map(|ip| ip.to_string()).as_deref(), Some(ip));
        }
        addresses.0.push(("eth0".to_owned(), IpAddr::from([192, 0, 2, 8])));
        assert_eq!(addresses.of("eth0"), Some("192.0.2.7".into()), "the first of equals");
        assert_eq!(addresses.of("wlan0"), None);
    }

    #[test]
    fn reads_the_address_of_the_loopback_interface() {
        let addresses = Addresses::read(&Sysroot::new(Path::new("/")).expect("opened"));
        assert_eq!(addresses.of("lo"), Some("127.0.0.1".into()));
    }
}
