//! `fuzz`, `planted bugs`, `replay` and `minimise`.

use std::time::{Duration, Instant};

use clap::Args;
use heartbeat_core::time;
use indicatif::{ProgressBar, ProgressStyle};

use super::print;
use crate::fuzz::{
    self, Event, Failure, PlantedBug, Report, Scenario, Told, Trace, TraceHash, Untraced, Wire, campaign,
    minimise, missing, trace_hash,
};

/// Seeds within which every bug must be found.
const PLANTED_BUG_SEEDS: u64 = 10_000;

/// Many runs.
#[derive(Debug, Args)]
pub(super) struct Fuzz {
    /// Runs
    #[arg(long, value_name = "N", default_value = "1000")]
    seeds: u64,
    /// Slots in each run
    #[arg(long, value_name = "N", default_value = "1000")]
    beats: u64,
    /// Seed of the first run
    #[arg(long, value_name = "SEED", default_value = "0")]
    first: u64,
    /// In which form the agent sends its documents
    #[arg(long, value_enum, default_value_t)]
    wire: Wire,
    /// Runs without any trouble, to see how fast that is
    #[arg(long, conflicts_with_all = ["hash", "wire"])]
    plain: bool,
    /// Print a number that is the same wherever these runs are told in the same words, and nothing else
    #[arg(long)]
    hash: bool,
}

/// One run.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Its seed
    #[arg(long)]
    seed: u64,
    /// Its slots
    #[arg(long, value_name = "N", default_value = "1000")]
    beats: u64,
    /// In which form the agent sends its documents
    #[arg(long, value_enum, default_value_t)]
    wire: Wire,
    /// Of its events, these only, as `minimise` prints them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Option<Vec<usize>>,
}

/// A run to shorten.
#[derive(Debug, Args)]
pub(super) struct Minimise {
    /// Its seed
    #[arg(long)]
    seed: u64,
    /// Its slots
    #[arg(long, value_name = "N", default_value = "1000")]
    beats: u64,
    /// In which form the agent sends its documents
    #[arg(long, value_enum, default_value_t)]
    wire: Wire,
}

