//! Making a connection: a race of addresses (RFC 8305) that belongs to no heartbeat.
//!
//! Nothing here waits longer than its caller allows, and what was begun goes on whenever it is driven again. At most
//! [`ABREAST`] attempts are under way. The next begins at once when one fails, after twice the last time to connect
//! while one is connecting, and after some seconds while one is in its handshake.

use std::{
    mem,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags};
use rustls::ClientConfig;

use super::{
    attempt::{Attempt, AttemptContext, AttemptLimits, Step},
    book::Book,
    connection::Connection,
    failure::{Cause, Failure, Stage},
    names::{FRESH, Known, NameError, Names},
    steps::{self, Steps},
    target::{Host, Target},
    tcp,
    traffic::Traffic,
};
use crate::waker::WakeUps;

/// Attempts that are under way at the same time.
const ABREAST: usize = 4;
/// How long a new answer is waited for when the server said that it is the wrong one.
const NEW_ANSWER_WAIT: Duration = Duration::from_millis(500);

/// How long more addresses are waited for when all that are known have failed.
const MORE_ADDRESSES_WAIT: Duration = Duration::from_secs(1);

/// How far earlier answers of the name servers can be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The address led to the server.
    #[default]
    None,
    /// The address failed: the name is looked up while it is tried again.
    Failed,
    /// The address led to a server that refuses: a new answer is waited for.
    Refused,
}

/// What a dial needs from outside.
#[derive(Debug)]
pub(super) struct DialContext<'l> {
    pub(super) target: &'l Target,
    pub(super) names: &'l Names,
    pub(super) book: &'l mut Book,
    /// `None` for a plain connection.
    pub(super) tls: Option<&'l Arc<ClientConfig>>,
    pub(super) traffic: &'l Traffic,
    pub(super) steps: &'l Steps,
}

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Dial {
    began: Instant,
    until: Instant,
    attempt_limits: AttemptLimits,
    via_proxy: bool,
    attempts: Vec<Attempt>,
    tried: Vec<SocketAddr>,
    /// When the next attempt may begin.
    next: Instant,
    /// Until when only a new answer of the name servers counts.
    new_answer_until: Option<Instant>,
    /// The most informative failure of an attempt.
    failure: Option<Failure>,
    /// There was no thread to look the name up.
    no_thread: Option<String>,
    steps: Steps,
    /// How many addresses have been noted.
    noted: usize,
}

/// How a dial stands.
#[derive(Debug)]
pub(super) enum Turn {
    /// It goes on.
    Waiting,
    /// The connection.
    Connected(Connection),
    /// All is tried.
    Failed(Failure),
}

impl Dial {
    /// Begins, for at most `limit`; has the name looked up if what is known of it is old or in doubt. `timeout` is what one
    /// answer may take.
    pub(super) fn begin(context: &DialContext<'_>, doubt: Doubt, limit: Duration, timeout: Duration) -> Self {
        let began = Instant::now();
        let mut dial = Self {
            began,
            until: began + limit,
            attempt_limits: AttemptLimits::new(limit, timeout),
            via_proxy: context.target.tunnel.is_some(),
            attempts: Vec::new(),
            tried: Vec::new(),
            next: began,
            new_answer_until: None,
            failure: None,
            no_thread: None,
            steps: context.steps.clone(),
            noted: 0,
        };
        if let Host::Name(name) = &context.target.host {
            let answered = context.names.known(name).answered;
            let fresh = answered.is_some_and(|answered| began.saturating_duration_since(answered) < FRESH);
            if doubt != Doubt::None || !fresh {
                dial.steps.note(steps::Step::Lookup(name.clone()));
                dial.no_thread = context.names.ask(name).err().map(|error| error.to_string());
            }
            dial.new_answer_until = (doubt == Doubt::Refused).then(|| began + NEW_ANSWER_WAIT);
        }
        dial
    }

