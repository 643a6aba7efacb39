//! Sources that may block, each on one thread of its own for as long as the program lives.
//!
//! A dead NFS mount, a firmware call that never returns, a `/tmp` on a dying card: whoever reads them waits. So
//! somebody else does, one per source, and never more than one. The thread is never joined: a program that ends
//! must not wait for what made the thread wait.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use heartbeat_core::{SensorError, readings::Sampled};

use super::rest::Rest;
use crate::waker::Waker;

/// Enough for reading files and netlink; the default of 2 MiB is only address space, but counts in limits.
const STACK_SIZE: usize = 256 * 1024;

/// An answer that nobody took for this long is the past: whoever asks now gets a new one.
const STALE: Duration = Duration::from_secs(2);

/// How a source is read.
type Read<T> = dyn FnMut() -> Result<T, SensorError> + Send;

/// A source that is read on its own thread when asked.
#[derive(Debug)]
pub struct Background<T> {
    shared: Arc<Shared<T>>,
    rest: Rest,
}

struct Shared<T> {
    name: String,
    waker: Waker,
    /// What the thread does when it is asked, until it has started.
    read: Mutex<Option<Box<Read<T>>>>,
    state: Mutex<State<T>>,
    asked: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Idle,
    Asked,
    Reading,
    Answered(Result<T, SensorError>, Instant),
    /// The thread could not be started: the sensor fails, the rest goes on, and whoever asks again tries again.
    Broken,
    /// Nobody asks any more: the thread ends when it can.
    Closed,
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nobody panics while holding the lock; and if so, the state is still one of its values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Background<T> {
    /// Starts the thread, which calls `read` whenever the source is polled anew and `waker` when it has ended.
    pub fn start(
        name: &str,
        waker: Waker,
        read: impl FnMut() -> Result<T, SensorError> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            waker,
            read: Mutex::new(Some(Box::new(read))),
            state: Mutex::new(State::Idle),
            asked: Condvar::new(),
        });
        if let Err(error) = start_thread(&shared) {
            log::warn!("{name}: cannot start a thread: {error}");
            *shared.lock() = State::Broken;
        }
        Self { shared, rest: Rest::default() }
    }

    /// The answer, once; asks for one if none is under way. A source that is absent is not asked for a while, which
    /// costs nothing at all.
    pub fn poll(&mut self) -> Sampled<T> {
        if self.rest.is_resting() {
            return Poll::Ready(Err(SensorError::Absent));
        }
        let mut state = self.shared.lock();
        match std::mem::replace(&mut *state, State::Idle) {
            State::Answered(answer, since) if since.elapsed() < STALE => {
                drop(state);
                self.rest.note(&answer);
                Poll::Ready(answer)
            }
            State::Idle | State::Answered(..) => {
                *state = State::Asked;
                self.shared.asked.notify_one();
                Poll::Pending
            }
            State::Broken => match start_thread(&self.shared) {
                Ok(()) => {
                    *state = State::Asked;
                    Poll::Pending
                }
                Err(_) => {
                    *state = State::Broken;
                    Poll::Ready(Err(SensorError::Io))
                }
            },
            waiting @ (State::Asked | State::Reading | State::Closed) => {
                *state = waiting;
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        *self.shared.lock() = State::Closed;
        self.shared.asked.notify_one();
    }
}

fn start_thread<T: Send + 'static>(shared: &Arc<Shared<T>>) -> io::Result<()> {
    let theirs = Arc::clone(shared);
    let builder = thread::Builder::new().name(shared.name.clone()).stack_size(STACK_SIZE);
    builder.spawn(move || serve(&theirs)).map(drop)
}

fn serve<T>(shared: &Shared<T>) {
    let read = shared.read.lock().unwrap_or_else(PoisonError::into_inner).take();
    // One thread is started, once.
    let Some(mut read) = read else { return };
    loop {
        let mut state = shared.lock();
        loop {
            match *state {
                State::Asked => break,
                State::Closed => return,
                _ => state = shared.asked.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        *state = State::Reading;
        drop(state);
        // A parser that panics costs its own value, not the heartbeat. What it left behind is only its cache.
        let answer = catch_unwind(AssertUnwindSafe(&mut read)).unwrap_or(Err(SensorError::Invalid));
        let mut state = shared.lock();
        if matches!(*state, State::Closed) {
            return;
        }
        *state = State::Answered(answer, Instant::now());
        drop(state);
        shared.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Polls until there is an answer; the waker says when, so nothing sleeps.
    fn answer<T: Send + 'static>(
        source: &mut Background<T>,
        sleeper: &mut crate::waker::WakeUps,
    ) -> Result<T, SensorError> {
        loop {
            match source.poll() {
                Poll::Ready(answer) => return answer,
                Poll::Pending => sleeper.wait(),
            }
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_lives_on() {
        let (waker, mut wake_ups) = crate::waker::pair().expect("a pair");
        let mut calls = 0;
        let mut source = Background::start("test", waker, move || {
            calls += 1;
            if calls == 1 { panic!("a parser's mistake") } else { Ok(calls) }
        });
        assert_eq!(answer(&mut source, &mut wake_ups), Err(SensorError::Invalid));
        assert_eq!(answer(&mut source, &mut wake_ups), Ok(2));
    }

    #[test]
    fn a_source_that_hangs_is_asked_once() {
        let (waker, mut wake_ups) = crate::waker::pair().expect("a pair");
        let (release, hang) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let mut source = Background::start("test", waker, move || {
            began.send(()).expect("the test waits");
            hang.recv().expect("the test releases");
            Ok(())
        });
        assert!(source.poll().is_pending());
        begun.recv().expect("began");
        for _ in 0..100 {
            assert!(source.poll().is_pending());
        }
        release.send(()).expect("it hangs");
        assert_eq!(answer(&mut source, &mut wake_ups), Ok(()));
        assert!(begun.try_recv().is_err(), "it was asked a second time");
    }
}
