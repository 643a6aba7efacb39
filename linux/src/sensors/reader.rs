//! A source that the worker reads when a value asks for it. Several values may share what one read yields.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use heartbeat_core::{
    SensorError,
    time::{Duration, Instant},
};

use crate::{
    clock,
    sources::{Currency, MEANWHILE, Remark, Source, sysroot::Sysroot},
    worker::{Failure, Job, Worker},
};

/// An outcome that was not taken within this time is out of date, for example after a suspend.
const STALE: Duration = Duration::from_secs(2);

/// For how long a source that said that nothing has changed is not asked again: several values put the same question in
/// one turn of the main loop.
const MOMENT: Duration = Duration::from_millis(2);

/// A handle of a source; clones share it.
pub(super) struct Reader<R> {
    worker: Arc<Worker>,
    task: Arc<Task<R>>,
}

/// The job of reading the source.
struct Task<R> {
    root: Arc<Sysroot>,
    source: Mutex<Box<dyn Source<Reading = R>>>,
    state: Mutex<State<R>>,
}

struct State<R> {
    /// Where the source looked last.
    place: String,
    /// The worker has been asked and has not answered. It may never.
    is_reading: bool,
    last: Option<Read<R>>,
}

/// The latest read.
struct Read<R> {
    outcome: Result<R, SensorError>,
    began: Instant,
    ended: Instant,
    /// Until then there is no point in reading again.
    holds_until: Instant,
    /// When the source said last that the value is still so.
    confirmed: Option<Instant>,
    /// What more the source knows of an error.
    remark: Option<Remark>,
}

impl<R> Clone for Reader<R> {
    fn clone(&self) -> Self {
        Self { worker: Arc::clone(&self.worker), task: Arc::clone(&self.task) }
    }
}

impl<R: Send + 'static> Reader<R> {
    /// Reads nothing before the first request.
    pub(super) fn new(root: &Arc<Sysroot>, worker: &Arc<Worker>, source: impl Source<Reading = R>) -> Self {
        let state = State { place: source.place(), is_reading: false, last: None };
        let task =
            Task { root: Arc::clone(root), source: Mutex::new(Box::new(source)), state: Mutex::new(state) };
        Self { worker: Arc::clone(worker), task: Arc::new(task) }
    }

    /// What `part` makes of an outcome that was read for a question of the time `asked`, or that still holds. Queues a
    /// read if there is none and none is under way; the next dispatch of the worker begins it.
    pub(super) fn ask<T>(
        &self,
        asked: Instant,
        now: Instant,
        part: impl FnOnce(Result<&R, SensorError>) -> T,
    ) -> Poll<T> {
        let mut state = self.task.lock();
        let is_due = self.task.confirm(&mut state, asked, now);
        let serves = state.last.as_ref().is_some_and(|read| read.serves(asked, now));
        if (is_due || !serves) && !state.is_reading {
            state.is_reading = true;
            self.worker.queue(Arc::clone(&self.task) as Arc<dyn Job>);
        }
        match state.last.as_ref().filter(|read| serves || read.serves_meanwhile(now)) {
            Some(read) => Poll::Ready(part(read.outcome.as_ref().map_err(|error| *error))),
            None => {
                self.worker.wait_for_jobs();
                Poll::Pending
            }
        }
    }

    /// Where the source looked last.
    pub(super) fn place(&self) -> String {
        self.task.lock().place.clone()
    }

    /// What more the source knows of its latest error.
    pub(super) fn remark(&self) -> Option<Remark> {
        self.task.lock().last.as_ref().and_then(|read| read.remark)
    }

    /// How long the latest read took.
    pub(super) fn took(&self) -> Duration {
        self.task.lock().last.as_ref().map_or(Duration::ZERO, |read| read.ended.since(read.began))
    }
}

impl<R> Read<R> {
    fn serves(&self, asked: Instant, now: Instant) -> bool {
        now < self.holds_until
            || self.began >= asked && now.since(self.ended) < STALE
            || self.confirmed.is_some_and(|when| now.since(when) < MOMENT)
    }

    /// Whether it may be used until it has been read again: an outcome that held, for a while.
    fn serves_meanwhile(&self, now: Instant) -> bool {
        self.holds_until > self.ended && now < self.holds_until + MEANWHILE
    }
}

