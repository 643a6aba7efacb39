//! What has been tried: each stimulus in each state of the agent, and each way from state to state.

use std::fmt;

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not been polled yet.
    New,
    /// A beat waits for sensors.
    Sampling,
    /// A live heartbeat is in flight.
    Sending,
    /// A late heartbeat is in flight.
    SendingLate,
    /// Nothing until the next slot.
    Resting,
    /// As [`State::Resting`], and the beat of the current slot was withheld by back-off.
    HoldingBack,
}

/// Stimuli that come together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stimuli(u16);

impl Stimuli {
    pub(super) fn add(&mut self, stimulus: Stimulus) {
        self.0 |= 1 << stimulus as u16;
    }

    pub(super) fn remove(&mut self, stimulus: Stimulus) {
        self.0 &= !(1 << stimulus as u16);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Stimulus> {
        Stimulus::ALL.into_iter().filter(move |stimulus| self.0 & (1 << *stimulus as u16) != 0)
    }
}

/// What comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stimulus {
    /// A slot comes due.
    Slot,
    /// A sensor answers.
    Sensor,
    /// Sensors have had their time.
    SamplingDeadline,
    /// The server takes the heartbeat.
    Accepted,
    /// The request fails.
    Failed,
    /// The request has had its time.
    RequestDeadline,
    /// A poll without need.
    Nothing,
    /// Time passes without polls.
    Stall,
    /// The wall clock jumps.
    WallClock,
    /// Other settings.
    Reload,
    /// The request to stop.
    Stop,
    /// The sudden end.
    Kill,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Sampling, Self::Sending, Self::SendingLate, Self::Resting, Self::HoldingBack];
}

impl Stimulus {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Slot,
        Self::Sensor,
        Self::SamplingDeadline,
        Self::Accepted,
        Self::Failed,
        Self::RequestDeadline,
        Self::Nothing,
        Self::Stall,
        Self::WallClock,
        Self::Reload,
        Self::Stop,
        Self::Kill,
    ];

    /// Whether it can meet the agent in this state.
    pub const fn is_possible_in(self, state: State) -> bool {
        match (self, state) {
            // A request or a round ends before the next slot begins, or with it; then the slot finds it gone.
            (Self::Slot, State::Sampling) => false,
            (Self::Slot, _) => true,
            (_, State::New) => matches!(self, Self::Stop | Self::Kill),
            (Self::SamplingDeadline, State::Sampling) => true,
            (Self::Accepted | Self::Failed | Self::RequestDeadline, State::Sending | State::SendingLate) => {
                true
            }
            (Self::SamplingDeadline | Self::Accepted | Self::Failed | Self::RequestDeadline, _) => false,
            _ => true,
        }
    }
}

/// How often each pair has occurred.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    stimuli: [[u64; Stimulus::ALL.len()]; State::ALL.len()],
    transitions: [[u64; State::ALL.len()]; State::ALL.len()],
}

impl Coverage {
    /// Counts a stimulus.
    pub(super) fn meet(&mut self, state: State, stimulus: Stimulus) {
        if let Some(count) =
            self.stimuli.get_mut(state as usize).and_then(|row| row.get_mut(stimulus as usize))
        {
            *count += 1;
        }
    }

    /// Counts a way from state to state.
    pub(super) fn turn(&mut self, from: State, to: State) {
        if let Some(count) = self.transitions.get_mut(from as usize).and_then(|row| row.get_mut(to as usize))
        {
            *count += 1;
        }
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        let both = self.stimuli.iter_mut().flatten().zip(other.stimuli.iter().flatten());
        let turns = self.transitions.iter_mut().flatten().zip(other.transitions.iter().flatten());
        for (count, more) in both.chain(turns) {
            *count += more;
        }
    }

    /// Pairs of state and stimulus that are possible and have not occurred.
    pub fn missing(&self) -> Vec<(State, Stimulus)> {
        let mut missing = Vec::new();
        for (state, row) in State::ALL.into_iter().zip(&self.stimuli) {
            for (stimulus, count) in Stimulus::ALL.into_iter().zip(row) {
                if *count == 0 && stimulus.is_possible_in(state) {
                    missing.push((state, stimulus));
                }
            }
        }
        missing
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = |f: &mut fmt::Formatter<'_>, title: &str| {
            write!(f, "{title:16}")?;
            State::ALL.into_iter().try_for_each(|state| write!(f, " {:>11}", format!("{state:?}")))?;
            writeln!(f)
        };
        header(f, "met in")?;
        for (index, stimulus) in Stimulus::ALL.into_iter().enumerate() {
            write!(f, "{:16}", format!("{stimulus:?}"))?;
            for (state, row) in State::ALL.into_iter().zip(&self.stimuli) {
                match row.get(index) {
                    Some(0) if !stimulus.is_possible_in(state) => write!(f, " {:>11}", "-")?,
                    count => write!(f, " {:>11}", count.copied().unwrap_or(0))?,
                }
            }
            writeln!(f)?;
        }
        header(f, "from, to")?;
        for (from, row) in State::ALL.into_iter().zip(&self.transitions) {
            write!(f, "{:16}", format!("{from:?}"))?;
            row.iter().try_for_each(|count| write!(f, " {count:>11}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}
