//! Signals to the running daemon: those that it handles, and those that must have no effect.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use heartbeat_sim::receiver::Event;
use nix::sys::signal::Signal;
use support::{Daemon, PATIENCE, beat, receiver};

#[test]
fn an_interrupt_stops_as_sigterm_does() {
    let receiver = receiver();
    let mut daemon = Daemon::sending_to(receiver.address(), "0.2", &[]);
    beat(&receiver);
    daemon.signal(Signal::SIGINT);
    assert!(daemon.wait().success());
}

#[test]
fn signals_that_do_not_concern_it_change_nothing() {
    let receiver = receiver();
    let mut daemon = Daemon::sending_to(receiver.address(), "0.1", &[]);
    beat(&receiver);
    for _ in 0..20 {
        for signal in [
            Signal::SIGWINCH,
            Signal::SIGCONT,
            Signal::SIGCHLD,
            Signal::SIGPIPE,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
        ] {
            daemon.signal(signal);
        }
    }
    let beats: Vec<_> = (0..5).map(|_| beat(&receiver)).collect();
    assert!(beats.iter().all(|beat| beat.connection == 1));
    daemon.stop();
}

#[test]
fn a_storm_of_signals_costs_no_beat_and_brings_none_early() {
    let receiver = receiver();
    let mut daemon = Daemon::sending_to(receiver.address(), "0.5", &[]);
    beat(&receiver);
    let (mut beats, mut signals) = (Vec::new(), 0);
    let began = Instant::now();
    while beats.len() < 10 {
        assert!(began.elapsed() < PATIENCE, "{} beats", beats.len());
        // Interrupts the system call that its thread is in (EINTR, signal(7)).
        daemon.signal(Signal::SIGUSR1);
        signals += 1;
        match receiver.events().recv_timeout(Duration::from_millis(1)) {
            Ok(Event::Beat(beat)) => beats.push(beat),
            Ok(Event::Refused(refusal)) => panic!("{refusal:?}"),
            Err(_) => {}
        }
    }
    println!("{signals} signals");
    assert!(beats.iter().all(|beat| beat.connection == 1), "{beats:?}");
    let seq: Vec<_> = beats.iter().filter_map(|beat| beat.value["seq"].as_u64()).collect();
    assert!(seq.windows(2).all(|pair| matches!(pair, [a, b] if b - a == 1)), "{seq:?}");
    // On the grid, a quarter of the interval late at most.
    let times: Vec<_> = beats.iter().filter_map(|beat| beat.value["timestamp"].as_f64()).collect();
    assert!(times.windows(2).all(|pair| matches!(pair, [a, b] if b - a > 0.37)), "{times:?}");
    daemon.stop();
    assert!(!daemon.log.iter().any(|line| line.contains("not delivered")), "{:#?}", daemon.log);
}
