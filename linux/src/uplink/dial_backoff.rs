//! A server whose certificate was refused is not asked again at every heartbeat: each handshake costs some kilobytes, and
//! the next one ends like the last unless trust or this device's clock has changed.

use std::time::{Duration, Instant, SystemTime};

use super::failure::Failure;

/// The pauses after the third failure in a row and later ones. The first two cause no pause: they may be chance.
const PAUSES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];
/// Failures in a row without a pause.
const FREE: u32 = 2;
/// A clock that is off by more than this from where it should be has been set.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// Failures of certificates in a row.
#[derive(Debug, Default)]
pub(super) struct DialBackoff {
    failures: u32,
    latest: Option<Latest>,
}

#[derive(Debug)]
struct Latest {
    failure: Failure,
    at: Instant,
    wall: SystemTime,
}

impl DialBackoff {
    /// A certificate was refused.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        self.latest = Some(Latest { failure, at: Instant::now(), wall: SystemTime::now() });
    }

    /// There is a reason to try again: a certificate was accepted, or trust has changed.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    /// The failure that would only happen again; `None` when the next handshake may be tried.
    pub(super) fn suppressed(&self, now: Instant, wall: SystemTime) -> Option<Failure> {
        let latest = self.latest.as_ref()?;
        let passed = now.saturating_duration_since(latest.at);
        let pause = self.failures.checked_sub(FREE + 1)?;
        let pause = usize::try_from(pause).ok().and_then(|pause| PAUSES.get(pause)).or(PAUSES.last())?;
        (passed < *pause && !self.clock_was_set(now, wall)).then(|| latest.failure.clone())
    }

    /// Whether this device's clock has been set since the latest refusal of a certificate.
    pub(super) fn clock_was_set(&self, now: Instant, wall: SystemTime) -> bool {
        let Some(latest) = &self.latest else { return false };
        let expected = latest.wall.checked_add(now.saturating_duration_since(latest.at));
        let step =
            expected.map(|expected| wall.duration_since(expected).unwrap_or_else(|early| early.duration()));
        step.is_none_or(|step| step >= CLOCK_STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::failure::{Cause, Stage};

    /// How long the next handshake has to wait after so many failures.
    fn pause(failures: u32) -> Duration {
        let mut dial_backoff = DialBackoff::default();
        for _ in 0..failures {
            dial_backoff.failed(Failure::new(Stage::Handshake, Cause::CertificateNotYetValid));
        }
        let (now, wall) = (Instant::now(), SystemTime::now());
        let secs = (0..100).map(Duration::from_secs);
        secs.take_while(|passed| dial_backoff.suppressed(now + *passed, wall + *passed).is_some())
            .last()
            .unwrap_or_default()
    }

    #[test]
    fn handshakes_become_rare() {
        let pauses: Vec<_> = (0..8).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(pauses[..3], [0, 0, 0]);
        for (pause, expected) in pauses[3..].iter().zip([5, 15, 30, 30, 30]) {
            assert!((expected - 1..=expected).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn clock_that_is_set_ends_the_pause() {
        let mut dial_backoff = DialBackoff::default();
        for _ in 0..9 {
            dial_backoff.failed(Failure::new(Stage::Handshake, Cause::CertificateNotYetValid));
        }
        let (now, wall) = (Instant::now(), SystemTime::now());
        assert!(dial_backoff.suppressed(now, wall).is_some());
        let year = Duration::from_secs(365 * 86_400);
        assert!(dial_backoff.suppressed(now, wall + year).is_none());
        assert!(dial_backoff.suppressed(now, wall - year).is_none());
        dial_backoff.release();
        assert!(dial_backoff.suppressed(now, wall).is_none());
    }
}
