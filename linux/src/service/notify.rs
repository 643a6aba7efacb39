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

    /// The service has started, if that was not told before.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// What it is doing, for `systemctl status`.
    pub(super) fn status(&self, headline: &str) {
        tell(&[NotifyState::Status(headline)]);
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
