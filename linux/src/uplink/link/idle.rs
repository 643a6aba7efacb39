//! The time between heartbeats: the idle connection is kept and watched, and what was begun goes on.

use std::{
    io,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags};

use super::{
    super::{
        connection::Connection,
        dial::{Doubt, Turn},
        failure::{Failure, Stage},
        tcp,
    },
    Link,
};

/// After a refusal a connection that is older than this is given up: the server's name may lead elsewhere by now.
const REFUSED_AGE: Duration = Duration::from_secs(30);
/// Pause when the kernel is out of memory and cannot even wait.
const NO_WAIT_PAUSE: Duration = Duration::from_millis(200);

impl Link {
    /// The idle connection, if it can be used.
    pub(super) fn take_kept(&mut self) -> Option<Connection> {
        let is_quiet = std::mem::take(&mut self.is_quiet);
        let mut kept = self.kept.take()?;
        if self.is_idle_too_long(&kept, Instant::now()) {
            log::debug!("the connection was idle for too long");
            kept.close();
            return None;
        }
        match if is_quiet { Ok(true) } else { kept.is_usable() } {
            Ok(true) => return Some(kept),
            Ok(false) => {
                log::debug!("the server closed the connection");
                kept.close();
            }
            Err(error) => self.idle_failed(&kept, &error),
        }
        None
    }

    /// The reason why a connection that was never used came to its end is the reason why the server refuses it.
    fn idle_failed(&mut self, kept: &Connection, error: &io::Error) {
        let failure = Failure::io(Stage::Handshake, error).at(kept.facts().address);
        log::debug!("the connection is lost: {failure}");
        if kept.idle_for(Instant::now()).is_none() {
            self.note_failure(&failure);
        }
    }

    fn is_idle_too_long(&self, kept: &Connection, now: Instant) -> bool {
        let max = self.book.idle_max(now).map_or(self.limits.idle, |max| max.min(self.limits.idle));
        kept.idle_for(now).unwrap_or_else(|| now.saturating_duration_since(kept.facts().since)) > max
    }

    /// A request has ended with this status, and its connection can be used again.
    pub(in super::super) fn put_back(&mut self, mut connection: Connection, status: u16) {
        let age = connection.facts().since.elapsed();
        // A delta that is not understood is no refusal of the heartbeat.
        let is_refusal = !(200..300).contains(&status) && self.only.is_none();
        if status == 421 || is_refusal && age > REFUSED_AGE {
            log::debug!("refused with {status}: the connection is closed, its name will be looked up");
            return connection.close();
        }
        if self.limits.interval > self.limits.idle {
            return connection.close();
        }
        connection.become_idle();
        self.kept = Some(connection);
    }

    /// Waits for a heartbeat, or until something else has happened.
    pub(in super::super) fn idle(&mut self) {
        self.take_renewal();
        self.begin_ahead();
        if let Some(mut dial) = self.dial.take() {
            match self.drive(&mut dial, None) {
                Turn::Waiting => self.dial = Some(dial),
                Turn::Connected(connection) => {
                    let took = dial.began().elapsed();
                    let had = self.beat.until.saturating_duration_since(self.beat.began);
                    self.ahead.connected(took, took + self.needed_for_reply(&connection) > had);
                    self.kept = Some(connection);
                }
                Turn::Failed(failure) => self.note_failure(&failure),
            }
            return;
        }
        if let Err(error) = self.wait_idle() {
            log::debug!("cannot wait: {error}");
            self.forget();
            thread::sleep(NO_WAIT_PAUSE);
        }
    }

    /// Begins the connection for the next heartbeat, if it is time.
    fn begin_ahead(&mut self) {
        let now = Instant::now();
        if self.dial.is_none() && self.ahead_due(now).is_some_and(|due| now >= due) {
            log::debug!("new connections come too late: one is begun ahead of the next heartbeat");
            self.ahead.begin(&self.beat);
            self.dial = self.begin_dial().ok();
        }
    }

    /// When to begin the connection for the next heartbeat; `None` if there is one, or if the server does not want it.
    fn ahead_due(&self, now: Instant) -> Option<Instant> {
        let is_wanted = self.kept.is_none()
            && self.doubt != Doubt::Refused
            && !self.is_server_failing
            && self.byte_budget.pause(now).is_zero();
        self.ahead.due(&self.beat, self.limits.interval).filter(|_| is_wanted)
    }

    /// Waits for a wake-up, and watches the idle connection.
    fn wait_idle(&mut self) -> io::Result<()> {
        let wake_ups = PollFd::new(self.wake_ups.as_fd(), PollFlags::POLLIN);
        let until = match &self.kept {
            Some(kept) => Some(kept.idle_since() + self.limits.idle),
            None => self.ahead_due(Instant::now()),
        };
        let has_happened = |fd: PollFd<'_>| fd.any().unwrap_or(false);
        let [is_woken, is_about_connection] = if let Some(kept) = &self.kept {
            let mut fds = [wake_ups, PollFd::new(kept.as_fd(), kept.interest())];
            tcp::wait(&mut fds, until)?;
            fds.map(has_happened)
        } else {
            let mut fds = [wake_ups];
            tcp::wait(&mut fds, until)?;
            let [is_woken] = fds.map(has_happened);
            [is_woken, false]
        };
        if is_woken {
            self.wake_ups.clear()?;
        }
        self.is_quiet = is_woken && !is_about_connection;
        if is_about_connection || until.is_some_and(|until| Instant::now() >= until) {
            self.kept = self.take_kept();
        }
        Ok(())
    }

    /// Gives everything up that is under way, such as after a panic.
    pub(in super::super) fn forget(&mut self) {
        (self.kept, self.dial) = (None, None);
    }

    /// Ends the idle connection in order.
    pub(in super::super) fn close(&mut self) {
        self.kept.take().into_iter().for_each(Connection::close);
    }
}
