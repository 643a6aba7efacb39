//! Races between addresses on loopback.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::{
    uplink::names::{Family, NameError},
    waker,
};

const HOST: &str = "server.example";

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A dial of [`HOST`] at these addresses of loopback.
struct Race {
    target: Target,
    names: Names,
    book: Book,
    tls: Option<Arc<ClientConfig>>,
    traffic: Traffic,
    steps: Steps,
    wake_ups: WakeUps,
}

impl Race {
    fn new(
        port: u16,
        secured: bool,
        lookup: impl Fn(Family) -> Result<Vec<IpAddr>, NameError> + Send + Sync + 'static,
    ) -> Self {
        let names = Names::with_lookup(move |_, family| lookup(family));
        let (waker, wake_ups) = waker::pair().expect("a pair");
        names.wakes(waker);
        let proves = HOST.try_into().ok();
        let target = Target { host: Host::Name(HOST.to_owned()), port, secured, proves, tunnel: None };
        let tls = secured.then(|| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_safe_default_protocol_versions().expect("versions");
            Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        });
        Self {
            target,
            names,
            book: Book::default(),
            tls,
            traffic: Traffic::default(),
            steps: Steps::default(),
            wake_ups,
        }
    }

    /// At these IPv4 addresses.
    fn between(port: u16, secured: bool, last: &'static [u8]) -> Self {
        Self::new(port, secured, move |family| match family {
            Family::V4 => Ok(last.iter().copied().map(ip).collect()),
            Family::V6 => Err(NameError::NoSuchName),
        })
    }

    fn context(&mut self) -> (DialContext<'_>, &mut WakeUps) {
        let Self { target, names, book, tls, traffic, steps, wake_ups } = self;
        (DialContext { target, names, book, tls: tls.as_ref(), traffic, steps }, wake_ups)
    }

    fn begin(&mut self, doubt: Doubt) -> Dial {
        Dial::begin(&self.context().0, doubt, Duration::from_secs(15), Duration::from_secs(2))
    }

    /// Until the end of the dial.
    fn run(&mut self) -> Result<SocketAddr, Failure> {
        let mut dial = self.begin(Doubt::Failed);
        loop {
            let (mut context, wake_ups) = self.context();
            match dial.turn(&mut context, wake_ups, None) {
                Turn::Waiting => {}
                Turn::Connected(connection) => return Ok(connection.facts().address),
                Turn::Failed(failure) => return Err(failure),
            }
        }
    }
}

fn listen(last: u8, port: u16) -> TcpListener {
    TcpListener::bind((ip(last), port)).expect("a port")
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

/// Reports each connection, sends nothing, and keeps it open.
fn silent(listener: TcpListener) -> mpsc::Receiver<()> {
    let (opened, connections) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = opened.send(());
            thread::spawn(move || stream.and_then(|mut stream| stream.read_to_end(&mut Vec::new())));
        }
    });
    connections
}

#[test]
fn next_address_is_tried_when_one_refuses() {
    let listener = listen(1, 0);
    let port = port_of(&listener);
    let mut race = Race::between(port, false, &[2, 3, 4, 5, 6, 7, 1]);
    assert_eq!(race.run(), Ok(SocketAddr::new(ip(1), port)));
    assert_eq!(race.book.order(&[ip(2), ip(1)], port)[0].ip(), ip(1), "what refused is tried last");
}

#[test]
fn failure_of_all_addresses_is_the_most_telling_one() {
    let port = port_of(&listen(1, 0));
    let mut race = Race::new(port, false, |family| match family {
        Family::V4 => Ok(vec![ip(2)]),
        // A documentation prefix (RFC 3849): no route, or no answer.
        Family::V6 => Ok(vec!["2001:db8::1".parse().expect("an address")]),
    });
    let mut dial = race.begin(Doubt::None);
    dial.until = Instant::now() + Duration::from_millis(700);
    let failure = loop {
        let (mut context, wake_ups) = race.context();
        match dial.turn(&mut context, wake_ups, None) {
            Turn::Waiting => {}
            Turn::Connected(connection) => panic!("{connection:?}"),
            Turn::Failed(failure) => break failure,
        }
    };
    assert_eq!((failure.cause, failure.address), (Cause::Refused, Some(SocketAddr::new(ip(2), port))));
}

