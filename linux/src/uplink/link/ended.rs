//! What the end of a heartbeat or of a dial teaches: which address is good, what is asked less often, what is read again.

use std::time::{Instant, SystemTime};

use super::{
    super::{
        beat::Used,
        connection::{BODY_READ_MAX, nearly},
        dial::Doubt,
        failure::{Cause, Failure, Stage},
        outcome,
        trust::Trust,
    },
    Link,
};

/// Statuses with which servers refuse a client certificate after they have taken it in the handshake: an application's own, and
/// those of nginx.
const CERTIFICATE_STATUSES: [u16; 5] = [400, 401, 403, 495, 496];

impl Link {
    /// A heartbeat has ended: with this status, or why not.
    pub(in super::super) fn conclude(&mut self, outcome: Result<u16, &Failure>) {
        let Used { address, idle_for, was_answered, took, .. } = self.used;
        if was_answered {
            self.silent = 0;
        }
        match outcome {
            Ok(status) => {
                took.into_iter().for_each(|took| self.book.replied_after(took));
                self.dial_backoff.release();
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
                    self.renew_client_certificate(status);
                    // The name's other addresses may lead to a server that is well; the next connection tries them.
                    address.into_iter().for_each(|address| self.book.failed(address));
                }
            }
            // Without a request nothing new is known.
            Err(_) if self.used.began.is_none() => {}
            Err(failure) if failure.stage == Stage::Exchange && failure.cause != Cause::Cancelled => {
                self.note_failure(failure);
                failure.address.into_iter().for_each(|address| self.book.failed(address));
                if failure.cause == Cause::Timeout && !was_answered {
                    self.silent = self.silent.saturating_add(1);
                }
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

    /// A client certificate that this status may be about is read again: it may have been renewed on the disk.
    fn renew_client_certificate(&self, status: u16) {
        if let Some(trust) = self.trust.as_ref().filter(|trust| trust.has_client_certificate())
            && CERTIFICATE_STATUSES.contains(&status)
        {
            trust.renew(Some(self.waker.clone()));
        }
    }

    pub(super) fn note_failure(&mut self, failure: &Failure) {
        self.account(Some(failure));
        if self.doubt == Doubt::None {
            self.doubt = Doubt::Failed;
        }
        if failure.cause == Cause::ProxyUnreached {
            self.dial_backoff.failed(failure.clone());
        }
        if failure.is_about_certificates() {
            self.doubt = Doubt::Refused;
            self.dial_backoff.failed(failure.clone());
            let is_renewable =
                |trust: &&Trust| failure.cause != Cause::ClientCertificate || trust.has_client_certificate();
            if let Some(trust) = self.trust.as_ref().filter(is_renewable) {
                trust.renew(Some(self.waker.clone()));
            }
        }
    }

    /// The latest refusal, if refusals have cost so much that the server is not asked now. What is being made goes on.
    pub(super) fn too_costly(&mut self, now: Instant) -> Option<Failure> {
        if self.dial_backoff.clock_was_set(now, SystemTime::now()) {
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

    /// Whether the latest request had less time than it should have, so that the connection may have been good.
    fn was_cut_short(&self) -> bool {
        let had = self.used.began.map(|began| self.beat.until.saturating_duration_since(began));
        had.is_some_and(|had| had < nearly(self.beat.timeout))
    }

    /// A confirmation has so long a page that it is not read to its end, once for each server.
    pub(in super::super) fn warn_of_large_page(&mut self) {
        if !std::mem::replace(&mut self.is_large_page_logged, true) {
            log::warn!(
                "the server confirms heartbeats with a page of more than {} KiB, so that each costs a new connection: \
                 check the url",
                BODY_READ_MAX / 1024
            );
        }
    }
}
