//! The server's name is resolved on one thread of its own, so that no other thread blocks.
//!
//! Each family is asked for by itself, IPv4 first: an error in one says nothing about the other. What was answered once
//! stays until the same family is answered again, so that an outage of the name service does not stop heartbeats. The
//! system's resolver cannot be interrupted: a lookup that hangs is abandoned after [`HANGS`], and at most
//! [`LEFT_BEHIND_MAX`] of them are.

use std::{
    fmt, io,
    net::IpAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, getaddrinfo};
use nix::libc;

use crate::waker::Waker;

/// An answer of this age is used without asking again.
pub(super) const FRESH: Duration = Duration::from_secs(60);
/// After this time a lookup is abandoned. Longer than the 20 s that `glibc` waits for two silent name servers.
const HANGS: Duration = Duration::from_secs(30);
/// Threads that may hang in a lookup for ever.
const LEFT_BEHIND_MAX: u8 = 2;
/// Addresses that are kept of each family.
const ADDRESSES_MAX: usize = 16;
/// `EAI_ADDRFAMILY` of `glibc`: the name has addresses, but none of this family.
const EAI_ADDRFAMILY: i32 = -9;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    /// The name servers said so.
    #[error("no such name, or no address for it")]
    NoSuchName,
    /// They failed, or were not reached.
    #[error("{0}")]
    Failed(String),
    /// This device is out of memory, descriptors or threads.
    #[error("{0}")]
    Local(String),
}

type Lookup = dyn Fn(&str, Family) -> Result<Vec<IpAddr>, NameError> + Send + Sync;

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its addresses, those of IPv4 first, each family in the order of the name server.
    pub(super) addresses: Vec<IpAddr>,
    /// More may come: a lookup is under way.
    pub(super) pending: bool,
    /// When the latest addresses came; `None` if none ever did.
    pub(super) answered: Option<Instant>,
    /// Why the latest lookup brought nothing; `None` if it brought something.
    pub(super) error: Option<NameError>,
}

/// Looks up one name at a time and remembers the answers. Clones share both.
#[derive(Clone)]
pub(super) struct Names {
    shared: Arc<Shared>,
}

struct Shared {
    lookup: Box<Lookup>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    host: String,
    v4: Slot,
    v6: Slot,
    answered: Option<Instant>,
    /// The name to look up next.
    wanted: Option<String>,
    /// The lookup that is under way.
    busy: Option<Busy>,
    /// The thread that may write answers. Threads with an older number were abandoned.
    generation: u64,
    has_thread: bool,
    left_behind: u8,
    waker: Option<Waker>,
}

/// A lookup that is under way.
struct Busy {
    since: Instant,
    /// Its first answer has come.
    has_answered: bool,
}

/// What is known of one family.
#[derive(Default)]
struct Slot {
    addresses: Vec<IpAddr>,
    error: Option<NameError>,
}

impl Names {
    /// Over the system's resolver. The thread starts with the first name to look up.
    pub(super) fn system() -> Self {
        Self::with_lookup(ask_system)
    }

