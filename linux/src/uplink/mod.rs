//! The way to the server: [`Uplink`] over HTTP, on one thread for as long as the program lives.
//!
//! - `names` and `target`: where the server is. `book`: what was learnt of it.
//! - `dial` and `attempt` make a connection over `tcp`, through a `tunnel` if there is a proxy; `connection` is one; `link` is what there is of both.
//! - `authorities`, `trust`, `verifier`, `certificate`, `dial_backoff`: TLS, the trust anchors, and what happens
//!   when there is no trust. `byte_budget`: what refusals may cost.
//! - `connector`, `buffers` and `head` put the HTTP library on top; `client` sends a document with it. `beat` is what
//!   belongs to one. `strikes`: whether deltas are worth their bytes.
//! - `failure` says what went wrong; `outcome` tells the core; `steps` is the whole story, and `advice` what to do.
//!
//! Requests carry a generation number. What was cancelled may still be under way for a moment; its outcome has an
//! old number and changes nothing.

mod advice;
mod attempt;
mod authorities;
mod beat;
mod book;
mod buffers;
mod byte_budget;
mod certificate;
mod client;
mod connection;
mod connector;
mod dial;
mod dial_backoff;
mod failure;
mod head;
mod link;
mod names;
mod outcome;
mod retry_after;
mod steps;
mod strikes;
mod target;
mod tcp;
mod traffic;
mod trust;
mod tunnel;
mod verifier;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::Instant,
};

use heartbeat_core::{Outcome, Uplink, time::Duration, uplink::Delta};

pub use self::{
    advice::first_thing_to_do,
    authorities::TrustError,
    certificate::Issued,
    client::{Client, Story},
    failure::{Cause, Failure, Stage},
    outcome::{Reply, outcome},
    steps::Step,
    traffic::Traffic,
};
use self::{
    beat::{Beat, Cancelled, Waiting},
    client::{Form, Sender},
};
use crate::{
    clock,
    waker::{self, Waker},
};

/// Time that this side gives up before the agent would, so that its own, more exact reason is reported.
const HEAD_START_MAX: std::time::Duration = std::time::Duration::from_millis(50);

/// Sends heartbeats on its own thread.
#[derive(Debug)]
pub struct HttpUplink {
    shared: Arc<Shared>,
    generation: u64,
    /// Wakes the thread.
    thread: Waker,
    cancelled: Cancelled,
    waiting: Waiting,
}

/// `Retry-After` for `cargo fuzz`: no header causes a panic.
#[cfg(fuzzing)]
pub fn fuzz_retry_after(bytes: &[u8]) {
    let (asked, date) = bytes.split_at(bytes.len() / 2);
    let _ = (retry_after::parse(bytes, None), retry_after::parse(asked, Some(date)));
}

/// The head of a reply for `cargo fuzz`: no reply causes a panic.
#[cfg(fuzzing)]
pub fn fuzz_head(bytes: &[u8]) {
    head::fuzz(bytes);
}

/// The answers of a proxy for `cargo fuzz`: none causes a panic.
#[cfg(fuzzing)]
pub fn fuzz_tunnel(bytes: &[u8]) {
    tunnel::fuzz(bytes);
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Waits for the thread: at most one, the newest.
    request: Option<Request>,
    /// Of the latest request that the thread finished.
    outcome: Option<(u64, Outcome)>,
    /// If the server takes the heartbeat under way, nothing needs to know at once.
    delivery_may_wait: bool,
    /// Memory of the latest document, for the next one.
    spare: Vec<u8>,
    /// Replaces the thread's client before its next request.
    client: Option<Client>,
    /// The uplink was dropped: the thread ends when it can.
    closed: bool,
}

