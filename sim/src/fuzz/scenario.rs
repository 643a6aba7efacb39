//! A run as a script: settings, and what happens when. It follows from a seed, and can be shortened.

use clap::ValueEnum;
use heartbeat_core::{
    Config,
    time::{Duration, Instant},
};

use super::event::{Event, Family};
use crate::random::Random;

/// In which form the agent sends its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Wire {
    /// Each is a full one.
    #[default]
    Full,
    /// Deltas between full ones, to a server that mostly understands them.
    Delta,
}

/// Everything that a run depends on.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed that it follows from; what else is random in the run does, too.
    pub seed: u64,
    /// How the agent beats, apart from its phase.
    pub config: Config,
    /// Bytes for heartbeats that are not delivered.
    pub memory: Memory,
    /// Whether those survive a restart.
    pub persistent: bool,
    /// Whether deliveries that change nothing are left until the next slot (`Agent::wake_unless_failed`).
    pub deferring: bool,
    /// What the clock shows at the beginning.
    pub start: Instant,
    /// How long faults occur.
    pub length: Duration,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Memory for heartbeats that are not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// For a few of them: how many depends on their size.
    Small,
    /// For all that are to be kept.
    Large,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Time after the previous one.
    pub after: Duration,
    /// What it is.
    pub event: Event,
}

impl Scenario {
    /// The run of `beats` slots that follows from a seed, with documents in this form.
    pub fn over(wire: Wire, seed: u64, beats: u64) -> Self {
        let drawn = Self::draw(seed, beats);
        match wire {
            Wire::Full => drawn,
            Wire::Delta => drawn.with_deltas(),
        }
    }

    /// The run of `beats` slots that follows from a seed.
    pub fn draw(seed: u64, beats: u64) -> Self {
        let mut random = Random::new(seed);
        let config = draw_config(&mut random);
        let swarm = Swarm::draw(&mut random, config.interval());
        let length = Duration::from_micros(config.interval().as_micros().saturating_mul(beats));
        let mut steps = Vec::new();
        let mut passed = Duration::ZERO;
        loop {
            let after = random.time(swarm.pause);
            passed = passed + after;
            if passed >= length {
                break;
            }
            let event = swarm.event(&mut random);
            passed = passed + event.span();
            steps.push(Step { after, event });
        }
        // Where counters of 32 bits and of 53 bits end, in microseconds and milliseconds.
        let starts =
            [0, 86_400_000_000, (1 << 32) - 9_000_000, ((1 << 32) - 9_000) * 1_000, (1 << 53) - 9_000_000];
        Self {
            seed,
            config,
            memory: random.pick([Memory::Small, Memory::Large]),
            persistent: config.backlog() > 0 && random.chance(50),
            // With numbers of its own, so that each seed goes on to mean the same run in all else.
            deferring: Random::new(seed ^ 0xdefe).chance(50),
            start: Instant::from_micros(random.pick(starts)),
            length,
            steps,
        }
    }

    /// A run without faults.
    pub fn plain(seed: u64, beats: u64) -> Self {
        let config = Config::default();
        Self {
            seed,
            config,
            memory: Memory::Small,
            persistent: false,
            deferring: false,
            start: Instant::from_millis(86_400_000),
            length: Duration::from_micros(config.interval().as_micros().saturating_mul(beats)),
            steps: Vec::new(),
        }
    }

    /// The same run of an agent that sends deltas, to a server that mostly understands them.
    fn with_deltas(mut self) -> Self {
        let mut random = Random::new(self.seed ^ 0xde17a);
        self.config = self.config.with_deltas(true).with_sequence(true);
        let steps = std::mem::take(&mut self.steps);
        for step in steps {
            self.steps.push(step);
            if random.chance(10) {
                let event = Event::draw_about_deltas(&mut random);
                self.steps.push(Step { after: Duration::ZERO, event });
            }
        }
        self
    }

    /// The same run with memory for all that is to be kept.
    pub(super) fn with_large_memory(self) -> Self {
        Self { memory: Memory::Large, ..self }
    }

    /// The same run without jumps of the wall clock.
    pub(super) fn without_wall_clock(&self) -> Self {
        let touches = |event| matches!(event, Event::Wall(_));
        let kept: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| !touches(step.event))
            .map(|(index, _)| index)
            .collect();
        self.only(&kept)
    }

    /// The same run with these of its steps only. What is left keeps its time.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let mut steps = Vec::new();
        let mut after = Duration::ZERO;
        for (index, step) in self.steps.iter().enumerate() {
            after = after + step.after;
            if kept.binary_search(&index).is_ok() {
                steps.push(Step { after, event: step.event });
                after = Duration::ZERO;
            } else {
                after = after + step.event.span();
            }
        }
        Self { steps, ..self.clone() }
    }
}

fn draw_config(random: &mut Random) -> Config {
    let ms = Duration::from_millis;
    let interval =
        random.pick([ms(5_000), ms(5_000), ms(5_000), ms(50), ms(700), ms(60_000), ms(86_400_000)]);
    draw_settings(random, interval)
}

/// Settings with this interval.
pub(super) fn draw_settings(random: &mut Random, interval: Duration) -> Config {
    let timeout = if random.chance(50) {
        interval.min(Duration::from_secs(2))
    } else {
        Duration::from_micros(1 + random.below(interval.as_micros()))
    };
    let cap = random.pick([60, 60, 60, 0, 300, 86_400]);
    Config::new(interval, timeout)
        // Both are in range by construction.
        .unwrap_or_default()
        .with_backoff_cap(Duration::from_secs(cap))
        .with_backlog(random.pick([0, 0, 1, 5, 50]), random.pick([4, 1, 255, 0]))
        .with_diagnostics(random.chance(75))
        .with_sequence(random.chance(75))
}

/// What a run is like: how much happens, and how likely each family of events is. Some runs know only a dying bus, some
/// only a bad network.
#[derive(Debug)]
struct Swarm {
    interval: Duration,
    /// Things are less than this apart.
    pause: Duration,
    weights: [u64; Family::ALL.len()],
}

impl Swarm {
    fn draw(random: &mut Random, interval: Duration) -> Self {
        let pause = random.pick([interval / 8, interval / 2, interval, interval * 4]);
        let weights = Family::ALL.map(|family| match family {
            // Each ends a run of beats: seldom, or nothing else would ever last.
            Family::Restart => u64::from(random.chance(50)),
            // A fault lasts until something else happens to the network.
            Family::Good if random.chance(80) => 20 + random.below(80),
            _ if random.chance(60) => 4 + random.below(40),
            _ => 0,
        });
        Self { interval, pause, weights }
    }

    fn event(&self, random: &mut Random) -> Event {
        let mut drawn = random.below(self.weights.iter().sum());
        for (family, weight) in Family::ALL.into_iter().zip(self.weights) {
            if drawn < weight {
                return Event::draw(family, random, self.interval);
            }
            drawn -= weight;
        }
        Event::Poke
    }
}
