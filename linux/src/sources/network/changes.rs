//! Whether something about the network has changed: the kernel's notices about interfaces, addresses and routes
//! (rtnetlink(7)).
//!
//! Only their arrival counts, not what they say: then everything is read again, and once more at the next beat. Some
//! things change a moment after their notice: the kernel tells that an interface is down before it removes its IPv4 routes,
//! and of those it tells nothing (`fib_flush` in `net/ipv4/fib_frontend.c`). What no notice tells of, such as a session
//! of PPPoE, is found by the refresh.

use heartbeat_core::time::{Duration, Instant};

use crate::{
    clock,
    sources::{Currency, netlink::Notices},
};

/// How long a reading is used without being read again; the kinds of interfaces are kept for as long.
const REFRESH: Duration = Duration::from_secs(60);
/// How often everything is read after a notice.
const READS: u32 = 2;

/// The subscription, and what was read since.
#[derive(Debug, Default)]
pub(super) struct Changes {
    notices: Option<Notices>,
    state: State,
}

/// Whether what was read can be used again.
#[derive(Debug)]
struct State {
    /// How often everything must be read before it can be.
    reads_due: u32,
    read_at: Instant,
}

impl Changes {
    /// To be called before everything is read: what changes from now on is noticed. Whether something had changed.
    pub(super) fn before_read(&mut self) -> bool {
        if self.notices.is_none() {
            // Without it everything is read at each beat.
            self.notices = Notices::of_the_network().ok();
        }
        let any = self.look();
        self.state.read(clock::now());
        any
    }

    /// Something may be missing in what was just read: everything must be read again.
    pub(super) fn missed(&mut self) {
        self.state.reads_due = self.state.reads_due.max(1);
    }

    /// Whether what was read last is still so.
    pub(super) fn currency(&mut self) -> Currency {
        self.look();
        self.state.currency(clock::now())
    }

    /// Takes the notices; whether there were any. A subscription that fails is begun anew.
    fn look(&mut self) -> bool {
        let taken = self.notices.as_mut().map(Notices::take);
        let any = taken != Some(Ok(false));
        if any {
            self.state.noticed();
        }
        if matches!(taken, Some(Err(_))) {
            self.notices = None;
        }
        any
    }
}

impl Default for State {
    fn default() -> Self {
        Self { reads_due: READS, read_at: Instant::ZERO }
    }
}

impl State {
    fn noticed(&mut self) {
        self.reads_due = READS;
    }

    fn read(&mut self, now: Instant) {
        self.reads_due = self.reads_due.saturating_sub(1);
        self.read_at = now;
    }

    fn currency(&self, now: Instant) -> Currency {
        if self.reads_due > 0 {
            Currency::Unknown
        } else {
            Currency::at_age(now.since(self.read_at), REFRESH)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_settled_after_the_second_read_until_a_notice_or_the_refresh() {
        let (mut state, at) = (State::default(), |secs| Instant::ZERO + Duration::from_secs(secs));
        assert_eq!(state.currency(at(1)), Currency::Unknown, "nothing was read");
        state.read(at(1));
        assert_eq!(state.currency(at(1)), Currency::Unknown, "a thing may change a moment after its notice");
        state.read(at(2));
        assert_eq!(state.currency(at(61)), Currency::Current);
        assert_eq!(state.currency(at(62)), Currency::Due, "it is read again once a minute");
        assert_eq!(state.currency(at(72)), Currency::Unknown, "too old to be used meanwhile");
        state.read(at(62));
        assert_eq!(state.currency(at(63)), Currency::Current);
        state.noticed();
        assert_eq!(state.currency(at(63)), Currency::Unknown);
        state.read(at(63));
        state.noticed();
        state.read(at(64));
        assert_eq!(state.currency(at(64)), Currency::Unknown, "each notice counts");
        state.read(at(65));
        assert_eq!(state.currency(at(65)), Currency::Current);
    }

    #[test]
    fn without_a_subscription_nothing_is_known() {
        let mut changes = Changes::default();
        changes.state.reads_due = 0;
        assert_eq!(changes.currency(), Currency::Unknown);
    }

    #[test]
    fn what_could_not_be_read_is_read_again() {
        let mut changes = Changes::default();
        let settles = |changes: &mut Changes| {
            (0..100).any(|_| {
                changes.before_read();
                changes.currency() == Currency::Current
            })
        };
        assert!(settles(&mut changes));
        changes.missed();
        assert_eq!(changes.currency(), Currency::Unknown);
        assert!(settles(&mut changes), "once it was read");
    }

    #[test]
    fn a_quiet_network_is_settled_after_two_reads() {
        let mut changes = Changes::default();
        // Another test or program may change something meanwhile: each of these readings would be too late.
        let settles = (0..100).any(|_| {
            changes.before_read();
            changes.currency() == Currency::Current
        });
        assert!(settles);
    }
}