#[derive(Debug)]
struct Request {
    generation: u64,
    body: Vec<u8>,
    /// A shorter form, and the connection over which it can be understood.
    delta: Option<(Vec<u8>, u64)>,
    began: Instant,
    until: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpUplink {
    /// Starts the thread. `waker` is woken whenever a request has ended, unless [`Self::let_delivery_wait`] applies.
    ///
    /// # Errors
    ///
    /// When the system has no thread or no descriptor left.
    pub fn start(client: Client, waker: Waker) -> io::Result<Self> {
        let (thread, wake_ups) = waker::pair()?;
        let sender = Sender::new(client, thread.clone(), wake_ups);
        let (cancelled, waiting) = sender.lender().link().handles();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("uplink".to_owned()).spawn(move || serve(&theirs, sender, &waker))?;
        Ok(Self { shared, generation: 0, thread, cancelled, waiting })
    }

    fn begin(&mut self, body: &[u8], delta: Option<(Vec<u8>, u64)>, timeout: Duration) {
        self.generation = self.generation.wrapping_add(1);
        let (began, timeout) = (Instant::now(), std::time::Duration::from(timeout));
        let until = began + timeout.saturating_sub((timeout / 10).min(HEAD_START_MAX));
        let mut state = self.shared.lock();
        state.outcome = None;
        state.delivery_may_wait = false;
        let mut document = std::mem::take(&mut state.spare);
        document.clear();
        document.extend_from_slice(body);
        state.request = Some(Request { generation: self.generation, body: document, delta, began, until });
        drop(state);
        self.thread.wake();
    }

    /// Whether a delivery of the heartbeat under way may wait to be polled. Otherwise, and whenever the request ends in
    /// another way, the main loop is woken. To be said anew for each request.
    pub fn let_delivery_wait(&mut self, may_wait: bool) {
        self.shared.lock().delivery_may_wait = may_wait;
    }

    /// Sends through another client from the next request on.
    pub fn replace(&mut self, client: Client) {
        self.shared.lock().client = Some(client);
        self.thread.wake();
    }
}

impl Uplink for HttpUplink {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.begin(body, None, timeout);
    }

    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        self.begin(body, Some((delta.document.to_vec(), delta.connection)), timeout);
    }

    fn poll(&mut self) -> Poll<Outcome> {
        match self.shared.lock().outcome.take_if(|(generation, _)| *generation == self.generation) {
            Some((_, outcome)) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        let failure = self.waiting.get();
        self.cancelled.set(self.generation);
        self.generation = self.generation.wrapping_add(1);
        let mut state = self.shared.lock();
        state.request = None;
        state.outcome = None;
        drop(state);
        self.thread.wake();
        outcome(&Err(failure))
    }
}

impl Drop for HttpUplink {
    fn drop(&mut self) {
        self.cancelled.set(u64::MAX);
        self.shared.lock().closed = true;
        self.thread.wake();
    }
}

fn serve(shared: &Shared, mut sender: Sender, waker: &Waker) {
    while let Some(request) = next(shared, &mut sender) {
        let beat = Beat {
            began: request.began,
            until: request.until,
            timeout: sender.timeout(),
            generation: request.generation,
        };
        // A panic in the libraries below costs one heartbeat, not all later ones.
        let form = Form {
            body: &request.body,
            delta: request.delta.as_ref().map(|(delta, over)| (&**delta, *over)),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| sender.exchange(form, beat)))
            .unwrap_or(Err(Failure::new(Stage::Exchange, Cause::Local).after_sending(true)));
        let outcome = outcome(&answer.as_ref().map(|answer| answer.reply).map_err(Failure::clone));
        let is_delivered = outcome.verdict.is_accepted();
        let mut state = shared.lock();
        state.outcome = Some((request.generation, outcome.at(clock::now())));
        state.spare = request.body;
        let may_wait = is_delivered && state.delivery_may_wait;
        drop(state);
        if !may_wait {
            waker.wake();
        }
        if catch_unwind(AssertUnwindSafe(|| sender.finish(answer))).is_err() {
            sender.lender().link().forget();
        }
    }
    sender.lender().link().close();
}

/// The next request, when there is one; `None` when there will be none. Sees to the connection in the meantime.
fn next(shared: &Shared, sender: &mut Sender) -> Option<Request> {
    loop {
        let mut state = shared.lock();
        if state.closed {
            return None;
        }
        let (client, request) = (state.client.take(), state.request.take());
        drop(state);
        if let Some(client) = client {
            sender.replace(client);
        }
        if request.is_some() {
            return request;
        }
        if catch_unwind(AssertUnwindSafe(|| sender.lender().link().idle())).is_err() {
            sender.lender().link().forget();
        }
    }
}
