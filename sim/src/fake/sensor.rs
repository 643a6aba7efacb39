//! One sensor that does what it is told.

use std::task::Poll;

use heartbeat_core::{
    SensorError,
    hal::Sampled,
    time::{Duration, Instant},
};

/// What a sensor does when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour<T> {
    /// Answers at once.
    Answers(T),
    /// Answers after this time.
    Takes(Duration, T),
    /// Fails at once.
    Fails(SensorError),
    /// Never answers.
    Hangs,
}

/// A sensor with a behaviour, which may be changed at any time.
#[derive(Debug, Clone)]
pub struct FakeSensor<T> {
    /// What it does from now on.
    pub behaviour: Behaviour<T>,
    /// Questions so far.
    pub asked: u64,
    waiting_since: Option<Instant>,
}

impl<T: Clone> FakeSensor<T> {
    /// A sensor that behaves like this.
    pub const fn new(behaviour: Behaviour<T>) -> Self {
        Self { behaviour, asked: 0, waiting_since: None }
    }

    /// Hardware that is not there.
    pub const fn absent() -> Self {
        Self::new(Behaviour::Fails(SensorError::Absent))
    }

    pub(super) fn poll(&mut self, now: Instant) -> Sampled<T> {
        let since = *self.waiting_since.get_or_insert(now);
        if since == now {
            self.asked += 1;
        }
        let answer = match &self.behaviour {
            Behaviour::Answers(value) => Ok(value.clone()),
            Behaviour::Fails(error) => Err(*error),
            Behaviour::Takes(time, value) if now.since(since) >= *time => Ok(value.clone()),
            Behaviour::Takes(..) | Behaviour::Hangs => return Poll::Pending,
        };
        self.waiting_since = None;
        Poll::Ready(answer)
    }

    /// When it will answer what it was asked.
    pub(super) fn due(&self) -> Option<Instant> {
        match (&self.behaviour, self.waiting_since) {
            (Behaviour::Takes(time, _), Some(since)) => Some(since + *time),
            _ => None,
        }
    }
}
