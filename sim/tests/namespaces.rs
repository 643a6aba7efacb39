//! The daemon in network namespaces of its own: no route, silent and failing name servers, loss, black holes, another
//! address.
//!
//! Needs root, iproute2 and nftables: `cargo test -p heartbeat-sim --test namespaces -- --ignored --test-threads=1`

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use heartbeat_sim::{
    hostile_servers::{Authority, Fault, HostileServer},
    networks::{Answer, NameServer, Namespace, Zone},
    receiver::Receiver,
};
use support::{Daemon, beat, command, is_packaged};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Addresses to which all packets are dropped.
const NOBODY: [&str; 2] = ["198.51.100.1", "2001:db8::1"];

/// A network with loopback; packets to the addresses of [`NOBODY`] are dropped.
fn network() -> Namespace {
    let namespace = Namespace::with_loopback().expect("a network");
    for address in NOBODY {
        namespace.ip(&["addr", "add", address, "dev", "lo"]).expect("added");
    }
    namespace.drop_packets(&format!("ip daddr {}", NOBODY[0])).expect("dropped");
    namespace.drop_packets(&format!("ip6 daddr {}", NOBODY[1])).expect("dropped");
    namespace
}

fn use_name_server(namespace: &Namespace, address: &str) {
    namespace.file("resolv.conf", format!("nameserver {address}\n")).expect("written");
}

fn receiver(namespace: &Namespace) -> Receiver {
    namespace.inside(|| Receiver::listen("127.0.0.1:0")).expect("a port")
}

/// A daemon inside that sends to this URL every second.
fn daemon(namespace: &Namespace, url: &str, more: &[&str]) -> Daemon {
    daemon_with(namespace, "1", "0.8", url, more)
}

fn daemon_with(namespace: &Namespace, interval: &str, timeout: &str, url: &str, more: &[&str]) -> Daemon {
    let args =
        ["run", "--url", url, "--interval", interval, "--timeout", timeout, "--pidfile", "", "--verbose"];
    Daemon::start(namespace.exec(&command(&[&args[..], more].concat())))
}

/// A name server inside that says the same about both families.
fn name_server(namespace: &Namespace, addresses: &[IpAddr]) -> NameServer {
    NameServer::listen(namespace, LOOPBACK, Zone::of("server.test", addresses)).expect("port 53")
}

fn answers(server: &NameServer, answer: &Answer) {
    server.set(|zone| (zone.v4, zone.v6) = (answer.clone(), answer.clone()));
}

