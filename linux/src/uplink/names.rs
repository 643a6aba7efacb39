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
    /// The log says that it hangs.
    is_reported: bool,
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
            Some(busy) if busy.since.elapsed() > HANGS && !busy.is_reported => {
                log::warn!("names are not looked up any more: lookups hang; a restart of the service helps");
                state.busy.iter_mut().for_each(|busy| busy.is_reported = true);
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
            state.busy = Some(Busy { since: Instant::now(), has_answered: false, is_reported: false });
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
    let addresses = found.take(ADDRESSES_MAX).filter_map(|found| Some(found.ok()?.sockaddr.ip()));
    // Filters of name servers answer 0.0.0.0 for names that they block, and Linux connects to itself then: what listens on
    // this device is not the server.
    Ok(addresses.filter(|ip| !ip.is_unspecified()).collect())
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
mod tests;
