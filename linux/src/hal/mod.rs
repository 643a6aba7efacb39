//! The device: [`Hal`] over procfs, sysfs and the kernel's own calls.
//!
//! What cannot block is read where it is asked for; what can has a thread of its own (see [`background`]).

mod app_version;
mod application;
pub mod background;
mod cpu;
mod disk;
pub mod hardware_id;
mod memory;
mod net;
mod rest;
pub mod sysroot;
mod thermal;

use std::{path::PathBuf, sync::Arc, task::Poll};

use heartbeat_core::{
    Hal, SensorError,
    hal::{Activity, CpuTimes, DiskSpace, Memory, Sampled},
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    payload::{Cellular, Ethernet, Wifi},
    text::Text,
    units::{Celsius, UnixTime},
};

pub use self::app_version::VersionSource;
use self::{
    app_version::AppVersion, background::Background, cpu::Cpu, memory::Meminfo, net::Network,
    sysroot::Sysroot, thermal::Thermal,
};
use crate::{clock, config::Settings, waker::Waker};

/// This machine, or a captured tree of another one.
#[derive(Debug)]
pub struct LinuxHal {
    root: Arc<Sysroot>,
    cpu: Cpu,
    memory: Meminfo,
    temperature: Background<Celsius>,
    disk: Background<DiskSpace>,
    network: Network,
    activity: Background<Activity>,
    app_version: Option<Background<Text<APP_VERSION_MAX>>>,
    sources: Sources,
}

impl LinuxHal {
    /// Starts the threads that watch the sources which may block. `waker` is woken whenever one has an answer.
    pub fn start(root: Arc<Sysroot>, settings: &Settings, waker: &Waker) -> Self {
        let mut thermal = Thermal::default();
        let [of_temperature, of_activity] = [(); 2].map(|()| Arc::clone(&root));
        Self {
            cpu: Cpu::new(),
            memory: Meminfo::new(),
            temperature: Background::start("temperature", waker.clone(), move || {
                thermal.read(&of_temperature)
            }),
            disk: disk(&root, settings, waker),
            network: Network::start(Arc::clone(&root), waker.clone()),
            activity: Background::start("activity", waker.clone(), move || {
                application::activity(&of_activity)
            }),
            app_version: app_version(&root, settings, waker),
            sources: Sources::of(settings),
            root,
        }
    }

    /// Takes over new settings: only the sources that they change start anew.
    pub fn reconfigure(&mut self, settings: &Settings, waker: &Waker) {
        let sources = Sources::of(settings);
        if sources.disk_path != self.sources.disk_path {
            self.disk = disk(&self.root, settings, waker);
        }
        if sources.app_version != self.sources.app_version {
            self.app_version = app_version(&self.root, settings, waker);
        }
        self.sources = sources;
    }
}

/// The settings that sources were started with.
#[derive(Debug)]
struct Sources {
    disk_path: PathBuf,
    app_version: VersionSource,
}

impl Sources {
    fn of(settings: &Settings) -> Self {
        Self { disk_path: settings.disk_path.clone(), app_version: settings.app_version.clone() }
    }
}

fn disk(root: &Sysroot, settings: &Settings, waker: &Waker) -> Background<DiskSpace> {
    let path = root.host_path(&settings.disk_path);
    Background::start("disk", waker.clone(), move || disk::read(&path))
}

/// No thread for a version that is nowhere to be found.
fn app_version(
    root: &Arc<Sysroot>,
    settings: &Settings,
    waker: &Waker,
) -> Option<Background<Text<APP_VERSION_MAX>>> {
    if settings.app_version == VersionSource::Unknown {
        return None;
    }
    let (root, mut version) = (Arc::clone(root), AppVersion::new(settings.app_version.clone()));
    Some(Background::start("app_version", waker.clone(), move || version.read(&root)))
}

impl Hal for LinuxHal {
    fn unix_time(&mut self) -> Option<UnixTime> {
        clock::unix_time()
    }

    fn cpu(&mut self) -> Sampled<CpuTimes> {
        Poll::Ready(self.cpu.read(&self.root))
    }

    fn memory(&mut self) -> Sampled<Memory> {
        Poll::Ready(self.memory.read(&self.root))
    }

    fn temperature(&mut self) -> Sampled<Celsius> {
        self.temperature.poll()
    }

    fn disk(&mut self) -> Sampled<DiskSpace> {
        self.disk.poll()
    }

    fn default_interface(&mut self) -> Sampled<Text<INTERFACE_MAX>> {
        self.network.default_interface()
    }

    fn ethernet(&mut self) -> Sampled<Ethernet> {
        self.network.ethernet()
    }

    fn wifi(&mut self) -> Sampled<Wifi> {
        self.network.wifi()
    }

    fn cellular(&mut self) -> Sampled<Cellular> {
        self.network.cellular()
    }

    fn app_version(&mut self) -> Sampled<Text<APP_VERSION_MAX>> {
        self.app_version.as_mut().map_or(Poll::Ready(Err(SensorError::Absent)), Background::poll)
    }

    fn activity(&mut self) -> Sampled<Activity> {
        self.activity.poll()
    }
}
