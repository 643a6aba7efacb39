//! Names become addresses on one thread that waits so that nobody else has to.
//!
//! The system's resolver cannot be interrupted and may take half a minute when a name server is silent. Here at most
//! one lookup is under way, whoever asks waits no longer than told, and an answer stays good: for five minutes
//! without asking again, for a day while a new answer is awaited or cannot be had.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// An answer of this age is used without asking again.
const FRESH: Duration = Duration::from_secs(300);
/// An answer of this age is still better than none.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Addresses that are kept; `ureq` takes no more.
const ADDRESSES_MAX: usize = 16;

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// A resolver with a cache for the one name that this program needs. Clones share both.
#[derive(Clone)]
pub struct CachedResolver {
    shared: Arc<Shared>,
}

struct Shared {
    lookup: Box<Lookup>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    thread: bool,
    /// The `host:port` to look up next.
    wanted: Option<String>,
    /// The `host:port` that is being looked up.
    busy: Option<String>,
    answer: Option<Answer>,
}

struct Answer {
    target: String,
    addresses: Vec<SocketAddr>,
    since: Instant,
    /// A connection to it failed: ask again before using it again.
    suspect: bool,
}

impl State {
    /// Whether a lookup of `target` is under way or about to begin.
    fn is_pending(&self, target: &str) -> bool {
        self.busy.as_deref() == Some(target) || self.wanted.as_deref() == Some(target)
    }
}

impl CachedResolver {
    /// Over the system's resolver. The thread starts with the first name to look up, and there is one for all
    /// clones.
    pub fn new() -> Self {
        Self::with_lookup(|target| Ok(target.to_socket_addrs()?.take(ADDRESSES_MAX).collect()))
    }

    fn with_lookup(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        let shared = Shared { lookup: Box::new(lookup), state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// The latest answer led nowhere: the next request asks again, and falls back to it if need be.
    pub(super) fn suspect(&self) {
        if let Some(answer) = &mut self.shared.lock().answer {
            answer.suspect = true;
        }
    }

    /// Addresses of `target` (`host:port`), waiting at most `patience` for them.
    ///
    /// # Errors
    ///
    /// When there are none known and no thread to look them up.
    fn addresses(&self, target: &str, patience: Duration) -> io::Result<Option<Vec<SocketAddr>>> {
        let mut state = self.shared.lock();
        let known = state
            .answer
            .as_ref()
            .filter(|answer| answer.target == target && answer.since.elapsed() < STALE_MAX);
        let known = known.map(|answer| (answer.addresses.clone(), answer.since.elapsed(), answer.suspect));
        let patience = match known {
            Some((addresses, age, false)) if age < FRESH => return Ok(Some(addresses)),
            Some((addresses, _, false)) => {
                let _ = self.request(&mut state, target);
                return Ok(Some(addresses));
            }
            // Half the time for a new answer, the other half for trying the old one.
            Some(_) => patience / 2,
            None => patience,
        };
        let requested = self.request(&mut state, target);
        let began = Instant::now();
        while state.is_pending(target) {
            let Some(left) = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                break;
            };
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let answer = state.answer.as_ref().filter(|answer| answer.target == target);
        let addresses = answer.map(|answer| answer.addresses.clone());
        if addresses.is_none() { requested.map(|()| None) } else { Ok(addresses) }
    }

    /// Has `target` looked up. When there is no thread for it, the next request tries to start one again.
    fn request(&self, state: &mut State, target: &str) -> io::Result<()> {
        if state.is_pending(target) {
            return Ok(());
        }
        if !state.thread {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("resolver".to_owned()).spawn(move || shared.serve())?;
            state.thread = true;
        }
        state.wanted = Some(target.to_owned());
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            let Some(target) = state.wanted.take() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy = Some(target.clone());
            drop(state);
            let found = (self.lookup)(&target);
            state = self.lock();
            state.busy = None;
            match found {
                Ok(addresses) if !addresses.is_empty() => {
                    state.answer = Some(Answer { target, addresses, since: Instant::now(), suspect: false });
                }
                Ok(_) => log::debug!("the server's name has no addresses"),
                Err(error) => log::debug!("the server's name could not be resolved: {error}"),
            }
            self.changed.notify_all();
        }
    }
}

impl Resolver for CachedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let target = uri
            .scheme()
            .zip(uri.authority())
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let addresses = match literal(&target) {
            Some(address) => vec![address],
            None => self.addresses(&target, *timeout.after)?.ok_or(ureq::Error::HostNotFound)?,
        };
        let mut found = self.empty();
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            found.push(address);
        }
        Ok(found)
    }
}

