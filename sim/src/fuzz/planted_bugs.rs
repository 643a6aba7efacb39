//! Planted bugs of frontends, to prove that the checker sees them: a driver, a device and an uplink that each do one
//! thing wrong. The agent between them is the real one.

use std::{fmt, task::Poll};

use heartbeat_core::{
    Hal, Outcome, Uplink, Verdict, for_each_sensor,
    readings::Sampled,
    time::{Duration, Instant},
    units::{Celsius, UnixTime},
    uplink::{Delta, Fault},
};

use super::scenario::Wire;
use crate::{fake::Timed, receiver::Habit, rig::Clock};

macro_rules! planted_bugs {
    ($($(#[doc = $doc:literal])* $bug:ident, $name:literal;)*) => {
        /// What a frontend does wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum PlantedBug {
            $($(#[doc = $doc])* $bug,)*
        }

        impl PlantedBug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];
        }

        impl fmt::Display for PlantedBug {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$bug => $name,)*
                })
            }
        }
    };
}

planted_bugs! {
    /// The clock that people set drives the grid.
    WallClock, "wall clock passed as monotonic";
    /// The clock stands still while the machine sleeps.
    SleepingClock, "clock that does not count suspend";
    /// Microseconds in 32 bits.
    NarrowClock, "clock that wraps after 71 minutes";
    /// Whole seconds.
    CoarseClock, "clock of whole seconds";
    /// A percent slow.
    SlowClock, "clock that is slow";
    /// One poll for each slot that was missed.
    CatchesUp, "catch-up burst after a stall";
    /// A fixed interval from one turn of the loop to the next: the wake-up time of the agent is ignored.
    FixedSleep, "sleeps a fixed time instead of until the next slot";
    /// Looks at sensors and replies at the next wake-up only.
    MissesNews, "does not wake for news";
    /// Leaves failures until the next slot, as it may do with deliveries.
    LeavesFailures, "failure left until the next slot";
    /// The loop waits for the reply.
    WaitsForReply, "blocks until the reply";
    /// The loop waits for sensors.
    WaitsForSensor, "blocks until every sensor has answered";
    /// The stop waits for the request.
    JoinsAtStop, "joins the request's thread at stop";
    /// The stop does not reach the agent.
    IgnoresStop, "goes on after a stop";
    /// Every start at the same phase.
    SamePhase, "phase not drawn anew";
    /// Every start with the same id.
    SameBootId, "boot id used again";
    /// Two agents on one device.
    TwoInstances, "two instances at once";
    /// New settings do not reach the agent.
    IgnoresReload, "new configuration ignored";
    /// A line for every turn.
    LogsEverything, "a log line at every turn";
    /// The outcome of a cancelled request counts for the next one.
    LateResult, "result of a cancelled request delivered late";
    /// A failed request is sent once more.
    SecondSend, "second send after a failure";
    /// A redirect is followed.
    FollowsRedirects, "redirect followed";
    /// Everything was delivered.
    SwallowsFailures, "failure reported as delivery";
    /// Nothing was.
    InventsFailures, "delivery reported as failure";
    /// A buffer that is too small.
    CutsBody, "body cut off";
    /// A buffer that is sent before it is filled.
    SendsPreviousBody, "body of the previous beat";
    /// A cancelled request goes on.
    IgnoresCancel, "cancel ignored";
    /// Its own idea of a timeout.
    OwnTimeout, "longer timeout than it was given";
    /// A `Retry-After` is ignored.
    IgnoresRetryAfter, "Retry-After ignored";
    /// A dead network is the server's fault.
    BlamesServer, "own failure reported as the server's";
    /// The last value stands in for a hanging sensor.
    StaleAsFresh, "stale value relabelled fresh";
    /// A zero stands in for a failed sensor.
    ZeroForMissing, "0 for a value that was not read";
    /// A sensor is read once.
    ReadsOnce, "value read once and reported for ever";
    /// A failed sensor is a slow one.
    SilentAboutErrors, "error passed as not ready";
    /// 1970 is a time.
    InventsTime, "made-up time while the clock is not set";
    /// An error ends the program.
    PanicsOnErrors, "panic on a sensor's error";
    /// What is about to be sent stays in the file.
    StoresWhatIsSent, "file keeps what is about to be sent";
    /// What was stored is not looked at.
    ForgetsFile, "stored heartbeats forgotten at start";
    /// What was stored is taken twice.
    RestoresTwice, "stored heartbeats restored twice";
    /// What was stored is taken from the end.
    RestoresBackwards, "stored heartbeats restored newest first";
    /// Half a file is a file.
    TornFile, "torn file restored";
    /// A delta that was taken counts as the full document that the next ones refer to.
    DeltaAsBase, "delta reported as full document";
    /// What a server once said of deltas is true for ever.
    KeepsAnnouncement, "deltas to a server that no longer understands them";
    /// A receiver applies each delta to what the one before has left.
    AccumulatesDeltas, "receiver that adds deltas up";
    /// A receiver takes null for a key that is gone.
    NullRemoves, "receiver that merges deltas as RFC 7396";
}

