//! The sending part: at most one request, which ends by its deadline whatever the uplink does.

use core::task::Poll;

use super::{
    backoff::Backoff,
    config::Config,
    log_budget::LogBudget,
    outage::OutageLog,
    stats::{Outcome, Stats},
};
use crate::{
    time::Instant,
    uplink::{Reply, SendError, Uplink},
};

#[derive(Debug, Clone, Copy)]
struct Request {
    slot: Instant,
    started: Instant,
    deadline: Instant,
}

/// The request in flight, the outage in progress, and the patience with the server.
#[derive(Debug)]
pub(super) struct Sender {
    request: Option<Request>,
    outage: OutageLog,
    pub(super) backoff: Backoff,
}

impl Sender {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { request: None, outage: OutageLog::default(), backoff }
    }

    /// Starts the request of `slot`'s beat. The caller has seen to it that the previous one has ended.
    pub(super) fn send(
        &mut self,
        now: Instant,
        slot: Instant,
        deadline: Instant,
        body: &[u8],
        uplink: &mut impl Uplink,
    ) {
        uplink.send(body, deadline.since(now));
        self.request = Some(Request { slot, started: now, deadline });
    }

    /// Takes the outcome of the request if there is one, or cancels the request when its time is up.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        config: &Config,
        uplink: &mut impl Uplink,
        stats: &mut Stats,
        log: &mut LogBudget,
    ) {
        let Some(request) = self.request else { return };
        let result = match uplink.poll() {
            Poll::Ready(result) => result,
            Poll::Pending if now >= request.deadline => Err(uplink.cancel()),
            Poll::Pending => return,
        };
        self.request = None;
        self.backoff.record(now, request.slot, result, config);
        let pause = self.backoff.remaining(now);
        if pause > config.interval() {
            log_debug!("leaving the server alone for {} s", pause.as_secs());
        }
        self.finish(now, request.started, result.and_then(Reply::accepted), stats, log);
    }

    /// Counts a beat that failed before it could be handed to the uplink.
    pub(super) fn fail(&mut self, now: Instant, error: SendError, stats: &mut Stats, log: &mut LogBudget) {
        self.finish(now, now, Err(error), stats, log);
    }

    /// Cancels the request in flight, if there is one.
    pub(super) fn stop(&mut self, now: Instant, uplink: &mut impl Uplink, stats: &mut Stats) {
        if let Some(request) = self.request.take() {
            let _ = uplink.cancel();
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
        started: Instant,
        result: Result<u16, SendError>,
        stats: &mut Stats,
        log: &mut LogBudget,
    ) {
        stats.record(Outcome { result, round_trip: now.since(started) });
        self.outage.record(now, result.err(), log);
    }
}
