//! Name servers: what they say about one family of addresses does not touch the other, and how they say it does not matter as
//! long as there is an address.

use std::net::IpAddr;

use heartbeat_sim::networks::{Answer, NameServer, Site, Zone};

use crate::{Field, SERVER, Switch, each, failures, support::is_packaged, within_beats};

const V6: IpAddr = IpAddr::V6(Site::SERVER_V6);
/// An address at which nothing answers.
const DEAD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 99));

/// A name server, and how it is configured.
struct Case {
    zone: Zone,
    resolv: String,
    /// Heartbeats that may go by until the name is known.
    beats: usize,
}

impl Case {
    fn of(v4: Answer, v6: Answer) -> Self {
        let zone = Zone { v4, v6, ..Zone::of(Site::NAME, &[]) };
        Self { zone, resolv: format!("nameserver {SERVER}\n"), beats: 4 }
    }

    fn configured(resolv: impl Into<String>) -> Self {
        Self { resolv: resolv.into(), ..Self::of(v4(), Answer::Addresses(Vec::new())) }
    }

    /// It takes as long as the system's resolver waits.
    fn slow(self) -> Self {
        Self { beats: 40, ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Zone)) -> Self {
        change(&mut self.zone);
        self
    }
}

fn v4() -> Answer {
    Answer::Addresses(vec![SERVER])
}

fn v6() -> Answer {
    Answer::Addresses(vec![V6])
}

/// The server takes heartbeats at both addresses, and closes each connection, so that the name is needed again.
fn delivers(case: Case) -> Result<(), String> {
    let field = Field::new();
    field.site.device.file("resolv.conf", &case.resolv).expect("written");
    field.site.names.set(|zone| *zone = case.zone);
    let servers = [SERVER, V6].map(|ip| Switch::listen(&field, ip, 200));
    let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
    let arrived = || servers.iter().map(Switch::requests).sum::<usize>();
    let result = within_beats(&mut daemon, case.beats, || arrived() >= 2);
    daemon.stop();
    result
}

#[test]
#[ignore = "needs root"]
fn answer_about_one_family_does_not_touch_the_other() {
    let alone = || Answer::Addresses(Vec::new());
    let mut cases = Vec::new();
    for (name, odd) in [
        ("no address", alone()),
        ("FORMERR", Answer::Code(1)),
        ("SERVFAIL", Answer::Code(2)),
        ("NXDOMAIN", Answer::Code(3)),
        ("NOTIMP", Answer::Code(4)),
        ("REFUSED", Answer::Code(5)),
        ("YXDOMAIN", Answer::Code(6)),
        ("silence", Answer::Silence),
        ("noise", Answer::Garbage),
        ("another query's id", Answer::WrongId(vec![DEAD])),
        ("a loop of aliases", Answer::AliasLoop),
        ("an alias without address", Answer::Aliases(1, Vec::new())),
    ] {
        cases.push((name, Case::of(v4(), odd.clone())));
        // IPv4 is asked for first, and the system's resolver waits for an answer.
        cases.push((name, Case::of(odd, v6()).slow()));
    }
    each(cases, delivers);
}

#[test]
#[ignore = "needs root"]
fn form_of_an_answer_does_not_matter() {
    let none = || Answer::Addresses(Vec::new());
    let cases = vec![
        ("an alias", Case::of(Answer::Aliases(1, vec![SERVER]), none())),
        ("eight aliases", Case::of(Answer::Aliases(8, vec![SERVER]), none())),
        ("cut, then over TCP", Case::of(Answer::Truncated(vec![SERVER]), none())),
        (
            "cut, and no TCP, for one family",
            Case::of(Answer::Truncated(vec![SERVER]), v6()).with(|zone| zone.takes_tcp = false).slow(),
        ),
        ("a time to live of 0", Case::of(v4(), none()).with(|zone| zone.ttl = 0)),
        ("sixteen addresses, one good", {
            let dead = (50..65).map(|last| IpAddr::from([10, 9, 0, last]));
            let all = std::iter::once(SERVER).chain(dead).collect();
            Case::of(Answer::Addresses(all), none())
        }),
        ("an address of no host before the good one", {
            Case::of(Answer::Addresses(vec![IpAddr::from([0, 0, 0, 0]), SERVER]), none())
        }),
    ];
    each(cases, delivers);
}

