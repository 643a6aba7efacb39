//! The preferred default route, from `/proc/net/route` and `/proc/net/ipv6_route`.

use heartbeat_core::SensorError;

use crate::sources::sysroot::{Sysroot, read_whole};

/// `RTF_UP` and `RTF_REJECT` of `linux/route.h`.
const RTF_UP: u32 = 0x0001;
const RTF_REJECT: u32 = 0x0200;

/// A table of this size has a thousand routes; a Pi has ten.
const TABLE_MAX: u64 = 128 * 1024;

/// The interface of the default route with the lowest metric; IPv6 only where IPv4 has none.
pub(super) fn default_interface(root: &Sysroot) -> Result<String, SensorError> {
    let table = |path: &str| root.open(path).and_then(|file| read_whole(file, TABLE_MAX));
    let ipv4 = table("/proc/net/route")?;
    if let Some(name) = parse_ipv4(&ipv4) {
        return Ok(name);
    }
    // A kernel without IPv6 has no such file.
    let ipv6 = table("/proc/net/ipv6_route").unwrap_or_default();
    parse_ipv6(&ipv6).ok_or(SensorError::Absent)
}

fn lines(table: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| str::from_utf8(line).ok())
        .map(|line| line.split_ascii_whitespace().collect())
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, numbers in hexadecimal except for the metric.
pub(crate) fn parse_ipv4(table: &[u8]) -> Option<String> {
    lines(table)
        .filter_map(|fields| {
            let [name, "00000000", _, flags, _, _, metric, "00000000", ..] = fields[..] else { return None };
            usable(flags).then_some((metric.parse::<u32>().ok()?, name))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, name)| name.to_owned())
}

/// `destination prefix source prefix gateway metric refcount use flags device`, numbers in hexadecimal.
pub(crate) fn parse_ipv6(table: &[u8]) -> Option<String> {
    lines(table)
        .filter_map(|fields| {
            let [destination, "00", _, _, _, metric, _, _, flags, name] = fields[..] else { return None };
            let default = destination.bytes().all(|digit| digit == b'0') && name != "lo";
            (default && usable(flags)).then_some((u32::from_str_radix(metric, 16).ok()?, name))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, name)| name.to_owned())
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
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(parse_ipv4(table.as_bytes()).as_deref(), Some("eth0"), "usb0's is not up");
    }

    #[test]
    fn ignores_ipv6_routes_that_reject() {
        let zero = "0".repeat(32);
        let gateway = "fe800000000000000000000000000001";
        let table = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00450003    wlan0\n\
             {zero} 40 {zero} 00 {gateway} 00000001 00000001 00000000 00000001     eth0\n"
        );
        assert_eq!(parse_ipv6(table.as_bytes()).as_deref(), Some("wlan0"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, text in "([a-z0-9]{1,8}[ \t\n]){0,40}") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let _ = parse_ipv4(input);
                let _ = parse_ipv6(input);
            }
        }
    }
}
