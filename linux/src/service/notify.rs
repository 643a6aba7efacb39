//! The protocol of `sd_notify(3)`: what systemd is told. Without systemd nothing is.

use heartbeat_core::time::{Duration, Instant};
use sd_notify::NotifyState;

/// Tells systemd.
#[derive(Debug)]
pub(super) struct Notifier {
    /// Whether there is a supervisor.
    heard: bool,
    ready: bool,
    /// How often systemd wants to hear that the loop turns: thrice as often as it waits.
    every: Option<Duration>,
    told_alive: Option<Instant>,
}

impl Notifier {
    pub(super) fn new() -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| Duration::from(limit / 3));
        let heard = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { heard, ready: false, every, told_alive: None }
    }

    /// Whether anybody is told anything.
    pub(super) const fn is_heard(&self) -> bool {
        self.heard
    }

    /// Whether a sample has been taken, with the first of which the service is ready, and what it is doing, for
    /// `systemctl status`.
    pub(super) fn news(&mut self, sampled: bool, headline: Option<&str>) {
        let states = self.states(sampled, headline);
        if !states.is_empty() {
            tell(&states);
        }
    }

    /// In one message: one turn may bring the first sample and the end of its heartbeat.
    fn states<'h>(&mut self, sampled: bool, headline: Option<&'h str>) -> Vec<NotifyState<'h>> {
        let ready = sampled && !self.ready;
        self.ready |= sampled;
        ready.then_some(NotifyState::Ready).into_iter().chain(headline.map(NotifyState::Status)).collect()
    }

    /// The loop has turned. The answer is when it must turn again, so that the watchdog does not bite.
    pub(super) fn alive(&mut self, now: Instant) -> Option<Instant> {
        let every = self.every?;
        if self.told_alive.is_none_or(|told| now.since(told) >= every) {
            tell(&[NotifyState::Watchdog]);
            self.told_alive = Some(now);
        }
        Some(self.told_alive? + every)
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // A supervisor that does not listen must not stop a heartbeat; it will do what it does to those it does not hear.
    let _ = sd_notify::notify(states);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_once_and_never_after_the_end_of_a_heartbeat() {
        let mut notifier = Notifier { heard: true, ready: false, every: None, told_alive: None };
        let mut told = |sampled, headline| {
            notifier.states(sampled, headline).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(false, Some("taking")), ["STATUS=taking"]);
        assert_eq!(told(false, None), [""; 0]);
        assert_eq!(told(true, Some("delivered")), ["READY=1", "STATUS=delivered"]);
        assert_eq!(told(true, Some("delivered")), ["STATUS=delivered"]);
        assert_eq!(told(true, None), [""; 0]);
    }
}
