//! What a link remembers of addresses and of silence.

use std::{net::TcpListener, thread};

use super::*;
use crate::{
    uplink::{names::Family, target::Host},
    waker,
};

fn link(host: Host, port: u16) -> Link {
    let (waker, wake_ups) = waker::pair().expect("a pair");
    let limits = Limits {
        connect: Duration::from_secs(15),
        idle: Duration::from_secs(15),
        interval: Duration::from_secs(5),
    };
    let target = Target { host, port, secured: false, proves: None, tunnel: None };
    let mut link = Link::new(target, limits, None, Traffic::default(), waker.clone(), wake_ups);
    link.names = Names::with_lookup(|_, family| match family {
        Family::V4 => Ok(vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]),
        Family::V6 => Ok(Vec::new()),
    });
    link.names.wakes(waker);
    link
}

fn beat(generation: u64) -> Beat {
    let began = Instant::now();
    let timeout = Duration::from_secs(20);
    Beat { began, until: began + timeout, timeout, generation }
}

/// With a server behind one address that refuses and closes, one that is well behind the other would never be asked.
#[test]
fn refusal_that_ends_its_connection_leads_to_the_other_address() {
    let one = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = one.local_addr().expect("an address").port();
    let other = TcpListener::bind(("127.0.0.2", port)).expect("the same port");
    for listener in [one, other] {
        thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    }
    let mut link = link(Host::Name("server.example".to_owned()), port);
    let address_after = |link: &mut Link, generation, status| {
        link.begin(beat(generation));
        let connection = link.take().expect("a connection");
        link.is_answered(Some(status));
        drop(connection);
        link.conclude(Ok(status));
        link.used().address.expect("an address").ip().to_string()
    };
    assert_eq!(address_after(&mut link, 1, 200), "127.0.0.1");
    assert_eq!(address_after(&mut link, 2, 503), "127.0.0.1", "it worked");
    assert_eq!(address_after(&mut link, 3, 200), "127.0.0.2");
    assert_eq!(address_after(&mut link, 4, 200), "127.0.0.2");
}

/// On a slow link the first requests without an answer may be the link's fault. A server that never answers would be asked at
/// each heartbeat for ever.
#[test]
fn slow_link_does_not_excuse_silence_for_ever() {
    let mut link = link(Host::Address([127, 0, 0, 1].into()), 1);
    link.begin(Beat { timeout: Duration::from_secs(2), ..beat(1) });
    let facts = Facts {
        address: ([127, 0, 0, 1], 1).into(),
        connect_time: Duration::from_millis(1_200),
        handshake_round_trip: Duration::ZERO,
        since: Instant::now(),
    };
    for silent in 0..EXCUSED_MAX {
        let failure = link.no_answer(facts, Duration::from_secs(2)).failure();
        assert!(failure.is_only_slow, "after {silent}");
        link.used = Used { began: Some(Instant::now()), ..Used::default() };
        link.conclude(Err(&failure));
    }
    assert!(!link.no_answer(facts, Duration::from_secs(2)).failure().is_only_slow);
    link.used.was_answered = true;
    link.conclude(Ok(200));
    assert!(link.no_answer(facts, Duration::from_secs(2)).failure().is_only_slow, "it has answered");
}
