//! The way to the server between heartbeats and for each of them: the idle connection, the one that is being made,
//! and what is to be remembered of both.
//!
//! All of it lives on the uplink's thread. A heartbeat takes the connection, or drives the making of one for as long as it
//! may wait; what is not done by then goes on while the thread waits for the next heartbeat.

mod ahead;
mod ended;
mod idle;

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    time::{Duration, Instant, SystemTime},
};

use nix::poll::{PollFd, PollFlags};

use self::ahead::Ahead;
use super::{
    beat::{Beat, Cancelled, Limits, Used, Waiting},
    book::Book,
    byte_budget::ByteBudget,
    connection::{Connection, Facts, NoAnswer, nearly},
    dial::{Dial, DialContext, Doubt, Turn},
    dial_backoff::DialBackoff,
    failure::{Cause, Failure, Stage},
    names::Names,
    outcome,
    steps::{Step, Steps},
    target::Target,
    tcp,
    traffic::Traffic,
    trust::Trust,
};
use crate::waker::{WakeUps, Waker};

/// Requests without any answer in a row that a slow link excuses. Then the server is taken to be silent, and asked less often.
const EXCUSED_MAX: u8 = 6;
/// The way to the server.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    limits: Limits,
    trust: Option<Trust>,
    traffic: Traffic,
    steps: Steps,
    names: Names,
    book: Book,
    /// The idle connection.
    kept: Option<Connection>,
    /// Nothing had happened on it when it was looked at last, which was when a request came.
    is_quiet: bool,
    /// The connection that is being made.
    dial: Option<Dial>,
    ahead: Ahead,
    doubt: Doubt,
    /// The latest dial that has ended failed at the server, so that the next one that takes long is not only slow.
    is_server_failing: bool,
    dial_backoff: DialBackoff,
    byte_budget: ByteBudget,
    /// Bytes of the wire whose outcome is known.
    accounted: u64,
    /// Why the server took no heartbeat, when it last refused one.
    refusal: Option<Failure>,
    beat: Beat,
    cancelled: Cancelled,
    waiting: Waiting,
    waker: Waker,
    wake_ups: WakeUps,
    /// Of the connection of the latest request.
    used: Used,
    /// The request is sent for the second time.
    is_repeated: bool,
    /// Requests in a row without any answer.
    silent: u8,
    /// The log says that this server confirms with large pages.
    is_large_page_logged: bool,
    /// How many connections were used. There is one at a time, so that this is the number of the latest.
    connections: u64,
    /// The number of the only connection that the request may take.
    only: Option<u64>,
}

impl Link {
    /// A link that has not connected yet.
    pub(super) fn new(
        target: Target,
        limits: Limits,
        trust: Option<Trust>,
        traffic: Traffic,
        waker: Waker,
        wake_ups: WakeUps,
    ) -> Self {
        let names = Names::system();
        names.wakes(waker.clone());
        let now = Instant::now();
        Self {
            target,
            limits,
            trust,
            traffic,
            steps: Steps::default(),
            names,
            book: Book::default(),
            kept: None,
            is_quiet: false,
            dial: None,
            ahead: Ahead::default(),
            doubt: Doubt::None,
            is_server_failing: false,
            dial_backoff: DialBackoff::default(),
            byte_budget: ByteBudget::default(),
            accounted: 0,
            refusal: None,
            beat: Beat { began: now, until: now, timeout: Duration::ZERO, generation: 0 },
            cancelled: Cancelled::default(),
            waiting: Waiting::default(),
            waker,
            wake_ups,
            used: Used::default(),
            is_repeated: false,
            silent: 0,
            is_large_page_logged: false,
            connections: 0,
            only: None,
        }
    }

    /// Keeps the steps from now on.
    pub(super) fn keep_steps(&mut self) -> Steps {
        self.steps = Steps::kept();
        self.steps.clone()
    }

