//! The default routes of IPv6, from the kernel (rtnetlink(7)).
//!
//! `/proc/net/ipv6_route` has the routes of all tables and does not say of which one each is (net/ipv6/route.c,
//! `rt6_info_route`): a policy's route looks like the one that everything else takes. So only a captured tree has that file,
//! written from what the kernel said.

use nix::net::if_::if_indextoname;

use heartbeat_core::SensorError;

use crate::sources::{
    netlink::{NLM_F_DUMP, Netlink, attribute, u32_of},
    sysroot::Answer,
};

/// `linux/rtnetlink.h`.
const RTM_GETROUTE: u16 = 26;
const RTMSG: usize = 12;
const RTNEXTHOP: usize = 8;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
/// The table that is used unless a rule says otherwise.
const RT_TABLE_MAIN: u32 = 254;
/// Neither one that discards or rejects, nor one to this machine itself.
const RTN_UNICAST: u8 = 1;
/// Its interface is gone or down.
const RTNH_F_DEAD: u32 = 1;
const AF_INET6: u8 = 10;
/// Routes that are looked at.
const ROUTES_MAX: usize = 256;

/// A default route: its metric and its interface.
pub(super) type Route<Interface> = (u32, Interface);

/// Asks the kernel for the default routes of the main table.
///
/// # Errors
///
/// When it does not answer.
pub(super) fn ask(open: &mut Option<Netlink>) -> Result<Vec<Route<String>>, SensorError> {
    let mut netlink = match open.take() {
        Some(netlink) => netlink,
        None => Netlink::route()?,
    };
    let mut header = [0; RTMSG];
    if let Some(family) = header.first_mut() {
        *family = AF_INET6;
    }
    let mut found = Vec::new();
    netlink.request(RTM_GETROUTE, NLM_F_DUMP, &header, &[], |reply| {
        if found.len() < ROUTES_MAX {
            found.extend(parse(reply));
        }
    })?;
    // Kept only while it answers.
    *open = Some(netlink);
    let name = |index| if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    let named = found.into_iter().filter_map(|(metric, index)| Some((metric, name(index)?)));
    Ok(named.filter(|(_, name)| name != "lo").collect())
}

/// One `RTM_NEWROUTE`: what it says of default routes, by the index of the interface; several for one over several paths.
pub(crate) fn parse(reply: &[u8]) -> Vec<Route<u32>> {
    default_route(reply).unwrap_or_default()
}

fn default_route(reply: &[u8]) -> Option<Vec<Route<u32>>> {
    let (header, attributes) = reply.split_at_checked(RTMSG)?;
    // A kernel without IPv6 answers with the routes of IPv4.
    let [AF_INET6, 0, 0, _, table, _, _, RTN_UNICAST, flags @ ..] = header else { return None };
    // The header has room for eight bits only.
    let table = attribute(attributes, RTA_TABLE).and_then(u32_of).unwrap_or_else(|| u32::from(*table));
    if table != RT_TABLE_MAIN || u32_of(flags)? & RTNH_F_DEAD != 0 {
        return None;
    }
    let metric = attribute(attributes, RTA_PRIORITY).and_then(u32_of).unwrap_or(0);
    let mut routes = Vec::new();
    if let Some(index) = attribute(attributes, RTA_OIF).and_then(u32_of) {
        routes.push((metric, index));
    }
    let mut paths = attribute(attributes, RTA_MULTIPATH).unwrap_or_default();
    // `struct rtnexthop`: length, flags, weight, index, and attributes that do not matter here.
    while let Some(&[first, second, flags, _, ..]) = paths.get(..RTNEXTHOP) {
        let length = usize::from(u16::from_ne_bytes([first, second]));
        let index = paths.get(4..RTNEXTHOP).and_then(u32_of)?;
        if u32::from(flags) & RTNH_F_DEAD == 0 {
            routes.push((metric, index));
        }
        paths = paths.get(length.max(RTNEXTHOP).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(routes)
}

/// As `/proc/net/ipv6_route` has them, without gateways.
pub(super) fn as_table(routes: &[Route<String>]) -> Answer {
    let zero = "0".repeat(32);
    let lines = routes.iter().map(|(metric, name)| {
        format!("{zero} 00 {zero} 00 {zero} {metric:08x} 00000001 00000000 00000001 {name:>8}\n")
    });
    Answer::Text(lines.collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len() + 4).expect("short");
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
    }

    /// A route of this family, length of the destination, table, type, and flags; metric 100 over interface 2.
    fn route(family: u8, length: u8, table: u8, kind: u8, flags: u32, more: &[u8]) -> Vec<u8> {
        let header = [&[family, length, 0, 0, table, 3, 0, kind][..], &flags.to_ne_bytes()].concat();
        let metric = attr(RTA_PRIORITY, &100u32.to_ne_bytes());
        [header, metric, attr(RTA_OIF, &2u32.to_ne_bytes()), more.to_vec()].concat()
    }

    #[test]
    fn a_default_route_of_the_main_table_counts_and_no_other() {
        assert_eq!(parse(&route(AF_INET6, 0, 254, 1, 0, &[])), [(100, 2)]);
        for (family, length, table, kind, flags) in [
            (2, 0, 254, 1, 0),
            (AF_INET6, 64, 254, 1, 0),
            (AF_INET6, 0, 100, 1, 0),
            (AF_INET6, 0, 255, 1, 0),
            (AF_INET6, 0, 254, 7, 0),
            (AF_INET6, 0, 254, 1, RTNH_F_DEAD),
        ] {
            assert_eq!(parse(&route(family, length, table, kind, flags, &[])), [], "{family} {table} {kind}");
        }
        let table = |table: u32| attr(RTA_TABLE, &table.to_ne_bytes());
        assert_eq!(parse(&route(AF_INET6, 0, 254, 1, 0, &table(1_000))), [], "the attribute counts");
        assert_eq!(parse(&route(AF_INET6, 0, 0, 1, 0, &table(254))), [(100, 2)]);
    }

    #[test]
    fn each_path_of_a_route_counts_that_is_not_dead() {
        let path = |flags: u8, index: u32| {
            let gateway = attr(5, &[0xfe; 16]);
            let length = u16::try_from(RTNEXTHOP + gateway.len()).expect("short");
            [&length.to_ne_bytes()[..], &[flags, 0], &index.to_ne_bytes(), &gateway].concat()
        };
        let header = [&[AF_INET6, 0, 0, 0, 254, 3, 0, 1][..], &[0; 4]].concat();
        let paths = attr(RTA_MULTIPATH, &[path(0, 7), path(1, 8), path(0, 9)].concat());
        assert_eq!(parse(&[header, paths].concat()), [(0, 7), (0, 9)]);
    }

    #[test]
    fn asks_the_kernel_again_over_the_same_socket() {
        let mut open = None;
        let first = ask(&mut open).expect("an answer");
        assert!(open.is_some() && first.iter().all(|(_, name)| name != "lo"));
        assert!(ask(&mut open).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, paths: Vec<u8>) {
            prop_assert!(parse(&bytes).len() <= bytes.len());
            let header = [&[AF_INET6, 0, 0, 0, 254, 3, 0, 1][..], &[0; 4]].concat();
            prop_assert!(parse(&[header, attr(RTA_MULTIPATH, &paths)].concat()).len() <= paths.len());
        }
    }
}
