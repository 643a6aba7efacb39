//! A value with several places that may know it: the first that answers counts.

use std::{
    fmt,
    time::{Duration, Instant},
};

use heartbeat_core::SensorError;

use super::{answering::Answering, rest::Rest, sysroot::Sysroot};

/// One place that may know a value.
pub trait Source<T>: Send {
    /// Where it looks, for people: a path, a device, a program.
    fn place(&self) -> String;

    /// Looks.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] when this machine has no such place; then it is left alone for a while.
    fn read(&mut self, root: &Sysroot) -> Result<T, SensorError>;
}

/// The places that may know a value, the best first.
pub struct Chain<T> {
    sources: Vec<(Box<dyn Source<T>>, Rest)>,
    /// Which of them answered last, and who is told.
    answered: Option<usize>,
    answering: Answering,
}

/// What came of asking one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt<T> {
    /// Where it looked.
    pub place: String,
    /// What it found.
    pub outcome: Result<T, SensorError>,
    /// How long that took.
    pub took: Duration,
}

impl<T> Chain<T> {
    /// The places in the order in which they are asked.
    pub fn new(sources: Vec<Box<dyn Source<T>>>) -> Self {
        let sources = sources.into_iter().map(|source| (source, Rest::default())).collect();
        Self { sources, answered: None, answering: Answering::default() }
    }

    /// Shows which place answered last.
    pub(super) fn answering(&self) -> Answering {
        self.answering.clone()
    }

    /// The value from the first place that answers.
    ///
    /// # Errors
    ///
    /// That of the first place that is there and failed; [`SensorError::Absent`] when none is there.
    pub fn read(&mut self, root: &Sysroot) -> Result<T, SensorError> {
        let mut error = SensorError::Absent;
        let awake = self.sources.iter_mut().enumerate().filter(|(_, (_, rest))| !rest.is_resting());
        for (index, (source, rest)) in awake {
            let answer = source.read(root);
            rest.note(&answer);
            match answer {
                Ok(value) => {
                    if self.answered != Some(index) {
                        self.answered = Some(index);
                        self.answering.set(Some(source.place()));
                    }
                    return Ok(value);
                }
                Err(SensorError::Absent) => {}
                Err(other) if error == SensorError::Absent => error = other,
                Err(_) => {}
            }
        }
        if self.answered.take().is_some() {
            self.answering.set(None);
        }
        Err(error)
    }

    /// Asks every place up to the first that answers, and tells about each.
    pub fn explain(&mut self, root: &Sysroot) -> Vec<Attempt<T>> {
        let mut attempts = Vec::new();
        for (source, _) in &mut self.sources {
            let began = Instant::now();
            let outcome = source.read(root);
            let answered = outcome.is_ok();
            attempts.push(Attempt { place: source.place(), outcome, took: began.elapsed() });
            if answered {
                break;
            }
        }
        attempts
    }
}

impl<T> fmt::Debug for Chain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(source, _)| source.place())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, path::Path};

    struct Scripted(VecDeque<Result<u8, SensorError>>);

    impl Source<u8> for Scripted {
        fn place(&self) -> String {
            "script".to_owned()
        }

        fn read(&mut self, _: &Sysroot) -> Result<u8, SensorError> {
            self.0.pop_front().expect("asked too often")
        }
    }

    fn chain(scripts: &[&[Result<u8, SensorError>]]) -> Chain<u8> {
        Chain::new(
            scripts.iter().map(|script| Box::new(Scripted(script.iter().copied().collect())) as _).collect(),
        )
    }

    #[test]
    fn the_first_that_answers_counts_and_the_absent_rest() {
        let root = Sysroot::new(Path::new("/")).expect("opened");
        let mut chain = chain(&[
            &[Err(SensorError::Absent)],
            &[Err(SensorError::Denied), Ok(1), Err(SensorError::Io)],
            &[Ok(2), Err(SensorError::Invalid)],
        ]);
        let answering = chain.answering();
        assert_eq!(answering.get(), None);
        assert_eq!(chain.read(&root), Ok(2));
        assert_eq!(answering.get().as_deref(), Some("script"));
        assert_eq!(chain.read(&root), Ok(1), "the absent one was not asked again");
        assert_eq!(chain.read(&root), Err(SensorError::Io), "the first trouble is reported");
        assert_eq!(answering.get(), None, "and no value comes from anywhere");
    }
}