impl PlantedBug {
    /// The form of documents that shows it.
    pub fn wire(self) -> Wire {
        if self.is_about_deltas() { Wire::Delta } else { Wire::Full }
    }

    fn is_about_deltas(self) -> bool {
        matches!(
            self,
            Self::DeltaAsBase | Self::KeepsAnnouncement | Self::AccumulatesDeltas | Self::NullRemoves
        )
    }

    /// How the receiver reads deltas.
    pub(super) fn habit(self) -> Habit {
        match self {
            Self::AccumulatesDeltas => Habit::Accumulates,
            Self::NullRemoves => Habit::NullRemoves,
            _ => Habit::Right,
        }
    }
}

/// The clock of a frontend that may have a planted bug.
#[derive(Debug, Clone, Copy)]
pub(super) struct BuggyClock {
    pub(super) bug: Option<PlantedBug>,
    /// What the wall clock is ahead, in microseconds.
    pub(super) wall_ahead: i64,
    /// How long the machine has slept.
    pub(super) slept: Duration,
}

impl Clock for BuggyClock {
    fn show(&self, now: Instant) -> Instant {
        let micros = now.as_micros();
        Instant::from_micros(match self.bug {
            Some(PlantedBug::WallClock) => micros.saturating_add_signed(self.wall_ahead),
            Some(PlantedBug::SleepingClock) => micros.saturating_sub(self.slept.as_micros()),
            Some(PlantedBug::NarrowClock) => micros & u64::from(u32::MAX),
            Some(PlantedBug::CoarseClock) => micros / 1_000_000 * 1_000_000,
            Some(PlantedBug::SlowClock) => micros - micros / 100,
            _ => return now,
        })
    }

    fn when(&self, shown: Instant, now: Instant) -> Instant {
        match self.bug {
            // It sleeps for as long as it thinks is left, and looks again.
            Some(
                PlantedBug::WallClock
                | PlantedBug::SleepingClock
                | PlantedBug::NarrowClock
                | PlantedBug::CoarseClock
                | PlantedBug::SlowClock,
            ) => {
                let left = shown.since(self.show(now));
                now + left.max(Duration::from_millis(1))
            }
            _ => shown,
        }
    }
}

macro_rules! buggy_hal {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        /// The device of a frontend that may have a planted bug.
        #[derive(Debug)]
        pub(super) struct BuggyHal<H> {
            pub(super) inner: H,
            bug: Option<PlantedBug>,
            $($method: Option<$value>,)*
        }

        impl<H> BuggyHal<H> {
            pub(super) fn new(inner: H, bug: Option<PlantedBug>) -> Self {
                Self { inner, bug, $($method: None,)* }
            }
        }

        impl<H: Hal> Hal for BuggyHal<H> {
            fn unix_time(&mut self) -> Option<UnixTime> {
                let time = self.inner.unix_time();
                match self.bug {
                    Some(PlantedBug::InventsTime) => time.or(Some(UnixTime::from_millis(0))),
                    _ => time,
                }
            }

            $(fn $method(&mut self) -> Sampled<$value> {
                match self.bug {
                    Some(bug) => twist(bug, &mut self.$method, || self.inner.$method()),
                    None => self.inner.$method(),
                }
            })*
        }
    };
}

for_each_sensor!(buggy_hal);

fn twist<T: Clone + Zero>(
    bug: PlantedBug,
    last: &mut Option<T>,
    read: impl FnOnce() -> Sampled<T>,
) -> Sampled<T> {
    if bug == PlantedBug::ReadsOnce
        && let Some(last) = last
    {
        return Poll::Ready(Ok(last.clone()));
    }
    let answer = read();
    if let Poll::Ready(Ok(value)) = &answer
        && matches!(bug, PlantedBug::ReadsOnce | PlantedBug::StaleAsFresh)
    {
        *last = Some(value.clone());
    }
    match (bug, &answer, last) {
        (PlantedBug::StaleAsFresh, Poll::Pending, Some(last)) => Poll::Ready(Ok(last.clone())),
        (PlantedBug::ZeroForMissing, Poll::Ready(Err(_)), _) => {
            T::zero().map_or(answer, |zero| Poll::Ready(Ok(zero)))
        }
        (PlantedBug::SilentAboutErrors, Poll::Ready(Err(_)), _) => Poll::Pending,
        // The bug itself.
        #[allow(clippy::panic)]
        (PlantedBug::PanicsOnErrors, Poll::Ready(Err(heartbeat_core::SensorError::Denied)), _) => {
            panic!("denied")
        }
        _ => answer,
    }
}

