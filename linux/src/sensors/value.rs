//! One value of the heartbeat with its candidates: everything that the heartbeat, `status` and `doctor` do with it.

use std::task::Poll;

use heartbeat_core::{
    SensorError,
    plausible::Plausible,
    readings::Sampled,
    time::{Duration, Instant},
};

use super::{Shared, candidate::Candidate};
use crate::{config::Settings, sources::Remark};

/// Grace period: how long a candidate is waited for before the next one's value is used. A working one takes a few
/// milliseconds.
const GRACE: Duration = Duration::from_millis(250);

/// What defines a value. Each has a file of its own.
pub(super) trait Definition: 'static {
    /// What its sensor can answer.
    type Reading: Plausible + 'static;
    /// The settings on which its candidates depend.
    type Config: PartialEq + Send;

    /// Its name for people.
    const NAME: &'static str;
    /// Its keys in the document.
    const KEYS: &'static [&'static str];

    /// Picks its settings.
    fn config(settings: &Settings) -> Self::Config;

    /// Its candidates, the best first; empty when it is not configured.
    fn candidates(shared: &Shared, config: &Self::Config) -> Vec<Candidate<Self::Reading>>;

    /// A reading for people, without what is private.
    fn show(reading: &Self::Reading) -> String;

    /// What to do about its absence; `None` where the general advice will do.
    fn advice(_: Problem, _: &Self::Config) -> Option<&'static str> {
        None
    }
}

/// Why a candidate, or a value, has no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No candidate is configured.
    NotConfigured,
    /// It does not answer.
    Silent,
    /// It says so.
    Failed(SensorError),
}

/// The outcome of asking one candidate, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Where it looked.
    pub place: String,
    /// What it found.
    pub outcome: Result<String, Problem>,
    /// What more it knows of the reason for having found nothing.
    pub remark: Option<Remark>,
    /// How long that took.
    pub took: Duration,
}

/// A value, and the progress of the question for it.
pub(super) struct Value<D: Definition> {
    config: D::Config,
    candidates: Vec<Candidate<D::Reading>>,
    /// Since when its reading has been asked for.
    asked: Option<Instant>,
    /// Which candidate gave the value that was used last.
    answered: Option<usize>,
}

impl<D: Definition> Value<D> {
    /// As these settings want it.
    pub(super) fn new(shared: &Shared, settings: &Settings) -> Self {
        Self::with(D::config(settings), shared)
    }

    fn with(config: D::Config, shared: &Shared) -> Self {
        Self { candidates: D::candidates(shared, &config), config, asked: None, answered: None }
    }

    /// Begins anew if the settings on which it depends have changed.
    pub(super) fn reconfigure(&mut self, shared: &Shared, settings: &Settings) {
        let config = D::config(settings);
        if config != self.config {
            *self = Self::with(config, shared);
        }
    }

    /// The reading of the first candidate that has one. A candidate that is slow is waited for during the grace period,
    /// and then not again before it has answered.
    ///
    /// An error of a source that exists says more than the absence of another; so does the timeout of one that hangs.
    pub(super) fn poll(&mut self, now: Instant) -> Sampled<D::Reading> {
        let asked = *self.asked.get_or_insert(now);
        let mut error = SensorError::Absent;
        let mut is_silent = false;
        for index in 0..self.candidates.len() {
            let Some(candidate) = self.candidates.get_mut(index) else { break };
            match candidate.ask(asked, now) {
                Poll::Ready(answer) => {
                    candidate.waiting_since = None;
                    match answer {
                        Ok(reading) => return self.end(Some(index), Ok(reading)),
                        Err(trouble) if error == SensorError::Absent => error = trouble,
                        Err(_) => {}
                    }
                }
                Poll::Pending => {
                    let since = *candidate.waiting_since.get_or_insert(now);
                    if now.since(since) < GRACE {
                        return Poll::Pending;
                    }
                    is_silent = true;
                }
            }
        }
        if is_silent && error == SensorError::Absent {
            return Poll::Pending;
        }
        self.end(None, Err(error))
    }

    /// Whether a candidate gave the value that was used last.
    pub(super) const fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// The question is answered: the candidates after the one that answered are not waited for.
    fn end(
        &mut self,
        answered: Option<usize>,
        answer: Result<D::Reading, SensorError>,
    ) -> Sampled<D::Reading> {
        self.asked = None;
        self.answered = answered;
        if let Some(index) = answered {
            self.candidates.iter_mut().skip(index + 1).for_each(|candidate| candidate.waiting_since = None);
        }
        Poll::Ready(answer)
    }
}

