//! What lies between: links that delay, lose and forget, and addresses that lead nowhere.

use std::{net::IpAddr, time::Duration};

use heartbeat_sim::{
    networks::{Answer, Family, Fate, NameServer, Nat, Rule, Site, Zone, hides, loses, swallows_longer_than},
    receiver::Event,
};

use crate::{
    Field, OTHER, SERVER, each, failures,
    support::{Daemon, beat},
    within_beats,
};

const V6: IpAddr = IpAddr::V6(Site::SERVER_V6);

/// What is wrong with one address, while the other is good.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Packets vanish on the way there.
    BlackHole,
    /// Only long packets do.
    MtuBlackHole,
    /// Something on the way resets connections.
    Reset,
    /// Something on the way says that there is no such host.
    Unreachable,
    /// Connections are taken, and nothing is said on them.
    Silent,
    /// Connections are taken and closed.
    HangsUp,
    /// The handshake comes byte by byte.
    Stalls,
    /// The certificate is another's.
    WrongCertificate,
}

use Trouble::{BlackHole, HangsUp, MtuBlackHole, Reset, Silent, Stalls, Unreachable, WrongCertificate};

/// `bad` has the trouble and is the first in the answer; `good` is not.
fn delivers((trouble, bad, good, round_trip): (Trouble, IpAddr, IpAddr, u64)) -> Result<(), String> {
    let field = Field::new();
    let site = &field.site;
    let receiver = field.receiver(good);
    let family = if bad.is_ipv4() { "ip" } else { "ip6" };
    let filter = |verdict| site.server.filter(&format!("{family} daddr {bad} tcp dport 443"), verdict);
    let mut servers = Vec::new();
    match trouble {
        BlackHole => filter("drop").expect("filtered"),
        Reset => filter("reject with tcp reset").expect("filtered"),
        Unreachable => filter("reject with icmpx type host-unreachable").expect("filtered"),
        MtuBlackHole => {
            servers.push(field.receiver(bad));
            let family = if bad.is_ipv4() { Family::V4 } else { Family::V6 };
            site.wire.set_rules(vec![swallows_longer_than(family, 500)]);
        }
        Silent => drop(field.hostile("tls-silent", bad)),
        HangsUp => drop(field.hostile("hang-up", bad)),
        Stalls => drop(field.hostile("tls-drip", bad)),
        WrongCertificate => drop(field.hostile("wrong-host", bad)),
    }
    site.names.set(|zone| *zone = Zone::of(Site::NAME, &[bad, good]));
    site.wire.set_round_trip(Duration::from_millis(round_trip));
    let mut daemon = field.daemon("2", "2", &[]);
    let mut first = None;
    let found = within_beats(&mut daemon, 30, || receiver.events().try_recv().is_ok());
    if found.is_ok() {
        first = Some(failures(&daemon));
        // Then the good address is remembered, and its connection kept.
        (0..3).for_each(|_| drop(beat(&receiver)));
    }
    daemon.stop();
    found?;
    match first {
        Some(0..=4) => Ok(()),
        count => Err(format!("{count:?} failures before the first delivery: {:#?}", daemon.log)),
    }
}

#[test]
#[ignore = "needs root"]
fn trouble_with_one_address_leaves_the_other() {
    let all = [BlackHole, MtuBlackHole, Reset, Unreachable, Silent, HangsUp, Stalls, WrongCertificate];
    let mut cases = Vec::new();
    for trouble in all {
        cases.push(("IPv6 bad, IPv4 good", (trouble, V6, SERVER, 20)));
        cases.push(("IPv4 bad, IPv6 good", (trouble, SERVER, V6, 20)));
        // The rule of this trouble is about a family.
        if !matches!(trouble, MtuBlackHole) {
            cases.push(("first of two bad", (trouble, SERVER, OTHER, 20)));
            cases.push(("second of two bad", (trouble, OTHER, SERVER, 20)));
        }
    }
    each(cases, delivers);
}