    /// When it began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Goes on, and waits for that until `until` at most, or until woken.
    pub(super) fn turn(
        &mut self,
        context: &mut DialContext<'_>,
        wake_ups: &mut WakeUps,
        until: Option<Instant>,
    ) -> Turn {
        let now = Instant::now();
        self.end_overdue(context.book, now);
        let known = self.known(context);
        if known.addresses.len() != self.noted && matches!(context.target.host, Host::Name(_)) {
            self.noted = known.addresses.len();
            self.steps.note(steps::Step::Addresses(known.addresses.clone()));
        }
        self.begin_due(context.book, context.target.port, &known, now);
        if now >= self.until {
            return Turn::Failed(self.waiting(&known, now));
        }
        let has_more = self.waits_for_addresses(&known, now) || !self.candidates(context, &known).is_empty();
        if self.attempts.is_empty() && !has_more {
            return Turn::Failed(self.waiting(&known, now));
        }
        let until =
            [Some(self.until), until, self.next_time(context, &known, now)].into_iter().flatten().min();
        match self.wait(wake_ups, until) {
            Ok(happened) => self.go_on(context, &happened),
            Err(error) => Turn::Failed(Failure::io(Stage::Connect, &error)),
        }
    }

    /// The failure that it would be if it were given up now.
    pub(super) fn failure(&self, context: &DialContext<'_>) -> Failure {
        self.waiting(&self.known(context), Instant::now())
    }

    fn waiting(&self, known: &Known, now: Instant) -> Failure {
        let attempts = self.attempts.iter().map(|attempt| attempt.waiting(now));
        let ended = self.failure.clone().into_iter();
        attempts.chain(ended).reduce(Failure::or_more_telling).unwrap_or_else(|| self.nameless(known))
    }

    /// Why there is no address.
    fn nameless(&self, known: &Known) -> Failure {
        if let Some(error) = &self.no_thread {
            return Failure::new(Stage::Name, Cause::Local).because(error.clone());
        }
        if known.pending {
            return Failure::new(Stage::Name, Cause::Timeout);
        }
        match &known.error {
            Some(NameError::NoSuchName) | None => Failure::new(Stage::Name, Cause::NoSuchName),
            Some(NameError::Failed(reason)) => {
                Failure::new(Stage::Name, Cause::NameServer).because(reason.clone())
            }
            Some(NameError::Local(reason)) => Failure::new(Stage::Name, Cause::Local).because(reason.clone()),
        }
    }

    fn known(&self, context: &DialContext<'_>) -> Known {
        match &context.target.host {
            Host::Address(ip) => {
                Known { addresses: vec![*ip], pending: false, answered: Some(self.began), error: None }
            }
            Host::Name(name) => context.names.known(name),
        }
    }

    /// Whether it still waits for a newer answer than the one that led to the wrong server.
    fn waits_for_new_answer(&self, known: &Known, now: Instant) -> bool {
        let is_old = known.answered.is_none_or(|answered| answered < self.began);
        known.pending && is_old && self.new_answer_until.is_some_and(|until| now < until)
    }

    /// Whether addresses may still come. A name server that is silent about one family must not delay the next attempt at
    /// those of the other.
    fn waits_for_addresses(&self, known: &Known, now: Instant) -> bool {
        known.pending && (self.tried.is_empty() || now < self.next + MORE_ADDRESSES_WAIT)
    }

    /// Addresses that are still to be tried, the next one first.
    fn candidates(&self, context: &DialContext<'_>, known: &Known) -> Vec<SocketAddr> {
        self.untried(context.book, context.target.port, &known.addresses)
    }

    fn untried(&self, book: &Book, port: u16, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let mut order = book.order(addresses, port);
        order.retain(|address| !self.tried.contains(address));
        order
    }

    /// Ends the attempts whose time is over.
    fn end_overdue(&mut self, book: &mut Book, now: Instant) {
        for attempt in mem::take(&mut self.attempts) {
            match attempt.overdue(now) {
                Some(failure) => self.failed(book, failure, now),
                None => self.attempts.push(attempt),
            }
        }
    }

    /// Begins the attempts whose time has come.
    fn begin_due(&mut self, book: &mut Book, port: u16, known: &Known, now: Instant) {
        if self.waits_for_new_answer(known, now) {
            return;
        }
        for address in self.untried(book, port, &known.addresses) {
            if now < self.next || self.attempts.len() >= ABREAST {
                return;
            }
            self.tried.push(address);
            match Attempt::begin(address, self.attempt_limits, &self.steps) {
                Ok(attempt) => {
                    self.attempts.push(attempt);
                    self.next = now + book.stagger();
                }
                Err(failure) => self.failed(book, failure, now),
            }
        }
    }

