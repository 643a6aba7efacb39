//! The way to the server: [`Uplink`] over HTTP, on one thread for as long as the program lives.
//!
//! Requests carry a generation number. What was cancelled may still be under way for a moment; its outcome has an
//! old number and changes nothing.

mod authorities;
mod classify;
mod client;
mod outcome;
mod progress;
mod resolver;
mod retry_after;
mod tls;
mod traffic;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::Instant,
};

use heartbeat_core::{Outcome, Uplink, time::Duration};

use self::progress::Progress;
pub use self::{
    authorities::TrustError,
    client::{Answer, Client},
    outcome::{Reply, SendError, outcome},
    resolver::CachedResolver,
    traffic::Traffic,
};
use crate::waker::Waker;

/// Sends heartbeats on its own thread.
#[derive(Debug)]
pub struct HttpUplink {
    shared: Arc<Shared>,
    generation: u64,
    /// Of the client in use.
    progress: Progress,
}

/// `Retry-After` for `cargo fuzz`: any header is survived.
#[cfg(fuzzing)]
pub fn fuzz_retry_after(bytes: &[u8]) {
    let (asked, date) = bytes.split_at(bytes.len() / 2);
    let _ = (retry_after::parse(bytes, None), retry_after::parse(asked, Some(date)));
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Waits for the thread: at most one, the newest.
    request: Option<Request>,
    /// How the latest request ended that the thread finished.
    ended: Option<(u64, Result<Reply, SendError>)>,
    /// Replaces the thread's client before its next request.
    client: Option<Client>,
    /// Nobody sends any more: the thread ends when it can.
    closed: bool,
}

#[derive(Debug)]
struct Request {
    generation: u64,
    body: Vec<u8>,
    deadline: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpUplink {
    /// Starts the thread. `waker` is woken whenever a request has ended.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn start(client: Client, waker: Waker) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let progress = client.progress().clone();
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("uplink".to_owned()).spawn(move || serve(&theirs, client, &waker))?;
        Ok(Self { shared, generation: 0, progress })
    }

    /// Sends through another client from the next request on.
    pub fn replace(&mut self, client: Client) {
        self.progress = client.progress().clone();
        self.shared.lock().client = Some(client);
    }
}

impl Uplink for HttpUplink {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.generation = self.generation.wrapping_add(1);
        let deadline = Instant::now() + timeout.into();
        let request = Request { generation: self.generation, body: body.to_vec(), deadline };
        let mut state = self.shared.lock();
        state.ended = None;
        state.request = Some(request);
        self.shared.changed.notify_one();
    }

    fn poll(&mut self) -> Poll<Outcome> {
        match self.shared.lock().ended.take_if(|(generation, _)| *generation == self.generation) {
            Some((_, ended)) => Poll::Ready(outcome(ended)),
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) -> Outcome {
        self.generation = self.generation.wrapping_add(1);
        let mut state = self.shared.lock();
        state.request = None;
        state.ended = None;
        outcome(Err(self.progress.stage().waiting_for()))
    }
}

impl Drop for HttpUplink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

fn serve(shared: &Shared, mut client: Client, waker: &Waker) {
    loop {
        let mut state = shared.lock();
        let request = loop {
            match state.request.take() {
                _ if state.closed => return,
                Some(request) => break request,
                None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        if let Some(replacement) = state.client.take() {
            client = replacement;
        }
        drop(state);
        // The thread may have been busy with a cancelled request until now.
        let answer = if request.deadline <= Instant::now() {
            Err(SendError::Timeout)
        } else {
            // A mistake in the libraries below costs one beat, not all that follow.
            catch_unwind(AssertUnwindSafe(|| client.exchange(&request.body, request.deadline)))
                .unwrap_or(Err(SendError::Aborted))
        };
        let ended = answer.as_ref().map(|answer| answer.reply).map_err(|error| *error);
        shared.lock().ended = Some((request.generation, ended));
        waker.wake();
        if let Ok(answer) = answer {
            let _ = catch_unwind(AssertUnwindSafe(|| answer.finish()));
        }
        let _ = catch_unwind(AssertUnwindSafe(|| client.on_end(ended)));
    }
}
