//! The default routes: of IPv4 from `/proc/net/route`, of IPv6 from the kernel ([`ipv6_routes`]), or in a captured tree from
//! `/proc/net/ipv6_route`.

use std::net::Ipv4Addr;

use heartbeat_core::SensorError;

use super::ipv6_routes;
use crate::sources::{
    netlink::Netlink,
    stand_ins::StandIns,
    sysroot::{Sysroot, read_whole},
};

/// `RTF_UP` and `RTF_REJECT` of `linux/route.h`.
const RTF_UP: u32 = 0x0001;
const RTF_REJECT: u32 = 0x0200;

/// Where a captured tree has the default routes of IPv6.
const IPV6: &str = "/proc/net/ipv6_route";
/// A table of this size has a thousand routes; a Pi has ten.
const TABLE_MAX: u64 = 128 * 1024;

/// The interfaces with a default route, the preferred first: those of IPv4 by their metric, then those of IPv6.
///
/// # Errors
///
/// When the kernel's table cannot be read.
pub(super) fn default_interfaces(
    netlink: &mut Option<Netlink>,
    root: &Sysroot,
) -> Result<Vec<String>, SensorError> {
    let ipv4 = read_whole(root.open("/proc/net/route")?.rewritten_by(rewrite_ipv4), TABLE_MAX)?;
    let mut names = parse_ipv4(&ipv4);
    // Without those of IPv6 there are the others, still.
    for name in ipv6_interfaces(netlink, root).unwrap_or_default() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn ipv6_interfaces(netlink: &mut Option<Netlink>, root: &Sysroot) -> Result<Vec<String>, SensorError> {
    if !root.is_live() {
        return read_whole(root.open(IPV6)?, TABLE_MAX).map(|table| parse_ipv6(&table));
    }
    let asked = ipv6_routes::ask(netlink);
    let table = asked.as_ref().map(|routes| ipv6_routes::as_table(routes));
    root.note_answer(IPV6, None, table.as_ref().map_err(|error| **error));
    let routes = asked?;
    Ok(by_metric(routes.iter().map(|(metric, name)| (*metric, name.as_str()))))
}

fn lines(table: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| str::from_utf8(line).ok())
        .map(|line| line.split_ascii_whitespace().collect())
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, numbers in hexadecimal except for the metric.
pub(crate) fn parse_ipv4(table: &[u8]) -> Vec<String> {
    by_metric(lines(table).filter_map(|fields| {
        let [name, "00000000", _, flags, _, _, metric, "00000000", ..] = fields[..] else { return None };
        // `*` is what a route without an interface has in its place, such as one that discards (net/ipv4/fib_trie.c).
        (usable(flags) && name != "*").then_some((metric.parse().ok()?, name))
    }))
}

/// `destination prefix source prefix gateway metric refcount use flags device`, numbers in hexadecimal.
pub(crate) fn parse_ipv6(table: &[u8]) -> Vec<String> {
    by_metric(lines(table).filter_map(|fields| {
        let [destination, "00", _, _, _, metric, _, _, flags, name] = fields[..] else { return None };
        let default = destination.bytes().all(|digit| digit == b'0') && name != "lo";
        (default && usable(flags)).then_some((u32::from_str_radix(metric, 16).ok()?, name))
    }))
}

/// The names by their lowest metric, of equal ones the first.
fn by_metric<'t>(routes: impl Iterator<Item = (u32, &'t str)>) -> Vec<String> {
    let mut routes: Vec<_> = routes.collect();
    routes.sort_by_key(|(metric, _)| *metric);
    let mut names: Vec<String> = Vec::new();
    for (_, name) in routes {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The table with its default routes alone, as nothing else is read, and a stand-in for each gateway.
fn rewrite_ipv4(table: &[u8], names: &mut StandIns) -> Vec<u8> {
    let gateway = |names: &mut StandIns, field: &str| {
        // Printed as a number of this machine, from the bytes of the address.
        let address = u32::from_str_radix(field, 16).ok()?;
        let stand_in = match names.ip(Ipv4Addr::from(address.to_ne_bytes()).into()) {
            std::net::IpAddr::V4(v4) => u32::from_ne_bytes(v4.octets()),
            std::net::IpAddr::V6(_) => return None,
        };
        Some(format!("{stand_in:08X}"))
    };
    let lines = lines(table).filter_map(|fields| {
        let [name, destination, second, rest @ ..] = fields.as_slice() else { return None };
        let line = match (*destination, gateway(names, second)) {
            ("Destination", _) => fields.join("\t"),
            ("00000000", Some(gateway)) => {
                let line: Vec<_> =
                    [*name, *destination, gateway.as_str()].into_iter().chain(rest.iter().copied()).collect();
                line.join("\t")
            }
            _ => return None,
        };
        Some(line + "\n")
    });
    lines.collect::<String>().into_bytes()
}

fn usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & RTF_UP != 0 && flags & RTF_REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefers_the_route_with_the_lowest_metric_that_is_up() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     usb0\t00000000\t0101A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n\
                     *\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_ipv4(table.as_bytes()), ["eth0", "wlan0"], "usb0's is not up, one leads nowhere");
    }

    #[test]
    fn ignores_ipv6_routes_that_reject() {
        let zero = "0".repeat(32);
        let gateway = "fe800000000000000000000000000001";
        let table = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00450003    wlan0\n\
             {gateway} 00 {zero} 00 {gateway} 00000001 00000001 00000000 00000001     eth1\n\
             {zero} 00 {zero} 00 {gateway} 00000001 00000001 00000000 00000001       lo\n\
             {zero} 40 {zero} 00 {gateway} 00000001 00000001 00000000 00000001     eth0\n"
        );
        assert_eq!(parse_ipv6(table.as_bytes()), ["wlan0"]);
    }

    #[test]
    fn a_rewritten_table_has_the_same_default_routes_and_no_gateway() {
        let mut names = StandIns::new(std::path::Path::new("/tmp"));
        let ipv4 = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     ppp0\t00000000\t00000000\t0001\t0\t0\t100\t00000000\t0\t0\t0\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let rewritten = String::from_utf8(rewrite_ipv4(ipv4, &mut names)).expect("text");
        assert_eq!(parse_ipv4(rewritten.as_bytes()), parse_ipv4(ipv4));
        assert_eq!(rewritten.lines().count(), 3, "{rewritten}");
        assert!(!rewritten.contains("A8C0") && rewritten.contains("ppp0\t00000000\t00000000"), "{rewritten}");
    }

    #[test]
    fn a_captured_table_has_what_the_kernel_said() {
        let routes =
            [(1024, "wlan0".to_owned()), (100, "eth0".to_owned()), (100, "enxdca632010203".to_owned())];
        let crate::sources::sysroot::Answer::Text(table) = ipv6_routes::as_table(&routes) else {
            panic!("no complaint")
        };
        assert_eq!(parse_ipv6(&table), ["eth0", "enxdca632010203", "wlan0"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text in "([a-z0-9]{1,8}[ \t\n]){0,40}") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let _ = (parse_ipv4(input), parse_ipv6(input));
                let mut names = StandIns::new(std::path::Path::new("/tmp"));
                prop_assert_eq!(parse_ipv4(&rewrite_ipv4(input, &mut names)), parse_ipv4(input));
            }
        }
    }
}
