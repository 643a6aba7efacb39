//! One run: a scenario's faults, then a time without faults, in which everything must recover (L1, L2), then a stop.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use heartbeat_core::{
    Config, Sensor,
    agent::{
        backlog::{Ring, Storage as Backing},
        deltas,
    },
    for_each_sensor,
    payload::BODY_MAX,
    time::{Duration, Instant},
};

use super::{
    checker::{Broken, Late, Violation, broken},
    coverage::{Coverage, Stimulus},
    event::{Event, ServerChange, StorageFault, Wall},
    life::{Life, Tally, World},
    planted_bugs::PlantedBug,
    scenario::{Memory, Scenario, draw_settings},
    storage::Storage,
    trace::Trace,
    wall::WallClock,
};
use crate::{
    fake::{FakeDevice, FakeServer, Reading},
    faults::{FaultyHal, FaultyUplink},
    random::Random,
    receiver::{Habit, View},
};

/// Bytes of [`Memory::Small`]: one of the largest documents.
const SMALL: usize = BODY_MAX + 2;
/// Bytes of [`Memory::Large`]: as many of the largest documents as any settings in a run keep.
const LARGE: usize = 51 * SMALL;
/// Time from a request to the reply of a server that is well.
const LATENCY: Duration = Duration::from_millis(30);

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What was sent.
    pub tally: Tally,
    /// How often each kind of event occurred.
    pub events: BTreeMap<&'static str, u64>,
    /// What was tried.
    pub coverage: Coverage,
}

impl Report {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.tally.slots += other.tally.slots;
        self.tally.attempted += other.tally.attempted;
        self.tally.delivered += other.tally.delivered;
        self.tally.replayed += other.tally.replayed;
        self.tally.dropped += other.tally.dropped;
        self.tally.deltas += other.tally.deltas;
        self.tally.polls += other.tally.polls;
        for (kind, count) in &other.events {
            *self.events.entry(kind).or_default() += count;
        }
        self.coverage.add(&other.coverage);
    }
}

/// Runs a scenario, with a frontend that may have a planted bug.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run(
    scenario: &Scenario,
    bug: Option<PlantedBug>,
    trace: &mut impl Trace,
) -> Result<Report, Violation> {
    let mut last = scenario.start;
    let ended = catch_unwind(AssertUnwindSafe(|| Run::new(scenario, bug).go(&mut last, trace)));
    let broken = match ended {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(broken)) => broken,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            ("S17 total", format!("panicked: {}", text.unwrap_or_default()))
        }
    };
    Err(Violation { property: broken.0, detail: broken.1, at: last })
}

struct Run<'s> {
    scenario: &'s Scenario,
    random: Random,
    events: BTreeMap<&'static str, u64>,
    config: Config,
    world: Option<World>,
}