    /// Takes over other settings. What leads to the same server and trusts the same certificates stays, with its
    /// connection and its TLS sessions.
    pub(super) fn reconfigure(&mut self, target: Target, limits: Limits, trust: Option<Trust>) {
        let is_same_trust = match (&self.trust, &trust) {
            (Some(old), Some(new)) => old.is_same_as(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if target != self.target || !is_same_trust {
            self.close();
            self.dial = None;
            self.doubt = Doubt::None;
            self.trust = trust;
        }
        if target != self.target {
            (self.book, self.ahead) = (Book::default(), Ahead::default());
            self.is_large_page_logged = false;
        }
        self.release();
        (self.target, self.limits) = (target, limits);
    }

    /// Handles for those who wait for a heartbeat.
    pub(super) fn handles(&self) -> (Cancelled, Waiting) {
        (self.cancelled.clone(), self.waiting.clone())
    }

    /// A heartbeat begins.
    pub(super) fn begin(&mut self, beat: Beat) {
        self.beat = beat;
        (self.used, self.is_repeated, self.only) = (Used::default(), false, None);
        self.waiting.clear();
        self.take_renewal();
    }

    /// Takes over certificates that were read again. A server that refused the old ones is to see the new ones.
    fn take_renewal(&mut self) {
        if self.trust.as_mut().is_some_and(Trust::take_renewal) {
            if self.doubt == Doubt::Refused {
                self.close();
            }
            self.release();
        }
    }

    /// The request is sent once more. The server may have taken the first one.
    pub(super) fn repeat(&mut self) {
        self.is_repeated = true;
    }

    /// There is a reason to try again at once.
    fn release(&mut self) {
        self.dial_backoff.release();
        self.byte_budget.clear();
    }

    /// The heartbeat that is being sent.
    pub(super) fn beat(&self) -> &Beat {
        &self.beat
    }

    /// Whether the server is reached through a proxy.
    pub(super) fn is_proxied(&self) -> bool {
        self.target.tunnel.is_some()
    }

    /// The server's address in the latest request; `None` if only a proxy knows it.
    pub(super) fn server_address(&self) -> Option<SocketAddr> {
        self.used.address.filter(|_| !self.is_proxied())
    }

    /// Tells what the heartbeat would fail with if it were cancelled now.
    fn announce(&mut self, failure: Failure) {
        let failure = if self.is_repeated { failure.after_sending(true) } else { failure };
        self.waiting.set(failure.through_proxy(self.is_proxied()));
    }

    /// The number of the connection that was used last.
    pub(super) fn connection(&self) -> u64 {
        self.connections
    }

    /// The request that begins may take no other connection than the one with this number, until [`Self::take_any`].
    pub(super) fn take_only(&mut self, number: u64) {
        self.only = Some(number);
    }

    /// Requests may take any connection. `is_void`: the latest one does not count.
    pub(super) fn take_any(&mut self, is_void: bool) {
        self.only = None;
        if is_void {
            self.used = Used::default();
        }
    }

    /// The server says that it understands deltas.
    pub(super) fn understands_deltas(&mut self) {
        self.used.understands_deltas = true;
    }

    /// How the latest request used its connection.
    pub(super) fn used(&self) -> Used {
        self.used
    }

    /// A connection for the heartbeat that has begun: the idle one, or a new one.
    ///
    /// # Errors
    ///
    /// Why there is none in time.
    pub(super) fn take(&mut self) -> Result<Connection, Failure> {
        if let Some(failure) = self.too_costly(Instant::now()) {
            return Err(failure);
        }
        let kept = self.take_kept();
        let was_kept = kept.is_some();
        let connection = match kept {
            Some(kept) => kept,
            None if self.only.is_some() => return Err(Failure::new(Stage::Connect, Cause::Lost)),
            None => self.make()?,
        };
        let facts = *connection.facts();
        let idle_for = connection.idle_for(Instant::now());
        if self.only.is_some_and(|number| idle_for.is_none() || number != self.connections) {
            self.kept = Some(connection);
            return Err(Failure::new(Stage::Connect, Cause::Lost));
        }
        if idle_for.is_none() {
            self.connections = self.connections.saturating_add(1);
        }
        self.used = Used {
            address: Some(facts.address),
            was_kept,
            idle_for,
            began: Some(Instant::now()),
            was_answered: false,
            took: None,
            understands_deltas: false,
        };
        let left = self.beat.until.saturating_duration_since(Instant::now()).min(self.beat.timeout);
        self.steps.note(Step::Request(left));
        self.waiting.set_no_answer(self.no_answer(facts, left), self.is_proxied());
        Ok(connection)
    }

    /// A request over a connection with these facts that has no answer in this time.
    pub(super) fn no_answer(&self, facts: Facts, had: Duration) -> NoAnswer {
        NoAnswer { facts, had, timeout: self.beat.timeout, may_excuse: self.silent < EXCUSED_MAX }
    }

    /// Makes a connection, or goes on with one that is being made.
    fn make(&mut self) -> Result<Connection, Failure> {
        loop {
            let mut dial = match self.dial.take() {
                Some(dial) => dial,
                None => self.begin_dial()?,
            };
            let unfinished = dial.failure(&self.context().0).excused(!self.is_server_failing);
            // What its details say would be old when it is cancelled.
            self.announce(Failure { detail: None, ..unfinished });
            match self.drive(&mut dial, Some(self.beat.until)) {
                Turn::Connected(connection) if self.is_too_late_for(&connection) => {
                    let (facts, took) = (connection.facts(), dial.began().elapsed());
                    self.ahead.connected(took, true);
                    let failure = Failure::new(Stage::Handshake, Cause::Late).at(facts.address).because(
                        format!("it took {:.1} s, {}", took.as_secs_f64(), facts.round_trip_words()),
                    );
                    self.kept = Some(connection);
                    return Err(failure);
                }
                Turn::Connected(connection) => {
                    // What an earlier heartbeat began was too late for that one.
                    self.ahead.connected(dial.began().elapsed(), dial.began() < self.beat.began);
                    return Ok(connection);
                }
                Turn::Failed(failure) => {
                    self.note_failure(&failure);
                    // What an earlier heartbeat began has not cost this one its own attempt.
                    if dial.began() >= self.beat.began || failure.is_about_certificates() {
                        return Err(failure);
                    }
                }
                Turn::Waiting if self.cancelled.includes(&self.beat) => {
                    self.dial = Some(dial);
                    return Err(Failure::new(Stage::Connect, Cause::Cancelled));
                }
                Turn::Waiting if Instant::now() >= self.beat.until => {
                    let failure = dial.failure(&self.context().0);
                    self.dial = Some(dial);
                    return Err(failure.excused(!self.is_server_failing));
                }
                Turn::Waiting => self.dial = Some(dial),
            }
        }
    }

    fn begin_dial(&mut self) -> Result<Dial, Failure> {
        if let Some(failure) = self.dial_backoff.suppressed(Instant::now(), SystemTime::now()) {
            return Err(failure);
        }
        let (doubt, limit, timeout) = (self.doubt, self.limits.connect, self.beat.timeout);
        Ok(Dial::begin(&self.context().0, doubt, limit, timeout))
    }

    /// Whether a request over this new connection would be cut off before the reply can be here. It would be given up
    /// and the connection with it, and the next heartbeat would be as late.
    fn is_too_late_for(&self, connection: &Connection) -> bool {
        let left = self.beat.until.saturating_duration_since(Instant::now());
        left < self.needed_for_reply(connection)
    }

    /// Time that a reply over this connection needs.
    fn needed_for_reply(&self, connection: &Connection) -> Duration {
        let needed = self.book.reply_time().max(connection.facts().round_trip()) * 3 / 2;
        needed.min(nearly(self.beat.timeout))
    }

    fn context(&mut self) -> (DialContext<'_>, &mut WakeUps) {
        let Self { target, names, book, trust, traffic, steps, wake_ups, .. } = self;
        let tls = trust.as_ref().map(Trust::config);
        (DialContext { target, names, book, tls, traffic, steps }, wake_ups)
    }

    fn drive(&mut self, dial: &mut Dial, until: Option<Instant>) -> Turn {
        let (mut context, wake_ups) = self.context();
        let turn = dial.turn(&mut context, wake_ups, until);
        match &turn {
            Turn::Waiting => {}
            Turn::Connected(_) => self.is_server_failing = false,
            Turn::Failed(failure) => self.is_server_failing = outcome::verdict(failure).backs_off(),
        }
        turn
    }

    /// Waits on behalf of a request until something happens on its connection, or until `until`. True when the request
    /// has been cancelled.
    ///
    /// # Errors
    ///
    /// When the kernel is out of memory.
    pub(super) fn wait_on(&mut self, connection: &Connection, until: Instant) -> std::io::Result<bool> {
        let mut fds = [
            PollFd::new(self.wake_ups.as_fd(), PollFlags::POLLIN),
            PollFd::new(connection.as_fd(), connection.interest()),
        ];
        tcp::wait(&mut fds, Some(until))?;
        let [woken, _] = fds.map(|fd| fd.any().unwrap_or(false));
        if woken {
            self.wake_ups.clear()?;
        }
        Ok(self.cancelled.includes(&self.beat))
    }

    /// Something of a reply has come; its status when the head is complete.
    pub(super) fn is_answered(&mut self, status: Option<u16>) {
        self.used.was_answered = true;
        if let (Some(status), Some(began)) = (status, self.used.began) {
            let took = began.elapsed();
            self.used.took = Some(took);
            self.steps.note(Step::Reply(status, took));
        }
    }
}

#[cfg(test)]
mod tests;