/// Sensors for which a zero is easily made up.
trait Zero: Sized {
    fn zero() -> Option<Self> {
        None
    }
}

impl Zero for Celsius {
    fn zero() -> Option<Self> {
        Some(Self::from_raw(0))
    }
}

macro_rules! no_zero {
    ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        $(no_zero!(@ $method, $value);)*
    };
    (@ temperature, $value:ty) => {};
    // The same type as that of the default route, but for its length.
    (@ $method:ident, $value:ty) => {
        impl Zero for $value {}
    };
}

for_each_sensor!(no_zero);

/// The uplink of a frontend that may have a planted bug.
#[derive(Debug)]
pub(super) struct BuggyUplink<U> {
    pub(super) inner: U,
    bug: Option<PlantedBug>,
    body: Vec<u8>,
    /// It has been sent a second time, or a cancelled request's outcome is still to come.
    again: bool,
    /// The connection over which the server has said last that it understands deltas.
    understood: Option<u64>,
}

impl<U> BuggyUplink<U> {
    pub(super) const fn new(inner: U, bug: Option<PlantedBug>) -> Self {
        Self { inner, bug, body: Vec::new(), again: false, understood: None }
    }
}

impl<U: Uplink> Uplink for BuggyUplink<U> {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        let previous = match self.bug {
            None => Vec::new(),
            Some(_) => std::mem::replace(&mut self.body, body.to_vec()),
        };
        match self.bug {
            Some(PlantedBug::CutsBody) => self.inner.send(body.get(..512).unwrap_or(body), timeout),
            Some(PlantedBug::SendsPreviousBody) if !previous.is_empty() => {
                self.inner.send(&previous, timeout)
            }
            Some(PlantedBug::OwnTimeout) => self.inner.send(body, timeout * 2),
            Some(PlantedBug::SecondSend | PlantedBug::FollowsRedirects) => {
                self.again = false;
                self.inner.send(body, timeout);
            }
            _ => self.inner.send(body, timeout),
        }
    }

    fn send_either(&mut self, body: &[u8], delta: Delta<'_>, timeout: Duration) {
        if self.bug.is_none_or(PlantedBug::is_about_deltas) {
            self.inner.send_either(body, delta, timeout);
        } else {
            self.send(body, timeout);
        }
    }

    fn poll(&mut self) -> Poll<Outcome> {
        if self.bug == Some(PlantedBug::LateResult) && std::mem::take(&mut self.again) {
            return Poll::Ready(accepted());
        }
        let Poll::Ready(mut outcome) = self.inner.poll() else { return Poll::Pending };
        self.understood = outcome.wire.understands_deltas.or(self.understood);
        match self.bug {
            Some(PlantedBug::DeltaAsBase) => outcome.wire.was_delta = false,
            Some(PlantedBug::KeepsAnnouncement) => outcome.wire.understands_deltas = self.understood,
            _ => {}
        }
        let resend = match self.bug {
            Some(PlantedBug::SecondSend) => !outcome.verdict.is_accepted() && !self.again,
            Some(PlantedBug::FollowsRedirects) => outcome.detail.as_str().contains("redirect") && !self.again,
            _ => false,
        };
        if resend {
            self.again = true;
            self.inner.send(&self.body, Duration::from_secs(2));
            return Poll::Pending;
        }
        Poll::Ready(match (self.bug, outcome.verdict) {
            (Some(PlantedBug::SwallowsFailures), Verdict::Failed { .. } | Verdict::Refused { .. }) => {
                accepted()
            }
            (Some(PlantedBug::InventsFailures), Verdict::Accepted) => {
                Outcome::new(Verdict::Refused { retry_after: None }, "made up")
            }
            (Some(PlantedBug::IgnoresRetryAfter), Verdict::Refused { .. }) => {
                Outcome { verdict: Verdict::Refused { retry_after: None }, ..outcome }
            }
            (Some(PlantedBug::BlamesServer), Verdict::Failed { fault: Fault::Network, .. }) => timeout(),
            _ => outcome,
        })
    }

    fn cancel(&mut self) -> Outcome {
        match self.bug {
            Some(PlantedBug::IgnoresCancel) => timeout(),
            Some(PlantedBug::LateResult) => {
                self.again = true;
                self.inner.cancel()
            }
            _ => self.inner.cancel(),
        }
    }
}

fn accepted() -> Outcome {
    Outcome::new(Verdict::Accepted, "made up")
}

fn timeout() -> Outcome {
    Outcome::new(Verdict::Failed { fault: Fault::Server, may_have_arrived: true }, "made up")
}

impl<H: Timed> Timed for BuggyHal<H> {
    fn advance(&mut self, now: Instant) {
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }
}

impl<U: Timed> Timed for BuggyUplink<U> {
    fn advance(&mut self, now: Instant) {
        self.inner.advance(now);
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }
}