/// Why a start of the agent ended.
enum End {
    Finished,
    /// Stopped or killed, to be started again after this time.
    Again(Duration),
}

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, bug: Option<PlantedBug>) -> Self {
        let mut random = Random::new(scenario.seed ^ 0x11fe);
        let mut device = FaultyHal::new(FakeDevice::healthy());
        if !scenario.steps.is_empty() {
            for sensor in Sensor::ALL {
                set_value(&mut device, sensor, random.any());
            }
        }
        let memory = match scenario.memory {
            Memory::Small => SMALL,
            Memory::Large => LARGE,
        };
        let mut server = FakeServer::new(LATENCY);
        if scenario.config.deltas() {
            let mut view = View::default();
            view.set_habit(bug.map_or(Habit::Right, PlantedBug::habit));
            (server.view, server.announces) = (Some(view), true);
        }
        let world = World {
            device,
            network: FaultyUplink::new(server),
            storage: Storage::new(),
            persistent: scenario.persistent,
            deferring: scenario.deferring,
            // 2026-11-24.
            wall: WallClock::new(scenario.start, 1_795_464_000_000),
            late: Late::new(memory),
            coverage: Coverage::default(),
            bug,
            slept: Duration::ZERO,
            tally: Tally::default(),
        };
        Self { scenario, random, events: BTreeMap::new(), config: scenario.config, world: Some(world) }
    }

    fn go(mut self, last: &mut Instant, trace: &mut impl Trace) -> Result<Report, Broken> {
        let (mut small, mut large) = (Backing::<SMALL>::new(), Box::new(Backing::<LARGE>::new()));
        let memory = match self.scenario.memory {
            Memory::Small => small.as_mut_view(),
            Memory::Large => large.as_mut_view(),
        };
        let mut steps = self.scenario.steps.iter().copied().map(|step| (step.after, step.event));
        let mut now = self.scenario.start;
        let end = now + self.scenario.length;
        while let Some(world) = self.world.take() {
            match self.live(world, memory, &mut steps, now, end, last, trace)? {
                (End::Again(down), world) => {
                    self.world = Some(world);
                    now = *last + down;
                }
                (End::Finished, world) => {
                    return Ok(Report { tally: world.tally, events: self.events, coverage: world.coverage });
                }
            }
        }
        Ok(Report::default())
    }

    /// One start of the agent, at `now`.
    #[allow(clippy::too_many_arguments)]
    fn live(
        &mut self,
        mut world: World,
        memory: &mut Ring,
        steps: &mut impl Iterator<Item = (Duration, Event)>,
        now: Instant,
        end: Instant,
        last: &mut Instant,
        trace: &mut impl Trace,
    ) -> Result<(End, World), Broken> {
        let config = self.config.with_phase(self.random.phase());
        world.network.inner.latency = latency(&config);
        let mut deltas = deltas::Memory::default();
        let mut life = Life::start(world, memory, &mut deltas, config, self.random.any(), now, trace);
        let lived = self.suffer(&mut life, steps, end);
        *last = life.now();
        let again = lived?;
        Ok((again, life.end(self.random.chance(50))))
    }

    fn suffer<T: Trace>(
        &mut self,
        life: &mut Life<'_, '_, T>,
        steps: &mut impl Iterator<Item = (Duration, Event)>,
        end: Instant,
    ) -> Result<End, Broken> {
        // A run without faults begins without one.
        let first = if self.scenario.steps.is_empty() { 2 } else { self.random.below(32) };
        match first {
            // It may end before it begins.
            0 => {
                life.meet_event(Stimulus::Stop);
                life.stop()?;
                return Ok(End::Again(Duration::ZERO));
            }
            1 => {
                life.meet_event(Stimulus::Kill);
                return Ok(End::Again(Duration::ZERO));
            }
            _ => life.poll()?,
        }
        for (after, event) in steps {
            life.run_until(life.now() + after)?;
            *self.events.entry(event.kind()).or_default() += 1;
            let at = life.now();
            life.trace().line(at, || event.to_string());
            match event {
                Event::Network(fault, delay) => life.network().set(fault, delay),
                Event::Sensor(sensor, fault) => life.disturb(|device| device.set(sensor, fault)),
                Event::Value(sensor, seed) => life.disturb(|device| set_value(device, sensor, seed)),
                Event::Stall(span) => {
                    life.meet_event(Stimulus::Stall);
                    life.stall(span, false)?;
                }
                Event::Suspend(span) => {
                    life.meet_event(Stimulus::Stall);
                    life.stall(span, true)?;
                }
                Event::Wall(change) => {
                    life.meet_event(Stimulus::WallClock);
                    life.set_wall(change);
                }
                Event::Poke => life.poll()?,
                Event::Reload(seed) => {
                    life.meet_event(Stimulus::Reload);
                    self.reload(life, seed)?;
                }
                Event::Restart(down) => {
                    life.meet_event(Stimulus::Stop);
                    life.stop()?;
                    return Ok(End::Again(down));
                }
                Event::Kill(down) => {
                    life.meet_event(Stimulus::Kill);
                    return Ok(End::Again(down));
                }
                Event::Storage(fault) => life.storage().fault = fault,
                Event::Deltas(change) => change_server(&mut life.network().inner, change),
            }
        }
        life.run_until(end)?;
        self.recover(life)?;
        life.stop()?;
        Ok(End::Finished)
    }

    fn reload<T: Trace>(&mut self, life: &mut Life<'_, '_, T>, seed: u64) -> Result<(), Broken> {
        let mut random = Random::new(seed);
        let interval = self.scenario.config.interval();
        let interval =
            random.pick([interval, interval * 2, interval / 2 * 3]).min(Duration::from_secs(86_400));
        self.config = draw_settings(&mut random, interval);
        if self.scenario.config.deltas() {
            self.config = self.config.with_deltas(random.chance(80));
        }
        life.network().inner.latency = latency(&self.config);
        life.reload(self.config)
    }

    /// From here on nothing is wrong: a beat arrives in time, then every one, then what was kept.
    fn recover<T: Trace>(&mut self, life: &mut Life<'_, '_, T>) -> Result<(), Broken> {
        let at = life.now();
        life.trace().line(at, || "all is well from here on".to_owned());
        life.network().set(None, Duration::ZERO);
        life.disturb(FaultyHal::heal);
        life.storage().fault = StorageFault::None;
        life.set_wall(Wall::Set(1_795_464_000_000));
        let interval = self.config.interval();
        // L1: what was in flight may still fail; then the back-off ends; then the next slot.
        let (before, begun) = (life.delivered(), life.now());
        while life.delivered() == before {
            if life.now() >= (begun + interval).max(life.patience()) + interval * 2 {
                broken!("L1 recovery", "nothing was delivered for {:?}", life.now().since(begun));
            }
            life.run_until(life.now() + interval)?;
        }
        // L2.
        let (delivered, attempted) = (life.delivered(), life.attempted());
        life.run_until(life.now() + interval * 4)?;
        let (delivered, attempted) = (life.delivered() - delivered, life.attempted() - attempted);
        if attempted < 4 || delivered + 1 < attempted {
            broken!("L2 every beat arrives", "{delivered} of {attempted} were delivered");
        }
        self.drain(life)
    }

    /// What was kept is sent, as fast as the settings permit.
    fn drain<T: Trace>(&mut self, life: &mut Life<'_, '_, T>) -> Result<(), Broken> {
        let per_interval = u64::from(self.config.late_per_interval());
        let waiting = life.waiting();
        // Latency may be most of a short interval, and files are a minute apart.
        if per_interval == 0 || waiting == 0 {
            return Ok(());
        }
        let interval = self.config.interval();
        let one_each = interval.as_micros().saturating_mul(waiting + 4);
        let files =
            if self.scenario.persistent { Duration::from_secs(60 * (waiting + 4)) } else { Duration::ZERO };
        let until = life.now() + Duration::from_micros(one_each) + files;
        while life.waiting() > 0 {
            if life.now() >= until {
                broken!("L2 backlog", "{} of {waiting} late heartbeats still wait", life.waiting());
            }
            life.run_until(life.now() + interval)?;
        }
        Ok(())
    }
}

fn change_server(server: &mut FakeServer, change: ServerChange) {
    match change {
        ServerChange::Restarts => server.view.iter_mut().for_each(View::forget),
        ServerChange::Announces => server.announces = true,
        ServerChange::IsSilent => server.announces = false,
    }
}

fn latency(config: &Config) -> Duration {
    // A server that takes longer than the timeout is not well; one that takes half an interval leaves no time for late ones.
    LATENCY.min(config.timeout() / 2).min(config.interval() / 4)
}

fn set_value(device: &mut FaultyHal<FakeDevice>, sensor: Sensor, seed: u64) {
    let mut random = Random::new(seed);
    macro_rules! set {
        ($($(#[$doc:meta])* $method:ident, $variant:ident, $value:ty, $label:literal;)*) => {
            match sensor {
                $(Sensor::$variant => {
                    device.inner.$method.value = Some(Reading::draw(&mut random));
                })*
            }
        };
    }
    for_each_sensor!(set);
}