/// A value of any kind.
pub trait AnyValue {
    /// Its name for people.
    fn name(&self) -> &'static str;

    /// Its keys in the document; a dot leads into an object.
    fn keys(&self) -> &'static [&'static str];

    /// Where the value that was used last was read, if there was one.
    fn answered_by(&self) -> Option<String>;

    /// When it must be polled again at the latest, because the grace period of a candidate ends.
    fn due(&self, now: Instant) -> Option<Instant>;

    /// How many candidates it has.
    fn candidates(&self) -> usize;

    /// Where a candidate looks.
    fn place(&self, candidate: usize) -> String;

    /// Asks one candidate alone, for people. `asked` is when the question was first put.
    fn explain(&mut self, candidate: usize, asked: Instant, now: Instant) -> Poll<Finding>;

    /// What to do about its absence; `None` where the general advice will do.
    fn advice(&self, problem: Problem) -> Option<&'static str>;
}

impl<D: Definition> AnyValue for Value<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn keys(&self) -> &'static [&'static str] {
        D::KEYS
    }

    fn answered_by(&self) -> Option<String> {
        self.candidates.get(self.answered?).map(|candidate| candidate.source.place())
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        self.asked?;
        // The last candidate has no grace period: there is none after it.
        let (_, waited_for) = self.candidates.split_last()?;
        let ends = waited_for.iter().filter_map(|candidate| Some(candidate.waiting_since? + GRACE));
        ends.filter(|end| *end > now).min()
    }

    fn candidates(&self) -> usize {
        self.candidates.len()
    }

    fn place(&self, candidate: usize) -> String {
        self.candidates.get(candidate).map(|candidate| candidate.source.place()).unwrap_or_default()
    }

    fn explain(&mut self, candidate: usize, asked: Instant, now: Instant) -> Poll<Finding> {
        let Some(candidate) = self.candidates.get_mut(candidate) else { return Poll::Pending };
        candidate.ask(asked, now).map(|answer| Finding {
            place: candidate.source.place(),
            outcome: answer.as_ref().map(D::show).map_err(|error| Problem::Failed(*error)),
            remark: if answer.is_err() { candidate.source.remark() } else { None },
            took: candidate.source.took(),
        })
    }

    fn advice(&self, problem: Problem) -> Option<&'static str> {
        D::advice(problem, &self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::candidate::Ask;
    use heartbeat_core::units::Rpm;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    /// Answers as it is told to.
    type Script = Arc<Mutex<VecDeque<Sampled<Rpm>>>>;

    struct Scripted(Script);

    impl Ask<Rpm> for Scripted {
        fn ask(&mut self, _: Instant, _: Instant) -> Sampled<Rpm> {
            self.0.lock().expect("one thread").pop_front().expect("asked too often")
        }

        fn place(&self) -> String {
            String::new()
        }

        fn took(&self) -> Duration {
            Duration::ZERO
        }
    }

    struct Number;

    impl Definition for Number {
        type Reading = Rpm;
        type Config = ();
        const NAME: &'static str = "number";
        const KEYS: &'static [&'static str] = &["number"];

        fn config(_: &Settings) {}

        fn candidates(_: &Shared, (): &()) -> Vec<Candidate<Rpm>> {
            Vec::new()
        }

        fn show(reading: &Rpm) -> String {
            reading.to_string()
        }
    }

    const PENDING: Sampled<Rpm> = Poll::Pending;
    const ABSENT: Sampled<Rpm> = Poll::Ready(Err(SensorError::Absent));
    const BROKEN: Sampled<Rpm> = Poll::Ready(Err(SensorError::Io));
    const DENIED: Sampled<Rpm> = Poll::Ready(Err(SensorError::Denied));

    fn ok(value: u32) -> Sampled<Rpm> {
        Poll::Ready(Ok(Rpm(value)))
    }

    fn value<const N: usize>() -> (Value<Number>, [Script; N]) {
        let scripts: [Script; N] = std::array::from_fn(|_| Script::default());
        let candidates = scripts.iter().map(|script| Candidate::new(Scripted(Arc::clone(script)))).collect();
        (Value { config: (), candidates, asked: None, answered: None }, scripts)
    }

    fn say(script: &Script, answers: &[Sampled<Rpm>]) {
        script.lock().expect("one thread").extend(answers);
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn uses_the_first_candidate_with_a_value() {
        let (mut value, [first, second]) = value();
        say(&first, &[ok(1)]);
        assert_eq!((value.poll(at(0)), value.answered), (ok(1), Some(0)));
        say(&first, &[ABSENT]);
        say(&second, &[ok(2)]);
        assert_eq!((value.poll(at(1)), value.answered), (ok(2), Some(1)));
        say(&first, &[BROKEN]);
        say(&second, &[ok(3)]);
        assert_eq!((value.poll(at(2)), value.answered), (ok(3), Some(1)));
    }

    #[test]
    fn an_implausible_reading_is_passed_over_for_the_next_candidate() {
        let (mut value, [first, second]) = value();
        say(&first, &[ok(100_001)]);
        say(&second, &[ok(2)]);
        assert_eq!((value.poll(at(0)), value.answered), (ok(2), Some(1)));
        say(&first, &[ok(100_001)]);
        let Poll::Ready(finding) = value.explain(0, at(1), at(1)) else { panic!("it has answered") };
        assert_eq!(finding.outcome, Err(Problem::Failed(SensorError::Invalid)));
    }

    #[test]
    fn an_error_says_more_than_absence_and_the_first_more_than_the_second() {
        for (answers, expected) in [
            ([ABSENT, ABSENT], ABSENT),
            ([BROKEN, ABSENT], BROKEN),
            ([ABSENT, DENIED], DENIED),
            ([BROKEN, DENIED], BROKEN),
        ] {
            let (mut value, scripts) = value::<2>();
            scripts.iter().zip(answers).for_each(|(script, answer)| say(script, &[answer]));
            assert_eq!((value.poll(at(0)), value.answered), (expected, None));
        }
        assert_eq!(value::<0>().0.poll(at(0)), ABSENT);
    }

    #[test]
    fn waits_for_a_better_candidate_during_the_grace_period_only() {
        let (mut value, [first, second]) = value();
        say(&first, &[PENDING, PENDING]);
        assert_eq!((value.poll(at(0)), value.due(at(0))), (PENDING, Some(at(250))));
        assert_eq!(value.poll(at(249)), PENDING);
        say(&first, &[PENDING]);
        say(&second, &[ok(2)]);
        assert_eq!((value.poll(at(250)), value.answered), (ok(2), Some(1)));
        assert_eq!(value.due(at(250)), None, "the question is answered");
    }

    #[test]
    fn a_candidate_that_hangs_is_not_waited_for_before_it_has_answered() {
        let (mut value, [first, second]) = value();
        say(&first, &[PENDING; 3]);
        say(&second, &[ok(2), ok(3)]);
        assert_eq!(value.poll(at(0)), PENDING);
        assert_eq!(value.poll(at(250)), ok(2));
        assert_eq!(value.poll(at(5_000)), ok(3), "at once");
        say(&first, &[ok(1), PENDING]);
        assert_eq!(value.poll(at(10_000)), ok(1));
        assert_eq!(value.poll(at(15_000)), PENDING, "it is trusted again");
    }

    #[test]
    fn silence_says_more_than_absence_and_less_than_an_error() {
        let (mut value, [first, second]) = value();
        say(&first, &[PENDING; 3]);
        say(&second, &[ABSENT, BROKEN]);
        assert_eq!(value.poll(at(0)), PENDING);
        assert_eq!(value.poll(at(250)), PENDING, "what hangs may be there");
        assert_eq!(value.due(at(250)), None);
        assert_eq!(value.poll(at(300)), BROKEN);
    }

    #[test]
    fn a_candidate_behind_the_one_that_answered_is_waited_for_anew() {
        let (mut value, [first, second, third]) = value();
        say(&first, &[ABSENT, ok(1), ABSENT]);
        say(&second, &[PENDING; 2]);
        assert_eq!(value.poll(at(0)), PENDING);
        assert_eq!(value.poll(at(1)), ok(1));
        assert_eq!(value.poll(at(10_000)), PENDING, "it has just been asked");
        assert!(third.lock().expect("one thread").is_empty());
    }

    #[test]
    fn the_last_candidate_is_waited_for_without_end() {
        let (mut value, [only]) = value();
        say(&only, &[PENDING, PENDING, ok(1)]);
        assert_eq!((value.poll(at(0)), value.due(at(0))), (PENDING, None));
        assert_eq!(value.poll(at(60_000)), PENDING);
        assert_eq!(value.poll(at(60_001)), ok(1));
    }
}
