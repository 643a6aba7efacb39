//! A candidate for a value: a source, a part of what one yields, or what two know together.

use std::{sync::Arc, task::Poll};

use heartbeat_core::{
    SensorError,
    plausible::Plausible,
    readings::Sampled,
    time::{Duration, Instant},
};

use super::reader::Reader;
use crate::{
    clock,
    sources::{Remark, Source, sysroot::Sysroot},
};

/// Makes one reading of what two sources say.
type Join<A, B, T> = fn(Result<&A, SensorError>, Result<&B, SensorError>) -> Result<T, SensorError>;

/// One candidate for a value.
pub(super) struct Candidate<T> {
    pub(super) source: Box<dyn Ask<T>>,
    /// Since when it has been asked without an answer.
    pub(super) waiting_since: Option<Instant>,
}

/// A way to get a reading.
pub(super) trait Ask<T>: Send {
    /// The reading for a question of the time `asked`.
    fn ask(&mut self, asked: Instant, now: Instant) -> Sampled<T>;
    /// Where it looks.
    fn place(&self) -> String;
    /// What more is known of the latest error.
    fn remark(&self) -> Option<Remark> {
        None
    }
    /// How long the latest reading took.
    fn took(&self) -> Duration;
}

impl<T: 'static> Candidate<T> {
    /// Asked in this way.
    pub(super) fn new(source: impl Ask<T> + 'static) -> Self {
        Self { source: Box::new(source), waiting_since: None }
    }

    /// A source that never blocks: it is read at once.
    pub(super) fn prompt(root: &Arc<Sysroot>, source: impl Source<Reading = T>) -> Self {
        Self::new(Prompt { root: Arc::clone(root), source, took: Duration::ZERO })
    }

    /// One part of what a source yields.
    pub(super) fn part<R: Send + 'static>(
        reader: &Reader<R>,
        part: impl Fn(&R) -> Result<T, SensorError> + Send + 'static,
    ) -> Self {
        Self::named_part(reader, |place| place, part)
    }

    /// One part of what a source yields, at a place that `name` makes of the source's.
    pub(super) fn named_part<R: Send + 'static>(
        reader: &Reader<R>,
        name: fn(String) -> String,
        part: impl Fn(&R) -> Result<T, SensorError> + Send + 'static,
    ) -> Self {
        Self::new(Part { reader: reader.clone(), name, part })
    }

    /// What two sources know together. Of an error the first may know more; where the second knew nothing, the value is
    /// from the first alone.
    pub(super) fn joined<A: Send + 'static, B: Send + 'static>(
        first: &Reader<A>,
        second: &Reader<B>,
        join: Join<A, B, T>,
    ) -> Self {
        Self::new(Joined { first: first.clone(), second: second.clone(), is_second_used: true, join })
    }
}

impl<T: Plausible> Candidate<T> {
    /// The plausible reading for a question of the time `asked`; [`SensorError::Invalid`] for any other.
    pub(super) fn ask(&mut self, asked: Instant, now: Instant) -> Sampled<T> {
        self.source
            .ask(asked, now)
            .map(|answer| answer.and_then(|reading| reading.plausible().ok_or(SensorError::Invalid)))
    }
}

struct Prompt<S> {
    root: Arc<Sysroot>,
    source: S,
    took: Duration,
}

impl<S: Source> Ask<S::Reading> for Prompt<S> {
    fn ask(&mut self, _: Instant, now: Instant) -> Sampled<S::Reading> {
        let answer = self.source.read(&self.root);
        self.took = clock::now().since(now);
        Poll::Ready(answer)
    }

    fn place(&self) -> String {
        self.source.place()
    }

    fn took(&self) -> Duration {
        self.took
    }
}

struct Part<R, F> {
    reader: Reader<R>,
    name: fn(String) -> String,
    part: F,
}

impl<R: Send + 'static, T, F: Fn(&R) -> Result<T, SensorError> + Send> Ask<T> for Part<R, F> {
    fn ask(&mut self, asked: Instant, now: Instant) -> Sampled<T> {
        self.reader.ask(asked, now, |outcome| outcome.and_then(&self.part))
    }

    fn place(&self) -> String {
        (self.name)(self.reader.place())
    }

    fn remark(&self) -> Option<Remark> {
        self.reader.remark()
    }

    fn took(&self) -> Duration {
        self.reader.took()
    }
}

struct Joined<A, B, T> {
    first: Reader<A>,
    second: Reader<B>,
    /// Not if the latest value is from the first alone.
    is_second_used: bool,
    join: Join<A, B, T>,
}

impl<A: Send + 'static, B: Send + 'static, T> Ask<T> for Joined<A, B, T> {
    fn ask(&mut self, asked: Instant, now: Instant) -> Sampled<T> {
        // Both are asked before one is waited for.
        let is_second_ready = self.second.ask(asked, now, |_| ()).is_ready();
        let mut is_second_used = true;
        let joined = self.first.ask(asked, now, |first| {
            if !is_second_ready {
                return Poll::Pending;
            }
            self.second.ask(asked, now, |second| {
                let joined = (self.join)(first, second);
                is_second_used = joined.is_err() || second.is_ok();
                joined
            })
        });
        self.is_second_used = is_second_used;
        match joined {
            Poll::Ready(joined) => joined,
            Poll::Pending => Poll::Pending,
        }
    }

    fn place(&self) -> String {
        let first = self.first.place();
        if self.is_second_used { format!("{first}, {}", self.second.place()) } else { first }
    }

    fn remark(&self) -> Option<Remark> {
        self.first.remark().or_else(|| self.second.remark())
    }

    fn took(&self) -> Duration {
        self.first.took().max(self.second.took())
    }
}