impl<R: Send + 'static> Task<R> {
    /// Asks the source whether what it read is still so, where that would save a read. Says whether it is to be read again all
    /// the same.
    fn confirm(&self, state: &mut State<R>, asked: Instant, now: Instant) -> bool {
        let Some(read) = state.last.as_mut().filter(|read| read.outcome.is_ok() && !state.is_reading) else {
            return false;
        };
        if read.serves(asked, now) {
            return false;
        }
        // Free unless the worker reads, and it does not.
        let Ok(mut source) = self.source.try_lock() else { return false };
        let currency = source.currency(&self.root);
        read.confirmed = (currency != Currency::Unknown).then_some(now);
        currency == Currency::Due
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Send + 'static> Job for Task<R> {
    fn run(&self) {
        // What a read that panicked has left behind is only its cache.
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let began = clock::now();
        let outcome = source.read(&self.root);
        let ended = clock::now();
        let holds_until = ended + source.holds(&outcome);
        let remark = if outcome.is_err() { source.remark() } else { None };
        let place = source.place();
        let mut state = self.lock();
        state.place = place;
        state.is_reading = false;
        state.last = Some(Read { outcome, began, ended, holds_until, confirmed: None, remark });
    }

    fn fail(&self, why: Failure) {
        let error = match why {
            Failure::NoThread => SensorError::Io,
            Failure::Panicked => SensorError::Invalid,
        };
        let now = clock::now();
        let mut state = self.lock();
        state.is_reading = false;
        state.last = Some(Read {
            outcome: Err(error),
            began: now,
            ended: now,
            holds_until: now,
            confirmed: None,
            remark: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waker::{self, WakeUps};
    use std::{path::Path, sync::mpsc};

    /// Reads by calling a function.
    struct Called<F>(F);

    impl<F: FnMut() -> Result<u32, SensorError> + Send + 'static> Source for Called<F> {
        type Reading = u32;

        fn place(&self) -> String {
            "a function".to_owned()
        }

        fn read(&mut self, _: &Sysroot) -> Result<u32, SensorError> {
            (self.0)()
        }
    }

    fn reader(read: impl FnMut() -> Result<u32, SensorError> + Send + 'static) -> (Reader<u32>, WakeUps) {
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let root = Arc::new(Sysroot::new(Path::new("/")).expect("opened"));
        (Reader::new(&root, &Arc::new(Worker::new(waker)), Called(read)), wake_ups)
    }

    fn ask(reader: &Reader<u32>, asked: Instant, now: Instant) -> Poll<Result<u32, SensorError>> {
        reader.ask(asked, now, |outcome| outcome.copied())
    }

    /// The answer to a question of now; the waker says when it is there.
    fn answer(reader: &Reader<u32>, wake_ups: &mut WakeUps) -> Result<u32, SensorError> {
        let asked = clock::now();
        loop {
            if let Poll::Ready(answer) = ask(reader, asked, clock::now()) {
                return answer;
            }
            reader.worker.dispatch(clock::now());
            wake_ups.wait();
        }
    }

    #[test]
    fn a_panic_is_an_invalid_reading_and_the_next_read_works() {
        let mut calls = 0;
        let (reader, mut wake_ups) = reader(move || {
            calls += 1;
            if calls == 1 { panic!("a parser's mistake") } else { Ok(calls) }
        });
        assert_eq!(answer(&reader, &mut wake_ups), Err(SensorError::Invalid));
        assert_eq!(answer(&reader, &mut wake_ups), Ok(2));
    }

    #[test]
    fn a_source_that_hangs_is_asked_once() {
        let (release, hang) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let (reader, mut wake_ups) = reader(move || {
            began.send(()).expect("the test waits");
            hang.recv().expect("the test releases");
            Ok(1)
        });
        let asked = clock::now();
        assert!(ask(&reader, asked, asked).is_pending());
        reader.worker.dispatch(asked);
        begun.recv().expect("began");
        for later in 1..100 {
            let now = asked + Duration::from_secs(later);
            assert!(ask(&reader, now, now).is_pending());
            assert_eq!(reader.worker.dispatch(now), None, "nothing is queued");
        }
        release.send(()).expect("it hangs");
        wake_ups.wait();
        assert_eq!(ask(&reader, asked, clock::now()), Poll::Ready(Ok(1)), "late, but what was asked for");
        assert!(begun.try_recv().is_err(), "it was asked a second time");
    }

    #[test]
    fn one_read_serves_all_questions_before_it_and_none_after_it() {
        let mut calls = 0;
        let (reader, mut wake_ups) = reader(move || {
            calls += 1;
            Ok(calls)
        });
        let asked = clock::now();
        let other = reader.clone();
        assert!(ask(&reader, asked, asked).is_pending() && ask(&other, asked, asked).is_pending());
        reader.worker.dispatch(asked);
        wake_ups.wait();
        let now = clock::now();
        assert_eq!([ask(&reader, asked, now), ask(&other, asked, now)], [Poll::Ready(Ok(1)); 2]);
        assert!(ask(&reader, asked, now + STALE).is_pending(), "it is too old by then");
        reader.worker.dispatch(now);
        wake_ups.wait();
        let later = clock::now() + Duration::from_millis(1);
        assert!(ask(&reader, later, later).is_pending(), "it was read before the question");
    }

    /// Its readings hold for 10 s.
    struct Held(u32);

    impl Source for Held {
        type Reading = u32;

        fn place(&self) -> String {
            "held".to_owned()
        }

        fn read(&mut self, _: &Sysroot) -> Result<u32, SensorError> {
            self.0 += 1;
            Ok(self.0)
        }

        fn holds(&self, _: &Result<u32, SensorError>) -> Duration {
            Duration::from_secs(10)
        }
    }

    /// Counts its reads, and knows whether anything has changed.
    struct Told {
        reads: u32,
        currency: Arc<Mutex<Currency>>,
        fails: bool,
    }

    impl Source for Told {
        type Reading = u32;

        fn place(&self) -> String {
            "told".to_owned()
        }

        fn read(&mut self, _: &Sysroot) -> Result<u32, SensorError> {
            self.reads += 1;
            if self.fails { Err(SensorError::Io) } else { Ok(self.reads) }
        }

        fn currency(&mut self, _: &Sysroot) -> Currency {
            *self.currency.lock().expect("not poisoned")
        }
    }

    fn told(fails: bool) -> (Reader<u32>, WakeUps, Arc<Mutex<Currency>>) {
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let root = Arc::new(Sysroot::new(Path::new("/")).expect("opened"));
        let currency = Arc::new(Mutex::new(Currency::Current));
        let source = Told { reads: 0, currency: Arc::clone(&currency), fails };
        (Reader::new(&root, &Arc::new(Worker::new(waker)), source), wake_ups, currency)
    }

    #[test]
    fn a_source_in_which_nothing_has_changed_is_not_read_again() {
        let (reader, mut wake_ups, currency) = told(false);
        assert_eq!(answer(&reader, &mut wake_ups), Ok(1));
        let later = clock::now() + STALE + Duration::from_secs(3600);
        assert_eq!(ask(&reader, later, later), Poll::Ready(Ok(1)));
        assert_eq!(reader.worker.dispatch(later), None, "nothing is queued");
        *currency.lock().expect("not poisoned") = Currency::Unknown;
        assert_eq!(ask(&reader, later, later + MOMENT / 2), Poll::Ready(Ok(1)), "it has just been looked at");
        let later = later + MOMENT;
        assert!(ask(&reader, later, later).is_pending());
        assert_eq!(answer(&reader, &mut wake_ups), Ok(2));
    }

    #[test]
    fn what_is_due_is_used_while_it_is_read_again() {
        let (reader, mut wake_ups, currency) = told(false);
        assert_eq!(answer(&reader, &mut wake_ups), Ok(1));
        *currency.lock().expect("not poisoned") = Currency::Due;
        let later = clock::now() + STALE;
        assert_eq!([(); 2].map(|()| ask(&reader, later, later)), [Poll::Ready(Ok(1)); 2]);
        assert_eq!(reader.worker.dispatch(later), None, "nothing waits for it");
        *currency.lock().expect("not poisoned") = Currency::Current;
        let next = later + MOMENT;
        let reads = loop {
            match ask(&reader, next, next) {
                Poll::Ready(reads) => break reads,
                Poll::Pending => wake_ups.wait(),
            }
        };
        assert_eq!(reads, Ok(2));
    }

    #[test]
    fn an_error_is_read_again_whatever_has_changed() {
        let (reader, mut wake_ups, _) = told(true);
        assert_eq!(answer(&reader, &mut wake_ups), Err(SensorError::Io));
        let later = clock::now() + STALE;
        assert!(ask(&reader, later, later).is_pending());
    }

    #[test]
    fn a_value_that_held_is_used_while_it_is_read_again() {
        let (waker, mut wake_ups) = waker::pair().expect("a pair");
        let root = Arc::new(Sysroot::new(Path::new("/")).expect("opened"));
        let reader = Reader::new(&root, &Arc::new(Worker::new(waker)), Held(0));
        assert_eq!(answer(&reader, &mut wake_ups), Ok(1));
        let began = clock::now();
        // It ended before `began`, by less than the test takes.
        let expired = began + Duration::from_secs(10);
        assert_eq!(ask(&reader, expired, expired), Poll::Ready(Ok(1)), "it is being read again");
        let too_old = expired + MEANWHILE;
        assert!(ask(&reader, too_old, too_old).is_pending());
        reader.worker.dispatch(expired);
        wake_ups.wait();
        assert_eq!(ask(&reader, clock::now(), clock::now()), Poll::Ready(Ok(2)));
    }

    #[test]
    fn what_is_absent_is_not_read_again_before_the_reprobe_interval() {
        let (began, begun) = mpsc::channel();
        let (reader, mut wake_ups) = reader(move || {
            began.send(()).expect("the test waits");
            Err(SensorError::Absent)
        });
        assert_eq!(answer(&reader, &mut wake_ups), Err(SensorError::Absent));
        let soon = clock::now() + Duration::from_secs(50);
        assert_eq!(ask(&reader, soon, soon), Poll::Ready(Err(SensorError::Absent)));
        let late = clock::now() + crate::sources::REPROBE;
        assert_eq!(
            ask(&reader, late, late),
            Poll::Ready(Err(SensorError::Absent)),
            "no heartbeat waits for it"
        );
        assert_eq!(begun.try_iter().count(), 1);
        assert_eq!(reader.worker.dispatch(late), None);
        begun.recv().expect("it is looked for again");
    }
}