/// An address that needs no lookup, as `192.0.2.1:80` or `[2001:db8::1]:80`.
fn literal(target: &str) -> Option<SocketAddr> {
    let (host, port) = target.rsplit_once(':')?;
    let ip: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

impl Default for CachedResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CachedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver, Sender};

    const LONG: Duration = Duration::from_secs(60);
    const NOT_AT_ALL: Duration = Duration::ZERO;

    /// A name server of which the test decides when and what it answers.
    fn scripted() -> (CachedResolver, Receiver<String>, Sender<io::Result<Vec<SocketAddr>>>) {
        let (asked, questions) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let answered = Mutex::new(answered);
        let resolver = CachedResolver::with_lookup(move |target| {
            asked.send(target.to_owned()).expect("the test listens");
            answered.lock().expect("one thread").recv().expect("the test answers")
        });
        (resolver, questions, answers)
    }

    fn address(last: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, last], 443))]
    }

    fn addresses(resolver: &CachedResolver, target: &str, patience: Duration) -> Option<Vec<SocketAddr>> {
        resolver.addresses(target, patience).expect("there is a thread")
    }

    #[test]
    fn an_answer_is_kept_and_a_suspect_one_asked_again() {
        let (resolver, questions, answers) = scripted();
        answers.send(Ok(address(1))).expect("sent");
        assert_eq!(addresses(&resolver, "a:443", LONG), Some(address(1)));
        assert_eq!(addresses(&resolver, "a:443", NOT_AT_ALL), Some(address(1)));
        assert_eq!(questions.try_iter().count(), 1);

        resolver.suspect();
        answers.send(Ok(address(2))).expect("sent");
        assert_eq!(addresses(&resolver, "a:443", LONG), Some(address(2)));

        resolver.suspect();
        answers.send(Err(io::Error::other("no such name"))).expect("sent");
        assert_eq!(
            addresses(&resolver, "a:443", LONG),
            Some(address(2)),
            "the old answer is better than none"
        );
    }

    #[test]
    fn a_silent_name_server_is_asked_once_and_waited_for_no_longer_than_told() {
        let (resolver, questions, answers) = scripted();
        for _ in 0..5 {
            assert_eq!(addresses(&resolver, "a:443", Duration::from_millis(1)), None);
        }
        assert_eq!(questions.recv().as_deref(), Ok("a:443"));
        assert!(questions.try_recv().is_err(), "a second lookup was begun");
        answers.send(Ok(address(1))).expect("it waits");
        assert_eq!(addresses(&resolver, "a:443", LONG), Some(address(1)), "the late answer counts");
    }

    #[test]
    fn an_old_answer_is_used_while_a_new_one_is_fetched() {
        let (resolver, questions, answers) = scripted();
        answers.send(Ok(address(1))).expect("sent");
        addresses(&resolver, "a:443", LONG);
        let aged = Instant::now().checked_sub(FRESH).expect("this machine has been up for five minutes");
        resolver.shared.lock().answer.as_mut().expect("an answer").since = aged;
        assert_eq!(addresses(&resolver, "a:443", NOT_AT_ALL), Some(address(1)));
        assert_eq!(questions.iter().take(2).count(), 2, "it asks in the background");
    }

    #[test]
    fn a_name_that_does_not_exist_is_an_answer() {
        let (resolver, _questions, answers) = scripted();
        answers.send(Err(io::Error::other("no such name"))).expect("sent");
        assert_eq!(addresses(&resolver, "a:443", LONG), None, "without waiting for the end of the patience");
    }

    #[test]
    fn another_name_has_its_turn_after_the_one_under_way() {
        let (resolver, questions, answers) = scripted();
        assert_eq!(addresses(&resolver, "a:443", NOT_AT_ALL), None);
        assert_eq!(questions.recv().as_deref(), Ok("a:443"));
        for last in [1, 2] {
            answers.send(Ok(address(last))).expect("sent");
        }
        assert_eq!(addresses(&resolver, "b:443", LONG), Some(address(2)));
    }

    #[test]
    fn addresses_need_no_lookup() {
        assert_eq!(literal("127.0.0.1:80"), Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(literal("[::1]:80").map(|address| address.to_string()).as_deref(), Some("[::1]:80"));
        assert_eq!(literal("localhost:80"), None);
    }
}