/// When no address is left to try, nothing is due before the end.
#[test]
fn silence_of_the_only_address_is_waited_for_without_spinning() {
    let listener = listen(1, 0);
    let mut race = Race::between(port_of(&listener), true, &[1]);
    let _connections = silent(listener);
    let mut dial = race.begin(Doubt::None);
    // Longer than a handshake is preferred to other addresses, and than more of them are waited for.
    dial.until = Instant::now() + Duration::from_millis(3_500);
    let mut turns = 0;
    loop {
        let (mut context, wake_ups) = race.context();
        match dial.turn(&mut context, wake_ups, None) {
            Turn::Waiting => turns += 1,
            Turn::Connected(connection) => panic!("{connection:?}"),
            Turn::Failed(_) => break,
        }
    }
    assert!(turns < 30, "{turns} turns");
}

/// An address that accepts and is silent was tried for ever.
#[test]
fn silent_handshake_lets_another_address_in() {
    let first = listen(2, 0);
    let port = port_of(&first);
    let (first, second) = (silent(first), silent(listen(3, port)));
    let mut race = Race::between(port, true, &[2, 3]);
    let mut dial = race.begin(Doubt::None);
    let began = Instant::now();
    while second.try_recv().is_err() {
        let (mut context, wake_ups) = race.context();
        let until = Instant::now() + Duration::from_millis(20);
        assert!(matches!(dial.turn(&mut context, wake_ups, Some(until)), Turn::Waiting));
        let stage = dial.failure(&race.context().0).stage;
        assert!(stage >= Stage::Name && began.elapsed() < Duration::from_secs(9), "it is not tried");
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "the first had its time");
    assert_eq!(first.try_iter().count(), 1);
    assert_eq!(dial.failure(&race.context().0).cause, Cause::Timeout);
}

#[test]
fn flood_in_the_handshake_is_cut_off() {
    let listener = listen(1, 0);
    let port = port_of(&listener);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Records of a handshake message that is announced as longer than it ever gets.
            let record = [&[22, 3, 3, 0x20, 0][..], &[11, 0, 0xff, 0], &[0; 0x1ffc]].concat();
            while stream.write_all(&record).is_ok() {}
        }
    });
    let mut race = Race::between(port, true, &[1]);
    let failure = race.run().expect_err("it fails");
    assert_eq!(failure.stage, Stage::Handshake, "{failure}");
    let received = race.traffic.received();
    assert!(received <= super::super::connection::HANDSHAKE_MAX, "{received} bytes");
}

#[test]
fn family_that_is_not_answered_does_not_hold_up_the_other() {
    let listener = listen(1, 0);
    let port = port_of(&listener);
    let (answer, answers) = mpsc::channel::<()>();
    let answers = Mutex::new(answers);
    let mut race = Race::new(port, false, move |family| match family {
        Family::V4 => Ok(vec![ip(1)]),
        Family::V6 => {
            let _ = answers.lock().expect("no panic").recv();
            Err(NameError::NoSuchName)
        }
    });
    assert_eq!(race.run(), Ok(SocketAddr::new(ip(1), port)));
    // Nor does it when no server listens.
    drop(listener);
    let began = Instant::now();
    assert_eq!(race.run().map_err(|failure| failure.cause), Err(Cause::Refused));
    assert!(began.elapsed() < Duration::from_secs(10), "it waited as long as a dial may take");
    drop(answer);
}

#[test]
fn server_that_refuses_is_not_dialled_before_the_name_is_answered_again() {
    let old = listen(2, 0);
    let port = port_of(&old);
    let (old, _new) = (silent(old), listen(3, port));
    let moved = AtomicBool::new(false);
    let mut race = Race::new(port, false, move |family| match family {
        Family::V4 if moved.swap(true, Ordering::SeqCst) => Ok(vec![ip(3)]),
        Family::V4 => Ok(vec![ip(2)]),
        Family::V6 => Err(NameError::NoSuchName),
    });
    assert_eq!(race.run(), Ok(SocketAddr::new(ip(2), port)));
    let mut dial = race.begin(Doubt::Refused);
    let address = loop {
        let (mut context, wake_ups) = race.context();
        match dial.turn(&mut context, wake_ups, None) {
            Turn::Waiting => {}
            Turn::Connected(connection) => break connection.facts().address,
            Turn::Failed(failure) => panic!("{failure}"),
        }
    };
    assert_eq!(address, SocketAddr::new(ip(3), port));
    old.recv().expect("the first of the two");
    assert!(old.try_recv().is_err(), "it was dialled again");
}

#[test]
fn name_without_an_address_fails_at_once() {
    let failed = |error: NameError| {
        let mut race = Race::new(1, false, move |_| Err(error.clone()));
        race.run().expect_err("no address").cause
    };
    assert_eq!(failed(NameError::NoSuchName), Cause::NoSuchName);
    assert_eq!(failed(NameError::Failed("SERVFAIL".to_owned())), Cause::NameServer);
    assert_eq!(failed(NameError::Local("out of memory".to_owned())), Cause::Local);
}