/// Two good addresses behind two or three that are announced and lead nowhere, over a slow link.
#[test]
#[ignore = "needs root"]
fn dead_ipv6_addresses_do_not_hide_good_ipv4_ones() {
    let cases = vec![("two, 150 ms", (2, 150)), ("two, 300 ms", (2, 300)), ("three, 100 ms", (3, 100))];
    each(cases, |(dead, round_trip)| {
        let field = Field::new();
        let receivers = [SERVER, OTHER].map(|ip| field.receiver(ip));
        let mut addresses: Vec<IpAddr> =
            (1..=dead).map(|last| format!("2001:db8:1::{last}").parse().expect("an address")).collect();
        addresses.extend([SERVER, OTHER]);
        field.site.names.set(|zone| *zone = Zone::of(Site::NAME, &addresses));
        field.site.wire.set_rules(vec![hides(Family::V6)]);
        field.site.wire.set_round_trip(Duration::from_millis(round_trip));
        let mut daemon = field.daemon("5", "2", &[]);
        let arrived = || receivers.iter().any(|receiver| receiver.events().try_recv().is_ok());
        let first = within_beats(&mut daemon, 3, arrived);
        let second = first.and_then(|()| within_beats(&mut daemon, 2, arrived));
        daemon.stop();
        second
    });
}