    fn failed(&mut self, book: &mut Book, failure: Failure, now: Instant) {
        self.steps.note(steps::Step::Failed(failure.clone().through_proxy(self.via_proxy)));
        if let Some(address) = failure.address.filter(|_| failure.cause != Cause::Local) {
            book.failed(address);
        }
        self.next = now;
        self.failure = Some(match self.failure.take() {
            Some(earlier) => earlier.or_more_telling(failure),
            None => failure,
        });
    }

    /// When something is due without an event.
    fn next_time(&self, context: &DialContext<'_>, known: &Known, now: Instant) -> Option<Instant> {
        let ends = self.attempts.iter().filter_map(Attempt::until).min();
        let begins = if self.waits_for_new_answer(known, now) {
            self.new_answer_until
        } else {
            let more = self.attempts.len() < ABREAST && !self.candidates(context, known).is_empty();
            more.then_some(self.next)
        };
        let no_more = self.waits_for_addresses(known, now) && !self.tried.is_empty();
        let no_more = no_more.then(|| self.next + MORE_ADDRESSES_WAIT);
        let unpark = self.attempts.iter().any(Attempt::is_connected).then(|| self.next.max(now));
        [ends, begins, no_more, unpark].into_iter().flatten().min()
    }

    /// Waits; returns for each attempt whether something has happened.
    fn wait(&self, wake_ups: &mut WakeUps, until: Option<Instant>) -> std::io::Result<Vec<bool>> {
        let mut fds = vec![PollFd::new(wake_ups.as_fd(), PollFlags::POLLIN)];
        for attempt in self.attempts.iter().filter(|attempt| attempt.listens()) {
            fds.push(PollFd::new(attempt.as_fd(), attempt.interest()));
        }
        tcp::wait(&mut fds, until)?;
        let mut reports = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let woken = reports.next().unwrap_or(false);
        let happened =
            self.attempts.iter().map(|attempt| attempt.listens() && reports.next().unwrap_or(false));
        let happened = happened.collect();
        if woken {
            wake_ups.clear()?;
        }
        Ok(happened)
    }

    /// Lets the attempts go on to which something has happened.
    fn go_on(&mut self, context: &mut DialContext<'_>, happened: &[bool]) -> Turn {
        let tls = match (context.target.secured, context.tls, &context.target.proves) {
            (false, ..) => None,
            (true, Some(config), Some(name)) => Some((config, name)),
            (true, ..) => {
                let failure = Failure::new(Stage::Handshake, Cause::Tls);
                return Turn::Failed(failure.because("no certificate can be for this host"));
            }
        };
        let tunnel = context.target.tunnel.as_ref();
        let steps = self.steps.clone();
        let attempt_context = AttemptContext { tls, tunnel, steps: &steps, traffic: context.traffic };
        let now = Instant::now();
        let attempts = mem::take(&mut self.attempts);
        let is_preferred = |attempt: &Attempt| attempt.preferred_until().is_some_and(|until| now < until);
        let mut taken = attempts.iter().any(is_preferred);
        for (attempt, happened) in attempts.into_iter().zip(happened.iter().copied()) {
            let mut step = attempt.go_on(happened, !taken, &attempt_context);
            if let Step::Connected(attempt, took) = step {
                context.book.connected(took);
                step = attempt.go_on(false, !taken, &attempt_context);
            }
            match step {
                Step::Waiting(attempt) | Step::Connected(attempt, _) => {
                    if let Some(until) = attempt.preferred_until().filter(|until| now < *until) {
                        taken = true;
                        self.next = self.next.max(until);
                    }
                    self.attempts.push(attempt);
                }
                Step::Failed(failure) => self.failed(context.book, failure, now),
                Step::Ready(connection) => return Turn::Connected(connection),
            }
        }
        Turn::Waiting
    }
}

#[cfg(test)]
mod tests;
