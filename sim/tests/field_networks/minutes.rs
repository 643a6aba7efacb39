//! What takes minutes: `cargo test -p heartbeat-sim --test field_networks -- --ignored minutes`

use std::time::Duration;

use heartbeat_sim::networks::{Nat, Site, Zone};

use crate::{Field, OTHER, SERVER, Switch, each, failures, support::beat, within_beats};

/// After two that were lost, connections are no longer used after so long a pause.
#[test]
#[ignore = "needs root, and three minutes"]
fn router_that_forgets_in_silence_costs_two_heartbeats() {
    let field = Field::new();
    let receiver = field.receiver(SERVER);
    field.site.wire.set_rules(vec![Nat::forgets_after(Duration::from_secs(12), false)]);
    let mut daemon = field.daemon("15", "2", &[]);
    (0..10).for_each(|_| drop(beat(&receiver)));
    daemon.logs("debug: sending");
    daemon.stop();
    assert_eq!(failures(&daemon), 2, "{:#?}", daemon.log);
}

/// A refusal may be the server's last word, or that of a server that the name no longer leads to.
#[test]
#[ignore = "needs root, and two minutes"]
fn refusals_of_an_old_connection_lead_to_the_server_that_moved() {
    let cases = [("301", 301), ("404", 404), ("410", 410), ("500", 500), ("503", 503)];
    each(cases.into(), |status| {
        let field = Field::new();
        let [old, new] = [SERVER, OTHER].map(|ip| Switch::listen(&field, ip, 200));
        let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "2", "2", &[]);
        within_beats(&mut daemon, 10, || old.requests() >= 2).expect("heartbeats");
        field.site.names.set(|zone| *zone = Zone::of(Site::NAME, &[OTHER]));
        old.says(status);
        let result = within_beats(&mut daemon, 15, || new.requests() >= 1);
        daemon.stop();
        result
    });
}
