//! One thread for everything that may block, and a fresh one when it does.
//!
//! A dead NFS mount, a firmware call that never returns, a `/tmp` on a dying card: a thread that reads them blocks. So
//! a thread beside the main loop reads them, one for all jobs as long as each ends promptly. A job that does not keeps
//! its thread to itself, which ends with it, and a fresh thread does the other jobs. No watchdog detects that: the main
//! loop does, when [`Worker::dispatch`] has asked it to.
//!
//! Only a job that something waits for wakes the main loop when it has ended. The others are done for a later turn.
//!
//! A caller must not queue a job again before it has ended: then there is never more than one stuck thread per job.
//! Threads are never joined: a program that ends must not wait for what made a thread wait.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use heartbeat_core::time::{Duration, Instant};

use crate::{clock, waker::Waker};

/// A job that takes longer than this no longer keeps the others waiting. A prompt one takes a few milliseconds at most.
const PROMPT: Duration = Duration::from_millis(50);

/// Enough for reading files and netlink; the default of 2 MiB is only address space, but counts in limits. Without
/// optimisation each buffer of a walk through folders has a place of its own.
const STACK_SIZE: usize = if cfg!(debug_assertions) { 2048 } else { 256 } * 1024;

/// Something that may block.
pub trait Job: Send + Sync {
    /// Does it, on one of the worker's threads.
    fn run(&self);

    /// Takes note that it was not done.
    fn fail(&self, why: Failure);
}

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The system has no thread for it.
    NoThread,
    /// It panicked.
    Panicked,
}

