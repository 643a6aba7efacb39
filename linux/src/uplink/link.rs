//! The way to the server between heartbeats and for each of them: the idle connection, the one that is being made,
//! and what is to be remembered of both.
//!
//! All of it lives on the uplink's thread. A heartbeat takes the connection, or drives the making of one for as long as it
//! may wait; what is not done by then goes on while the thread waits for the next heartbeat.

mod idle;

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    time::{Duration, Instant, SystemTime},
};

use nix::poll::{PollFd, PollFlags};

use super::{
    beat::{Beat, Cancelled, Limits, Used, Waiting},
    book::Book,
    byte_budget::ByteBudget,
    certificate_backoff::CertificateBackoff,
    connection::Connection,
    dial::{Dial, DialContext, Doubt, Turn},
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
    doubt: Doubt,
    /// The latest dial that has ended failed at the server, so that the next one that takes long is not only slow.
    is_server_failing: bool,
    certificate_backoff: CertificateBackoff,
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
            doubt: Doubt::None,
            is_server_failing: false,
            certificate_backoff: CertificateBackoff::default(),
            byte_budget: ByteBudget::default(),
            accounted: 0,
            refusal: None,
            beat: Beat { began: now, until: now, timeout: Duration::ZERO, generation: 0 },
            cancelled: Cancelled::default(),
            waiting: Waiting::default(),
            waker,
            wake_ups,
            used: Used::default(),
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
            self.book = Book::default();
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
        self.used = Used::default();
        self.waiting.set(None);
        if self.trust.as_mut().is_some_and(Trust::take_renewal) {
            self.release();
        }
    }

    /// There is a reason to try again at once.
    fn release(&mut self) {
        self.certificate_backoff.release();
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
        self.waiting.set(Some(failure.through_proxy(self.is_proxied())));
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
        let connection = match self.take_kept() {
            Some(kept) => kept,
            None => self.make()?,
        };
        let facts = connection.facts();
        let idle_for = connection.idle_for(Instant::now());
        self.used = Used {
            address: Some(facts.address),
            idle_for,
            began: Some(Instant::now()),
            was_answered: false,
            took: None,
        };
        let left = self.beat.until.saturating_duration_since(Instant::now());
        self.steps.note(Step::Request(left.min(self.beat.timeout)));
        let failure = facts.no_answer_within(self.beat.timeout);
        self.announce(failure.after_sending(true));
        Ok(connection)
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
                    let failure = Failure::new(Stage::Handshake, Cause::Late).at(facts.address).because(
                        format!("it took {:.1} s, {}", took.as_secs_f64(), facts.round_trip_words()),
                    );
                    self.kept = Some(connection);
                    return Err(failure);
                }
                Turn::Connected(connection) => return Ok(connection),
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
        if let Some(failure) = self.certificate_backoff.suppressed(Instant::now(), SystemTime::now()) {
            return Err(failure);
        }
        let (doubt, limit) = (self.doubt, self.limits.connect);
        Ok(Dial::begin(&self.context().0, doubt, limit))
    }

    /// The latest refusal, if refusals have cost so much that the server is not asked now. What is being made goes on.
    fn too_costly(&mut self, now: Instant) -> Option<Failure> {
        if self.certificate_backoff.clock_was_set(now, SystemTime::now()) {
            self.release();
        }
        let pause = self.byte_budget.pause(now);
        if pause.is_zero() || self.dial.is_some() {
            return None;
        }
        log::debug!("not tried for {} s: refusals cost too many bytes", pause.as_secs());
        self.refusal.clone().map(|refusal| refusal.after_sending(false))
    }

    /// What was sent and received since the last time has led to this. Failures of the network are not charged.
    fn account(&mut self, refusal: Option<&Failure>) {
        let total = self.traffic.sent().saturating_add(self.traffic.received());
        let bytes = total.saturating_sub(self.accounted);
        self.accounted = total;
        let is_refusal =
            |failure: &&Failure| failure.is_about_certificates() || outcome::verdict(failure).backs_off();
        if let Some(refusal) = refusal.filter(is_refusal) {
            self.byte_budget.charge(bytes, Instant::now());
            self.refusal = Some(refusal.clone());
        }
    }

    /// Whether a request over this new connection would be cut off before the reply can be here. It would be given up
    /// and the connection with it, and the next heartbeat would be as late.
    fn is_too_late_for(&self, connection: &Connection) -> bool {
        let left = self.beat.until.saturating_duration_since(Instant::now());
        let needed = self.book.reply_time().max(connection.facts().round_trip()) * 3 / 2;
        left < needed.min(nearly(self.beat.timeout))
    }

    /// Whether the latest request had less time than it should have, so that the connection may have been good.
    fn was_cut_short(&self) -> bool {
        let had = self.used.began.map(|began| self.beat.until.saturating_duration_since(began));
        had.is_some_and(|had| had < nearly(self.beat.timeout))
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

    fn note_failure(&mut self, failure: &Failure) {
        self.account(Some(failure));
        if self.doubt == Doubt::None {
            self.doubt = Doubt::Failed;
        }
        if failure.is_about_certificates() {
            self.doubt = Doubt::Refused;
            self.certificate_backoff.failed(failure.clone());
            let is_renewable =
                |trust: &&Trust| failure.cause != Cause::ClientCertificate || trust.has_client_certificate();
            if let Some(trust) = self.trust.as_ref().filter(is_renewable) {
                trust.renew(Some(self.waker.clone()));
            }
        }
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

    /// A heartbeat has ended: with this status, or why not.
    pub(super) fn conclude(&mut self, outcome: Result<u16, &Failure>) {
        let Used { address, idle_for, was_answered, took, .. } = self.used;
        match outcome {
            Ok(status) => {
                took.into_iter().for_each(|took| self.book.replied_after(took));
                self.certificate_backoff.release();
                self.book.answered_after(idle_for, Instant::now());
                if (200..300).contains(&status) {
                    self.account(None);
                    self.byte_budget.clear();
                    self.doubt = Doubt::None;
                    address.into_iter().for_each(|address| self.book.worked(address));
                } else {
                    let refusal = Failure::new(Stage::Exchange, Cause::TooMuch);
                    let why = format!("status {status} came with it; it is asked less often");
                    self.account(Some(&Failure { address, ..refusal.because(why) }));
                    self.doubt = Doubt::Refused;
                }
            }
            // Without a request nothing new is known.
            Err(_) if self.used.began.is_none() => {}
            Err(failure) if failure.stage == Stage::Exchange && failure.cause != Cause::Cancelled => {
                self.note_failure(failure);
                failure.address.into_iter().for_each(|address| self.book.failed(address));
                if failure.cause == Cause::Timeout && self.was_cut_short() {
                    self.book.replied_after(self.beat.timeout);
                }
                if failure.is_only_slow && self.dial.is_none() {
                    // On a slow link a new connection is not ready in time unless it is begun now.
                    self.dial = self.begin_dial().ok();
                }
                if let (Cause::Timeout, false, Some(idle_for)) = (failure.cause, was_answered, idle_for) {
                    self.book.silent_after(idle_for);
                }
            }
            // What is being made has no outcome yet.
            Err(_) if self.dial.is_some() => {}
            Err(_) => self.account(None),
        }
    }
}

/// As much of a request's time as makes no difference.
fn nearly(timeout: Duration) -> Duration {
    timeout * 3 / 4
}