impl Fuzz {
    /// Ends at the first run that breaks a promise.
    pub(super) fn run(&self) -> Result<(), String> {
        let seeds = self.first..self.first.saturating_add(self.seeds);
        if self.hash {
            let mut all = TraceHash::default();
            for seed in seeds {
                let hash = trace_hash(&Scenario::over(self.wire, seed, self.beats));
                all.line(time::Instant::from_micros(seed), || hash.value().to_string());
            }
            print(&format!("{:016x}", all.value()));
            return Ok(());
        }
        // Drawn only on a terminal.
        let bar = ProgressBar::new(self.seeds).with_style(
            ProgressStyle::with_template("{wide_bar} {pos} of {len} runs, {msg}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let started = Instant::now();
        let progress = |total: &Report| {
            bar.inc(1);
            if bar.position().is_multiple_of(64) {
                bar.set_message(format!("{} beats/s", per_second(total.tally.slots, started.elapsed())));
            }
        };
        let total = if self.plain {
            self.plain(progress)?
        } else {
            campaign(self.wire, seeds, self.beats, progress).map_err(told)?
        };
        bar.finish_and_clear();
        self.report(&total, started.elapsed())
    }

    fn plain(&self, mut progress: impl FnMut(&Report)) -> Result<Report, String> {
        let mut total = Report::default();
        for seed in self.first..self.first.saturating_add(self.seeds) {
            let report = fuzz::run(&Scenario::plain(seed, self.beats), None, &mut Untraced);
            total.add(&report.map_err(|violation| violation.to_string())?);
            progress(&total);
        }
        Ok(total)
    }

    fn report(&self, total: &Report, took: Duration) -> Result<(), String> {
        for kind in Event::KINDS.iter().chain(Event::KINDS_WITH_DELTAS) {
            if let Some(count) = total.events.get(kind) {
                print(&format!("{count:>12}  {kind}"));
            }
        }
        print(&format!("\n{}", total.coverage));
        let tally = total.tally;
        print(&format!(
            "{} sent in time, of which {} delivered; {} delivered late, {} given up",
            tally.attempted, tally.delivered, tally.replayed, tally.dropped
        ));
        if self.wire == Wire::Delta {
            print(&format!("{} of those that were delivered in time were deltas", tally.deltas));
        }
        let events: u64 = total.events.values().sum();
        print(&format!(
            "{} runs, {} beats, {events} events: no promise broken. {} beats/s, {} of them sent",
            self.seeds,
            tally.slots,
            per_second(tally.slots, took),
            per_second(tally.attempted, took),
        ));
        match missing(total, self.wire, if self.plain { 0 } else { self.seeds }) {
            missing if missing.is_empty() => Ok(()),
            missing => Err(format!("never happened: {}", missing.join(", "))),
        }
    }
}

fn per_second(count: u64, took: Duration) -> u128 {
    u128::from(count) * 1_000_000 / took.as_micros().max(1)
}

fn told(failure: Failure) -> String {
    let Failure { wire, seed, beats, violation } = failure;
    let run = format!("--seed {seed} --beats {beats}{}", of(wire));
    format!(
        "seed {seed}: {violation}\nheartbeat-sim replay {run} tells how, heartbeat-sim minimise {run} what was \
         needed for it"
    )
}

/// The flag for documents in this form.
fn of(wire: Wire) -> &'static str {
    match wire {
        Wire::Full => "",
        Wire::Delta => " --wire delta",
    }
}

/// Lets frontends commit each bug until the checker sees it.
pub(super) fn planted_bugs(beats: u64) -> Result<(), String> {
    // Panics are among the planted bugs, and not news.
    std::panic::set_hook(Box::new(|_| {}));
    let mut unseen = Vec::new();
    for bug in PlantedBug::ALL {
        let seen = (0..PLANTED_BUG_SEEDS).find_map(|seed| {
            let violation =
                fuzz::run(&Scenario::over(bug.wire(), seed, beats), Some(*bug), &mut Untraced).err()?;
            Some((seed, violation.property))
        });
        match seen {
            Some((seed, property)) => {
                print(&format!("{bug:52} seed {seed:>4}  {property}", bug = bug.to_string()))
            }
            None => unseen.push(bug.to_string()),
        }
    }
    if unseen.is_empty() {
        print(&format!("{} planted bugs, each found", PlantedBug::ALL.len()));
        return Ok(());
    }
    Err(format!("not seen within {PLANTED_BUG_SEEDS} seeds: {}", unseen.join(", ")))
}

impl Replay {
    /// Tells everything that happens.
    pub(super) fn run(&self) -> Result<(), String> {
        let mut scenario = Scenario::over(self.wire, self.seed, self.beats);
        if let Some(only) = &self.only {
            scenario = scenario.only(only);
        }
        tell(&scenario)
    }
}

fn tell(scenario: &Scenario) -> Result<(), String> {
    let mut told = Told::new(|at: time::Instant, line: &str| print(&format!("{}  {line}", seconds(at))));
    let result = fuzz::run(scenario, None, &mut told);
    print(&format!("seed {}: told as {:016x}", scenario.seed, told.hash().value()));
    result.map(drop).map_err(|violation| format!("seed {}: {violation}", scenario.seed))
}

fn seconds(at: time::Instant) -> String {
    let micros = at.as_micros();
    format!("{:>8}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Minimise {
    /// Shortens the run, and tells what is left of it.
    pub(super) fn run(&self) -> Result<(), String> {
        let Self { seed, beats, wire } = *self;
        let Some(minimal) = minimise(wire, seed, beats, None) else {
            print(&format!("seed {seed}: the run breaks no promise"));
            return Ok(());
        };
        let steps: Vec<_> = minimal.steps.iter().map(usize::to_string).collect();
        print(&format!(
            "{} of {} events are needed: heartbeat-sim replay --seed {seed} --beats {}{} --only {}",
            steps.len(),
            Scenario::over(wire, seed, beats).steps.len(),
            minimal.beats,
            of(wire),
            if steps.is_empty() { "''".to_owned() } else { steps.join(",") },
        ));
        tell(&Scenario::over(wire, seed, minimal.beats).only(&minimal.steps))
    }
}
