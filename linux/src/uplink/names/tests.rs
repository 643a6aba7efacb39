use super::*;
use crate::waker::{self, WakeUps};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::mpsc::{self, Receiver, Sender},
};

type Answer = Result<Vec<IpAddr>, NameError>;

/// A name server of which the test decides when and what it answers.
struct Script {
    names: Names,
    questions: Receiver<(String, Family)>,
    answers: Sender<Answer>,
    wake_ups: WakeUps,
}

impl Script {
    fn new() -> Self {
        let (asked, questions) = mpsc::channel();
        let (answers, answered) = mpsc::channel::<Answer>();
        let answered = Mutex::new(answered);
        let names = Names::with_lookup(move |host, family| {
            // The test may have ended.
            let _ = asked.send((host.to_owned(), family));
            answered.lock().expect("one thread").recv().unwrap_or(Err(NameError::NoSuchName))
        });
        let (waker, wake_ups) = waker::pair().expect("a pair");
        names.wakes(waker);
        Self { names, questions, answers, wake_ups }
    }

    /// Asks for `a` and has it answered; returns what is known then.
    fn looks_up(&mut self, v4: Answer, v6: Answer) -> Known {
        self.names.ask("a").expect("a thread");
        self.answers.send(v4).expect("sent");
        self.answers.send(v6).expect("sent");
        while self.names.known("a").pending {
            self.wake_ups.wait();
        }
        self.names.known("a")
    }
}

fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

fn failed() -> Answer {
    Err(NameError::Failed("SERVFAIL".to_owned()))
}

#[test]
fn error_in_one_family_leaves_the_other() {
    let mut script = Script::new();
    let known = script.looks_up(Ok(vec![v4(1)]), failed());
    assert_eq!(known.addresses, [v4(1)]);
    assert!(known.answered.is_some());
    let known = script.looks_up(failed(), Ok(vec![v6(1)]));
    assert_eq!(known.addresses, [v4(1), v6(1)], "the old answer stays");
}

#[test]
fn first_family_is_published_before_the_second_is_answered() {
    let mut script = Script::new();
    script.names.ask("a").expect("a thread");
    script.answers.send(Ok(vec![v4(1)])).expect("sent");
    while script.names.known("a").addresses.is_empty() {
        script.wake_ups.wait();
    }
    assert!(script.names.known("a").pending);
}

#[test]
fn name_that_moves_to_one_family_loses_the_other() {
    let mut script = Script::new();
    script.looks_up(Ok(vec![v4(1)]), Ok(vec![v6(1)]));
    let known = script.looks_up(Ok(vec![v4(2)]), Err(NameError::NoSuchName));
    assert_eq!(known.addresses, [v4(2)]);
}

#[test]
fn outage_of_the_name_service_keeps_every_address() {
    let mut script = Script::new();
    script.looks_up(Ok(vec![v4(1)]), Ok(vec![v6(1)]));
    for error in [NameError::NoSuchName, NameError::Failed("SERVFAIL".to_owned())] {
        let known = script.looks_up(Err(error.clone()), Err(error));
        assert_eq!(known.addresses, [v4(1), v6(1)]);
    }
}

#[test]
fn name_without_addresses_has_a_reason() {
    let mut script = Script::new();
    let nothing = || Err(NameError::NoSuchName);
    assert_eq!(script.looks_up(nothing(), nothing()).error, Some(NameError::NoSuchName));
    assert_eq!(script.looks_up(nothing(), failed()).error, failed().err(), "it may come");
    assert_eq!(script.looks_up(failed(), nothing()).error, failed().err());
}

#[test]
fn silent_name_server_is_asked_once() {
    let mut script = Script::new();
    for _ in 0..5 {
        script.names.ask("a").expect("a thread");
    }
    assert_eq!(script.questions.recv(), Ok(("a".to_owned(), Family::V4)));
    script.names.ask("a").expect("a thread");
    assert!(script.names.known("a").pending);
    for answer in [failed(), Ok(vec![v4(1)])] {
        script.answers.send(answer).expect("sent");
    }
    while script.names.known("a").pending {
        script.wake_ups.wait();
    }
    assert_eq!(script.questions.try_iter().collect::<Vec<_>>(), [("a".to_owned(), Family::V6)]);
}

/// What it has answered may be what is in doubt.
#[test]
fn lookup_that_has_answered_once_is_followed_by_another() {
    let mut script = Script::new();
    script.names.ask("a").expect("a thread");
    script.answers.send(Ok(vec![v4(1)])).expect("sent");
    while script.names.known("a").addresses.is_empty() {
        script.wake_ups.wait();
    }
    script.names.ask("a").expect("a thread");
    for answer in [failed(), Ok(vec![v4(2)]), failed()] {
        script.answers.send(answer).expect("sent");
    }
    while script.names.known("a").pending {
        script.wake_ups.wait();
    }
    assert_eq!(script.names.known("a").addresses, [v4(2)]);
}

#[test]
fn at_most_two_lookups_that_hang_are_left_behind() {
    let script = Script::new();
    let ask = || script.names.ask("a").expect("a thread");
    ask();
    let mut threads = 0;
    for expected in [1, 2, 2, 2] {
        if threads < expected {
            threads = expected;
            script.questions.recv().expect("a thread hangs");
        }
        let since = Instant::now().checked_sub(HANGS * 2).expect("up for a minute");
        script.names.shared.lock().busy = Some(Busy { since, has_answered: false, is_reported: false });
        ask();
        assert_eq!(script.names.shared.lock().left_behind, expected);
    }
}

#[test]
fn another_name_has_its_turn_after_the_one_under_way() {
    let mut script = Script::new();
    script.names.ask("a").expect("a thread");
    assert_eq!(script.questions.recv(), Ok(("a".to_owned(), Family::V4)));
    script.names.ask("b").expect("a thread");
    assert!(script.names.known("b").pending);
    for last in 1..=4 {
        script.answers.send(Ok(vec![v4(last)])).expect("sent");
    }
    while script.names.known("b").addresses.len() < 2 {
        script.wake_ups.wait();
    }
    assert_eq!(script.names.known("b").addresses, [v4(3), v4(4)]);
    assert!(script.names.known("a").addresses.is_empty());
}

#[test]
fn system_knows_this_machine() {
    assert_eq!(ask_system("localhost", Family::V4), Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
    for (host, family) in [("0.0.0.0", Family::V4), ("::", Family::V6)] {
        assert_eq!(ask_system(host, family), Ok(Vec::new()), "no host has this address");
    }
    // A label of 64 letters cannot be put into a query (RFC 1035, 2.3.4).
    let error = ask_system(&format!("{}.example", "a".repeat(64)), Family::V4);
    assert!(error.is_err(), "{error:?}");
}