    /// Over another source of addresses.
    pub(super) fn with_lookup(
        lookup: impl Fn(&str, Family) -> Result<Vec<IpAddr>, NameError> + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared { lookup: Box::new(lookup), state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Wakes `waker` from now on whenever an answer has come.
    pub(super) fn wakes(&self, waker: Waker) {
        self.shared.lock().waker = Some(waker);
    }

    /// What is known of `host` now.
    pub(super) fn known(&self, host: &str) -> Known {
        let state = self.shared.lock();
        if state.host != host {
            let pending = state.wanted.as_deref() == Some(host);
            return Known { addresses: Vec::new(), pending, answered: None, error: None };
        }
        let addresses = state.v4.addresses.iter().chain(&state.v6.addresses).copied().collect();
        // What the other family says matters only when there is nothing at all.
        let error = match (&state.v4.error, &state.v6.error) {
            (None | Some(NameError::NoSuchName), Some(error)) | (Some(error), _) => Some(error.clone()),
            (None, None) => None,
        };
        let pending = state.busy.is_some() || state.wanted.is_some();
        Known { addresses, pending, answered: state.answered, error }
    }

    /// Has `host` looked up, unless an answer is awaited already. Does not wait.
    ///
    /// # Errors
    ///
    /// When there is no thread for it; the next call tries to start one again.
    pub(super) fn ask(&self, host: &str) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.wanted.as_deref() == Some(host) {
            return Ok(());
        }
        match &state.busy {
            Some(busy) if busy.since.elapsed() > HANGS && state.left_behind < LEFT_BEHIND_MAX => {
                log::debug!("a lookup that hangs is left behind");
                state.left_behind += 1;
                state.generation = state.generation.wrapping_add(1);
                (state.busy, state.has_thread) = (None, false);
            }
            Some(busy) if state.host == host && !busy.has_answered => return Ok(()),
            _ => {}
        }
        if !state.has_thread {
            let (shared, generation) = (Arc::clone(&self.shared), state.generation);
            thread::Builder::new().name("resolver".to_owned()).spawn(move || shared.serve(generation))?;
            state.has_thread = true;
        }
        state.wanted = Some(host.to_owned());
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, generation: u64) {
        let mut state = self.lock();
        while state.generation == generation {
            let Some(host) = state.wanted.take() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if state.host != host {
                state.host.clone_from(&host);
                (state.v4, state.v6, state.answered) = Default::default();
            }
            state.busy = Some(Busy { since: Instant::now(), has_answered: false });
            for family in [Family::V4, Family::V6] {
                drop(state);
                let answer = (self.lookup)(&host, family);
                state = self.lock();
                if state.generation != generation {
                    state.left_behind = state.left_behind.saturating_sub(1);
                    return;
                }
                state.take(family, answer);
                match &mut state.busy {
                    Some(busy) if family == Family::V4 => busy.has_answered = true,
                    _ => state.end(),
                }
                if let Some(waker) = &state.waker {
                    waker.wake();
                }
            }
        }
    }
}

impl State {
    /// Takes note of an answer.
    fn take(&mut self, family: Family, answer: Result<Vec<IpAddr>, NameError>) {
        let slot = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        match answer {
            Ok(addresses) if !addresses.is_empty() => {
                *slot = Slot { addresses, error: None };
                slot.addresses.truncate(ADDRESSES_MAX);
                self.answered = Some(Instant::now());
            }
            answer => {
                let error = answer.err().unwrap_or(NameError::NoSuchName);
                log::debug!("{family:?} addresses of the server: {error}");
                slot.error = Some(error);
            }
        }
    }

    /// Both families were asked for. When one has no addresses and the other has, the name has left the one; when both
    /// have none, something is wrong, and what was known is better than nothing.
    fn end(&mut self) {
        self.busy = None;
        let has_left = |slot: &Slot| slot.error == Some(NameError::NoSuchName);
        if has_left(&self.v4) && self.v6.error.is_none() {
            self.v4.addresses.clear();
        }
        if has_left(&self.v6) && self.v4.error.is_none() {
            self.v6.addresses.clear();
        }
    }
}

fn ask_system(host: &str, family: Family) -> Result<Vec<IpAddr>, NameError> {
    let address = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let hints = AddrInfoHints { socktype: libc::SOCK_STREAM, address, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| name_error(&error))?;
    Ok(found.take(ADDRESSES_MAX).filter_map(|found| Some(found.ok()?.sockaddr.ip())).collect())
}

fn name_error(error: &LookupError) -> NameError {
    match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => NameError::NoSuchName,
        _ if error.error_num() == EAI_ADDRFAMILY => NameError::NoSuchName,
        LookupErrorKind::Memory | LookupErrorKind::System => NameError::Local(error.to_string()),
        _ => NameError::Failed(error.to_string()),
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
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
        let script = Script::new();
        for _ in 0..5 {
            script.names.ask("a").expect("a thread");
        }
        assert_eq!(script.questions.recv(), Ok(("a".to_owned(), Family::V4)));
        script.names.ask("a").expect("a thread");
        assert!(script.questions.try_recv().is_err(), "a second lookup was begun");
        assert!(script.names.known("a").pending);
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
            script.names.shared.lock().busy = Some(Busy { since, has_answered: false });
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
        // A label of 64 letters cannot be put into a query (RFC 1035, 2.3.4).
        let error = ask_system(&format!("{}.example", "a".repeat(64)), Family::V4);
        assert!(error.is_err(), "{error:?}");
    }
}
