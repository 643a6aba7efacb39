//! The daemon: the agent, this machine and a server, and a loop of a dozen lines.

mod instance;
mod once;
mod pidfile;
pub(crate) mod process;
mod reload;
mod signals;
mod sleeper;

use std::{
    hash::{BuildHasher, RandomState},
    io,
    os::fd::BorrowedFd,
    path::Path,
    sync::Arc,
};

use heartbeat_core::{
    Agent, Backlog, Identity, Stats, Wake,
    time::{Duration, Instant},
};

use self::reload::{Loaded, Reloader, Step};
pub(crate) use self::sleeper::Sleeper;
pub use self::{
    instance::Instance,
    once::sample_once,
    pidfile::{Pidfile, PidfileError},
    signals::Signals,
};
use crate::{
    backlog::{self, Keeper},
    clock,
    config::Settings,
    sensors::{
        LinuxHal,
        hardware_id::{self, NoIdentity},
    },
    sources::sysroot::Sysroot,
    transient::is_transient,
    uplink::{Client, HttpUplink, Traffic, TrustError},
    waker::{self, Waker},
};

/// For how long a delivery waits until it is counted and told. At longer intervals a wake-up more costs next to nothing, and
/// the status would be old.
const DELIVERY_WAITS_MAX: Duration = Duration::from_secs(10);

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work on this machine.
    #[error("{0}")]
    Unusable(String),
    /// No certificate authority is usable.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The system has no resources left or fails: a transient error.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// A turn of the daemon's loop, for those who watch it.
#[derive(Clone, Copy)]
pub struct Turn<'d> {
    /// When it was.
    pub now: Instant,
    /// The agent after it.
    pub agent: &'d Agent<'static>,
    /// The device.
    pub hal: &'d LinuxHal,
    /// What went over the network.
    pub traffic: &'d Traffic,
    /// Whether what [`Observer::also_wakes`] named can be read.
    pub is_asked: bool,
}

