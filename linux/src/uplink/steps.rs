//! What happens on the way to the server, step by step: for the log in detail, and for `send`, which tells the whole story.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    certificate::Issued,
    failure::{Failure, family_and_address},
};

/// Steps that are kept. One heartbeat has some for each of 32 addresses.
const KEPT_MAX: usize = 200;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A name is being looked up.
    Lookup(String),
    /// What is known of it now.
    Addresses(Vec<IpAddr>),
    /// A connection to this address is being made.
    Connecting(SocketAddr),
    /// It stands, after this time: one round trip, if nothing was lost.
    Connected(SocketAddr, Duration),
    /// The proxy at this address reached the server in this time.
    Tunnel(SocketAddr, Duration),
    /// TLS has been agreed on with the server: the version, and whether an earlier session was resumed.
    Secured(SocketAddr, String, Option<Issued>),
    /// An address failed.
    Failed(Failure),
    /// A request begins, which may take this long.
    Request(Duration),
    /// The status came, after this time.
    Reply(u16, Duration),
}

impl Step {
    /// Its name, in one word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lookup(_) | Self::Addresses(_) => "name",
            Self::Connecting(_) | Self::Connected(..) => "connect",
            Self::Tunnel(..) => "proxy",
            Self::Secured(..) => "TLS",
            Self::Failed(_) => "failed",
            Self::Request(_) => "request",
            Self::Reply(..) => "reply",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(name) => write!(f, "looking up {name}"),
            Self::Addresses(addresses) => {
                let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "addresses: {}", all.join(", "))
            }
            Self::Connecting(address) => write!(f, "connecting to {}", family_and_address(*address)),
            Self::Connected(address, took) => {
                write!(f, "connected to {} after {} ms", family_and_address(*address), took.as_millis())
            }
            Self::Tunnel(address, took) => write!(
                f,
                "the proxy at {} reached the server after {} ms",
                family_and_address(*address),
                took.as_millis()
            ),
            Self::Secured(address, session, issued) => {
                write!(f, "TLS with {}: {session}", family_and_address(*address))?;
                issued.iter().try_for_each(|issued| write!(f, "; {issued}"))
            }
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::Request(timeout) => {
                write!(f, "the request begins; its answer has {:.1} s", timeout.as_secs_f64())
            }
            Self::Reply(status, took) => write!(f, "status {status} after {} ms", took.as_millis()),
        }
    }
}

/// Takes note of steps: logs each in detail, and keeps it when that is wanted. Clones share what is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps(Option<Kept>);

type Kept = Arc<Mutex<Vec<(Instant, Step)>>>;

impl Steps {
    /// Keeps the steps.
    pub(super) fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// A step was taken.
    pub(super) fn note(&self, step: Step) {
        log::debug!("{step}");
        if let Some(kept) = &self.0 {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_MAX {
                kept.push((Instant::now(), step));
            }
        }
    }

    /// What was kept, with the time since `began`; nothing is kept any longer.
    pub(super) fn take(&self, began: Instant) -> Vec<(Duration, Step)> {
        let Some(kept) = &self.0 else { return Vec::new() };
        let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        kept.into_iter().map(|(at, step)| (at.saturating_duration_since(began), step)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::failure::{Cause, Stage};

    #[test]
    fn steps_are_kept_up_to_a_bound_and_taken_once() {
        let (steps, began) = (Steps::kept(), Instant::now());
        for _ in 0..KEPT_MAX * 2 {
            steps.clone().note(Step::Lookup("a.example".to_owned()));
        }
        let taken = steps.take(began);
        assert_eq!((taken.len(), taken[0].1.to_string()), (KEPT_MAX, "looking up a.example".to_owned()));
        assert!(steps.take(began).is_empty());
        let silent = Steps::default();
        silent.note(Step::Request(Duration::from_secs(2)));
        assert!(silent.take(began).is_empty(), "the daemon keeps none");
    }

    #[test]
    fn steps_name_what_they_are_about() {
        let address: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        let ms = Duration::from_millis;
        for (step, name, words) in [
            (
                Step::Addresses(vec![address.ip(), "2001:db8::1".parse().expect("an address")]),
                "name",
                "addresses: 192.0.2.1, 2001:db8::1",
            ),
            (Step::Connecting(address), "connect", "connecting to IPv4 192.0.2.1:443"),
            (Step::Connected(address, ms(12)), "connect", "connected to IPv4 192.0.2.1:443 after 12 ms"),
            (
                Step::Tunnel(address, ms(12)),
                "proxy",
                "the proxy at IPv4 192.0.2.1:443 reached the server after 12 ms",
            ),
            (
                Step::Secured(address, "TLSv1_3, new session".to_owned(), None),
                "TLS",
                "TLS with IPv4 192.0.2.1:443: TLSv1_3, new session",
            ),
            (Step::Failed(Failure::new(Stage::Connect, Cause::Refused)), "failed", "connection refused"),
            (Step::Request(ms(2_000)), "request", "the request begins; its answer has 2.0 s"),
            (Step::Reply(204, ms(7)), "reply", "status 204 after 7 ms"),
        ] {
            assert_eq!((step.name(), step.to_string().as_str()), (name, words));
        }
    }
}
