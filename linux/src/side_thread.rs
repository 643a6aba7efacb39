//! A thread for one kind of work that may block: a file on storage that hangs, for example.
//!
//! It does one piece of work at a time. A caller waits for it only with a deadline, so that work that never ends
//! affects nothing else. The thread lives as long as the program, or until its [`SideThread`] is dropped and the work
//! in hand has ended.

use std::{
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    task::Poll,
    thread,
    time::Instant,
};

use crate::waker::Waker;

/// The other end of the thread.
#[derive(Debug)]
pub(crate) struct SideThread<I, O> {
    work: Sender<I>,
    results: Receiver<O>,
    is_busy: bool,
}

impl<I: Send + 'static, O: Send + 'static> SideThread<I, O> {
    /// Starts the thread. `waker` is woken whenever a piece of work has been done.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn start(
        name: &str,
        waker: Option<Waker>,
        mut do_work: impl FnMut(I) -> O + Send + 'static,
    ) -> io::Result<Self> {
        let (work, to_do) = mpsc::channel();
        let (done, results) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Ok(piece) = to_do.recv() {
                if done.send(do_work(piece)).is_err() {
                    return;
                }
                if let Some(waker) = &waker {
                    waker.wake();
                }
            }
        })?;
        Ok(Self { work, results, is_busy: false })
    }

    /// Whether work has begun whose result was not taken.
    pub(crate) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins a piece of work. To be called when the thread is not busy.
    pub(crate) fn begin(&mut self, piece: I) {
        // A thread that has panicked takes nothing; `take` says so.
        let _ = self.work.send(piece);
        self.is_busy = true;
    }

    /// The result of the work, once it is there; `None` when there will be none, because nothing was begun or the thread
    /// has panicked.
    pub(crate) fn take(&mut self) -> Poll<Option<O>> {
        if !self.is_busy {
            return Poll::Ready(None);
        }
        let result = match self.results.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => return Poll::Pending,
            Err(TryRecvError::Disconnected) => None,
        };
        self.is_busy = false;
        Poll::Ready(result)
    }

    /// As [`SideThread::take`], waiting until then at most.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Poll<Option<O>> {
        if !self.is_busy {
            return Poll::Ready(None);
        }
        let result = match self.results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => return Poll::Pending,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        self.is_busy = false;
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waker;
    use std::time::Duration;

    #[test]
    fn does_one_piece_after_the_other_and_wakes_when_each_is_done() {
        let (waker, mut wake_ups) = waker::pair().expect("a pair");
        let mut thread = SideThread::start("test", Some(waker), |number: u32| number + 1).expect("a thread");
        assert_eq!(thread.take(), Poll::Ready(None), "nothing was begun");
        for number in 0..3 {
            thread.begin(number);
            assert!(thread.is_busy());
            wake_ups.wait();
            assert_eq!(thread.take(), Poll::Ready(Some(number + 1)));
            assert!(!thread.is_busy());
        }
    }

    #[test]
    fn work_that_hangs_is_waited_for_until_the_deadline_only() {
        let (release, hang) = mpsc::channel::<()>();
        let mut thread = SideThread::start("test", None, move |()| hang.recv()).expect("a thread");
        thread.begin(());
        assert_eq!(thread.take(), Poll::Pending);
        assert_eq!(thread.wait(Instant::now() + Duration::from_millis(5)), Poll::Pending);
        release.send(()).expect("it waits");
        assert_eq!(thread.wait(Instant::now() + Duration::from_secs(60)), Poll::Ready(Some(Ok(()))));
    }

    #[test]
    fn a_panic_ends_the_work_without_a_result() {
        let mut thread =
            SideThread::start("test", None, |number: u32| assert_eq!(number, 1)).expect("a thread");
        thread.begin(2);
        assert_eq!(thread.wait(Instant::now() + Duration::from_secs(60)), Poll::Ready(None));
        thread.begin(1);
        assert_eq!(thread.take(), Poll::Ready(None), "it is gone");
    }
}