/// Does jobs, one after the other. Its threads end when it is dropped, as soon as they can.
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    waker: Waker,
    stack_size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Queued since the last dispatch.
    queued: Vec<Arc<dyn Job>>,
    /// Something waits for one of the jobs that have not ended.
    is_awaited: bool,
    /// To be done now.
    dispatched: VecDeque<Arc<dyn Job>>,
    /// Of the thread that takes jobs. One of an older generation has been left alone with its job.
    generation: u64,
    has_thread: bool,
    /// Since when that thread has been doing its current job.
    busy_since: Option<Instant>,
    /// That no thread could be started has been logged.
    is_short: bool,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; and if it did, the state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// A worker without a thread: the first dispatch starts it. `waker` is woken when all jobs have ended, if one of them
    /// is waited for.
    pub fn new(waker: Waker) -> Self {
        Self::with_stack_size(waker, STACK_SIZE)
    }

    fn with_stack_size(waker: Waker, stack_size: usize) -> Self {
        let shared =
            Shared { waker, stack_size, state: Mutex::new(State::default()), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a job to those that the next dispatch begins.
    pub fn queue(&self, job: Arc<dyn Job>) {
        self.shared.lock().queued.push(job);
    }

    /// Something waits for a job that was queued and has not ended: the end of all wakes the main loop.
    pub fn wait_for_jobs(&self) {
        self.shared.lock().is_awaited = true;
    }

    /// Begins what was queued, and gives the rest of the jobs to a fresh thread when the current one is stuck. Never
    /// blocks. `now` is the time of [`clock::now`].
    ///
    /// The answer is when to call this again at the latest, if at all: what is waited for and ends by itself wakes the main
    /// loop. What nothing waits for and is stuck gives way at the next call.
    pub fn dispatch(&self, now: Instant) -> Option<Instant> {
        let mut state = self.shared.lock();
        let queued = std::mem::take(&mut state.queued);
        state.dispatched.extend(queued);
        let is_idle = state.dispatched.is_empty();
        match state.busy_since {
            // If this job never ended, nothing would wake the main loop for the jobs that ended before it.
            Some(since) if now.since(since) < PROMPT => return state.is_awaited.then_some(since + PROMPT),
            _ if is_idle => return None,
            Some(_) => {
                state.generation = state.generation.wrapping_add(1);
                state.has_thread = false;
                state.busy_since = None;
            }
            None => {}
        }
        let look_again = state.is_awaited.then_some(now + PROMPT);
        if state.has_thread {
            // After the lock, or the thread would wake up only to wait for it.
            drop(state);
            self.shared.changed.notify_one();
            return look_again;
        }
        match self.start_thread(state.generation) {
            Ok(()) => {
                state.has_thread = true;
                state.is_short = false;
                look_again
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_short, true) {
                    log::warn!("cannot start a thread: {error}");
                }
                let refused = std::mem::take(&mut state.dispatched);
                let is_awaited = std::mem::take(&mut state.is_awaited);
                drop(state);
                refused.iter().for_each(|job| job.fail(Failure::NoThread));
                // They have ended.
                is_awaited.then_some(now)
            }
        }
    }

    fn start_thread(&self, generation: u64) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let builder = thread::Builder::new().name("worker".to_owned()).stack_size(shared.stack_size);
        builder.spawn(move || serve(&shared, generation)).map(drop)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// Does jobs until another thread has taken over or the worker is dropped.
fn serve(shared: &Shared, generation: u64) {
    let mut state = shared.lock();
    loop {
        if state.closed || state.generation != generation {
            return;
        }
        let Some(job) = state.dispatched.pop_front() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.busy_since = Some(clock::now());
        drop(state);
        // A parser that panics costs its own value, not the heartbeat.
        if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
            job.fail(Failure::Panicked);
        }
        drop(job);
        state = shared.lock();
        let is_current = state.generation == generation;
        if is_current {
            state.busy_since = None;
        }
        // What was left alone may have been waited for longer than the others.
        if !is_current || state.dispatched.is_empty() && std::mem::take(&mut state.is_awaited) {
            shared.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waker::{self, WakeUps};
    use std::sync::mpsc::{self, Receiver, Sender};

    /// Tells which thread it runs on, then waits until it is released if it is to hang.
    struct Scripted {
        ran: Sender<(u8, thread::ThreadId)>,
        number: u8,
        hang: Option<Mutex<Receiver<()>>>,
        failed: Sender<Failure>,
        panics: bool,
    }

    impl Job for Scripted {
        fn run(&self) {
            self.ran.send((self.number, thread::current().id())).expect("the test waits");
            if let Some(hang) = &self.hang {
                hang.lock().expect("not poisoned").recv().expect("the test releases");
            }
            assert!(!self.panics, "a parser's mistake");
        }

        fn fail(&self, why: Failure) {
            self.failed.send(why).expect("the test waits");
        }
    }

    struct Scene {
        worker: Worker,
        wake_ups: WakeUps,
        ran: Receiver<(u8, thread::ThreadId)>,
        failed: Receiver<Failure>,
        template: (Sender<(u8, thread::ThreadId)>, Sender<Failure>),
    }

    impl Scene {
        fn new(stack_size: usize) -> Self {
            let (waker, wake_ups) = waker::pair().expect("a pair");
            let (ran_sender, ran) = mpsc::channel();
            let (failed_sender, failed) = mpsc::channel();
            let worker = Worker::with_stack_size(waker, stack_size);
            Self { worker, wake_ups, ran, failed, template: (ran_sender, failed_sender) }
        }

        /// A job that is waited for.
        fn queue(&self, number: u8, hang: Option<Receiver<()>>, panics: bool) {
            self.queue_for_later(number, hang, panics);
            self.worker.wait_for_jobs();
        }

        fn queue_for_later(&self, number: u8, hang: Option<Receiver<()>>, panics: bool) {
            let (ran, failed) = self.template.clone();
            self.worker.queue(Arc::new(Scripted { ran, number, hang: hang.map(Mutex::new), failed, panics }));
        }

        fn next(&self) -> (u8, thread::ThreadId) {
            self.ran.recv().expect("a job begins")
        }
    }

    #[test]
    fn runs_queued_jobs_in_order_on_one_thread_and_wakes_when_all_have_ended() {
        let mut scene = Scene::new(STACK_SIZE);
        assert_eq!(scene.worker.dispatch(clock::now()), None, "nothing to do");
        let mut threads = Vec::new();
        for _ in 0..2 {
            (0..3).for_each(|number| scene.queue(number, None, false));
            assert!(scene.ran.try_recv().is_err(), "nothing begins before it is dispatched");
            assert!(scene.worker.dispatch(clock::now()).is_some());
            for expected in 0..3 {
                let (number, thread) = scene.next();
                assert_eq!(number, expected);
                threads.push(thread);
            }
            scene.wake_ups.wait();
            assert_eq!(scene.worker.dispatch(clock::now()), None, "all have ended");
        }
        assert!(threads.windows(2).all(|pair| pair[0] == pair[1]), "{threads:?}");
    }

    #[test]
    fn leaves_a_stuck_job_alone_and_runs_the_others_on_a_fresh_thread() {
        let mut scene = Scene::new(STACK_SIZE);
        let (release, hang) = mpsc::channel();
        scene.queue(0, Some(hang), false);
        scene.queue(1, None, false);
        let began = clock::now();
        scene.worker.dispatch(began);
        let (_, stuck) = scene.next();
        let due = scene.worker.dispatch(began).expect("it must be looked after");
        assert!(scene.ran.try_recv().is_err(), "the other waits for a while");
        scene.worker.dispatch(due);
        let (number, fresh) = scene.next();
        assert_eq!(number, 1);
        assert_ne!(fresh, stuck);
        scene.wake_ups.wait();
        assert_eq!(scene.worker.dispatch(due + PROMPT), None, "the stuck source is not waited for");
        release.send(()).expect("it hangs");
        scene.wake_ups.wait();
        // The thread that was stuck takes no other job.
        scene.queue(2, None, false);
        scene.worker.dispatch(clock::now());
        assert_eq!(scene.next(), (2, fresh));
    }

    #[test]
    fn a_stuck_job_with_nothing_behind_it_is_left_only_when_there_is_something_to_do() {
        let mut scene = Scene::new(STACK_SIZE);
        let (release, hang) = mpsc::channel();
        scene.queue(0, Some(hang), false);
        let later = scene.worker.dispatch(clock::now()).expect("it must be looked after");
        let (_, stuck) = scene.next();
        let later = later.max(clock::now() + PROMPT);
        assert_eq!(scene.worker.dispatch(later), None);
        scene.queue(1, None, false);
        scene.worker.dispatch(later);
        let (number, fresh) = scene.next();
        assert!(number == 1 && fresh != stuck);
        scene.wake_ups.wait();
        drop(release);
        assert_eq!(scene.failed.recv(), Ok(Failure::Panicked), "its wait ends in a panic of the test's job");
    }

    #[test]
    fn jobs_that_nothing_waits_for_do_not_wake_the_main_loop() {
        let mut scene = Scene::new(STACK_SIZE);
        for _ in 0..2 {
            scene.queue_for_later(0, None, false);
            assert_eq!(scene.worker.dispatch(clock::now()), None, "no turn is needed for them");
            scene.next();
        }
        // On the same thread, so that the jobs before have ended.
        let (release, hang) = mpsc::channel();
        scene.queue_for_later(1, Some(hang), false);
        scene.worker.dispatch(clock::now());
        scene.next();
        assert!(!scene.wake_ups.is_woken());
        scene.worker.wait_for_jobs();
        release.send(()).expect("it hangs");
        scene.wake_ups.wait();
        assert!(!scene.wake_ups.is_woken(), "once");
    }

    #[test]
    fn a_stuck_job_that_nothing_waits_for_gives_way_at_the_next_dispatch() {
        let mut scene = Scene::new(STACK_SIZE);
        let (_release, hang) = mpsc::channel();
        scene.queue_for_later(0, Some(hang), false);
        assert_eq!(scene.worker.dispatch(clock::now()), None);
        let (_, stuck) = scene.next();
        scene.queue(1, None, false);
        assert!(scene.worker.dispatch(clock::now() + PROMPT).is_some());
        let (number, fresh) = scene.next();
        assert!(number == 1 && fresh != stuck);
        scene.wake_ups.wait();
    }

    #[test]
    fn reports_a_panic_and_goes_on_with_the_same_thread() {
        let mut scene = Scene::new(STACK_SIZE);
        scene.queue(0, None, true);
        scene.queue(1, None, false);
        scene.worker.dispatch(clock::now());
        let [(_, first), (_, second)] = [scene.next(), scene.next()];
        assert_eq!(first, second);
        assert_eq!(scene.failed.recv(), Ok(Failure::Panicked));
        scene.wake_ups.wait();
    }

    #[test]
    fn fails_all_jobs_when_the_system_has_no_thread() {
        // No address space is that large.
        let scene = Scene::new(usize::MAX >> 1 & !0xffff);
        for _ in 0..2 {
            scene.queue(0, None, false);
            scene.queue(1, None, false);
            let now = clock::now();
            assert_eq!(scene.worker.dispatch(now), Some(now), "their end is to be taken at once");
            assert_eq!([scene.failed.recv(), scene.failed.recv()], [Ok(Failure::NoThread); 2]);
        }
    }
}
