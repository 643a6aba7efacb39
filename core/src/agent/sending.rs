//! The sending part: at most one request, which ends by its deadline whatever the uplink does.

use core::task::Poll;

use super::{
    log_budget::LogBudget,
    outage::OutageLog,
    stats::{Outcome, Stats},
};
use crate::{
    time::Instant,
    uplink::{SendError, Uplink},
};

#[derive(Debug, Clone, Copy)]
struct Request {
    started: Instant,
    deadline: Instant,
}

/// The request in flight and the outage in progress, if there are any.
#[derive(Debug, Default)]
pub(super) struct Sender {
    request: Option<Request>,
    outage: OutageLog,
}

impl Sender {
    /// Starts a request. The caller has seen to it that the previous one has ended.
    pub(super) fn send(&mut self, now: Instant, deadline: Instant, body: &[u8], uplink: &mut impl Uplink) {
        uplink.send(body, deadline.since(now));
        self.request = Some(Request { started: now, deadline });
    }

    /// Takes the outcome of the request if there is one, or cancels the request when its time is up.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        uplink: &mut impl Uplink,
        stats: &mut Stats,
        log: &mut LogBudget,
    ) {
        let Some(request) = self.request else { return };
        match uplink.poll() {
            Poll::Ready(result) => {
                self.finish(now, request, result.and_then(|reply| reply.accepted()), stats, log)
            }
            Poll::Pending if now >= request.deadline => {
                let waited_for = uplink.cancel();
                self.finish(now, request, Err(waited_for), stats, log);
            }
            Poll::Pending => {}
        }
    }

    /// Counts a beat that failed before it could be handed to the uplink.
    pub(super) fn fail(&mut self, now: Instant, error: SendError, stats: &mut Stats, log: &mut LogBudget) {
        self.finish(now, Request { started: now, deadline: now }, Err(error), stats, log);
    }

    /// Cancels the request in flight, if there is one.
    pub(super) fn stop(&mut self, now: Instant, uplink: &mut impl Uplink, stats: &mut Stats) {
        if let Some(request) = self.request {
            let _ = uplink.cancel();
            self.request = None;
            stats.record(Outcome { result: Err(SendError::Stopped), round_trip: now.since(request.started) });
        }
    }

    /// When the request in flight will be cancelled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.request.map(|request| request.deadline)
    }

    fn finish(
        &mut self,
        now: Instant,
        request: Request,
        result: Result<u16, SendError>,
        stats: &mut Stats,
        log: &mut LogBudget,
    ) {
        self.request = None;
        stats.record(Outcome { result, round_trip: now.since(request.started) });
        self.outage.record(now, result.err(), log);
    }
}