/// Threads of the daemon with this name.
fn threads(daemon: &Daemon, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it lives");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

#[test]
#[ignore = "needs root"]
fn without_a_network() {
    let namespace = Namespace::new().expect("a network");
    let mut daemon = daemon(&namespace, "http://192.0.2.1/", &[]);
    let line = daemon.logs("not delivered");
    let expected = "warning: heartbeat not delivered: no route to the server [IPv4 192.0.2.1:80]";
    assert!(line.starts_with(expected), "{line}");
    for _ in 0..3 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
}

/// glibc waits 10 s for each lookup; a beat is due every second.
#[test]
#[ignore = "needs root"]
fn a_name_server_that_is_silent() {
    let namespace = network();
    use_name_server(&namespace, NOBODY[0]);
    let mut daemon = daemon(&namespace, "http://server.test/", &[]);
    let line = daemon.logs("not delivered");
    assert_eq!(line, "warning: heartbeat not delivered: no answer from the name servers");
    for _ in 0..12 {
        daemon.logs("debug: sending");
        assert_eq!(threads(&daemon, "resolver"), 1);
    }
    println!("SIGTERM during a hanging lookup: {} ms", daemon.stop().as_millis());
    let skipped = daemon.log.iter().filter(|line| line.contains("skipped")).count();
    assert_eq!(skipped, 0, "{:#?}", daemon.log);
}

#[test]
#[ignore = "needs root"]
fn a_name_server_that_fails_and_one_that_knows_no_such_name() {
    // musl waits for another answer after SERVFAIL, for longer than the beat.
    let fails = if is_packaged() { "no answer from the name servers" } else { "the name servers failed" };
    let has_none = "the server's name has no address";
    for (answer, complaint) in
        [(Answer::Code(2), fails), (Answer::Code(3), has_none), (Answer::Addresses(Vec::new()), has_none)]
    {
        let namespace = network();
        let receiver = receiver(&namespace);
        let names = name_server(&namespace, &[]);
        answers(&names, &answer);
        let mut daemon =
            daemon(&namespace, &format!("http://server.test:{}/", receiver.address().port()), &[]);
        let line = daemon.logs("not delivered");
        let expected = format!("warning: heartbeat not delivered: {complaint}");
        assert!(line.starts_with(&expected), "{line}");
        names.set(|zone| *zone = Zone::of("server.test", &[LOOPBACK]));
        beat(&receiver);
        daemon.logs("delivered again");
        daemon.stop();
    }
}

#[test]
#[ignore = "needs root"]
fn the_last_good_address_outlives_its_name_server() {
    let namespace = network();
    // Every connection is a new one, and the address in doubt after each failure.
    let fault = Fault::named("stale-reset").expect("a fault");
    let server = namespace
        .inside(move || HostileServer::listen((LOOPBACK, 0).into(), fault, None))
        .expect("listening");
    let names = name_server(&namespace, &[LOOPBACK]);
    let mut daemon = daemon(&namespace, &format!("http://server.test:{}/", server.address().port()), &[]);
    daemon.logs("debug: sending");
    daemon.logs("debug: sending");
    answers(&names, &Answer::Code(2));
    for _ in 0..4 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered:")), "{:#?}", daemon.log);
}

#[test]
#[ignore = "needs root"]
fn another_address_is_tried_within_the_same_beat() {
    let refused = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let unroutable = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
    let mut many: Vec<_> = (2..17).map(refused).collect();
    many.push(LOOPBACK);
    for addresses in [vec![refused(2), LOOPBACK], vec![unroutable, LOOPBACK], many] {
        let namespace = network();
        let receiver = receiver(&namespace);
        let _names = name_server(&namespace, &addresses);
        let mut daemon =
            daemon(&namespace, &format!("http://server.test:{}/", receiver.address().port()), &[]);
        beat(&receiver);
        daemon.stop();
        assert!(!daemon.log.iter().any(|line| line.contains("not delivered:")), "{:#?}", daemon.log);
    }
}

#[test]
#[ignore = "needs root"]
fn an_address_in_a_black_hole_leaves_time_for_the_next() {
    let namespace = network();
    let receiver = receiver(&namespace);
    let black_hole = NOBODY[1].parse().expect("an address");
    let _names = name_server(&namespace, &[black_hole, LOOPBACK]);
    let url = format!("http://server.test:{}/", receiver.address().port());
    let mut daemon = daemon_with(&namespace, "4", "2", &url, &[]);
    beat(&receiver);
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered:")), "{:#?}", daemon.log);
}

#[test]
#[ignore = "needs root"]
fn another_name_server_is_found_without_a_restart() {
    let namespace = network();
    use_name_server(&namespace, "127.0.0.9");
    let receiver = receiver(&namespace);
    let _names = name_server(&namespace, &[LOOPBACK]);
    let mut daemon = daemon(&namespace, &format!("http://server.test:{}/", receiver.address().port()), &[]);
    daemon.logs("not delivered");
    // In place, as DHCP clients do: the daemon sees the same file.
    use_name_server(&namespace, "127.0.0.1");
    beat(&receiver);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn a_third_of_the_packets_lost() {
    let namespace = network();
    let receiver = receiver(&namespace);
    namespace.drop_packets("tcp dport != 0 numgen random mod 100 < 30").expect("dropped");
    let mut daemon = daemon_with(&namespace, "1", "1", &format!("http://{}/", receiver.address()), &[]);
    for _ in 0..20 {
        daemon.logs("debug: sending");
    }
    daemon.stop();
    let arrived = receiver.events().try_iter().count();
    println!("with 30 % of the packets lost {arrived} of 20 heartbeats arrived");
    assert!(arrived > 0, "{:#?}", daemon.log);
    assert!(daemon.log.iter().any(|line| line.starts_with("stopped: ")), "{:#?}", daemon.log);
}

/// Path MTU discovery that fails: what is small passes, what is large does not.
#[test]
#[ignore = "needs root"]
fn large_packets_vanish() {
    let namespace = network();
    let authority = Authority::new();
    let dir = tempfile::tempdir().expect("a directory");
    let ca_file = dir.path().join("ca.pem");
    fs::write(&ca_file, authority.pem()).expect("written");
    let receiver = namespace
        .inside(move || Receiver::secured("127.0.0.1:0", &authority, "localhost"))
        .expect("listening");
    namespace.drop_packets("meta length > 500").expect("dropped");
    namespace.file("hosts", "127.0.0.1 localhost\n").expect("written");
    namespace.file("nsswitch.conf", "hosts: files\n").expect("written");
    let url = format!("https://localhost:{}/", receiver.address().port());
    let mut daemon = daemon(&namespace, &url, &["--ca-file", ca_file.to_str().expect("UTF-8")]);
    let line = daemon.logs("not delivered");
    assert!(
        line.starts_with("warning: heartbeat not delivered: no end of the TLS handshake in time"),
        "{line}"
    );
    namespace.pass_all().expect("flushed");
    beat(&receiver);
    daemon.logs("delivered again");
    daemon.stop();
}

/// From one network to another: the connection goes nowhere any more.
#[test]
#[ignore = "needs root"]
fn the_devices_address_changes() {
    let (device, server) = (network(), network());
    device
        .ip(&["link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", server.name()])
        .expect("done");
    device.ip(&["addr", "add", "203.0.113.2/24", "dev", "up0"]).expect("done");
    server.ip(&["addr", "add", "203.0.113.1/24", "dev", "up0"]).expect("done");
    for namespace in [&device, &server] {
        namespace.ip(&["link", "set", "up0", "up"]).expect("done");
    }
    let receiver = server.inside(|| Receiver::listen("203.0.113.1:0")).expect("a port");
    let mut daemon = daemon(&device, &format!("http://{}/", receiver.address()), &[]);
    beat(&receiver);
    beat(&receiver);
    device.ip(&["addr", "del", "203.0.113.2/24", "dev", "up0"]).expect("done");
    device.ip(&["addr", "add", "203.0.113.3/24", "dev", "up0"]).expect("done");
    // What arrived before does not count.
    let before = receiver.events().try_iter().count();
    println!("{before} more before the change");
    beat(&receiver);
    daemon.stop();
}

#[test]
#[ignore = "needs root"]
fn among_hundreds_of_interfaces_the_one_with_the_default_route_is_found() {
    let namespace = Namespace::new().expect("a network");
    let pairs = (0..125).map(|number| format!("link add a{number} type veth peer name b{number}\n"));
    let used = "link set a100 up\nlink set b100 up\naddr add 192.0.2.7/24 dev a100\n\
                route add default via 192.0.2.1\n";
    let batch = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&batch, pairs.chain([used.to_owned()]).collect::<String>()).expect("written");
    namespace.ip(&["-batch", batch.path().to_str().expect("UTF-8")]).expect("done");
    let output = namespace.exec(&command(&["sample"])).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sample: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let connection = &sample["connection"];
    assert_eq!(connection["default_interface"], "a100", "{connection}");
    assert_eq!(connection["ethernet"]["ip"], "192.0.2.7", "{connection}");
}