/// An observer of the daemon's main loop.
pub trait Observer {
    /// The loop has turned. The answer is when it must turn again at the latest, even if the agent asks for a later
    /// time.
    fn turned(&mut self, turn: &Turn<'_>) -> Option<Instant>;

    /// What wakes the loop, too, when it can be read.
    fn also_wakes(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the loop must turn at each delivery; otherwise one that changes nothing is told at the next turn.
    fn needs_each_delivery(&self) -> bool {
        false
    }

    /// The configuration is being read again.
    fn reloading(&mut self) {}

    /// It was; `None`: the old one stays.
    fn reloaded(&mut self, _: Option<&Settings>) {}

    /// The daemon is about to end.
    fn stopping(&mut self) {}
}

/// The agent with this machine and its server.
pub struct Daemon {
    root: Arc<Sysroot>,
    agent: Agent<'static>,
    keeper: Option<Keeper>,
    hal: LinuxHal,
    uplink: HttpUplink,
    traffic: Traffic,
    sleeper: Sleeper,
    waker: Waker,
    signals: Signals,
}

impl Daemon {
    /// Makes everything ready; the first heartbeat goes out when it runs.
    ///
    /// # Errors
    ///
    /// When the board cannot be identified, no certificate authority is usable, or the system has no resources left.
    pub fn start(settings: &Settings, root: Arc<Sysroot>) -> Result<Self, StartError> {
        let identity = identity(settings, &root)?;
        let traffic = Traffic::default();
        let client = Client::new(settings, &traffic)?;
        let (waker, wake_ups) = waker::pair()?;
        let signals = Signals::install(&waker)?;
        let sleeper = Sleeper::new(wake_ups)?;
        let hal = LinuxHal::new(Arc::clone(&root), settings, &waker);
        let uplink = HttpUplink::start(client, waker.clone())?;
        let mut agent = Agent::new(identity.with_boot_id(random()), settings.rhythm);
        let keeps = settings.rhythm.backlog() > 0;
        if keeps {
            agent = agent.with_backlog(backlog::memory());
        }
        if settings.rhythm.deltas() {
            agent = agent.with_deltas(Box::leak(Box::default()));
        }
        let keeper = match &settings.backlog_file {
            Some(file) if keeps => Some(Keeper::start(file, clock::now(), &mut agent, waker.clone())?),
            Some(file) => {
                backlog::discard(file);
                None
            }
            None => None,
        };
        Ok(Self { root, agent, keeper, hal, uplink, traffic, sleeper, waker, signals })
    }

    /// Asks the running daemon to stop, from any thread.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (signals, waker) = (self.signals.clone(), self.waker.clone());
        move || {
            signals.request_stop();
            waker.wake();
        }
    }

    /// Beats until it is asked to stop. `reload` reads the configuration again, on a thread of its own; `None` keeps the
    /// one in use.
    ///
    /// The loop waits in one place, its sleep: nothing that it calls waits or does I/O that could block.
    ///
    /// # Errors
    ///
    /// When the system's timer fails, which no system does.
    pub fn run(
        &mut self,
        reload: impl FnMut() -> Option<Settings> + Clone + Send + 'static,
        observer: &mut impl Observer,
    ) -> io::Result<()> {
        let mut reloader = Reloader::new(reload, &self.root, &self.traffic, &self.waker);
        let mut is_asked = false;
        loop {
            if self.signals.stop() {
                observer.stopping();
                self.agent.stop();
            }
            if self.signals.take_reload() {
                reloader.request();
            }
            match reloader.turn() {
                Step::None => {}
                Step::Begun => observer.reloading(),
                Step::Ended(loaded) => {
                    let settings = loaded.map(|loaded| self.reconfigure(*loaded));
                    observer.reloaded(settings.as_ref());
                }
            }
            let now = clock::now();
            let wake = self.agent.poll(now, &mut self.hal, &mut self.uplink);
            // A delivery that changes nothing costs no turn of its own.
            let unless_failed = self
                .agent
                .wake_unless_failed()
                .filter(|slot| slot.since(now) <= DELIVERY_WAITS_MAX && !observer.needs_each_delivery());
            self.uplink.let_delivery_wait(unless_failed.is_some());
            let hal_due = self.hal.dispatch();
            if let Some(keeper) = &mut self.keeper {
                keeper.turn(now, &mut self.agent);
            }
            let turn = Turn { now, agent: &self.agent, hal: &self.hal, traffic: &self.traffic, is_asked };
            let at_the_latest = observer.turned(&turn);
            match wake {
                Wake::At(when) => {
                    let others = [hal_due, at_the_latest].into_iter().flatten();
                    let until = others.fold(unless_failed.unwrap_or(when), Instant::min);
                    is_asked = self.sleeper.sleep_until_or(until, observer.also_wakes())?;
                }
                Wake::Stopped => {
                    if let Some(keeper) = self.keeper.take() {
                        keeper.finish(now, &mut self.agent);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        self.agent.stats()
    }

    /// The heartbeats that were not delivered and are kept.
    pub fn backlog(&self) -> &Backlog<'static> {
        self.agent.backlog()
    }

    /// Takes over new settings; the request under way goes on with the old ones.
    fn reconfigure(&mut self, loaded: Loaded) -> Settings {
        let Loaded { settings, identity, client } = loaded;
        if settings.rhythm.backlog() > 0 && self.agent.config().backlog() == 0 {
            log::warn!("heartbeats will be kept from the next start on");
        }
        if settings.rhythm.deltas() && !self.agent.config().deltas() {
            log::warn!("deltas will be sent from the next start on");
        }
        self.agent.reconfigure(identity, settings.rhythm);
        self.hal.reconfigure(&settings);
        self.uplink.replace(client);
        log::info!("configuration read again");
        settings
    }
}

/// The id of this board: as configured, or as the board gives it.
///
/// # Errors
///
/// When nothing identifies it, or the source that does cannot be read now. With any other id the server would see
/// another device.
pub fn identity(settings: &Settings, root: &Sysroot) -> Result<Identity, StartError> {
    hardware_id(settings, root).map(|id| Identity::new(&id))
}

/// As [`identity`], the id itself.
///
/// # Errors
///
/// As [`identity`].
pub fn hardware_id(settings: &Settings, root: &Sysroot) -> Result<String, StartError> {
    if let Some(id) = &settings.hardware_id {
        return Ok(id.clone());
    }
    chosen(root).map(|chosen| chosen.id)
}

/// Keeps the board's id for the next start, if it is not configured and the board may lose what it is chosen from. For the
/// daemon alone: a command by hand changes nothing.
pub fn keep_hardware_id(settings: &Settings, root: &Sysroot) {
    if settings.hardware_id.is_none()
        && let Ok(chosen) = hardware_id::of_board(root)
    {
        hardware_id::keep(root, &chosen);
    }
}

fn chosen(root: &Sysroot) -> Result<hardware_id::Chosen, StartError> {
    match hardware_id::of_board(root) {
        Ok(chosen) => {
            log::debug!("hardware id from {}", chosen.place());
            if chosen.source == hardware_id::IdSource::MachineId && hardware_id::is_container(root) {
                log::warn!(
                    "the hardware id is made from /etc/machine-id in a container: boards that run the same image may \
                     have the same; set hardware_id"
                );
            }
            Ok(chosen)
        }
        Err(trouble @ NoIdentity::Unreadable(_)) => {
            Err(StartError::System(io::Error::other(format!("hardware id: {trouble}"))))
        }
        Err(nothing @ NoIdentity::Unidentified(_)) => {
            Err(StartError::Unusable(format!("this machine has no hardware id: {nothing}; set hardware_id")))
        }
    }
}

/// The phase of the grid for this start: devices that boot at the same time must not send at the same time.
pub fn random_phase() -> u32 {
    // The upper half.
    #[allow(clippy::cast_possible_truncation)]
    let phase = (random() >> 32) as u32;
    phase
}

/// Another number at each call and each start.
fn random() -> u64 {
    // Randomly keyed by the standard library, without waiting for the kernel's entropy as a board boots.
    RandomState::new().hash_one(std::process::id())
}

/// Opens the root of the device's files.
///
/// # Errors
///
/// When `path` is not a directory, with the path and the reason.
pub fn open_root(path: &Path) -> Result<Arc<Sysroot>, StartError> {
    match Sysroot::new(path) {
        Ok(root) => Ok(Arc::new(root)),
        Err(error) if is_transient(&error) => Err(error.into()),
        Err(error) => Err(StartError::Unusable(format!("--sysroot: {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn configured_id_comes_before_that_of_the_board() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("proc")).expect("created");
        std::fs::write(dir.path().join("proc/cpuinfo"), "Serial : 10000000a1b2c3d4\n").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut layers = Layers::default();
        let id =
            |layers: &Layers| hardware_id(&Settings::new(layers).expect("usable"), &root).expect("an id");
        assert_eq!(id(&layers), "10000000a1b2c3d4");
        layers.add_text(Path::new("c.toml"), "hardware_id = 'camera-7'").expect("usable");
        assert_eq!(id(&layers), "camera-7");
    }

    /// Of ten starts, which would all have the same phase and the same `boot_id` otherwise.
    #[test]
    fn each_start_draws_other_numbers() {
        let numbers: std::collections::BTreeSet<_> = (0..10).map(|_| random()).collect();
        assert_eq!(numbers.len(), 10);
    }
}
