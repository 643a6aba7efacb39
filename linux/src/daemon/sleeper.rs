//! Sleeps until a point on the clock that counts suspend, or until something wakes the loop.

use std::{io, os::fd::AsFd};

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
        if self.set_for != Some(when) {
            self.set_for = None;
            // Zero would disarm the timer.
            let time = core::time::Duration::from_micros(when.as_micros().max(1));
            let expiration = Expiration::OneShot(TimeSpec::from_duration(time));
            self.timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set_for = Some(when);
        }
        let mut fds = [
            PollFd::new(self.wake_ups.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            // A signal's handler has written a wake-up, or the signal does not concern us.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Most wakes are the timer's: then there is nothing to read.
        let [woken, _] = fds.map(|fd| fd.any().unwrap_or(true));
        if woken { self.wake_ups.clear() } else { Ok(()) }
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
}