#[test]
#[ignore = "needs root"]
fn settings_of_the_resolver_are_understood() {
    let options = "options edns0 trust-ad rotate single-request-reopen timeout:1 attempts:1";
    let comment = "# a line of a comment\n";
    let cases = vec![
        (
            "search domains",
            Case::configured(format!("search a.test b.test\noptions ndots:5\nnameserver {SERVER}\n")),
        ),
        ("options", Case::configured(format!("nameserver {SERVER}\n{options}\n"))),
        (
            "the first of two is dead",
            Case::configured(format!("nameserver {DEAD}\nnameserver {SERVER}\n")).slow(),
        ),
        ("the second of two is dead", Case::configured(format!("nameserver {SERVER}\nnameserver {DEAD}\n"))),
        ("of IPv6", Case::configured(format!("nameserver {SERVER}\nnameserver {V6}\n"))),
        ("noise", Case::configured(format!("# \u{fffd}\nnameserver\nnameserver {SERVER} # comment\n"))),
        ("long", Case::configured(format!("{}nameserver {SERVER}\n", comment.repeat(3_000)))),
    ];
    each(cases, delivers);
}

/// glibc fails in these.
#[test]
#[ignore = "needs root"]
fn packaged_program_understands_more_of_the_resolver() {
    if !is_packaged() {
        println!("skipped: this is about the packaged program");
        return;
    }
    let options = "options edns0 trust-ad rotate single-request-reopen timeout:1 attempts:1";
    let cases = vec![
        (
            "EDNS refused",
            Case::configured(format!("nameserver {SERVER}\n{options}\n"))
                .with(|zone| zone.refuses_edns = true),
        ),
        ("ends of lines with CR", Case::configured(format!("nameserver {SERVER}\r\n"))),
    ];
    each(cases, delivers);
}

/// Neither musl nor glibc asks the next name server for what the first denies; a refusal is no denial.
#[test]
#[ignore = "needs root"]
fn name_server_that_refuses_leaves_the_next_one() {
    let cases =
        [("SERVFAIL", 2), ("NOTIMP", 4), ("REFUSED", 5)].map(|(name, code)| (name, Answer::Code(code)));
    each(cases.into(), |answer| {
        let field = Field::new();
        let zone = Zone { v4: answer.clone(), v6: answer, ..Zone::of(Site::NAME, &[]) };
        NameServer::listen(&field.site.server, crate::OTHER, zone).expect("port 53");
        let resolv = format!("nameserver {}\nnameserver {SERVER}\n", crate::OTHER);
        field.site.device.file("resolv.conf", resolv).expect("written");
        let server = Switch::listen(&field, SERVER, 200);
        let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
        let result = within_beats(&mut daemon, 40, || server.requests() >= 2);
        daemon.stop();
        result
    });
}

/// As filters of name servers answer, and as a device without a network configuration is set up.
#[test]
#[ignore = "needs root"]
fn address_of_no_host_is_no_address() {
    let field = Field::new();
    // What listens on the device itself must not get the document.
    let (own, theirs) =
        (Switch::listen_in(&field.site.device, [0, 0, 0, 0].into(), 200), field.site.names.clone());
    for zeros in ["0.0.0.0", "::"] {
        let zero: IpAddr = zeros.parse().expect("an address");
        theirs.set(|zone| *zone = Zone::of(Site::NAME, &[zero]));
        let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
        let line = daemon.logs("not delivered");
        daemon.stop();
        assert!(line.contains("the server's name has no address"), "{line}");
    }
    assert_eq!(own.connections(), 0);
}

#[test]
#[ignore = "needs root"]
fn empty_configuration_means_the_device_itself() {
    let field = Field::new();
    field.site.device.file("resolv.conf", "").expect("written");
    let zone = Zone::of(Site::NAME, &[SERVER]);
    let own = NameServer::listen(&field.site.device, IpAddr::from([127, 0, 0, 1]), zone).expect("port 53");
    let server = Switch::listen(&field, SERVER, 200);
    let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
    within_beats(&mut daemon, 4, || server.requests() >= 2).expect("heartbeats");
    daemon.stop();
    assert!(own.queries() > 0);
}

/// After a failure the name is asked for again, and nothing waits for that.
#[test]
#[ignore = "needs root"]
fn kept_connection_needs_no_name() {
    let field = Field::new();
    let server = Switch::listen(&field, SERVER, 200);
    let mut daemon = field.daemon_for(&format!("http://{}/", Site::NAME), "1", "1", &[]);
    within_beats(&mut daemon, 10, || server.requests() >= 2).expect("heartbeats");
    field.site.names.set(|zone| (zone.v4, zone.v6) = (Answer::Silence, Answer::Silence));
    let queries = field.site.names.queries();
    server.says(503);
    daemon.logs("not delivered: the server failed (503)");
    server.says(200);
    daemon.logs("delivered again");
    let arrived = server.requests();
    within_beats(&mut daemon, 10, || server.requests() >= arrived + 5).expect("heartbeats");
    daemon.stop();
    assert_eq!((server.connections(), field.site.names.queries()), (1, queries), "{:#?}", daemon.log);
    assert_eq!(failures(&daemon), 0, "{:#?}", daemon.log);
}