fn seq(event: &Event) -> u64 {
    match event {
        Event::Beat(beat) => beat.value.get("seq").and_then(serde_json::Value::as_u64).expect("a number"),
        Event::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// The kernel would go on sending what was given up.
#[test]
#[ignore = "needs root"]
fn heartbeat_that_was_given_up_does_not_arrive_after_a_tunnel() {
    let field = Field::new();
    let receiver = field.receiver(SERVER);
    let mut daemon = field.daemon("1", "0.8", &[]);
    beat(&receiver);
    let tunnel: Rule = Box::new(|_| Fate::Lost);
    field.site.wire.set_rules(vec![tunnel]);
    for _ in 0..6 {
        daemon.logs("request failed:");
    }
    // Nothing of before the tunnel is on its way any more.
    let before = receiver.events().try_iter().map(|event| seq(&event)).max();
    field.site.wire.set_rules(Vec::new());
    daemon.logs("delivered again");
    for _ in 0..12 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    let after: Vec<_> = receiver.events().try_iter().map(|event| seq(&event)).collect();
    assert!(after.windows(2).all(|pair| matches!(pair, [one, next] if one < next)), "{after:?}");
    let given_up = before.map_or(0, |before| before + 1)..=after.first().copied().unwrap_or(0) - 1;
    assert!(given_up.count() >= 5, "{before:?}, {after:?}");
}

/// The next request is answered with a reset, and made again at once over a new connection.
#[test]
#[ignore = "needs root"]
fn router_that_forgets_and_resets_costs_no_heartbeat() {
    let field = Field::new();
    let receiver = field.receiver(SERVER);
    field.site.wire.set_rules(vec![Nat::forgets_after(Duration::from_secs(1), true)]);
    let mut daemon = field.daemon("3", "2", &[]);
    let connections: Vec<_> = (0..5).map(|_| beat(&receiver).connection).collect();
    daemon.logs("debug: sending");
    daemon.stop();
    assert_eq!(failures(&daemon), 0, "{:#?}", daemon.log);
    assert_eq!(connections, [1, 2, 3, 4, 5], "each was forgotten");
}

/// All connections of a carrier at once, while they are in use.
#[test]
#[ignore = "needs root"]
fn router_that_forgets_once_costs_one_heartbeat() {
    for resets in [true, false] {
        let field = Field::new();
        let receiver = field.receiver(SERVER);
        let mut daemon = field.daemon("2", "1.5", &[]);
        beat(&receiver);
        beat(&receiver);
        // A router without memory of what is in use.
        field.site.wire.set_rules(vec![Nat::forgets_after(Duration::from_secs(600), resets)]);
        while beat(&receiver).connection == 1 {}
        beat(&receiver);
        daemon.stop();
        assert!(failures(&daemon) <= 1, "{:#?}", daemon.log);
    }
}

#[test]
#[ignore = "needs root"]
fn heartbeats_arrive_with_a_tenth_of_the_packets_lost() {
    let field = Field::new();
    let receiver = field.receiver(SERVER);
    field.site.wire.set_round_trip(Duration::from_millis(60));
    field.site.wire.set_rules(vec![loses(10, 0)]);
    let mut daemon = field.daemon("2", "2", &[]);
    sent(&mut daemon, 20);
    daemon.stop();
    let arrived = receiver.events().try_iter().count();
    assert!(arrived >= 15, "{arrived} of 20: {:#?}", daemon.log);
}

/// The least that IPv4 links had to carry for long, and some tunnels still do.
#[test]
#[ignore = "needs root"]
fn heartbeats_arrive_over_a_link_for_short_packets() {
    let field = Field::new();
    let receiver = field.receiver(SERVER);
    for namespace in [&field.site.device, &field.site.server] {
        namespace.ip(&["link", "set", "wire0", "mtu", "576"]).expect("set");
    }
    let mut daemon = field.daemon("1", "1", &[]);
    (0..3).for_each(|_| drop(beat(&receiver)));
    daemon.stop();
    assert_eq!(failures(&daemon), 0, "{:#?}", daemon.log);
}

/// A mobile network without IPv4: the server has only that, and NAT64 with DNS64 (RFC 6146, RFC 6147) leads there.
#[test]
#[ignore = "needs root"]
fn server_of_ipv4_is_reached_through_nat64() {
    let field = Field::new();
    let site = &field.site;
    let translated: IpAddr = "64:ff9b::a09:1".parse().expect("an address");
    site.add_address(translated).expect("added");
    let receiver = field.receiver(translated);
    let zone = Zone::of(Site::NAME, &[SERVER, translated]);
    let names = NameServer::listen(&site.server, V6, zone).expect("listening");
    site.device.file("resolv.conf", format!("nameserver {V6}\n")).expect("written");
    site.device.ip(&["addr", "del", "10.9.0.2/24", "dev", "wire0"]).expect("removed");
    for only_translated in [false, true] {
        if only_translated {
            names.set(|zone| zone.v4 = Answer::Addresses(Vec::new()));
        }
        let mut daemon = field.daemon("1", "1", &[]);
        (0..3).for_each(|_| drop(beat(&receiver)));
        daemon.stop();
        assert!(failures(&daemon) <= 1, "{only_translated}: {:#?}", daemon.log);
    }
}

/// Mobile networks give a device another prefix, and take the old one away later.
#[test]
#[ignore = "needs root"]
fn connection_lives_as_long_as_its_address_and_is_made_again_after_it() {
    let field = Field::new();
    let receiver = field.receiver(V6);
    let device = &field.site.device;
    field.site.names.set(|zone| *zone = Zone::of(Site::NAME, &[V6]));
    let mut daemon = field.daemon("1", "0.8", &[]);
    assert_eq!(beat(&receiver).connection, 1);
    device.ip(&["addr", "add", "fd00:9::22/64", "dev", "wire0", "nodad"]).expect("added");
    device.ip(&["addr", "change", "fd00:9::2/64", "dev", "wire0", "preferred_lft", "0"]).expect("deprecated");
    (0..3).for_each(|_| assert_eq!(beat(&receiver).connection, 1, "it is only deprecated"));
    assert_eq!(failures(&daemon), 0);
    device.ip(&["addr", "del", "fd00:9::2/64", "dev", "wire0"]).expect("removed");
    while beat(&receiver).connection == 1 {}
    (0..3).for_each(|_| drop(beat(&receiver)));
    daemon.stop();
    assert!(failures(&daemon) <= 3, "{:#?}", daemon.log);
}

fn sent(daemon: &mut Daemon, count: usize) {
    for _ in 0..count {
        daemon.logs("debug: sending");
    }
}
