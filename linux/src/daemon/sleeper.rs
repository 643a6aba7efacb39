//! Sleeps until a point on the clock that counts suspend, or until something wakes the loop.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use heartbeat_core::time::Instant;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use crate::waker::WakeUps;

/// The one place where the main loop waits.
#[derive(Debug)]
pub(crate) struct Sleeper {
    timer: TimerFd,
    wake_ups: WakeUps,
    set_for: Option<Instant>,
}

impl Sleeper {
    pub(crate) fn new(wake_ups: WakeUps) -> io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { timer, wake_ups, set_for: None })
    }

    /// Waits until `when` or until woken, whichever is first. Spurious early returns are possible.
    pub(crate) fn sleep_until(&mut self, when: Instant) -> io::Result<()> {
        self.sleep_until_or(when, None).map(drop)
    }

    /// As [`Self::sleep_until`], or until `other` can be read. Says whether it can.
    pub(super) fn sleep_until_or(
        &mut self,
        when: Instant,
        other: Option<BorrowedFd<'_>>,
    ) -> io::Result<bool> {
        if self.set_for != Some(when) {
            self.set_for = None;
            // Zero would disarm the timer.
            let time = core::time::Duration::from_micros(when.as_micros().max(1));
            let expiration = Expiration::OneShot(TimeSpec::from_duration(time));
            self.timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set_for = Some(when);
        }
        // Without another, the wake-ups stand in its place.
        let wake_ups = self.wake_ups.as_fd();
        let mut fds = [wake_ups, self.timer.as_fd(), other.unwrap_or(wake_ups)]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            // A signal's handler has written a wake-up, or the signal does not concern us.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Most wakes are the timer's: then there is nothing to read.
        let [woken, _, is_readable] = fds.map(|fd| fd.any().unwrap_or(true));
        if woken {
            self.wake_ups.clear()?;
        }
        Ok(other.is_some() && is_readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, waker};
    use heartbeat_core::time::Duration;

    #[test]
    fn it_ends_at_its_time_or_when_woken() {
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let mut sleeper = Sleeper::new(wake_ups).expect("a timer");
        let when = clock::now() + Duration::from_millis(20);
        while clock::now() < when {
            sleeper.sleep_until(when).expect("slept");
        }
        sleeper.sleep_until(Instant::ZERO).expect("the past is no wait");
        waker.wake();
        sleeper.sleep_until(clock::now() + Duration::from_secs(3600)).expect("woken");
    }

    #[test]
    fn it_ends_when_another_can_be_read() {
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let mut sleeper = Sleeper::new(wake_ups).expect("a timer");
        let (other, theirs) = waker::pair().expect("a pair");
        let mut sleep = |when| sleeper.sleep_until_or(when, Some(theirs.as_fd())).expect("slept");
        assert!(!sleep(Instant::ZERO));
        waker.wake();
        assert!(!sleep(clock::now() + Duration::from_secs(3600)), "woken, and not by it");
        other.wake();
        assert!(sleep(clock::now() + Duration::from_secs(3600)));
    }
}
