//! Servers that move, and those that stand in their place.

use heartbeat_sim::networks::{Site, Zone};

use crate::{Field, OTHER, SERVER, Switch, failures, support::beat, within_beats};

/// The connection leads to the old one, which lives on.
#[test]
#[ignore = "needs root"]
fn misdirected_heartbeat_finds_the_server_that_moved() {
    let field = Field::new();
    let [old, new] = [SERVER, OTHER].map(|ip| Switch::listen(&field, ip, 200));
    let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
    within_beats(&mut daemon, 10, || old.requests() >= 2).expect("heartbeats");
    field.site.names.set(|zone| *zone = Zone::of(Site::NAME, &[OTHER]));
    old.says(421);
    daemon.logs("not delivered: the server refused the heartbeat (421)");
    daemon.logs("delivered again");
    daemon.stop();
    assert!(new.requests() > 0);
}

/// A network that wants a login answers every name with its own address until somebody has logged in.
#[test]
#[ignore = "needs root"]
fn captive_portal_gets_no_heartbeat_and_is_left_when_it_opens() {
    for fault in ["wrong-host", "unknown-authority", "tls-plain", "tls-alert", "hang-up"] {
        let field = Field::new();
        let receiver = field.receiver(SERVER);
        let portal = field.hostile(fault, OTHER);
        field.site.names.set(|zone| *zone = Zone { ttl: 0, ..Zone::of(Site::NAME, &[OTHER]) });
        let mut daemon = field.daemon("1", "1", &[]);
        daemon.logs("request failed:");
        daemon.logs("request failed:");
        field.site.names.set(|zone| *zone = Zone::of(Site::NAME, &[SERVER]));
        beat(&receiver);
        daemon.logs("delivered again");
        daemon.stop();
        assert_eq!(portal.requests(), 0, "{fault}");
        assert!(failures(&daemon) < 10, "{fault}: {:#?}", daemon.log);
    }
}
